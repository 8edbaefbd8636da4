//! The state behind a connection's one mutex: what waits to be written, how far
//! the connection has come towards its end, and its subscriptions.

use std::task::Waker;

use bytes::Bytes;
use sealcast_wire::Channel;

use super::deadlines::{Deadlines, Millis};
use super::marks::Marks;
use super::queue::Queue;
use super::shard::Slot;
use crate::limit::QueueCap;

/// Who will write next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// Nobody has to: nothing waits.
    Idle,
    /// Whoever put it in this state flushes at the end of their tick.
    Queued,
    /// Whoever pushes next, or the hub when that takes too long; see `company.rs`.
    Waiting,
    /// The connection's task, when the socket takes more.
    Blocked,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It lives.
    Open,
    /// The close frame waits in the queue. `answered`: the peer's has been seen.
    Closing { answered: bool },
    /// The close frame is out; the peer's is awaited.
    Closed,
    /// Nothing more will be read or written; the task ends.
    Ended,
}

/// One subscription of the connection.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Channel,
    pub(super) shard: u16,
    pub(super) slot: Slot,
    /// The server made it: it cannot be refreshed by its client.
    pub(super) server_side: bool,
    pub(super) terms: Option<Box<Terms>>,
}

/// What a token or a backend says of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When the subscription ends unless it is extended.
    pub expires: Option<Millis>,
    /// What others in the channel are told of the user; one JSON value, or empty.
    pub info: Bytes,
}

/// What a subscription left at the broker, to be cleaned up after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// It is among those present.
    pub present: bool,
    /// It was announced as having come.
    pub announced: bool,
}

/// See the module's text. A std-style mutex guards it; it is never held over an
/// await, and at most for one write call.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) queue: Queue,
    pub(super) flush: Flush,
    /// What waited last did so in vain.
    pub(super) alone: bool,
    pub(super) phase: Phase,
    /// Bytes that the node's budget knows of: queued while blocked.
    pub(super) charged: usize,
    /// The same for input: a frame that has not arrived whole, or frames that wait.
    pub(super) partial: usize,
    /// Bytes of commands under way, beyond a few.
    pub(super) running: usize,
    /// Why it ends: the first reason counts.
    pub(super) code: Option<u16>,
    pub(super) waker: Option<Waker>,
    pub(super) deadlines: Deadlines,
    /// Sorted by channel.
    pub(super) subscriptions: Vec<Subscription>,
    /// A subscription is over, and the session has not yet taken notice.
    pub(super) subscription_due: bool,
    /// The registry has other words about the client than the session knows.
    pub(super) client_changed: bool,
    /// How far its reader has come, where events have ids.
    pub(super) marks: Option<Box<Marks>>,
    /// Where an operator has set another cap than for all.
    pub(super) cap: Option<Box<QueueCap>>,
    /// What is to be cleaned up at the broker, by channel.
    #[expect(clippy::box_collection, reason = "one word in a connection without any")]
    pub(super) traces: Option<Box<Vec<(Channel, Traces)>>>,
}

impl Outbox {
    pub(super) fn new() -> Outbox {
        Outbox {
            queue: Queue::default(),
            flush: Flush::Idle,
            alone: false,
            phase: Phase::Open,
            charged: 0,
            partial: 0,
            running: 0,
            code: None,
            waker: None,
            deadlines: Deadlines::none(),
            subscriptions: Vec::new(),
            subscription_due: false,
            client_changed: false,
            marks: None,
            cap: None,
            traces: None,
        }
    }

    /// Bytes of memory that are held for the connection, but for its subscriptions.
    pub(super) fn memory(&self) -> usize {
        self.queue.memory() + self.partial + self.running
    }

    /// What of it counts for the node's budget: what is queued while a socket is full,
    /// and input.
    pub(super) fn counted(&self) -> usize {
        self.charged + self.partial + self.running
    }

    pub(super) fn find(&self, channel: &Channel) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|subscription| subscription.channel.cmp(channel))
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
