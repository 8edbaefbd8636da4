//! What waits to be written for company.
//!
//! Over a broker outside this node, who publishes where they listen gets the
//! confirmation and the publication by different ways, one shortly before the other.
//! Which is first waits for the other, and both go out in one write; but not for longer
//! than [`COMPANY`], and not again where it waited in vain until something did come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::{Echo, Hub};

/// How long one waits for the other at most.
const COMPANY: Duration = Duration::from_millis(5);

/// Connections that wait, in the order in which their time is over.
#[derive(Default)]
pub(super) struct Company {
    waiting: Mutex<VecDeque<(Instant, Arc<Connection>)>>,
    came: Notify,
}

impl Company {
    fn take_over(&self, now: Instant) -> Option<Arc<Connection>> {
        let mut waiting = self.waiting.lock();
        waiting.front().filter(|(by, _)| *by <= now)?;
        waiting.pop_front().map(|(_, connection)| connection)
    }
}

impl Hub {
    /// Pushes, by `push`, the answer to a publish that was taken, and ends it.
    pub fn confirm(&self, echo: Echo, push: impl FnOnce()) {
        let connection = Arc::clone(echo.connection());
        let first = connection.is_idle();
        push();
        drop(echo);
        if first && connection.wait_for_echo() {
            self.wait_with(connection);
        }
    }

    /// Writes what was delivered, unless an answer will soon go out with it.
    pub fn flush_delivered(&self, connection: Arc<Connection>) {
        if connection.wait_for_answer() {
            self.wait_with(connection);
        } else {
            connection.flush(self);
        }
    }

    /// Writes to those whose company has not come, for ever.
    pub async fn end_waits(self: Arc<Hub>) {
        loop {
            let first = self.company.waiting.lock().front().map(|(by, _)| *by);
            let Some(by) = first else {
                self.company.came.notified().await;
                continue;
            };
            sleep_until(by).await;
            let now = Instant::now();
            while let Some(connection) = self.company.take_over(now) {
                connection.flush_alone(&self);
            }
        }
    }

    fn wait_with(&self, connection: Arc<Connection>) {
        let mut waiting = self.company.waiting.lock();
        waiting.push_back((Instant::now() + COMPANY, connection));
        if waiting.len() == 1 {
            self.company.came.notify_one();
        }
    }
}
