//! The records that are stored and published: a small binary form, whose first
//! byte is the format's version.
//!
//! ```text
//! version 1 | kind 1 | of the kind
//! publication: offset 8 | time 8 | gone 8 | bytes 8 | tag 8 | before 8 | epoch 1 + n
//!              | flags 1 | body
//! join, leave: body
//! erased, missed: nothing
//! probe, heartbeat: number 8
//! ```
//!
//! Numbers are big-endian; texts and bytes stand behind their length. Times are
//! milliseconds on Redis' clock. `bytes` counts all records that the stream ever had
//! up to this one. `tag` names an entry and `before` its predecessor, so that a
//! rewritten history can be told from the one that was seen. The script that publishes
//! writes the head of a kept publication, up to its epoch, because only there its
//! offset is known; see `scripts/advance.lua`. The head of the last one also says where
//! the stream stands.

use bytes::{Buf as _, Bytes};
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Epoch, Publication};

use super::at_rest;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u8 = 1;

const PUBLICATION: u8 = 1;
const JOIN: u8 = 2;
const LEAVE: u8 = 3;
const PROBE: u8 = 4;
const HEARTBEAT: u8 = 5;
const ERASED: u8 = 6;
const MISSED: u8 = 7;

/// Bit of the flags: subscribers who asked for deltas may get one.
const DELTA: u8 = 1;
/// Bit of the flags: it is worth nothing a moment later; only of what is not kept.
const PASSING: u8 = 2;

/// What a record of a channel says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Publication(Stored),
    Membership {
        who: ClientInfo,
        came: bool,
    },
    /// The stream's entries were removed.
    Erased,
    /// Something was published where those who get this do not listen, or the stream
    /// began anew. Whoever hears it looks.
    Missed,
}

/// What a record that a node sends to itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Probe(u64),
    Heartbeat(u64),
}

/// A publication with what its stream says of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) publication: Publication,
    /// The stream that the offset counts in; `None` if it is not kept.
    pub(super) epoch: Option<Epoch>,
    pub(super) delta: bool,
    pub(super) passing: bool,
    /// Its own name, and its predecessor's.
    pub(super) tag: u64,
    pub(super) before: u64,
}

/// The place of a publication in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// 0 of one that is not kept, and before the first.
    pub(super) offset: u64,
    /// Its own name, and its predecessor's.
    pub(super) tag: u64,
    before: u64,
    /// Empty of one that is not kept.
    pub(super) epoch: String,
}

/// Bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRecord {
    /// Another program wrote it, or another version of this one.
    #[error("a record of the unknown format {0}")]
    Version(u8),
    /// A kind that this version does not have.
    #[error("a record of the unknown kind {0}")]
    Kind(u8),
    /// Its parts do not add up to its length, or are not what they should be.
    #[error("a broken record")]
    Broken,
}

/// The flags of a publication.
pub(super) fn flags(delta: bool, passing: bool) -> u8 {
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    bit(delta, DELTA) | bit(passing, PASSING)
}

/// What stands behind the head of a publication: its flags, and its body, sealed.
pub(super) fn flagged(channel: &Channel, publication: &Publication, flags: u8) -> Vec<u8> {
    let body = body(channel, publication);
    let mut flagged = Vec::with_capacity(1 + body.len());
    flagged.push(flags);
    flagged.extend(body);
    flagged
}

fn body(channel: &Channel, publication: &Publication) -> Vec<u8> {
    // Exact but for tags, each part behind its length.
    let info = publication.info.as_ref().map_or(0, |info| {
        info.user.len() + info.client.len() + info.conn_info.len() + info.chan_info.len() + 4 * 4
    });
    let mut body = Vec::with_capacity(publication.data.len() + info + 4 + 1 + 4);
    put(&mut body, &publication.data);
    match &publication.info {
        None => body.push(0),
        Some(info) => {
            body.push(1);
            put_info(&mut body, info);
        }
    }
    put_number(&mut body, publication.tags.len());
    for (name, value) in &publication.tags {
        put(&mut body, name.as_bytes());
        put(&mut body, value.as_bytes());
    }
    at_rest::seal(channel, body)
}

/// The whole record of a publication that is not kept.
pub(super) fn unkept(channel: &Channel, publication: &Publication, flags: u8) -> Vec<u8> {
    const HEAD: usize = 2 + 6 * 8 + 1;
    let body = body(channel, publication);
    let mut record = Vec::with_capacity(HEAD + 1 + body.len());
    record.extend([VERSION, PUBLICATION]);
    record.extend([0; HEAD - 2]);
    record.push(flags);
    record.extend(body);
    record
}

/// The record of someone who came or went.
pub(super) fn membership(channel: &Channel, who: &ClientInfo, came: bool) -> Vec<u8> {
    let mut record = vec![VERSION, if came { JOIN } else { LEAVE }];
    record.extend(info(channel, who));
    record
}

/// The record that tells every node that a stream's entries were removed.
pub(super) fn erased() -> Vec<u8> {
    vec![VERSION, ERASED]
}

/// The record that tells every node to look at the stream.
pub(super) fn missed() -> Vec<u8> {
    vec![VERSION, MISSED]
}

/// Who is present, sealed.
pub(super) fn info(channel: &Channel, who: &ClientInfo) -> Vec<u8> {
    let mut body = Vec::new();
    put_info(&mut body, who);
    at_rest::seal(channel, body)
}

/// The record of a probe.
pub(super) fn probe(mark: u64) -> Vec<u8> {
    numbered(PROBE, mark)
}

/// The record of a heartbeat.
pub(super) fn heartbeat(count: u64) -> Vec<u8> {
    numbered(HEARTBEAT, count)
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut record = vec![VERSION, kind];
    record.extend(number.to_be_bytes());
    record
}

/// Reads a record of `channel`. Payloads are slices of it.
///
/// # Errors
/// If it is anything else than what this version writes.
pub(super) fn read(channel: &Channel, record: Vec<u8>) -> Result<Record, BadRecord> {
    match open(record)? {
        (PUBLICATION, rest) => read_publication(channel, rest).map(Record::Publication),
        (JOIN, rest) => Ok(Record::Membership { who: read_info(channel, rest)?, came: true }),
        (LEAVE, rest) => Ok(Record::Membership { who: read_info(channel, rest)?, came: false }),
        (ERASED, rest) if rest.is_empty() => Ok(Record::Erased),
        (MISSED, rest) if rest.is_empty() => Ok(Record::Missed),
        (kind, _) => Err(BadRecord::Kind(kind)),
    }
}

/// Reads a record that the node sent to itself.
///
/// # Errors
/// If it is anything else than what this version writes.
pub(super) fn read_own(record: Vec<u8>) -> Result<Own, BadRecord> {
    let (kind, mut rest) = open(record)?;
    let number = rest.try_get_u64().map_err(|_| BadRecord::Broken)?;
    match kind {
        _ if !rest.is_empty() => Err(BadRecord::Broken),
        PROBE => Ok(Own::Probe(number)),
        HEARTBEAT => Ok(Own::Heartbeat(number)),
        kind => Err(BadRecord::Kind(kind)),
    }
}

/// The kind of a record, and what stands behind it.
fn open(record: Vec<u8>) -> Result<(u8, Bytes), BadRecord> {
    let mut rest = Bytes::from(record);
    match rest.try_get_u8().map_err(|_| BadRecord::Broken)? {
        VERSION => Ok((rest.try_get_u8().map_err(|_| BadRecord::Broken)?, rest)),
        other => Err(BadRecord::Version(other)),
    }
}

/// Reads who is present.
///
/// # Errors
/// If it is anything else than what [`info`] writes.
pub(super) fn read_info(channel: &Channel, sealed: Bytes) -> Result<ClientInfo, BadRecord> {
    let mut body = at_rest::open(channel, sealed)?;
    let who = take_info(&mut body)?;
    if body.is_empty() { Ok(who) } else { Err(BadRecord::Broken) }
}

/// Reads the head with which begins what says where a stream stands.
///
/// # Errors
/// If it is anything else than what the scripts of this version write.
pub(super) fn read_head(at: Vec<u8>) -> Result<Head, BadRecord> {
    let (kind, mut rest) = open(at)?;
    match kind {
        PUBLICATION => take_head(&mut rest),
        kind => Err(BadRecord::Kind(kind)),
    }
}

fn take_head(from: &mut Bytes) -> Result<Head, BadRecord> {
    let offset = from.try_get_u64().map_err(|_| BadRecord::Broken)?;
    // The times and the bytes are for the scripts.
    take_bytes(from, 3 * 8)?;
    let tag = from.try_get_u64().map_err(|_| BadRecord::Broken)?;
    let before = from.try_get_u64().map_err(|_| BadRecord::Broken)?;
    let length = usize::from(from.try_get_u8().map_err(|_| BadRecord::Broken)?);
    let epoch = text(take_bytes(from, length)?)?;
    Ok(Head { offset, tag, before, epoch })
}

fn read_publication(channel: &Channel, mut rest: Bytes) -> Result<Stored, BadRecord> {
    let Head { offset, tag, before, epoch } = take_head(&mut rest)?;
    let flags = rest.try_get_u8().map_err(|_| BadRecord::Broken)?;
    let known = if offset == 0 { DELTA | PASSING } else { DELTA };
    if (offset == 0) != epoch.is_empty() || flags & !known != 0 {
        return Err(BadRecord::Broken);
    }
    let mut body = at_rest::open(channel, rest)?;
    let data = take(&mut body)?;
    let info = match body.try_get_u8().map_err(|_| BadRecord::Broken)? {
        0 => None,
        1 => Some(take_info(&mut body)?),
        _ => return Err(BadRecord::Broken),
    };
    let count = body.try_get_u32().map_err(|_| BadRecord::Broken)?;
    let mut tags = std::collections::BTreeMap::new();
    for _ in 0..count {
        tags.insert(text(take(&mut body)?)?, text(take(&mut body)?)?);
    }
    if !body.is_empty() {
        return Err(BadRecord::Broken);
    }
    let publication = Publication {
        data,
        info,
        offset,
        tags,
        delta: false,
        // The publication that begins a stream tells its epoch.
        epoch: if offset == 1 { epoch.clone() } else { String::new() },
    };
    let epoch = (offset > 0).then(|| Epoch::from(epoch));
    let (delta, passing) = (flags & DELTA != 0, flags & PASSING != 0);
    Ok(Stored { publication, epoch, delta, passing, tag, before })
}

fn put_info(into: &mut Vec<u8>, info: &ClientInfo) {
    put(into, info.user.as_bytes());
    put(into, info.client.as_bytes());
    put(into, &info.conn_info);
    put(into, &info.chan_info);
}

fn take_info(from: &mut Bytes) -> Result<ClientInfo, BadRecord> {
    Ok(ClientInfo {
        user: text(take(from)?)?,
        client: text(take(from)?)?,
        conn_info: take(from)?,
        chan_info: take(from)?,
    })
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    put_number(into, bytes.len());
    into.extend(bytes);
}

fn put_number(into: &mut Vec<u8>, number: usize) {
    // Frames end at one mebibyte.
    into.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

fn take(from: &mut Bytes) -> Result<Bytes, BadRecord> {
    let length = from.try_get_u32().map_err(|_| BadRecord::Broken)?;
    take_bytes(from, length as usize)
}

fn take_bytes(from: &mut Bytes, length: usize) -> Result<Bytes, BadRecord> {
    if length > from.len() {
        return Err(BadRecord::Broken);
    }
    Ok(from.split_to(length))
}

fn text(bytes: Bytes) -> Result<String, BadRecord> {
    String::from_utf8(bytes.into()).map_err(|_| BadRecord::Broken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel() -> Channel {
        Channel::parse("room").unwrap()
    }

    fn who() -> ClientInfo {
        ClientInfo {
            user: "ada".into(),
            client: "one".into(),
            conn_info: "{}".into(),
            chan_info: "[1]".into(),
        }
    }

    fn publication() -> Publication {
        Publication {
            data: "\"\u{1f98a}\"".into(),
            info: Some(who()),
            tags: [("a".to_owned(), String::new()), ("b".to_owned(), "c".to_owned())].into(),
            ..Publication::default()
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for (delta, passing) in [(true, false), (false, true), (false, false), (true, true)] {
            let publication = if delta { publication() } else { Publication::default() };
            let record = unkept(&channel(), &publication, flags(delta, passing));
            let stored = Stored { publication, epoch: None, delta, passing, tag: 0, before: 0 };
            assert_eq!(read(&channel(), record), Ok(Record::Publication(stored)));
        }
        for came in [true, false] {
            let record = membership(&channel(), &who(), came);
            assert_eq!(read(&channel(), record), Ok(Record::Membership { who: who(), came }));
        }
        assert_eq!(read(&channel(), erased()), Ok(Record::Erased));
        assert_eq!(read(&channel(), missed()), Ok(Record::Missed));
        assert_eq!(read_own(probe(7)), Ok(Own::Probe(7)));
        assert_eq!(read_own(heartbeat(u64::MAX)), Ok(Own::Heartbeat(u64::MAX)));
        assert_eq!(read(&channel(), probe(7)), Err(BadRecord::Kind(PROBE)));
        assert_eq!(read_info(&channel(), info(&channel(), &who()).into()), Ok(who()));
    }

    /// What says where a stream stands begins like the record of its last publication.
    #[test]
    fn the_place_of_a_publication_is_read_whatever_stands_behind_its_head() {
        let (tag, before, epoch) = (7, 6, "e".repeat(32));
        let mut at = vec![VERSION, PUBLICATION];
        for number in [5, 0, 0, 0, tag, before] {
            at.extend(u64::to_be_bytes(number));
        }
        at.push(32);
        at.extend(epoch.as_bytes());
        for length in 0..at.len() {
            assert!(read_head(at[..length].to_vec()).is_err(), "cut at {length}");
        }
        let head_ends = at.len();
        at.extend(flagged(&channel(), &publication(), DELTA));
        let head = Head { offset: 5, tag, before, epoch: epoch.clone() };
        assert_eq!(read_head(at.clone()), Ok(head));
        let stored = Stored {
            publication: Publication { offset: 5, ..publication() },
            epoch: Some(epoch.into()),
            delta: true,
            passing: false,
            tag,
            before,
        };
        assert_eq!(read(&channel(), at.clone()), Ok(Record::Publication(stored)));
        at[head_ends] |= PASSING;
        assert_eq!(read(&channel(), at.clone()), Err(BadRecord::Broken), "what is kept is not");
        at[0] = 2;
        assert_eq!(read_head(at), Err(BadRecord::Version(2)));
        assert_eq!(read_head(erased()), Err(BadRecord::Kind(ERASED)));
    }

    #[test]
    fn nothing_else_is_read() {
        let whole = unkept(&channel(), &publication(), DELTA);
        for length in 0..whole.len() {
            assert!(read(&channel(), whole[..length].to_vec()).is_err(), "cut at {length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(read(&channel(), longer), Err(BadRecord::Broken));
        let mut newer = whole.clone();
        newer[0] = 2;
        assert_eq!(read(&channel(), newer), Err(BadRecord::Version(2)));
        let mut odd = whole;
        odd[1] = 9;
        assert_eq!(read(&channel(), odd), Err(BadRecord::Kind(9)));
        assert_eq!(read(&channel(), b"{\"data\":1}".to_vec()), Err(BadRecord::Version(b'{')));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read(&channel(), bytes.clone()), read_own(bytes.clone()));
            for (at, byte) in [VERSION, PUBLICATION].into_iter().enumerate() {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = (read(&channel(), bytes.clone()), read_head(bytes));
        }
    }
}
