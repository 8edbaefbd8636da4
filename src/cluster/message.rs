//! What nodes say to each other: JSON, because it is seldom and must be readable by
//! the version before and after. Unknown members are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sealcast_wire::Encoding;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::members::Numbers;
use crate::auth::{NodeId, Overrides};
use crate::session::{Binding, Frame, SessionKey};

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The sender is there.
    Hello(Numbers),
    /// The sender leaves.
    Goodbye,
    /// What operators have set for single users and others has changed.
    OverridesChanged,
    /// Every node is to do something, and to answer.
    Ask { id: u64, command: Command },
    /// One node is to hand commands to a session that it holds, and to answer.
    Forward { to: NodeId, id: u64, frame: Forwarded },
    /// To one node, what its command came to.
    Answer { to: NodeId, id: u64, answer: Answer },
}

/// Commands for a session of another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Forwarded {
    key: SessionKey,
    from: Binding,
    protobuf: bool,
    commands: Opaque,
}

impl From<Frame> for Forwarded {
    fn from(frame: Frame) -> Forwarded {
        let Frame { key, from, encoding, bytes } = frame;
        let protobuf = encoding == Encoding::Protobuf;
        Forwarded { key, from, protobuf, commands: Opaque(bytes.into()) }
    }
}

impl From<Forwarded> for Frame {
    fn from(forwarded: Forwarded) -> Frame {
        let Forwarded { key, from, protobuf, commands } = forwarded;
        let encoding = if protobuf { Encoding::Protobuf } else { Encoding::Json };
        Frame { key, from, encoding, bytes: commands.0.into() }
    }
}

/// What a node is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Subscribe connections of a user.
    Subscribe {
        /// Which.
        target: Target,
        /// To which channel.
        channel: String,
        /// How.
        terms: Box<Terms>,
    },
    /// Unsubscribe connections of a user.
    Unsubscribe {
        /// Which.
        target: Target,
        /// From which channel.
        channel: String,
    },
    /// Close connections of a user.
    Disconnect {
        /// Which.
        target: Target,
        /// Connections to spare.
        spared: Vec<String>,
        /// The close code.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// Change when connections of a user expire.
    Refresh {
        /// Which.
        target: Target,
        /// At once.
        expired: bool,
        /// Unix seconds; `None` for never.
        at: Option<u64>,
        /// Information about the connection from now on.
        info: Option<Opaque>,
    },
    /// Tell how many connections a user has, and which is the oldest.
    Standing {
        /// Whose.
        user: String,
    },
    /// Close one of a user's connections, in whose place a newer one comes.
    Displace {
        /// Whose.
        user: String,
        /// Which.
        client: String,
    },
    /// Tell which channels have subscribers.
    Channels {
        /// Only those that match it.
        pattern: Option<String>,
    },
}

/// Connections of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The user; empty for the anonymous one.
    pub user: String,
    /// Only the connection with this id.
    pub client: Option<String>,
}

/// How a subscription is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Information about the subscriber.
    pub info: Option<Opaque>,
    /// Data for the subscriber.
    pub data: Option<Opaque>,
    /// When it ends, Unix seconds.
    pub expire_at: Option<u64>,
    /// Offset and epoch from which it recovers.
    pub since: Option<(u64, String)>,
    /// Options of the namespace that are different for it.
    pub overrides: Overrides,
}

/// What a command came to on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// It failed for at least one connection, with this code of the client protocol.
    Failed(u32),
    /// How many connections of a user live here or are about to authenticate, and the
    /// client id of that which has authenticated first, with for how many ms it is there.
    Standing {
        /// How many.
        taken: usize,
        /// The oldest.
        oldest: Option<(String, u64)>,
    },
    /// Whether the connection was here, and lived until this.
    Displaced(bool),
    /// Channels and how many connections each has; another answer follows.
    Channels(Vec<(String, usize)>),
    /// The session does not take the commands.
    NoSession,
}

impl Answer {
    /// Whether the node has no more to say.
    pub(super) fn is_last(&self) -> bool {
        !matches!(self, Answer::Channels(_))
    }
}

/// Bytes of an application, which need not be text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque(pub Bytes);

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Opaque, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(&text).map(|bytes| Opaque(bytes.into())).map_err(serde::de::Error::custom)
    }
}

impl Message {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can fail to be written: no maps, no floats.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` if it cannot be read, as a command of a later version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let target = Target { user: "ada".into(), client: None };
        let terms = Terms {
            info: Some(Opaque(Bytes::from_static(&[0, 255]))),
            since: Some((7, "epoch".into())),
            overrides: Overrides { presence: Some(false), ..Overrides::default() },
            ..Terms::default()
        };
        let command = Command::Subscribe { target, channel: "room".into(), terms: Box::new(terms) };
        let frame = Frame {
            key: SessionKey::of("secret"),
            from: Binding::new(Some(b"https://a.example"), None),
            encoding: Encoding::Protobuf,
            bytes: vec![0, 255],
        };
        for message in [
            Message::Ask { id: u64::MAX, command },
            Message::Ask { id: 1, command: Command::Standing { user: "ada".into() } },
            Message::Goodbye,
            Message::Forward { to: NodeId::from_u128(2), id: 1, frame: frame.into() },
            Message::Answer { to: NodeId::from_u128(1), id: 1, answer: Answer::Failed(102) },
        ] {
            assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let text = br#"{"ask":{"id":1,"new":true,"command":{"unsubscribe":{"target":{"user":"a","client":null,"device":1},"channel":"c"}}}}"#;
        let target = Target { user: "a".into(), client: None };
        let command = Command::Unsubscribe { target, channel: "c".into() };
        assert_eq!(Message::parse(text), Some(Message::Ask { id: 1, command }));
        assert_eq!(Message::parse(br#"{"dance":{}}"#), None);
    }
}
