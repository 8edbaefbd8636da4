//! Publishes whose publications come back to the connection from outside this node,
//! and what waits to be written until both that and the answer are there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Connection;
use crate::hub::Hub;
use crate::hub::outbox::{Flush, Phase};

/// Such a publish that is under way.
pub struct Echo(Arc<Connection>);

impl Echo {
    pub(in crate::hub) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Connection {
    /// Such a publish begins.
    #[must_use]
    pub fn expect_echo(self: &Arc<Self>) -> Echo {
        self.echoes.fetch_add(1, Ordering::Relaxed);
        Echo(Arc::clone(self))
    }

    /// Whether nothing waits to be written.
    pub(in crate::hub) fn is_idle(&self) -> bool {
        self.outbox.lock().flush == Flush::Idle
    }

    /// Lets what was delivered wait for an answer, if one is to come.
    pub(in crate::hub) fn wait_for_answer(&self) -> bool {
        self.echoes.load(Ordering::Relaxed) > 0 && self.wait(false)
    }

    /// Lets an answer wait for the publication, if that is likely to come.
    pub(in crate::hub) fn wait_for_echo(&self) -> bool {
        self.wait(true)
    }

    fn wait(&self, for_echo: bool) -> bool {
        let mut outbox = self.outbox.lock();
        let waits = outbox.flush == Flush::Queued
            && outbox.phase == Phase::Open
            && !(for_echo && outbox.alone);
        if waits {
            outbox.flush = Flush::Waiting;
        }
        waits
    }

    /// Writes what waits in vain.
    pub(in crate::hub) fn flush_alone(&self, hub: &Hub) {
        let mut outbox = self.outbox.lock();
        if outbox.flush == Flush::Waiting {
            outbox.alone = true;
            outbox.flush = Flush::Queued;
            self.put_marks(&mut outbox);
            self.write(hub, &mut outbox);
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.echoes.fetch_sub(1, Ordering::Relaxed);
    }
}
