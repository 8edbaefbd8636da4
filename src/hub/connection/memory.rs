//! What a connection holds of the node's memory, and what happens when it is too much.
//!
//! Held are: what waits to be written, input that is not taken up yet, commands under
//! way, and its subscriptions with their filters and with what is kept for them while
//! their history is read. Delivery touches no number that connections share.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use sealcast_wire::Disconnect;

use super::Connection;
use crate::hub::Hub;
use crate::hub::outbox::{Outbox, Phase};

impl Connection {
    /// Bytes of memory that are held for it.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.outbox.lock().memory() + self.kept.load(Ordering::Relaxed)
    }

    /// Tells how many bytes its commands under way hold. Over a limit, the connection
    /// is closed with 3008.
    pub fn set_running(&self, hub: &Hub, held: usize) {
        let mut outbox = self.outbox.lock();
        // What ends has given back already what was counted for it.
        let held = if outbox.phase == Phase::Ended { 0 } else { held };
        hub.budget().change(outbox.running, held);
        outbox.running = held;
        self.check_input(hub, &mut outbox);
    }

    /// A subscription takes so many bytes more.
    pub(in crate::hub) fn keep(&self, bytes: usize) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A subscription has given back so many bytes.
    pub(in crate::hub) fn give_back(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Closes it with 3008 if it holds too much.
    pub(in crate::hub) fn check_memory(&self, hub: &Hub) {
        let mut outbox = self.outbox.lock();
        if outbox.phase == Phase::Open && self.is_over(hub, &outbox, 0) {
            self.close_locked(hub, &mut outbox, Disconnect::SLOW.told(), false);
        }
    }

    /// Bytes that the node's budget counts for it.
    pub(in crate::hub) fn counted(&self) -> usize {
        let outbox = self.outbox.lock();
        if outbox.phase == Phase::Open { outbox.counted() } else { 0 }
    }

    /// Whether it holds too much with so many bytes more.
    pub(super) fn is_over(&self, hub: &Hub, outbox: &Outbox, more: usize) -> bool {
        let held = outbox.memory() + self.kept.load(Ordering::Relaxed);
        held.saturating_add(more) > hub.conn_memory()
    }

    /// Closes it with 3008 if it or the node holds too much input.
    pub(super) fn check_input(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>) {
        let held = outbox.partial + outbox.running;
        if held > 0
            && outbox.phase == Phase::Open
            && (self.is_over(hub, outbox, 0) || hub.must_shed(held))
        {
            self.close_locked(hub, outbox, Disconnect::SLOW.told(), false);
        }
    }
}
