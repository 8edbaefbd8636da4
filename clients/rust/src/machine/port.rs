//! What goes into the machine, what comes out, and what its parts tell each other.

use std::sync::Arc;
use std::time::Duration;

use sealcast_wire::{Encoding, Position, Publication};

use super::calls::Room;
use crate::{Backoff, Cause, Event, SubscriptionEvent};

/// A time, counted from some moment before the machine was made.
pub(crate) type Moment = Duration;

/// One subscription in the life of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// One question to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(super) u64);

/// What a client is made with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) encoding: Encoding,
    pub(crate) token: Option<String>,
    /// Whether the application can give tokens.
    pub(crate) has_token_source: bool,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) backoff: Backoff,
    /// How long to wait for a reply.
    pub(crate) timeout: Duration,
    /// How much later than announced the server's pings may come.
    pub(crate) max_ping_delay: Duration,
    pub(crate) room: Room,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Open a connection; it has this number. The one before is closed.
    Open(u64),
    /// Close the connection, or give up opening it.
    Close,
    /// Ask the application, and bring the answer with the same ticket.
    Fetch(Ticket, Fetch),
    /// The answer is no longer of use.
    Abandon(Ticket),
    /// Tell the application.
    Event(Event),
    /// Tell the application.
    SubscriptionEvent(SubscriptionId, SubscriptionEvent),
}

/// What the application is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetch {
    ConnectionToken,
    SubscriptionToken(SubscriptionId),
    State(SubscriptionId),
}

/// How a connection went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It could not be opened; and how long the server asks to wait.
    NotOpened(String, Duration),
    /// It ended without a close frame.
    Ended,
    /// The server closed it.
    Closed { code: u16, reason: String },
    /// The server broke the protocol.
    Broken,
    /// The server sent a message that is too large.
    TooLarge,
}

/// A publication that came with a reply and is not handed out yet.
pub(super) struct Late {
    pub(super) owner: Owner,
    pub(super) publication: Publication,
}

#[derive(Clone)]
pub(super) enum Owner {
    /// A subscription of the client's own.
    Subscription(SubscriptionId),
    /// A server-side subscription.
    Server(Arc<str>),
}

/// What a part has decided about the connection.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Stay,
    /// It was not connected; try again later.
    Retry,
    /// Leave it, and come back.
    Reconnect(Cause),
    /// The same, and all state is void.
    Reset(Cause),
    /// Leave it, and stay away.
    Stop(Cause),
}

/// Goes on to behind a publication.
pub(super) fn advance(position: &mut Option<Position>, publication: &Publication) {
    if let Some(position) = position
        && publication.offset > 0
    {
        position.offset = publication.offset;
        if !publication.epoch.is_empty() {
            position.epoch = Arc::from(&*publication.epoch);
        }
    }
}
