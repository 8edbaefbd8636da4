//! Ten lines a second for each kind of event, and a right count of the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Lines of one kind in one window.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// How much of each kind was written lately. There are as many kinds as places in
/// the code that log.
pub(super) struct Throttle<K>(HashMap<K, Kind>);

struct Kind {
    began: Duration,
    written: u32,
    left_out: LeftOut,
}

/// How many events of one kind were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// The kind's name.
    pub(super) event: String,
    pub(super) level: tracing::Level,
    pub(super) count: u64,
}

impl<K> Default for Throttle<K> {
    fn default() -> Throttle<K> {
        Throttle(HashMap::new())
    }
}

impl<K: Eq + Hash> Throttle<K> {
    /// Whether an event of this kind may be written now; then, how many were left
    /// out before it.
    pub(super) fn admit(&mut self, kind: K, now: Duration) -> Option<u64> {
        let kind = self.0.entry(kind).or_insert_with(|| Kind {
            began: now,
            written: 0,
            left_out: LeftOut { event: String::new(), level: tracing::Level::INFO, count: 0 },
        });
        if now >= kind.began + WINDOW {
            kind.began = now;
            kind.written = 0;
        }
        if kind.written == LINES {
            kind.left_out.count += 1;
            return None;
        }
        kind.written += 1;
        Some(std::mem::take(&mut kind.left_out.count))
    }

    /// Names a kind for [`LeftOut`].
    pub(super) fn call(&mut self, kind: &K, event: &str, level: tracing::Level) {
        if let Some(kind) = self.0.get_mut(kind).filter(|kind| kind.left_out.event != event) {
            kind.left_out.event = event.to_owned();
            kind.left_out.level = level;
        }
    }

    /// What was left out of windows that are over, and was not told yet.
    pub(super) fn due(&mut self, now: Duration) -> Vec<LeftOut> {
        self.take(|kind| now >= kind.began + WINDOW)
    }

    /// What was left out at all, and was not told yet.
    pub(super) fn all(&mut self) -> Vec<LeftOut> {
        self.take(|_| true)
    }

    fn take(&mut self, which: impl Fn(&Kind) -> bool) -> Vec<LeftOut> {
        let told = self.0.values_mut().filter(|kind| kind.left_out.count > 0 && which(kind));
        told.map(|kind| {
            let told = kind.left_out.clone();
            kind.left_out.count = 0;
            told
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_hundred_thousand_in_a_minute_are_less_than_700_lines_and_all_are_counted() {
        let mut throttle = Throttle::default();
        let (mut lines, mut told) = (0, 0);
        for number in 0..100_000_u64 {
            let now = at(number * 60_000 / 100_000);
            if let Some(left_out) = throttle.admit("kind", now) {
                lines += 1;
                told += 1 + left_out;
            }
            if number % 1_666 == 0 {
                for due in throttle.due(now) {
                    lines += 1;
                    told += due.count;
                }
            }
        }
        told += throttle.all().iter().map(|left_out| left_out.count).sum::<u64>();
        assert!(lines < 700, "{lines}");
        assert_eq!(told, 100_000);
    }

    #[test]
    fn kinds_do_not_count_for_each_other() {
        let mut throttle = Throttle::default();
        for _ in 0..LINES {
            assert_eq!(throttle.admit("a", at(0)), Some(0));
        }
        assert_eq!(throttle.admit("a", at(999)), None);
        assert_eq!(throttle.admit("b", at(999)), Some(0));
        assert_eq!(throttle.admit("a", at(1_000)), Some(1), "tells what was left out");
        assert_eq!(throttle.admit("a", at(1_001)), Some(0), "once");
    }

    #[test]
    fn what_became_quiet_is_told_when_its_window_is_over() {
        let mut throttle = Throttle::default();
        for _ in 0..15 {
            throttle.admit("a", at(0));
        }
        throttle.call(&"a", "refused", tracing::Level::WARN);
        assert_eq!(throttle.due(at(999)), []);
        let told = LeftOut { event: "refused".into(), level: tracing::Level::WARN, count: 5 };
        assert_eq!(throttle.due(at(1_000)), [told]);
        assert_eq!(throttle.due(at(1_001)), []);
        assert_eq!(throttle.all(), []);
    }
}
