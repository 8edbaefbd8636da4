//! What a client may say. Centrifuge client protocol, `Command` and its requests.
//!
//! A decoded command borrows from the frame it came in; whoever keeps a part
//! beyond the frame copies that part. Members of features that are refused as a
//! whole (maps, shared poll, dictionaries) are skipped like unknown ones, save
//! where the refusal needs them.

use std::borrow::Cow;
use std::fmt;

use crate::filter::{BadFilter, Filter};
use crate::payload::Data;

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command<'a> {
    /// The reply carries the same id. 0 only in `Send` and `Pong`.
    pub id: u32,
    /// What is asked for.
    pub request: Request<'a>,
}

/// The requests, and the two messages without reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// The empty command: the answer to a server's ping.
    Pong,
    /// The first command of a connection.
    Connect(Box<Connect<'a>>),
    /// Asks for the publications of a channel.
    Subscribe(Box<Subscribe<'a>>),
    /// Ends a subscription.
    Unsubscribe {
        /// The channel.
        channel: Cow<'a, str>,
    },
    /// Publishes into a channel.
    Publish(Publish<'a>),
    /// Asks who is subscribed.
    Presence {
        /// The channel.
        channel: Cow<'a, str>,
    },
    /// Asks how many are subscribed.
    PresenceStats {
        /// The channel.
        channel: Cow<'a, str>,
    },
    /// Asks for a page of a channel's stream.
    History(History<'a>),
    /// A message to the application without reply.
    Send {
        /// The message.
        data: Option<Data<'a>>,
    },
    /// A call to the application.
    Rpc {
        /// The method's name.
        method: Cow<'a, str>,
        /// The arguments.
        data: Option<Data<'a>>,
    },
    /// Brings a new connection token.
    Refresh {
        /// The token.
        token: Token<'a>,
    },
    /// Brings a new subscription token.
    SubRefresh(SubRefresh<'a>),
    /// A ping request of the protocol's first version.
    Ping,
}

impl Request<'_> {
    /// Whether a reply is owed, and so an id needed.
    #[must_use]
    pub fn wants_reply(&self) -> bool {
        !matches!(self, Request::Pong | Request::Send { .. })
    }

    /// The method's name, as in metrics.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Request::Pong => "pong",
            Request::Connect(_) => "connect",
            Request::Subscribe(_) => "subscribe",
            Request::Unsubscribe { .. } => "unsubscribe",
            Request::Publish(_) => "publish",
            Request::Presence { .. } => "presence",
            Request::PresenceStats { .. } => "presence_stats",
            Request::History(_) => "history",
            Request::Send { .. } => "send",
            Request::Rpc { .. } => "rpc",
            Request::Refresh { .. } => "refresh",
            Request::SubRefresh(_) => "sub_refresh",
            Request::Ping => "ping",
        }
    }
}

/// A token as it came; `Debug` does not print it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token<'a>(pub Cow<'a, str>);

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Token(none)" } else { "Token([redacted])" })
    }
}

/// `ConnectRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect<'a> {
    /// A JWT, or empty.
    pub token: Token<'a>,
    /// Data for the application.
    pub data: Option<Data<'a>>,
    /// Positions of server-side subscriptions to recover, by channel.
    pub subs: Vec<(Cow<'a, str>, Subscribe<'a>)>,
    /// The SDK's name, informational.
    pub name: Cow<'a, str>,
    /// The SDK's version, informational.
    pub version: Cow<'a, str>,
}

/// `SubscribeRequest`. Its `channel` is empty inside `Connect::subs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// A subscription token, or empty.
    pub token: Token<'a>,
    /// Asks to recover from (`epoch`, `offset`).
    pub recover: bool,
    /// Of the position the client holds.
    pub epoch: Cow<'a, str>,
    /// Of the position the client holds.
    pub offset: u64,
    /// Data for the application.
    pub data: Option<Data<'a>>,
    /// Asks for a tracked position.
    pub positioned: bool,
    /// Asks to be able to recover later.
    pub recoverable: bool,
    /// Asks for join and leave pushes.
    pub join_leave: bool,
    /// The delta algorithm asked for, or empty.
    pub delta: Cow<'a, str>,
    /// The tags filter, if one was given. Of one that breaks the rules only
    /// that is kept; written again, it is an empty filter, which breaks them too.
    pub filter: Option<Result<Box<Filter>, BadFilter>>,
    /// Bit 0: channel compaction offered; bit 1: refuse if not recovered.
    pub flag: i64,
    /// 0 stream, 1 to 3 map kinds, 4 shared poll.
    pub kind: i32,
}

/// `PublishRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publish<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// The payload; `None` if absent. A JSON `null` is a payload.
    pub data: Option<Data<'a>>,
    /// 0 stream, 1 map.
    pub kind: i32,
}

/// `HistoryRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// How many at most; 0 none, negative all.
    pub limit: i32,
    /// Where to begin: (offset, epoch).
    pub since: Option<(u64, Cow<'a, str>)>,
    /// Newest first.
    pub reverse: bool,
}

/// `SubRefreshRequest` of a stream subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubRefresh<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// The new subscription token.
    pub token: Token<'a>,
    /// 0 token refresh; others belong to shared poll.
    pub kind: i32,
}
