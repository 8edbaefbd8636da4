//! How far the reader of an event stream has come in its channels, as the id of its
//! last event: an `EventSource` names that when it comes back, whichever node it then
//! comes to (WHATWG HTML, 9.2.4).
//!
//! `id: 12:epoch:room 7:epoch:news`
//!
//! The event that bears an id is an empty push, as a ping is. By the standard an id
//! counts without any data, but there are readers that know ids of events alone.

use std::io::Write as _;

use sealcast_wire::{Channel, Epoch, Position, chunk};

/// Most channels in an id; a stream with more has none.
const MOST: usize = 32;
/// Longest id, bytes. It comes back in a header.
const LONGEST: usize = 4 << 10;

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    marks: Vec<(Channel, Position)>,
    changed: bool,
}

impl Marks {
    /// Reads an id; what is none of ours is passed over.
    #[must_use]
    pub fn parse(id: &str) -> Vec<(Channel, Position)> {
        let parse = |mark: &str| {
            let (offset, rest) = mark.split_once(':')?;
            let (epoch, channel) = rest.split_once(':')?;
            let position = Position { offset: offset.parse().ok()?, epoch: Epoch::from(epoch) };
            Some((Channel::parse(channel).ok()?, position))
        };
        id.split(' ').take(MOST).filter_map(parse).collect()
    }

    /// From now on the channel counts, and stands there.
    pub(super) fn begin(&mut self, channel: &Channel, position: Position) {
        self.end(channel);
        let plain = position
            .epoch
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if plain {
            self.marks.push((channel.clone(), position));
            self.changed = true;
        }
    }

    /// A channel that counts has come as far as that.
    pub(super) fn reach(&mut self, channel: &Channel, position: &Position) {
        if let Some((_, mark)) = self.marks.iter_mut().find(|(known, _)| known == channel) {
            *mark = position.clone();
            self.changed = true;
        }
    }

    /// The channel counts no more.
    pub(super) fn end(&mut self, channel: &Channel) {
        self.marks.retain(|(known, _)| known != channel);
    }

    /// The id as it must be told now, as a chunk; `None` if it has been told.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) || self.marks.len() > MOST {
            return None;
        }
        let mut id = b"id:".to_vec();
        for (channel, Position { offset, epoch }) in &self.marks {
            // Writing to a vector cannot fail.
            let _ = write!(id, " {offset}:{epoch}:{channel}");
        }
        if id.len() > LONGEST {
            return None;
        }
        let mut out = Vec::new();
        chunk::put_chunk(&mut out, &[&id, b"\ndata: {}\n\n"]);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).expect("valid")
    }

    fn at(offset: u64) -> Position {
        Position { offset, epoch: "ep".into() }
    }

    fn told(marks: &mut Marks) -> Option<String> {
        let chunk = String::from_utf8(marks.take()?).expect("text");
        Some(chunk.split("\r\n").nth(1).expect("content").to_owned())
    }

    #[test]
    fn an_id_is_told_when_it_has_changed_and_is_read_again() {
        let mut marks = Marks::default();
        assert_eq!(told(&mut marks), None);
        marks.begin(&channel("room"), at(1));
        marks.begin(&channel("ns:b"), at(7));
        marks.reach(&channel("room"), &at(2));
        marks.reach(&channel("other"), &at(9));
        let id = told(&mut marks).expect("changed");
        assert_eq!(id, "id: 2:ep:room 7:ep:ns:b\ndata: {}\n\n");
        assert_eq!(told(&mut marks), None);
        let id = id.trim_start_matches("id: ").trim_end_matches("\ndata: {}\n\n");
        assert_eq!(Marks::parse(id), [(channel("room"), at(2)), (channel("ns:b"), at(7))]);
    }

    #[test]
    fn what_cannot_be_told_or_read_is_left_out() {
        let mut marks = Marks::default();
        marks.begin(&channel("a"), Position { offset: 1, epoch: "e\nid: 5".into() });
        assert_eq!(told(&mut marks), None);
        for at_most in 0..=MOST {
            marks.begin(&channel(&format!("c{at_most}")), at(1));
        }
        assert_eq!(told(&mut marks), None, "one too many");
        for id in ["", "over", "1:e", "x:e:room", "1:e:bad\"name", "-1:e:room"] {
            assert_eq!(Marks::parse(id), [], "{id:?}");
        }
    }
}
