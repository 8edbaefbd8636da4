//! The ids of a connection's events: told once a flush, behind what they count.

use parking_lot::MutexGuard;
use sealcast_wire::{Channel, Position};

use super::Connection;
use crate::hub::outbox::{Flush, Outbox, Phase};

impl Connection {
    /// The subscription stands there: where events have ids, the caller must flush.
    pub(in crate::hub) fn begin_mark(&self, channel: &Channel, position: &Position) {
        if !self.format.has_ids() {
            return;
        }
        let mut outbox = self.outbox.lock();
        outbox.marks.get_or_insert_default().begin(channel, position.clone());
        if outbox.flush == Flush::Idle && outbox.phase == Phase::Open {
            outbox.flush = Flush::Queued;
        }
    }

    /// Publications up to there were pushed.
    pub(in crate::hub) fn reach_mark(&self, channel: &Channel, position: &Position) {
        if self.format.has_ids()
            && let Some(marks) = &mut self.outbox.lock().marks
        {
            marks.reach(channel, position);
        }
    }

    pub(super) fn put_marks(&self, outbox: &mut MutexGuard<'_, Outbox>) {
        if outbox.phase == Phase::Open
            && let Some(id) = outbox.marks.as_mut().and_then(|marks| marks.take())
        {
            outbox.queue.push(id.into(), 1);
        }
    }
}
