//! Readiness proven by a message: a mark goes through the broker and must come
//! back on every shard.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::hub::Millis;

/// The node is ready if every shard brought back a mark that was sent no longer
/// ago than this.
pub const READY_WITHIN: Millis = Millis(3_000);

/// Marks are the times at which they were sent, so a shard's state is the newest
/// mark that it brought back; 0 for none.
pub(super) struct Probes(Vec<AtomicU64>);

impl Probes {
    pub(super) fn new(shards: usize) -> Probes {
        Probes((0..shards).map(|_| AtomicU64::new(0)).collect())
    }

    /// The mark to send now.
    pub(super) fn begin(&self, now: Millis) -> u64 {
        now.0 + 1
    }

    pub(super) fn came_back(&self, shard: usize, mark: u64) {
        if let Some(newest) = self.0.get(shard) {
            newest.fetch_max(mark, Ordering::Relaxed);
        }
    }

    pub(super) fn is_ready(&self, now: Millis) -> bool {
        self.0.iter().all(|newest| newest.load(Ordering::Relaxed) > 0)
            && !self.is_silent(now, READY_WITHIN)
    }

    /// Whether some shard has brought nothing back for so long, or never since the
    /// node began.
    pub(super) fn is_silent(&self, now: Millis, time: Millis) -> bool {
        self.0.iter().any(|newest| Millis(newest.load(Ordering::Relaxed)).after(time) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_shard_lately_brought_a_mark_back() {
        let probes = Probes::new(2);
        assert!(!probes.is_ready(Millis(0)));
        let mark = probes.begin(Millis(100));
        probes.came_back(0, mark);
        assert!(!probes.is_ready(Millis(110)), "one shard is deaf");
        probes.came_back(1, mark);
        assert!(probes.is_ready(Millis(110)));
        assert!(probes.is_ready(Millis(3_000)));
        assert!(!probes.is_ready(Millis(3_200)), "nothing came back since");
        assert!(!probes.is_silent(Millis(3_200), Millis(30_000)));
        assert!(probes.is_silent(Millis(30_200), Millis(30_000)));
    }
}
