//! How far this node's clock and those of its primaries are apart (F-17).
//!
//! A primary tells its time with each heartbeat. What the trip itself may explain is
//! not counted, so that a slow trip never looks like a wrong clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::MOST_SKEW;
use crate::metrics::Metrics;

/// What tells the time since 1970.
pub(super) type Clock = fn() -> Duration;

/// See the module's text.
pub(super) struct Skews {
    clock: Clock,
    /// By which primary; seconds that the node is ahead of it.
    known: Mutex<BTreeMap<usize, f64>>,
    /// Whether it was said that they are too far apart.
    told: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Skews {
    pub(super) fn new(clock: Clock, metrics: &Arc<Metrics>) -> Skews {
        let (known, told) = (Mutex::default(), AtomicBool::new(false));
        Skews { clock, known, told, metrics: Arc::clone(metrics) }
    }

    /// What tells this node's time.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// The time by this node's clock.
    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// A primary that was asked at `sent` has said that it is `told` there.
    pub(super) fn measured(&self, primary: usize, sent: Duration, told: Duration) {
        let ahead = ahead((sent, self.now()), told);
        self.change(|known| {
            known.insert(primary, ahead);
        });
    }

    /// This primary does not count any more.
    pub(super) fn forget(&self, primary: usize) {
        self.change(|known| {
            known.remove(&primary);
        });
    }

    /// How far it is to the primary that is furthest off.
    pub(super) fn worst(&self) -> Duration {
        Duration::try_from_secs_f64(worst(&self.known.lock()).abs()).unwrap_or(Duration::MAX)
    }

    fn change(&self, how: impl FnOnce(&mut BTreeMap<usize, f64>)) {
        let ahead = {
            let mut known = self.known.lock();
            how(&mut known);
            worst(&known)
        };
        self.metrics.clock_skew(ahead);
        let wrong = ahead.abs() > MOST_SKEW.as_secs_f64();
        if self.told.swap(wrong, Ordering::Relaxed) != wrong {
            if wrong {
                tracing::error!(
                    event = "clock_skew",
                    seconds = ahead,
                    "this node's clock and Redis' are too far apart: it is not ready"
                );
            } else {
                tracing::info!(event = "clock_skew_over", seconds = ahead, "the clocks agree");
            }
        }
    }
}

/// How many seconds a clock that showed the first before and the second after the
/// question is at least ahead of the one that was asked; negative if behind.
pub(super) fn ahead((sent, answered): (Duration, Duration), told: Duration) -> f64 {
    // It may have been set back meanwhile.
    let (first, last) = (sent.min(answered), sent.max(answered));
    if told < first {
        (first - told).as_secs_f64()
    } else {
        -told.saturating_sub(last).as_secs_f64()
    }
}

fn worst(known: &BTreeMap<usize, f64>) -> f64 {
    let further = |one: f64, other: f64| if other.abs() > one.abs() { other } else { one };
    known.values().copied().fold(0.0, further)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_trip_explains_is_no_skew() {
        assert_eq!(ahead((at(100), at(102)), at(101)), 0.0);
        assert_eq!(ahead((at(100), at(102)), at(95)), 5.0);
        assert_eq!(ahead((at(100), at(102)), at(110)), -8.0);
        assert_eq!(ahead((at(3_700), at(100)), at(101)), 0.0, "set back meanwhile");
    }

    #[test]
    fn the_worst_of_all_that_count_is_told() {
        let metrics = Metrics::new("test");
        let skews = Skews::new(|| at(1_000), &metrics);
        let exported = |value: &str| {
            let line = format!("sealcast_clock_skew_seconds {value}\n");
            metrics.render().contains(&line)
        };
        assert_eq!(skews.worst(), at(0));
        skews.measured(0, at(1_000), at(995));
        skews.measured(1, at(1_000), at(1_031));
        assert!(skews.worst() == at(31) && exported("-31"), "{}", metrics.render());
        assert!(skews.told.load(Ordering::Relaxed));
        skews.forget(1);
        assert!(skews.worst() == at(5) && exported("5"), "{}", metrics.render());
        assert!(!skews.told.load(Ordering::Relaxed));
        skews.measured(0, at(1_000), at(970));
        assert!(!skews.told.load(Ordering::Relaxed), "half a minute is borne");
    }
}
