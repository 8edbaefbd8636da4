//! Every name that Redis sees. Names are hashes of checked parts, so no text of
//! a user is in a key, and everything of one channel is in one cluster slot.

use sealcast_wire::Channel;
use sha2::{Digest as _, Sha256};

use super::super::IdempotencyKey;

/// Bytes of a name's hash: 160 bits.
const BYTES: usize = 20;
/// How many names the nodes speak to each other by. That all of them lie at one of
/// several primaries is as good as impossible.
const CONTROLS: usize = 16;
/// Bytes of what stands for a user.
pub(super) const USER_BYTES: usize = 16;
/// What every key and every topic begins with; the access rules name it.
const BEFORE: &str = "sc:{";

/// The hash that stands for a channel, a node or a key of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; BYTES]);

/// What is kept under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// String: where the stream stands; see `scripts/stream.lua`.
    Meta,
    /// Stream: the publications.
    Stream,
    /// Hash: who is present.
    Present,
    /// Sorted set: until when each of those is.
    Until,
    /// Hash: how often each user is present.
    Users,
    /// Hash: a primary's incarnation, and the cluster's heartbeats.
    Life,
    /// The topic of publish and subscribe.
    Topic,
    /// String: what stands for the list of primaries.
    List,
    /// String: when a bucket of a limit is full again.
    Bucket,
    /// Hash: how many connections of a holder each node has, and until when that is so.
    Holders,
    /// Hash: overrides of limits, by what stands for whom each is about.
    Overrides,
    /// String: another one after each change of those.
    Version,
    /// String: what one may take.
    Once,
}

impl Kind {
    /// What stands behind the name. A number is the version of a format that has no
    /// place for one.
    fn text(self) -> &'static str {
        match self {
            Kind::Meta => "m",
            Kind::Stream => "s",
            Kind::Present => "p",
            Kind::Until => "x",
            Kind::Users => "u",
            Kind::Life => "l",
            Kind::Topic => "t",
            Kind::List => "a",
            Kind::Bucket => "b1",
            Kind::Holders => "n1",
            Kind::Overrides => "w",
            Kind::Version => "v",
            Kind::Once => "o",
        }
    }
}

/// The names of one installation: several can share a Redis under prefixes.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: String) -> Names {
        Names { prefix }
    }

    /// The name of a channel.
    pub(super) fn channel(&self, channel: &Channel) -> Name {
        self.name(&["channel", channel.as_str()])
    }

    /// The name of a node, by its id, and more of them.
    pub(super) fn node(&self, id: &str, n: usize) -> Name {
        self.name(&["node", id, &n.to_string()])
    }

    /// The names under which all nodes speak to each other, the first before the
    /// others. There are several so that they lie at several primaries.
    pub(super) fn controls(&self) -> impl Iterator<Item = Name> + '_ {
        (0..CONTROLS).map(|n| self.name(&["control", &n.to_string()]))
    }

    /// A name under which heartbeats of the cluster are counted, and more of them.
    pub(super) fn life(&self, n: usize) -> Name {
        self.name(&["life", &n.to_string()])
    }

    /// The name under which the nodes agree on the list of primaries.
    pub(super) fn list(&self) -> Name {
        self.name(&["list"])
    }

    /// The name of a user or an address whose connections are counted.
    pub(super) fn holder(&self, kind: &str, name: &str) -> Name {
        self.name(&["holder", kind, name])
    }

    /// The name of a limit of a user or another.
    pub(super) fn bucket(&self, scope: &str, subject: &str) -> Name {
        self.name(&["bucket", scope, subject])
    }

    /// The name of what operators have set for single users and others.
    pub(super) fn overrides(&self) -> Name {
        self.name(&["overrides"])
    }

    /// The name of what one may take who knows `id`.
    pub(super) fn once(&self, id: &[u8; 32]) -> Name {
        let mut hex = String::with_capacity(64);
        put_hex(&mut hex, id);
        self.name(&["once", &hex])
    }

    fn name(&self, parts: &[&str]) -> Name {
        Name(hash(std::iter::once(self.prefix.as_str()).chain(parts.iter().copied())))
    }
}

impl Name {
    /// The key of what is kept of this name.
    pub(super) fn key(&self, kind: Kind) -> String {
        self.text(kind.text())
    }

    /// The key of what was answered to a caller's key.
    pub(super) fn answer(&self, key: &IdempotencyKey) -> String {
        let mut kind = "i:".to_owned();
        put_hex(&mut kind, &hash([&*key.owner, &*key.key]));
        self.text(&kind)
    }

    /// The name that a topic stands for, if it is one of ours.
    pub(super) fn of_topic(topic: &[u8]) -> Option<Name> {
        let hex = topic.strip_prefix(BEFORE.as_bytes())?.strip_suffix(b"}:t")?;
        let mut name = [0; BYTES];
        if hex.len() != 2 * BYTES {
            return None;
        }
        for (byte, digits) in name.iter_mut().zip(hex.chunks_exact(2)) {
            let [high, low] = digits else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Name(name))
    }

    /// A number to spread names by.
    pub(super) fn spread(&self) -> u64 {
        let first = self.0.first_chunk::<8>().copied().unwrap_or_default();
        u64::from_be_bytes(first)
    }

    fn text(&self, kind: &str) -> String {
        let mut text = String::with_capacity(BEFORE.len() + 2 * BYTES + 2 + kind.len());
        text.push_str(BEFORE);
        put_hex(&mut text, &self.0);
        text.push_str("}:");
        text.push_str(kind);
        text
    }
}

/// What counts a user's presence: users are told apart, not named.
pub(super) fn user(user: &str) -> [u8; USER_BYTES] {
    hash(["user", user]).first_chunk::<USER_BYTES>().copied().unwrap_or_default()
}

/// What stands for whom an override is about.
pub(super) fn subject(kind: &str, name: &str) -> [u8; BYTES] {
    hash(["override", kind, name])
}

/// A number that stands for a primary.
pub(super) fn seed(primary: &str) -> u64 {
    let first = hash(["primary", primary]).first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// What stands for a list of primaries, whatever its order. A list of one is like
/// any other: names go astray only among several.
pub(super) fn fingerprint(primaries: &[String]) -> String {
    let mut text = String::new();
    if let [_, _, ..] = primaries {
        let mut sorted: Vec<&str> = primaries.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        put_hex(&mut text, &hash(sorted));
    } else {
        text.push_str("one");
    }
    text
}

/// The first bits of SHA-256 over the parts, each behind its length, so that no
/// two lists of parts are the same text.
fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; BYTES] {
    let mut all = Sha256::new();
    for part in parts {
        all.update((part.len() as u64).to_be_bytes());
        all.update(part.as_bytes());
    }
    all.finalize().first_chunk::<BYTES>().copied().unwrap_or_default()
}

/// Writes bytes as pairs of hexadecimal digits, in small letters.
pub(super) fn put_hex(text: &mut String, bytes: &[u8]) {
    for half in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half }));
    }
}

fn digit(of: u8) -> Option<u8> {
    char::from(of).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    #[test]
    fn a_key_is_a_hash_in_braces_and_its_kind() {
        let name = Names::new("sealcast".into()).channel(&channel("room:secret"));
        let key = name.key(Kind::Meta);
        let hex = key.strip_prefix("sc:{").and_then(|rest| rest.strip_suffix("}:m")).unwrap();
        assert_eq!(hex.len(), 40);
        assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        assert_eq!(Name::of_topic(name.key(Kind::Topic).as_bytes()), Some(name));
        for foreign in ["", "sc:{}:t", "sc:{zz}:t", &key, "room:secret"] {
            assert_eq!(Name::of_topic(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn different_parts_have_different_names_wherever_they_are_cut() {
        let names = ["", "a", "ab", "channel"].map(|prefix| Names::new(prefix.into()));
        let mut seen = HashSet::new();
        for names in &names {
            for text in ["b", "ab", "a:b", "a", "node"] {
                assert!(seen.insert(names.channel(&channel(text))), "channel {text}");
                assert!(seen.insert(names.node(text, 0)), "node {text}");
            }
        }
        let name = names[0].channel(&channel("a"));
        let mut seen = HashSet::new();
        for (owner, key) in [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc")] {
            let key = IdempotencyKey { owner: owner.into(), key: key.into() };
            assert!(seen.insert(name.answer(&key)));
        }
    }
}
