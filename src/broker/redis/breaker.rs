//! The circuit breaker: while a primary fails, calls are refused at once instead
//! of waiting for it. Pure; time and chance are arguments.

use std::collections::VecDeque;
use std::time::Duration;

/// It opens when so many trips failed
const FAILURES: usize = 10;
/// within this time,
const WINDOW: Duration = Duration::from_secs(2);
/// and lets one through again after this, and up to half as long again.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module's text. What is counted is a trip: one pipeline there and
/// back, or one attempt to connect.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: VecDeque<Duration>,
    /// Until when it refuses, if it is open.
    until: Option<Duration>,
}

impl Breaker {
    /// Whether a call may go. If it is open and its pause is over, one may, to
    /// try; the others wait for another pause.
    pub(super) fn allow(&mut self, now: Duration, chance: f64) -> bool {
        match self.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.open(now, chance);
                true
            }
        }
    }

    /// A trip was answered.
    pub(super) fn success(&mut self) {
        self.failures.clear();
        self.until = None;
    }

    /// A trip failed. `true` if that opened it.
    pub(super) fn failure(&mut self, now: Duration, chance: f64) -> bool {
        if self.until.is_some() {
            self.open(now, chance);
            return false;
        }
        while self.failures.front().is_some_and(|at| *at + WINDOW <= now) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        if self.failures.len() < FAILURES {
            return false;
        }
        self.failures.clear();
        self.open(now, chance);
        true
    }

    /// Whether it refuses calls.
    pub(super) fn is_open(&self) -> bool {
        self.until.is_some()
    }

    fn open(&mut self, now: Duration, chance: f64) {
        self.until = Some(now + PAUSE + PAUSE.mul_f64(chance / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn opened(now: Duration) -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..=FAILURES {
            assert!(breaker.allow(now, 0.0));
            assert_eq!(breaker.failure(now, 0.0), n == FAILURES, "failure {n}");
        }
        breaker
    }

    #[test]
    fn ten_failures_in_two_seconds_open_it_and_nine_do_not() {
        assert!(opened(at(0)).is_open());
        let mut slow = Breaker::default();
        for n in 0..100 {
            assert!(!slow.failure(at(n * 223), 0.0), "nine in any two seconds");
            assert!(slow.allow(at(n * 223), 0.0));
        }
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                assert!(!breaker.failure(at(0), 0.0));
            }
            breaker.success();
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn open_it_lets_one_through_after_each_pause_until_one_succeeds() {
        let mut breaker = opened(at(1_000));
        assert!(!breaker.allow(at(1_499), 0.0));
        assert!(breaker.allow(at(1_500), 0.0), "to try");
        assert!(!breaker.allow(at(1_500), 0.0), "only one");
        breaker.failure(at(1_900), 0.0);
        assert!(!breaker.allow(at(2_399), 0.0), "the pause begins with the failure");
        assert!(breaker.allow(at(2_400), 0.0));
        assert!(breaker.allow(at(2_900), 0.0), "nobody told what became of it");
        breaker.success();
        assert!(breaker.allow(at(2_900), 0.0) && !breaker.is_open());
    }

    #[test]
    fn chance_spreads_the_pauses_of_the_nodes() {
        let mut breaker = opened(at(0));
        breaker.failure(at(0), 1.0);
        assert!(!breaker.allow(at(749), 0.0));
        assert!(breaker.allow(at(750), 0.0));
    }
}
