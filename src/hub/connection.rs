//! One connection as the hub knows it: the socket to write to and the outbox.
//!
//! Anyone may push and flush. Writing is tried at once, by whoever flushes; when
//! the socket takes no more, the outbox is Blocked and only the connection's own
//! task writes on, because only it can wait for the socket (tokio keeps one
//! waiter for each direction).

mod due;
mod echo;
mod ending;
mod marks;
mod memory;
mod socket;
mod subscriptions;
mod write;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sealcast_wire::{Disconnect, Encoding, Reply};

use super::deadlines::{Deadline, Deadlines, Millis};
use super::format::Format;
use super::outbox::{Flush, Outbox, Phase};
use super::queue::{CHUNK, exact};
use super::{Hub, OutboxLimits};
use crate::limit::QueueCap;
pub use echo::Echo;
pub use socket::{Duplex, Socket};
pub use subscriptions::{NotAdded, Noted, Notes};
use write::charge;

/// How long the closing handshake may take after the close frame is out.
const CLOSE_TIMEOUT: Millis = Millis(5_000);
/// How long the close frame may wait for a peer that does not read.
const CLOSE_WRITE_TIMEOUT: Millis = Millis(2_000);

/// The public id of a connection: a random UUID, not a secret.
pub type ConnectionId = uuid::Uuid;

/// How a connection is asked whether it is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pings {
    /// With the protocol's empty reply, answered by an empty command.
    #[default]
    Replies,
    /// With WebSocket ping frames, answered by pong frames.
    Frames,
    /// With the empty push, which nothing answers: the client only listens.
    Pushes,
}

/// What the connection's task has to know when it wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Input is still wanted: commands while open, the peer's close frame after.
    pub reading: bool,
    /// Commands are to be answered; `false` once the connection is closing.
    pub open: bool,
    /// The task must wait until the socket takes more, and then flush.
    pub blocked: bool,
}

/// See the module's text.
pub struct Connection {
    id: ConnectionId,
    format: Format,
    pings: Pings,
    socket: Socket,
    /// The earliest deadline, milliseconds; read by the sweep without the lock.
    due: AtomicU64,
    /// Bytes of memory that its subscriptions take in the hub.
    kept: AtomicUsize,
    /// What it has published is on its way to itself.
    expects_own: AtomicBool,
    /// How many publishes are under way whose publications come back.
    echoes: AtomicU16,
    outbox: Mutex<Outbox>,
}

impl Connection {
    /// A connection over `socket`.
    #[must_use]
    pub fn new(
        id: ConnectionId,
        format: impl Into<Format>,
        pings: Pings,
        socket: impl Into<Socket>,
    ) -> Arc<Connection> {
        Self::over(id, format.into(), pings, socket.into())
    }

    #[cfg(test)]
    pub(crate) fn scripted(
        format: impl Into<Format>,
        script: super::tests::Script,
    ) -> Arc<Connection> {
        Self::scripted_with(format, Pings::Replies, script)
    }

    #[cfg(test)]
    pub(crate) fn scripted_with(
        format: impl Into<Format>,
        pings: Pings,
        script: super::tests::Script,
    ) -> Arc<Connection> {
        let socket = Socket(socket::Kind::Scripted(script));
        Self::over(ConnectionId::from_u128(7), format.into(), pings, socket)
    }

    fn over(id: ConnectionId, format: Format, pings: Pings, socket: Socket) -> Arc<Connection> {
        Arc::new(Connection {
            id,
            format,
            pings,
            socket,
            due: AtomicU64::new(u64::MAX),
            kept: AtomicUsize::new(0),
            expects_own: AtomicBool::new(false),
            echoes: AtomicU16::new(0),
            outbox: Mutex::new(Outbox::new()),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// How replies and pushes are written to it.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.format.encoding()
    }

    /// The same, with what stands around them.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// How it is asked whether it is still there.
    #[must_use]
    pub fn pings(&self) -> Pings {
        self.pings
    }

    /// A reply as one frame or chunk, as the connection's transport has it; empty if
    /// it is not for a client that only listens.
    #[must_use]
    pub fn frame(&self, reply: &Reply) -> Bytes {
        let mut frame = Vec::new();
        self.format.put_reply(&mut frame, reply);
        exact(frame)
    }

    /// Puts whole frames of `messages` messages on the outbox; nothing is written
    /// yet. `true` tells that the caller must [`Connection::flush`] later in its
    /// tick. Over a limit, the connection is closed with 3008 instead.
    pub fn push(&self, hub: &Hub, frames: Bytes, messages: usize) -> bool {
        let mut outbox = self.outbox.lock();
        if outbox.phase != Phase::Open {
            return false;
        }
        let OutboxLimits { messages: most_messages, bytes: most_bytes, .. } = *hub.limits();
        let own = outbox.cap.as_deref().copied().unwrap_or_default();
        let most_messages = own.messages.unwrap_or(most_messages);
        let most_bytes = own.bytes.unwrap_or(most_bytes);
        let bytes = outbox.queue.bytes() + frames.len();
        let blocked = outbox.flush == Flush::Blocked;
        let shed = blocked && hub.must_shed(bytes);
        if shed
            || outbox.queue.messages() + messages > most_messages
            || bytes > most_bytes
            || self.is_over(hub, &outbox, frames.len() + CHUNK)
        {
            self.close_locked(hub, &mut outbox, Disconnect::SLOW.told(), false);
            return false;
        }
        outbox.queue.push(frames, messages);
        match outbox.flush {
            Flush::Queued => false,
            Flush::Blocked => {
                charge(hub, &mut outbox);
                false
            }
            Flush::Idle => {
                outbox.flush = Flush::Queued;
                true
            }
            Flush::Waiting => {
                (outbox.flush, outbox.alone) = (Flush::Queued, false);
                true
            }
        }
    }

    /// Bounds what may wait otherwise than for all; what waits already stays.
    pub fn set_queue_cap(&self, cap: QueueCap) {
        let cap = (cap != QueueCap::default()).then(|| Box::new(cap));
        self.outbox.lock().cap = cap;
    }

    /// What the connection published will come back to it at once: its confirmation and
    /// that can share a write, if the task lets the pump go first.
    pub fn expect_own(&self) {
        self.expects_own.store(true, Ordering::Relaxed);
    }

    /// Whether that is so; once.
    pub fn take_expectation(&self) -> bool {
        self.expects_own.load(Ordering::Relaxed) && self.expects_own.swap(false, Ordering::Relaxed)
    }

    /// Writes what was pushed, unless someone else has done so or the socket is
    /// full.
    pub fn flush(&self, hub: &Hub) {
        let mut outbox = self.outbox.lock();
        if outbox.flush == Flush::Queued {
            self.put_marks(&mut outbox);
            self.write(hub, &mut outbox);
        }
    }

    /// The socket takes more again: only the connection's task calls this.
    pub fn unblock(&self, hub: &Hub) {
        let mut outbox = self.outbox.lock();
        if outbox.flush == Flush::Blocked {
            outbox.flush = Flush::Queued;
            self.put_marks(&mut outbox);
            self.write(hub, &mut outbox);
        }
    }

    /// Reads, in the connection's task, what has come; 0 at its end.
    ///
    /// # Errors
    /// Those of the socket, also [`io::ErrorKind::WouldBlock`] if nothing has come after
    /// all, whereupon to ask again waits.
    pub fn poll_read(&self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_read(context, into)
    }

    /// Waits, in the connection's task, for room in the socket.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(context)
    }

    /// Keeps `context` to be woken, and tells where the connection stands; `None`
    /// once the task must end.
    pub fn poll_status(&self, context: &Context<'_>) -> Option<Status> {
        let mut outbox = self.outbox.lock();
        if outbox.phase == Phase::Ended {
            return None;
        }
        if !outbox.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            outbox.waker = Some(context.waker().clone());
        }
        Some(Status {
            reading: outbox.phase != (Phase::Closing { answered: true }),
            open: outbox.phase == Phase::Open,
            blocked: outbox.flush == Flush::Blocked,
        })
    }

    /// Whether the connection lives.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outbox.lock().phase == Phase::Open
    }

    /// Whether its socket takes no more for now.
    pub(in crate::hub) fn is_blocked(&self) -> bool {
        self.outbox.lock().flush == Flush::Blocked
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        self.outbox.lock().wake();
    }

    /// Sets when something is due; [`Millis::NEVER`] for not at all.
    pub fn set_deadline(&self, which: Deadline, at: Millis) {
        let mut outbox = self.outbox.lock();
        if outbox.phase == Phase::Open {
            outbox.deadlines.set(which, at);
            self.note_due(&outbox.deadlines);
        }
    }

    /// An answer to a ping of this kind has come at `now`. `false` if none was
    /// awaited.
    pub fn pong(&self, hub: &Hub, of: Pings, now: Millis) -> bool {
        if of != self.pings {
            return false;
        }
        let mut outbox = self.outbox.lock();
        let due = outbox.deadlines.at(Deadline::Pong);
        if due == Millis::NEVER {
            return false;
        }
        outbox.deadlines.clear(Deadline::Pong);
        self.note_due(&outbox.deadlines);
        let sent = due.0.saturating_sub(hub.limits().pong_timeout.0);
        let took = Duration::from_millis(now.0.saturating_sub(sent));
        hub.metrics().histograms.ping_rtt.observe(took);
        true
    }

    /// Tells how many bytes of input are held, of an unfinished frame or of frames that
    /// wait; the deadline for an unfinished message runs from its first byte.
    pub fn set_partial(&self, hub: &Hub, held: usize, unfinished: bool, deadline: Millis) {
        let mut outbox = self.outbox.lock();
        // What ends has given back already what was counted for it.
        let held = if outbox.phase == Phase::Ended { 0 } else { held };
        hub.budget().change(outbox.partial, held);
        outbox.partial = held;
        self.check_input(hub, &mut outbox);
        if !unfinished {
            outbox.deadlines.clear(Deadline::Message);
        } else if outbox.deadlines.at(Deadline::Message) == Millis::NEVER
            && outbox.phase == Phase::Open
        {
            outbox.deadlines.set(Deadline::Message, deadline);
        }
        self.note_due(&outbox.deadlines);
    }

    pub(super) fn next_due(&self) -> Millis {
        Millis(self.due.load(Ordering::Relaxed))
    }

    fn note_due(&self, deadlines: &Deadlines) {
        self.due.store(deadlines.next().0, Ordering::Relaxed);
    }
}
