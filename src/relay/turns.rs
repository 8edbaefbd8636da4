//! Turns at expensive work, of which only so much is done at once (S4-53).

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::limit::{Cap, Permit};
use crate::metrics::{Metrics, Work};

/// How long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// A kind of work: so many at once, and so many who wait.
pub struct Turns {
    places: Semaphore,
    queue: Cap,
    work: Work,
}

/// The turn of somebody; given back when dropped.
pub struct Turn<'a> {
    of: &'a Turns,
    _place: SemaphorePermit<'a>,
}

/// As many wait as may, or the wait was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTurn;

impl Turns {
    /// For `places` at once while `queue` wait; `name` is one of a fixed few.
    #[must_use]
    pub fn new(places: usize, queue: usize, name: &'static str, metrics: &Metrics) -> Turns {
        Turns {
            places: Semaphore::new(places),
            queue: Cap::new(queue),
            work: metrics.work(name, places),
        }
    }

    /// A turn, in the order in which they are asked for.
    ///
    /// # Errors
    /// If there is none within a second, or too many wait already; counted.
    pub async fn take(&self) -> Result<Turn<'_>, NoTurn> {
        let place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => self.wait().await.inspect_err(|_| self.work.refused.increment(1))?,
        };
        self.work.running.increment(1.0);
        Ok(Turn { of: self, _place: place })
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, NoTurn> {
        let _waiting: Permit = self.queue.take().ok_or(NoTurn)?;
        match timeout(PATIENCE, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NoTurn),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of.work.running.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn number(metrics: &Metrics, line: &str) -> bool {
        metrics.render().contains(&format!("{line}\n"))
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_so_many_wait_in_order_and_one_more_is_refused() {
        let metrics = Metrics::new("test");
        let turns = Turns::new(2, 2, "read", &metrics);
        let first = turns.take().await.expect("a place");
        let _second = turns.take().await.expect("a place");
        let mut third = Box::pin(turns.take());
        let mut fourth = Box::pin(turns.take());
        assert!(poll!(third.as_mut()).is_pending() && poll!(fourth.as_mut()).is_pending());
        assert_eq!(turns.take().await.err(), Some(NoTurn), "at once, because two wait");
        assert!(number(&metrics, r#"sealcast_work_refused_total{work="read"} 1"#));
        assert!(number(&metrics, r#"sealcast_work_running{work="read"} 2"#));
        drop(first);
        assert!(poll!(fourth.as_mut()).is_pending(), "not before who came before");
        let third = third.await.expect("its turn");
        drop(third);
        drop(fourth.await.expect("its turn"));
        assert!(number(&metrics, r#"sealcast_work_running{work="read"} 1"#));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_is_promised() {
        let metrics = Metrics::new("test");
        let turns = Turns::new(1, 10, "read", &metrics);
        let held = turns.take().await.expect("a place");
        let began = tokio::time::Instant::now();
        assert_eq!(turns.take().await.err(), Some(NoTurn));
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(turns.queue.taken(), 0, "who gave up does not wait");
        drop(held);
        assert!(turns.take().await.is_ok());
    }
}
