//! The slots of a cluster: which one a name is in, and who serves it. Pure.

use redis::Value;

use super::keys::{Kind, Name};

/// How many there are.
pub(super) const SLOTS: usize = 16_384;

/// Where a master is, and the first and last slot of each of its ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) address: (String, u16),
    pub(super) ranges: Vec<(u16, u16)>,
}

/// The slot of a name: of everything that is kept under it, because the name
/// stands in braces in each key and topic.
pub(super) fn of(name: Name) -> usize {
    of_key(name.key(Kind::Topic).as_bytes())
}

/// Reads the answer to `CLUSTER SLOTS`; a master without an address is where it
/// was asked. `None` if it does not read like one.
pub(super) fn read(answer: Value, asked: &str) -> Option<Vec<Ranges>> {
    let Value::Array(all) = answer else { return None };
    let mut masters: Vec<Ranges> = Vec::new();
    for one in all {
        let Value::Array(one) = one else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = one.as_slice() else {
            return None;
        };
        let range = (slot(*first)?, slot(*last)?);
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host = match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
            Value::SimpleString(host) => host.clone(),
            _ => String::new(),
        };
        let host = if host.is_empty() || host == "?" { asked.to_owned() } else { host };
        let address = (host, u16::try_from(*port).ok()?);
        match masters.iter_mut().find(|master| master.address == address) {
            Some(master) => master.ranges.push(range),
            None => masters.push(Ranges { address, ranges: vec![range] }),
        }
    }
    Some(masters)
}

fn slot(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|slot| usize::from(*slot) < SLOTS)
}

/// Of what stands in the first braces, if anything does.
fn of_key(key: &[u8]) -> usize {
    let inside = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let behind = key.get(open + 1..)?;
        let close = behind.iter().position(|byte| *byte == b'}')?;
        behind.get(..close).filter(|inside| !inside.is_empty())
    });
    usize::from(crc16(inside.unwrap_or(key))) % SLOTS
}

/// The checksum that Redis uses: the polynomial 0x1021, the highest bit first,
/// beginning with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Channel;

    use super::super::keys::Names;
    use super::*;

    #[test]
    fn checksums_and_slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` says.
        for (key, slot) in [
            ("", 0),
            ("foo", 12_182),
            ("bar", 5_061),
            ("{user1000}.following", 3_443),
            ("{user1000}.followers", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
        ] {
            assert_eq!(of_key(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn everything_of_a_name_is_in_one_slot() {
        let name = Names::new("sealcast".into()).channel(&Channel::parse("room").unwrap());
        for kind in [Kind::Meta, Kind::Stream, Kind::Present, Kind::Topic] {
            assert_eq!(of_key(name.key(kind).as_bytes()), of(name));
        }
    }

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            let mut all = vec![Value::Int(first), Value::Int(last)];
            all.extend(nodes);
            Value::Array(all)
        };
        let answer = Value::Array(vec![
            range(0, 100, vec![node(text("a"), 1), node(text("b"), 2)]),
            range(200, 16_383, vec![node(text("a"), 1)]),
            range(101, 199, vec![node(Value::Nil, 3)]),
        ]);
        let a = Ranges { address: ("a".into(), 1), ranges: vec![(0, 100), (200, 16_383)] };
        let asked = Ranges { address: ("asked".into(), 3), ranges: vec![(101, 199)] };
        assert_eq!(read(answer, "asked"), Some(vec![a, asked]));
        for bad in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(0, 16_384, vec![node(text("a"), 1)])]),
            Value::Array(vec![range(-1, 1, vec![node(text("a"), 1)])]),
            Value::Array(vec![range(0, 1, vec![node(text("a"), 70_000)])]),
            Value::Array(vec![range(0, 1, Vec::new())]),
        ] {
            assert_eq!(read(bad, "asked"), None);
        }
    }
}
