//! Several messages of one publisher in one publication: the form that a server
//! gives them, and how a client takes them apart again.
//!
//! A joined publication has the tag [`TAG`], whose value names the form. `json`:
//! the payload is the object `{"batch":[…]}`, with the messages as its elements.
//! `binary`: the payload is the messages one after the other, each behind its
//! length as four bytes, the most significant first.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{MAX_DEPTH, Publication, json};

/// The tag that tells a joined publication from others.
pub const TAG: &str = "sealcast-batch";
/// The most messages that are joined, or taken apart.
pub const MOST: usize = 1_024;

const BEFORE: &[u8] = b"{\"batch\":[";
const AFTER: &[u8] = b"]}";
/// Levels of JSON that stand around each message.
const LEVELS: usize = 2;
const LENGTH: usize = 4;

/// How messages are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Each message is one JSON value, and so are all together.
    Json,
    /// Messages are any bytes.
    Binary,
}

impl Joining {
    /// The value of [`TAG`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Joining::Json => "json",
            Joining::Binary => "binary",
        }
    }

    /// Whether a message may stand beside others: together they must not be nested
    /// deeper than a payload may be.
    #[must_use]
    pub fn takes(self, message: &[u8]) -> bool {
        match self {
            Joining::Json => json::nesting(message) <= MAX_DEPTH - LEVELS,
            Joining::Binary => true,
        }
    }

    /// How many bytes messages of these lengths have when they are joined.
    #[must_use]
    pub fn size(self, lengths: impl Iterator<Item = usize>) -> usize {
        match self {
            // One comma fewer than messages, which is not worth counting.
            Joining::Json => {
                BEFORE.len() + AFTER.len() + lengths.map(|length| length + 1).sum::<usize>()
            }
            Joining::Binary => lengths.map(|length| length + LENGTH).sum(),
        }
    }

    /// The messages as one payload, in order.
    #[must_use]
    pub fn join(self, messages: &[&[u8]]) -> Bytes {
        let size = self.size(messages.iter().map(|message| message.len()));
        let mut joined = BytesMut::with_capacity(size);
        match self {
            Joining::Json => {
                joined.put_slice(BEFORE);
                for (at, message) in messages.iter().enumerate() {
                    if at > 0 {
                        joined.put_u8(b',');
                    }
                    joined.put_slice(message);
                }
                joined.put_slice(AFTER);
            }
            Joining::Binary => {
                for message in messages {
                    joined.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
                    joined.put_slice(message);
                }
            }
        }
        joined.freeze()
    }

    /// The messages of a joined payload; `None` if it is none.
    fn split(self, joined: &Bytes) -> Option<Vec<Bytes>> {
        match self {
            Joining::Json => {
                let read: Joined<'_> = serde_json::from_slice(joined).ok()?;
                let messages = read.batch.iter().map(|one| joined.slice_ref(one.get().as_bytes()));
                (read.batch.len() <= MOST).then(|| messages.collect())
            }
            Joining::Binary => {
                let mut rest = joined.clone();
                let mut messages = Vec::new();
                while !rest.is_empty() {
                    let length = rest.try_get_u32().ok()? as usize;
                    if length > rest.len() || messages.len() == MOST {
                        return None;
                    }
                    messages.push(rest.split_to(length));
                }
                Some(messages)
            }
        }
    }
}

#[derive(Deserialize)]
struct Joined<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

/// The messages of a publication, in order, each as it would have come alone; the
/// publication itself if it is not a joined one, or a broken one.
#[must_use]
pub fn split(mut publication: Publication) -> Vec<Publication> {
    let named = publication.tags.get(TAG);
    let joining = [Joining::Json, Joining::Binary]
        .into_iter()
        .find(|joining| named.is_some_and(|name| name == joining.name()));
    let Some(messages) = joining.and_then(|joining| joining.split(&publication.data)) else {
        return vec![publication];
    };
    publication.tags.remove(TAG);
    let alone = |data| Publication { data, ..publication.clone() };
    messages.into_iter().map(alone).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(joining: Joining, data: Bytes) -> Publication {
        let tags = [(TAG.to_owned(), joining.name().to_owned()), ("a".to_owned(), "b".to_owned())];
        Publication { data, tags: tags.into(), ..Publication::default() }
    }

    fn data(publications: &[Publication]) -> Vec<&[u8]> {
        publications.iter().map(|one| &*one.data).collect()
    }

    #[test]
    fn the_forms_are_those_that_are_documented() {
        let messages: [&[u8]; 3] = [b"1", b"{\"a\":[]}", b"\"x\""];
        assert_eq!(Joining::Json.join(&messages), r#"{"batch":[1,{"a":[]},"x"]}"#);
        assert_eq!(
            Joining::Binary.join(&[b"ab", b"", b"\xff"]),
            &b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01\xff"[..]
        );
    }

    #[test]
    fn what_was_joined_comes_apart_with_its_other_tags() {
        for (joining, messages) in [
            (Joining::Json, [&b"1"[..], b"[ {} ]", b"\"\\u005d,\""]),
            (Joining::Binary, [&b"\x00"[..], b"", b"]}"]),
        ] {
            let apart = split(joined(joining, joining.join(&messages)));
            assert_eq!(data(&apart), messages, "{joining:?}");
            assert!(apart.iter().all(|one| one.tags.len() == 1 && one.tags["a"] == "b"));
        }
    }

    #[test]
    fn what_is_not_joined_or_broken_stays_as_it_is() {
        let plain = Publication { data: r#"{"batch":[1,2]}"#.into(), ..Publication::default() };
        assert_eq!(split(plain.clone()), [plain]);
        let many = format!("{{\"batch\":[{}1]}}", "1,".repeat(MOST));
        for (joining, broken) in [
            (Joining::Json, &b"[1,2]"[..]),
            (Joining::Json, b"{\"batch\":[1,]}"),
            (Joining::Json, b"{\"batch\":7}"),
            (Joining::Json, many.as_bytes()),
            (Joining::Binary, b"\0\0\0\x02a"),
            (Joining::Binary, b"\xff\xff\xff\xffab"),
            (Joining::Binary, b"\0\0\0"),
            (Joining::Binary, &[0; LENGTH * (MOST + 1)]),
        ] {
            let whole = joined(joining, Bytes::copy_from_slice(broken));
            assert_eq!(split(whole.clone()), [whole], "{joining:?}");
        }
        let fits = format!("{{\"batch\":[{}1]}}", "1,".repeat(MOST - 1));
        assert_eq!(split(joined(Joining::Json, fits.into())).len(), MOST);
    }

    #[test]
    fn nothing_is_nested_deeper_than_a_payload_may_be() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let (fits, deep) = (nested(MAX_DEPTH - 2), nested(MAX_DEPTH - 1));
        assert!(Joining::Json.takes(fits.as_bytes()) && !Joining::Json.takes(deep.as_bytes()));
        assert!(json::is_value(&Joining::Json.join(&[fits.as_bytes(), b"1"])));
        assert!(!json::is_value(&Joining::Json.join(&[deep.as_bytes(), b"1"])));
        assert!(Joining::Binary.takes(deep.as_bytes()));
    }

    proptest! {
        #[test]
        fn any_bytes_come_apart_again(messages: Vec<Vec<u8>>) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let whole = Joining::Binary.join(&messages);
            let lengths = messages.iter().map(|message| message.len());
            prop_assert_eq!(whole.len(), Joining::Binary.size(lengths));
            let apart = split(joined(Joining::Binary, whole));
            prop_assert_eq!(data(&apart), messages);
        }

        #[test]
        fn any_numbers_and_texts_come_apart_again(messages: Vec<(i64, String)>) {
            let messages: Vec<String> =
                messages.iter().map(|one| serde_json::to_string(one).expect("JSON")).collect();
            let messages: Vec<&[u8]> = messages.iter().map(String::as_bytes).collect();
            let whole = Joining::Json.join(&messages);
            let lengths = messages.iter().map(|message| message.len());
            prop_assert!(json::is_value(&whole) && whole.len() <= Joining::Json.size(lengths));
            let apart = split(joined(Joining::Json, whole));
            prop_assert_eq!(data(&apart), messages);
        }

        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>, form: bool) {
            let joining = if form { Joining::Json } else { Joining::Binary };
            let _ = split(joined(joining, bytes.into()));
        }
    }
}
