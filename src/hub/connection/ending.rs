//! How a connection ends: the closing handshake of RFC 6455 7.1, from either
//! side, what a stream says in its place, and the ways without either.

use parking_lot::MutexGuard;
use sealcast_wire::Disconnect;

use super::write::charge;
use super::{CLOSE_TIMEOUT, CLOSE_WRITE_TIMEOUT, Connection};
use crate::hub::Hub;
use crate::hub::deadlines::{Deadline, Deadlines};
use crate::hub::outbox::{Flush, Outbox, Phase};

impl Connection {
    /// Ends the connection: what waits is still written (not for a slow client),
    /// then the close frame, or what a stream has in its place. The first reason
    /// counts.
    pub fn close(&self, hub: &Hub, disconnect: Disconnect) {
        self.close_with(hub, disconnect.code, disconnect.reason);
    }

    /// The same with a code and a reason that a backend chose; the reason is cut
    /// to what a close frame takes.
    pub fn close_with(&self, hub: &Hub, code: u16, reason: &str) {
        self.close_locked(hub, &mut self.outbox.lock(), (code, reason), false);
    }

    /// Ends the connection because a newer one takes its place. `false` if it was ending
    /// already: then it has no place to give.
    #[must_use]
    pub fn displace(&self, hub: &Hub) -> bool {
        let mut outbox = self.outbox.lock();
        let lives = outbox.phase == Phase::Open;
        let Disconnect { code, reason } = Disconnect::CONNECTION_LIMIT;
        self.close_locked(hub, &mut outbox, (code, reason), false);
        lives
    }

    /// The peer's close frame has come: answers it, or takes it as the answer.
    pub fn peer_closed(&self, hub: &Hub, code: Option<u16>) {
        let mut outbox = self.outbox.lock();
        match outbox.phase {
            Phase::Open => {
                self.close_locked(hub, &mut outbox, (code.unwrap_or(0), ""), true);
                outbox.code = Some(Disconnect::CONNECTION_CLOSED.code);
            }
            Phase::Closing { .. } => outbox.phase = Phase::Closing { answered: true },
            Phase::Closed | Phase::Ended => self.end_locked(&mut outbox),
        }
    }

    /// The socket is gone, or must go: nothing more is written.
    pub fn end(&self, why: Disconnect) {
        let mut outbox = self.outbox.lock();
        outbox.code.get_or_insert(why.code);
        self.end_locked(&mut outbox);
    }

    /// Gives back what the node's budget counts for this connection, and tells
    /// why it ended. The task calls this last.
    pub fn finish(&self, hub: &Hub) -> u16 {
        let mut outbox = self.outbox.lock();
        self.end_locked(&mut outbox);
        let waiting = std::mem::take(&mut outbox.queue).messages();
        hub.metrics().states.dropped.increment(waiting as u64);
        hub.budget().change(std::mem::take(&mut outbox.charged), 0);
        hub.budget().change(std::mem::take(&mut outbox.partial), 0);
        hub.budget().change(std::mem::take(&mut outbox.running), 0);
        outbox.waker = None;
        *outbox.code.get_or_insert(Disconnect::CONNECTION_CLOSED.code)
    }

    pub(super) fn close_locked(
        &self,
        hub: &Hub,
        outbox: &mut MutexGuard<'_, Outbox>,
        (code, reason): (u16, &str),
        answered: bool,
    ) {
        if outbox.phase != Phase::Open {
            return;
        }
        outbox.code.get_or_insert(code);
        outbox.phase = Phase::Closing { answered };
        if code == Disconnect::SLOW.code {
            let waiting = outbox.queue.messages();
            outbox.queue.cut_to_frame(self.format);
            let dropped = waiting - outbox.queue.messages().min(waiting);
            hub.metrics().states.dropped.increment(dropped as u64);
        }
        let mut frame = Vec::with_capacity(4 + reason.len());
        self.format.put_ending(&mut frame, code, reason);
        outbox.queue.push(frame.into(), 1);
        let now = hub.clock().now();
        outbox.deadlines.end();
        outbox.deadlines.set(Deadline::Close, now.after(CLOSE_TIMEOUT));
        if outbox.flush == Flush::Blocked {
            charge(hub, outbox);
            outbox.deadlines.set(Deadline::Write, now.after(CLOSE_WRITE_TIMEOUT));
        } else {
            outbox.flush = Flush::Queued;
            self.write(hub, outbox);
        }
        self.note_due(&outbox.deadlines);
        outbox.wake();
    }

    pub(super) fn end_locked(&self, outbox: &mut MutexGuard<'_, Outbox>) {
        outbox.phase = Phase::Ended;
        outbox.deadlines = Deadlines::none();
        self.note_due(&outbox.deadlines);
        outbox.wake();
    }
}
