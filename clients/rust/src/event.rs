//! What a client tells without being asked.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::reply::{ClientInfo, SubscribeResult};
use sealcast_wire::{Position, Publication};

/// Why a state was left. Codes below 100 are the client's own, all others the
/// server's; the Centrifuge client protocol lists both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The number that decides.
    pub code: u32,
    /// The same for people.
    pub reason: Cow<'static, str>,
}

impl Cause {
    pub(crate) const fn new(code: u32, reason: &'static str) -> Cause {
        Cause { code, reason: Cow::Borrowed(reason) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

/// What happens to a client, and to the subscriptions that the server made for
/// it. The client's own subscriptions tell of themselves: [`SubscriptionEvent`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// It connects, or the connection was lost and it comes back by itself.
    Connecting(Cause),
    /// It is connected.
    Connected(Connected),
    /// It is disconnected and stays so until [`crate::Client::connect`].
    Disconnected(Cause),
    /// Something did not work, and will be tried again.
    Error(Failure),
    /// The server has a message for this connection.
    Message(Bytes),
    /// The connection is gone, and with it this server-side subscription, until
    /// the client is back.
    ServerSubscribing {
        /// Of the subscription.
        channel: Arc<str>,
    },
    /// The server made a subscription, or made it again.
    ServerSubscribed {
        /// Of the subscription.
        channel: Arc<str>,
        /// What it is like.
        subscribed: Subscribed,
    },
    /// The server ended a subscription.
    ServerUnsubscribed {
        /// Of the subscription.
        channel: Arc<str>,
    },
    /// Something was published in the channel of a server-side subscription.
    ServerPublication {
        /// Of the subscription.
        channel: Arc<str>,
        /// What was published.
        publication: Publication,
    },
    /// Someone subscribed to the channel of a server-side subscription.
    ServerJoin {
        /// Of the subscription.
        channel: Arc<str>,
        /// Who.
        info: ClientInfo,
    },
    /// Someone unsubscribed from the channel of a server-side subscription.
    ServerLeave {
        /// Of the subscription.
        channel: Arc<str>,
        /// Who.
        info: ClientInfo,
    },
}

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SubscriptionEvent {
    /// It subscribes, or has lost its place and comes back by itself.
    Subscribing(Cause),
    /// It is subscribed. Publications that were missed follow.
    Subscribed(Subscribed),
    /// It is unsubscribed and stays so until [`crate::Subscription::subscribe`].
    Unsubscribed(Cause),
    /// Something was published.
    Publication(Publication),
    /// Someone subscribed.
    Join(ClientInfo),
    /// Someone unsubscribed.
    Leave(ClientInfo),
    /// Something did not work, and will be tried again.
    Error(Failure),
}

/// What the server said to the connect command.
#[derive(Clone, Debug, PartialEq)]
pub struct Connected {
    /// The connection's id, new with each connection.
    pub client: String,
    /// The server's version.
    pub version: String,
    /// Data of the application; empty if there is none.
    pub data: Bytes,
}

/// What the server said to a subscribe command.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// Whether missed publications will be brought back after a lost connection.
    pub recoverable: bool,
    /// Whether the server watches that nothing is missed.
    pub positioned: bool,
    /// Where the subscription stands; none if the channel keeps no position.
    pub position: Option<Position>,
    /// Whether the client asked to go on from a position.
    pub was_recovering: bool,
    /// Whether nothing was missed since then. If this is false and
    /// `was_recovering` is true, load the application's state anew.
    pub recovered: bool,
    /// How many missed publications follow.
    pub missed: usize,
    /// Data of the application; empty if there is none.
    pub data: Bytes,
}

impl From<&SubscribeResult> for Subscribed {
    fn from(result: &SubscribeResult) -> Subscribed {
        let has_position = result.positioned || result.recoverable;
        Subscribed {
            recoverable: result.recoverable,
            positioned: result.positioned,
            position: has_position
                .then(|| Position { offset: result.offset, epoch: Arc::from(&*result.epoch) }),
            was_recovering: result.was_recovering,
            recovered: result.recovered,
            missed: result.publications.len(),
            data: result.data.clone(),
        }
    }
}

/// What did not work, where the client goes on by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection could not be opened.
    #[error("cannot open the connection: {0}")]
    Transport(String),
    /// The server closed the connection before it was connected.
    #[error("closed while connecting: {0}")]
    Closed(Cause),
    /// The server did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The server refused, for now.
    #[error("error {code}: {message}")]
    Refused {
        /// Its number; [`sealcast_wire::ErrorCode`] has the protocol's own.
        code: u32,
        /// Its text.
        message: String,
    },
    /// The application's callback had no token.
    #[error("no token: {0}")]
    Token(String),
    /// The application's callback had no state.
    #[error("no state: {0}")]
    State(String),
    /// A delta did not fit to the publication before. The subscription begins
    /// anew; nothing of what did not fit is handed out.
    #[error("a delta does not apply: {0}")]
    Delta(String),
}

impl From<sealcast_wire::reply::Error> for Failure {
    fn from(error: sealcast_wire::reply::Error) -> Failure {
        Failure::Refused { code: error.code, message: error.message.into_owned() }
    }
}
