//! Sockets whose request has not come. When there is no place left, the one that has
//! taken longest gives its place to a newcomer: whoever sends a header slowly keeps
//! nobody out who sends one at once (T-20).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::handover::Handover;

/// See the module's text.
pub(super) struct Crowd {
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    /// How long each has in any case.
    grace: Duration,
    /// How many there may be; beyond, those are forgotten that wait no more.
    most: usize,
}

struct Waiting {
    since: Instant,
    socket: Arc<Handover>,
    task: AbortHandle,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.socket.was_asked() || self.task.is_finished()
    }
}

impl Crowd {
    /// Of at most `most` sockets, whose requests' heads may take `header_timeout`.
    pub(super) fn new(most: usize, header_timeout: Duration) -> Crowd {
        Crowd { waiting: VecDeque::new(), grace: header_timeout / 25, most }
    }

    /// A socket whose request is to come.
    pub(super) fn add(&mut self, socket: Arc<Handover>, task: AbortHandle) {
        while self.waiting.front().is_some_and(Waiting::is_over) {
            self.waiting.pop_front();
        }
        if self.waiting.len() >= 2 * self.most {
            self.waiting.retain(|waiting| !waiting.is_over());
        }
        self.waiting.push_back(Waiting { since: Instant::now(), socket, task });
    }

    /// Ends the one that has waited longest, if it had its time; its place is given
    /// back when its task is gone.
    pub(super) fn end_slowest(&mut self) -> bool {
        while let Some(slowest) = self.waiting.front() {
            if !slowest.is_over() {
                if slowest.since.elapsed() < self.grace {
                    return false;
                }
                slowest.task.abort();
                self.waiting.pop_front();
                return true;
            }
            self.waiting.pop_front();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_slowest_goes_that_had_its_time_and_has_asked_nothing() {
        let mut crowd = Crowd::new(2, Duration::from_secs(25));
        let add = async |crowd: &mut Crowd| {
            let (socket, task) = (Arc::new(Handover::default()), tokio::spawn(pending::<()>()));
            crowd.add(Arc::clone(&socket), task.abort_handle());
            tokio::time::advance(Duration::from_millis(100)).await;
            (socket, task)
        };
        let (asked, gone) = (add(&mut crowd).await, add(&mut crowd).await);
        let (slowest, next) = (add(&mut crowd).await, add(&mut crowd).await);
        asked.0.note_asked();
        gone.1.abort();
        tokio::task::yield_now().await;
        assert!(!crowd.end_slowest(), "none had its time");
        tokio::time::advance(Duration::from_millis(850)).await;
        assert!(crowd.end_slowest());
        assert!(slowest.1.await.is_err_and(|error| error.is_cancelled()));
        assert!(!crowd.end_slowest(), "the next has its time still");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(crowd.end_slowest() && !crowd.end_slowest());
        assert!(next.1.await.is_err() && !asked.1.is_finished());
    }

    #[tokio::test]
    async fn those_who_wait_no_more_are_forgotten() {
        let mut crowd = Crowd::new(10, Duration::from_secs(5));
        // One in front that stays.
        let stays = tokio::spawn(pending::<()>());
        crowd.add(Arc::default(), stays.abort_handle());
        for _ in 0..1_000 {
            let socket = Arc::new(Handover::default());
            socket.note_asked();
            crowd.add(socket, stays.abort_handle());
        }
        assert!(crowd.waiting.len() <= 20, "{}", crowd.waiting.len());
    }
}
