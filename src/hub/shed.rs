//! What the hub gives up when the node is full.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use sealcast_wire::Disconnect;

use super::Hub;
use crate::limit::Stage;

impl Hub {
    /// What the node gives up at the moment.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::of(self.stage.load(Ordering::Relaxed))
    }

    /// Sets what it gives up.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Most bytes that are held for one connection.
    pub(super) fn conn_memory(&self) -> usize {
        self.conn_memory.load(Ordering::Relaxed)
    }

    /// Sets how many bytes are held for one connection at most.
    pub fn set_conn_memory(&self, bytes: usize) {
        self.conn_memory.store(bytes, Ordering::Relaxed);
    }

    /// Whether somebody for whom so many bytes are held must be closed now, so that the
    /// budget holds; counted.
    pub(super) fn must_shed(&self, bytes: usize) -> bool {
        let must = self.budget().must_shed(bytes);
        if must {
            self.metrics().shedding.queues.increment(1);
        }
        must
    }

    /// Closes with 3008 those for whom most is held, one after the other, until
    /// `excess` bytes are given back or nobody holds `least` bytes. Tells how many.
    pub fn close_largest(&self, excess: usize, least: usize) -> usize {
        if excess == 0 {
            return 0;
        }
        let all = self.registry().all().into_iter();
        let held = all.map(|connection| (connection.counted(), connection));
        let mut holders: Vec<_> = held.filter(|(bytes, _)| *bytes >= least.max(1)).collect();
        holders.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let (mut freed, mut closed) = (0_usize, 0);
        for (bytes, connection) in holders {
            if freed >= excess {
                break;
            }
            connection.close(self, Disconnect::SLOW);
            freed = freed.saturating_add(bytes);
            closed += 1;
        }
        self.metrics().shedding.queues.increment(closed);
        usize::try_from(closed).unwrap_or(usize::MAX)
    }
}
