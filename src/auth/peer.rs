//! What makes a message between nodes believable: who has access to the broker,
//! but not the cluster key, can neither make one nor send one again.
//!
//! `version (1) ‖ sender (16) ‖ counter (8) ‖ time in ms since 1970 (8) ‖ body ‖
//! HMAC-SHA-256 of all before (32)`, numbers big-endian.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::grants::Backend;
use super::secret::Secret;

/// Of the envelope and of the body in it. A node reads its own and the one before.
const VERSION: u8 = 1;
const HEAD: usize = 1 + 16 + 8 + 8;
const TAG: usize = 32;
/// How far the clocks of two nodes may be apart, and how late a message may come.
const WINDOW_MS: u64 = 30_000;
/// How long a sender's counter is remembered; longer than its messages are taken.
const REMEMBERED_MS: u64 = 2 * WINDOW_MS + 1_000;
/// Most senders that are remembered.
const MOST_SENDERS: usize = 1_024;
/// Largest body, bytes.
pub const MOST_BODY: usize = 256 * 1024;

/// A node, from its start to its end.
pub type NodeId = Uuid;

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// Too short to be one.
    Form,
    /// Of a node that is too new or too old.
    Version,
    /// Not made with the key.
    Mac,
    /// Too old, or of a clock that is too far from this one.
    Time,
    /// It came before.
    Replay,
    /// More nodes than there can be.
    TooManySenders,
}

impl Unbelievable {
    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unbelievable::Form => "form",
            Unbelievable::Version => "version",
            Unbelievable::Mac => "mac",
            Unbelievable::Time => "time",
            Unbelievable::Replay => "replay",
            Unbelievable::TooManySenders => "senders",
        }
    }
}

/// The key that all nodes of a cluster share.
pub struct ClusterKey(Hmac<Sha256>);

impl ClusterKey {
    /// Takes the secret; at least 32 bytes, or there is no key.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<ClusterKey> {
        if secret.bytes().len() < 32 {
            return None;
        }
        Hmac::new_from_slice(secret.bytes()).ok().map(ClusterKey)
    }

    /// A key that no other node has, for a node that is alone.
    #[must_use]
    pub fn random() -> ClusterKey {
        let secret: [u8; 64] = rand::random();
        ClusterKey(Hmac::new(&secret.into()))
    }
}

/// Makes the messages of one node.
pub struct Sealer {
    node: NodeId,
    counter: u64,
}

impl Sealer {
    /// For the node with this id, which no other has and which it never had before.
    #[must_use]
    pub fn new(node: NodeId) -> Sealer {
        Sealer { node, counter: 0 }
    }

    /// The next message, or `None` if the body is too large.
    #[must_use]
    pub fn seal(&mut self, key: &ClusterKey, body: &[u8], unix_ms: u64) -> Option<Vec<u8>> {
        if body.len() > MOST_BODY {
            return None;
        }
        self.counter += 1;
        let mut message = Vec::with_capacity(HEAD + body.len() + TAG);
        message.push(VERSION);
        message.extend_from_slice(self.node.as_bytes());
        message.extend_from_slice(&self.counter.to_be_bytes());
        message.extend_from_slice(&unix_ms.to_be_bytes());
        message.extend_from_slice(body);
        let tag = key.0.clone().chain_update(&message).finalize().into_bytes();
        message.extend_from_slice(&tag);
        Some(message)
    }
}

/// Opens the messages of all nodes, each once.
#[derive(Default)]
pub struct Opener(HashMap<NodeId, Last>);

/// What is known of a sender's counter: messages may overtake each other a little
/// (the window of RFC 4303, 3.4.3).
struct Last {
    /// The highest that came.
    counter: u64,
    /// Bit n: `counter - n` came.
    came: u128,
    came_ms: u64,
}

impl Last {
    /// Notes a message; `false` if it came before, or is too far behind to tell.
    fn take(&mut self, counter: u64, unix_ms: u64) -> bool {
        if counter > self.counter {
            let ahead = u32::try_from(counter - self.counter).unwrap_or(u32::MAX);
            self.came = self.came.checked_shl(ahead).unwrap_or(0) | 1;
            self.counter = counter;
        } else {
            let behind = u32::try_from(self.counter - counter).unwrap_or(u32::MAX);
            let bit = 1_u128.checked_shl(behind).unwrap_or(0);
            if bit == 0 || self.came & bit != 0 {
                return false;
            }
            self.came |= bit;
        }
        self.came_ms = unix_ms;
        true
    }
}

impl Opener {
    /// Who sent it, its body, and the proof that a backend may be behind it.
    ///
    /// # Errors
    /// If it is not of a node with the key, or came before, or too late.
    pub fn open<'a>(
        &mut self,
        key: &ClusterKey,
        message: &'a [u8],
        unix_ms: u64,
    ) -> Result<(NodeId, &'a [u8], Backend), Unbelievable> {
        let (signed, tag) = message.split_last_chunk::<TAG>().ok_or(Unbelievable::Form)?;
        // Compares in constant time.
        key.0.clone().chain_update(signed).verify(tag.into()).map_err(|_| Unbelievable::Mac)?;
        let (version, rest) = signed.split_first().ok_or(Unbelievable::Form)?;
        if *version != VERSION {
            return Err(Unbelievable::Version);
        }
        let (sender, rest) = rest.split_first_chunk::<16>().ok_or(Unbelievable::Form)?;
        let (counter, rest) = rest.split_first_chunk::<8>().ok_or(Unbelievable::Form)?;
        let (time, body) = rest.split_first_chunk::<8>().ok_or(Unbelievable::Form)?;
        let (sender, counter) = (NodeId::from_bytes(*sender), u64::from_be_bytes(*counter));
        if u64::from_be_bytes(*time).abs_diff(unix_ms) > WINDOW_MS {
            return Err(Unbelievable::Time);
        }
        self.0.retain(|_, last| unix_ms.saturating_sub(last.came_ms) < REMEMBERED_MS);
        if let Some(last) = self.0.get_mut(&sender) {
            if !last.take(counter, unix_ms) {
                return Err(Unbelievable::Replay);
            }
        } else if self.0.len() < MOST_SENDERS {
            self.0.insert(sender, Last { counter, came: 1, came_ms: unix_ms });
        } else {
            return Err(Unbelievable::TooManySenders);
        }
        Ok((sender, body, Backend::believed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn key(text: &str) -> ClusterKey {
        ClusterKey::new(&Secret::new(text.repeat(32))).expect("long enough")
    }

    fn node(number: u128) -> NodeId {
        NodeId::from_u128(number)
    }

    #[test]
    fn a_message_is_believed_once() {
        let key = key("k");
        let (mut sealer, mut opener) = (Sealer::new(node(1)), Opener::default());
        let first = sealer.seal(&key, b"first", NOW).expect("small");
        let second = sealer.seal(&key, b"second", NOW).expect("small");
        let mut open = |message: &[u8], now| {
            opener.open(&key, message, now).map(|(node, body, _)| (node, body.to_vec()))
        };
        assert_eq!(open(&first, NOW), Ok((node(1), b"first".to_vec())));
        assert_eq!(open(&first, NOW), Err(Unbelievable::Replay));
        assert_eq!(open(&second, NOW + 10), Ok((node(1), b"second".to_vec())));
        assert_eq!(open(&first, NOW + 20), Err(Unbelievable::Replay));
        assert_eq!(sealer.seal(&key, &vec![0; MOST_BODY + 1], NOW), None);
    }

    #[test]
    fn messages_may_overtake_each_other_a_little_and_come_once() {
        let key = key("k");
        let (mut sealer, mut opener) = (Sealer::new(node(1)), Opener::default());
        let all: Vec<_> = (0..300).map(|_| sealer.seal(&key, b"x", NOW).expect("small")).collect();
        let mut takes = |at: usize| opener.open(&key, &all[at], NOW).is_ok();
        for at in [10, 3, 137] {
            assert!(takes(at) && !takes(at), "{at} once");
        }
        assert!(!takes(9), "too far behind 137");
        assert!(takes(11) && takes(136) && !takes(11), "within the window, each once");
        assert!(takes(299) && !takes(138) && takes(200), "far ahead");
    }

    #[test]
    fn whoever_lacks_the_key_is_not() {
        let (good, evil) = (key("k"), key("e"));
        let mut opener = Opener::default();
        let forged = Sealer::new(node(1)).seal(&evil, b"x", NOW).expect("small");
        assert_eq!(opener.open(&good, &forged, NOW).err(), Some(Unbelievable::Mac));
        let right = Sealer::new(node(1)).seal(&good, b"body", NOW).expect("small");
        for at in 0..right.len() {
            let mut changed = right.clone();
            changed[at] ^= 1;
            assert_eq!(
                opener.open(&good, &changed, NOW).err(),
                Some(Unbelievable::Mac),
                "byte {at}"
            );
        }
        for length in 0..right.len() {
            assert!(opener.open(&good, &right[..length], NOW).is_err(), "cut to {length}");
        }
        assert!(opener.open(&good, &right, NOW).is_ok(), "nothing of it was noted");
    }

    #[test]
    fn old_messages_and_other_clocks_are_not() {
        let key = key("k");
        let mut opener = Opener::default();
        let seal = |at| Sealer::new(node(1)).seal(&key, b"x", at).expect("small");
        assert_eq!(
            opener.open(&key, &seal(NOW - WINDOW_MS - 1), NOW).err(),
            Some(Unbelievable::Time)
        );
        assert_eq!(
            opener.open(&key, &seal(NOW + WINDOW_MS + 1), NOW).err(),
            Some(Unbelievable::Time)
        );
        let late = seal(NOW + WINDOW_MS);
        assert!(opener.open(&key, &late, NOW).is_ok());
        // As long as the time alone does not refuse it, the counter is known.
        assert_eq!(opener.open(&key, &late, NOW + 2 * WINDOW_MS).err(), Some(Unbelievable::Replay));
        assert_eq!(opener.open(&key, &late, NOW + REMEMBERED_MS).err(), Some(Unbelievable::Time));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let key = key("k");
        let mut opener = Opener::default();
        for number in 0..=MOST_SENDERS as u128 {
            let message = Sealer::new(node(number)).seal(&key, b"", NOW).expect("small");
            let full = number == MOST_SENDERS as u128;
            assert_eq!(opener.open(&key, &message, NOW).is_err(), full);
        }
        let later = NOW + REMEMBERED_MS;
        let message = Sealer::new(node(9_999)).seal(&key, b"", later).expect("small");
        assert!(opener.open(&key, &message, later).is_ok());
        assert_eq!(opener.0.len(), 1);
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(ClusterKey::new(&Secret::new("short".into())).is_none());
    }
}
