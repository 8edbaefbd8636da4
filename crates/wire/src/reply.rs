//! What a server may say. Centrifuge client protocol, `Reply`, `Push` and the
//! results.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::code::{ErrorCode, Unsubscribed};

/// One reply: an answer to a command, a push, or a ping.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The command's id; 0 in pushes and pings.
    pub id: u32,
    /// What is said.
    pub body: Body,
}

/// The content of a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The empty reply: the server's ping.
    Ping,
    /// The command failed.
    Error(Error),
    /// Something happened in a channel or to the connection.
    Push(Push),
    /// Answer to connect.
    Connect(Box<ConnectResult>),
    /// Answer to subscribe.
    Subscribe(Box<SubscribeResult>),
    /// Answer to unsubscribe.
    Unsubscribe,
    /// Answer to publish.
    Publish,
    /// Answer to presence: by client id.
    Presence(BTreeMap<String, ClientInfo>),
    /// Answer to presence stats.
    PresenceStats {
        /// Distinct connections.
        num_clients: u32,
        /// Distinct users.
        num_users: u32,
    },
    /// Answer to history.
    History(HistoryResult),
    /// Answer to an rpc.
    Rpc(Bytes),
    /// Answer to refresh.
    Refresh(Expiry),
    /// Answer to sub_refresh.
    SubRefresh(Expiry),
}

impl Reply {
    /// A failed command's reply.
    #[must_use]
    pub fn error(id: u32, code: ErrorCode) -> Reply {
        Reply { id, body: Body::Error(code.into()) }
    }

    /// A push.
    #[must_use]
    pub fn push(channel: Arc<str>, event: Event) -> Reply {
        Reply { id: 0, body: Body::Push(Push { channel, event }) }
    }
}

/// `Error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its number; see [`ErrorCode`].
    pub code: u32,
    /// Its text, never empty.
    pub message: std::borrow::Cow<'static, str>,
    /// Whether the same may work later.
    pub temporary: bool,
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Error {
        Error { code: code.code(), message: code.message().into(), temporary: code.temporary() }
    }
}

/// `Push`.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The channel; empty for connection-level pushes.
    pub channel: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// The kinds of pushes.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something was published.
    Publication(Publication),
    /// Someone subscribed.
    Join(ClientInfo),
    /// Someone unsubscribed.
    Leave(ClientInfo),
    /// The server ended this subscription.
    Unsubscribe {
        /// See [`Unsubscribed`].
        code: u32,
        /// Its text, never empty.
        reason: std::borrow::Cow<'static, str>,
    },
    /// The server made a subscription.
    Subscribe(Box<SubscribeResult>),
    /// A message to this connection.
    Message(Bytes),
    /// Unidirectional transports: the connection stands.
    Connect(Box<ConnectResult>),
    /// Emulated and unidirectional transports: the connection ends.
    Disconnect {
        /// See [`crate::Disconnect`].
        code: u32,
        /// Its text, never empty.
        reason: std::borrow::Cow<'static, str>,
    },
    /// The connection's expiry has changed.
    Refresh(Expiry),
}

impl From<Unsubscribed> for Event {
    fn from(why: Unsubscribed) -> Event {
        Event::Unsubscribe { code: why.code(), reason: why.reason().into() }
    }
}

/// `Publication`. `Debug` shows the payload's size only.
#[derive(Clone, Default, PartialEq)]
pub struct Publication {
    /// The payload: one JSON value, or in Protobuf any bytes. Towards JSON, raw
    /// newlines are left out when it is written, and nothing else changes.
    pub data: Bytes,
    /// Who published it, if a client did.
    pub info: Option<ClientInfo>,
    /// Position in the stream; 0 where the channel keeps none.
    pub offset: u64,
    /// Set by the server API.
    pub tags: BTreeMap<String, String>,
    /// Whether `data` is a patch against the publication before.
    pub delta: bool,
    /// Epoch of the stream; only in the publication that begins one.
    pub epoch: String,
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publication({} bytes at {})", self.data.len(), self.offset)
    }
}

/// `ClientInfo`. Its `user` and `client` are always written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The user id; empty for anonymous.
    pub user: String,
    /// The connection's id.
    pub client: String,
    /// What the connection token says of the user; one JSON value, or empty.
    pub conn_info: Bytes,
    /// What the subscription token says of the user; one JSON value, or empty.
    pub chan_info: Bytes,
}

/// `ConnectResult`, and the `Connect` push of unidirectional transports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectResult {
    /// The connection's id.
    pub client: String,
    /// The server's version.
    pub version: String,
    /// When the client must bring a new token.
    pub expiry: Expiry,
    /// Data of the application; one JSON value, or empty.
    pub data: Bytes,
    /// Server-side subscriptions.
    pub subs: BTreeMap<String, SubscribeResult>,
    /// Seconds between server pings; 0 for none.
    pub ping: u32,
    /// Whether pings must be answered.
    pub pong: bool,
    /// Secret id of the session; emulated and unidirectional transports.
    pub session: String,
    /// Id of the node; emulated transports.
    pub node: String,
    /// Server time, Unix milliseconds; 0 if not told.
    pub time: i64,
}

/// `SubscribeResult`, and the `Subscribe` push.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeResult {
    /// When the client must bring a new subscription token.
    pub expiry: Expiry,
    /// Whether the client may recover later.
    pub recoverable: bool,
    /// The stream's epoch.
    pub epoch: String,
    /// What was missed, oldest first.
    pub publications: Vec<Publication>,
    /// Whether nothing is missing.
    pub recovered: bool,
    /// The position to count on from.
    pub offset: u64,
    /// Whether the server tracks the position.
    pub positioned: bool,
    /// Data of the application; one JSON value, or empty.
    pub data: Bytes,
    /// Whether recovery had been asked for.
    pub was_recovering: bool,
    /// Whether deltas will be sent. In JSON, `data` of every publication is
    /// then a string.
    pub delta: bool,
}

/// Whether and when something expires: `expires` and `ttl` of several results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds until then, at least 1; `None` if never.
    pub ttl: Option<std::num::NonZeroU32>,
}

/// `HistoryResult`. All three members are always written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryResult {
    /// The page.
    pub publications: Vec<Publication>,
    /// The stream's epoch.
    pub epoch: String,
    /// The stream's top, not the page's end.
    pub offset: u64,
}
