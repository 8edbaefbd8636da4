//! Since when what waits in each shard's inbox waits. The clock is read when a
//! publication comes into an inbox that nothing waits in, and not for those that
//! join it there: under load once a tick, not once a publication.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// See the module's text. Times are counted from when the feed began.
pub struct Arrivals {
    began: Instant,
    /// Nanoseconds for each shard; 0 if nothing is known to wait.
    first: Vec<AtomicU64>,
}

impl Arrivals {
    pub(super) fn new(shards: usize) -> Arrivals {
        let first = std::iter::repeat_with(AtomicU64::default).take(shards).collect();
        Arrivals { began: Instant::now(), first }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A publication is about to be put into the shard's inbox.
    pub(super) fn note(&self, shard: usize) {
        if let Some(first) = self.first.get(shard)
            && first.load(Ordering::Relaxed) == 0
        {
            let now = u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX);
            first.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// Since when the first that waits in the shard's inbox waits, if it is known.
    #[must_use]
    pub fn first(&self, shard: usize) -> Option<Duration> {
        let nanos = self.first.get(shard)?.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Everything was taken out of the shard's inbox. What comes at this very moment
    /// may stay without a time.
    pub fn taken(&self, shard: usize) {
        if let Some(first) = self.first.get(shard) {
            first.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_that_waits_counts_until_all_are_taken() {
        let arrivals = Arrivals::new(2);
        let pass = || tokio::time::advance(Duration::from_millis(5));
        assert_eq!(arrivals.first(0), None);
        pass().await;
        arrivals.note(0);
        pass().await;
        arrivals.note(0);
        assert_eq!(arrivals.first(0), Some(Duration::from_millis(5)));
        assert_eq!((arrivals.first(1), arrivals.first(2)), (None, None));
        arrivals.taken(0);
        assert_eq!(arrivals.first(0), None);
        arrivals.note(0);
        assert_eq!(arrivals.first(0), Some(arrivals.now()));
    }
}
