//! The generic cell rate algorithm: one number says how far what was used runs
//! ahead of the time.
//!
//! Time is an argument: nanoseconds since any beginning, never earlier than the
//! last one by more than clocks differ. A bucket that was never used is full, and
//! so is one whose number lies in the past: both can be forgotten.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::rate::Rate;

/// Nanoseconds on the clock of the caller.
pub type Nanos = u64;

/// A time of a clock, as buckets take it.
#[must_use]
pub fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// It was too much; it would not be after so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Nanos);

/// What one subject has used of one rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket(Nanos);

impl Bucket {
    /// Takes `cost` out, or nothing.
    ///
    /// # Errors
    /// If as much is not left. What costs more than the rate's burst never is.
    pub fn take(&mut self, rate: &Rate, cost: u32, now: Nanos) -> Result<(), Wait> {
        let taken = advance(self.0, rate, cost, now);
        // What a slower rate took counts no longer than this one lasts.
        self.0 = taken.unwrap_or(self.0.min(now.saturating_add(rate.depth())));
        taken.map(|_| ())
    }

    /// One of which nothing is left, and has one again after so long.
    pub(super) fn empty(rate: &Rate, Wait(wait): Wait, now: Nanos) -> Bucket {
        let ahead = wait.saturating_add(rate.depth()).saturating_sub(rate.interval());
        Bucket(now.saturating_add(ahead.min(rate.depth())))
    }

    /// Whether as much is left; takes nothing. See [`Bucket::take`].
    ///
    /// # Errors
    /// See there.
    pub fn check(self, rate: &Rate, cost: u32, now: Nanos) -> Result<(), Wait> {
        advance(self.0, rate, cost, now).map(|_| ())
    }

    /// Whether it is full again, as if it had never been used.
    #[must_use]
    pub fn is_full(self, now: Nanos) -> bool {
        self.0 <= now
    }
}

/// A bucket that threads share.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64);

impl SharedBucket {
    /// See [`Bucket::take`].
    ///
    /// # Errors
    /// See there.
    pub fn take(&self, rate: &Rate, cost: u32, now: Nanos) -> Result<(), Wait> {
        if rate.is_none() {
            return Ok(());
        }
        let mut used = self.0.load(Ordering::Relaxed);
        loop {
            let after = advance(used, rate, cost, now).inspect_err(|_| {
                self.0.fetch_min(now.saturating_add(rate.depth()), Ordering::Relaxed);
            })?;
            match self.0.compare_exchange_weak(used, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => used = other,
            }
        }
    }
}

/// What is used afterwards.
fn advance(used: Nanos, rate: &Rate, cost: u32, now: Nanos) -> Result<Nanos, Wait> {
    if rate.is_none() {
        return Ok(used);
    }
    // Another rate may have held before; nothing is ever more than empty.
    let used = used.clamp(now, now.saturating_add(rate.depth()));
    let after = used.saturating_add(rate.interval().saturating_mul(cost.into()));
    match after.saturating_sub(now).checked_sub(rate.depth()) {
        None | Some(0) => Ok(after),
        Some(wait) => Err(Wait(wait)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// The rates of the profiles.
    const RATES: [Rate; 6] = [
        Rate::each_second(10, 20),
        Rate::of(100, Duration::from_secs(60), 20),
        Rate::each_second(100, 100),
        Rate::each_second(5_000, 5_000),
        Rate::each_second(10, 128),
        Rate::of(60, Duration::from_secs(10), 60),
    ];

    /// A bucket as one would write it down: tokens that come back one by one, in
    /// exact fractions.
    struct Slow {
        /// In units of 1 ÷ (period in nanoseconds) of a token.
        tokens: u128,
        last: Nanos,
    }

    impl Slow {
        fn full(rate: &Rate) -> Slow {
            Slow { tokens: u128::from(rate.burst()) * rate.period().as_nanos(), last: 0 }
        }

        fn take(&mut self, rate: &Rate, cost: u32, now: Nanos) -> bool {
            let unit = rate.period().as_nanos();
            let came = u128::from(now - self.last) * u128::from(rate.count());
            self.tokens = (self.tokens + came).min(u128::from(rate.burst()) * unit);
            self.last = now;
            let wanted = u128::from(cost) * unit;
            let fits = self.tokens >= wanted;
            if fits {
                self.tokens -= wanted;
            }
            fits
        }
    }

    proptest! {
        /// Where the period divides evenly, it is the slow bucket to the last one.
        #[test]
        fn it_is_the_slow_bucket(
            interval in 1_u64..2_000_000,
            count in 1_u32..2_000,
            burst in 1_u32..200,
            steps in prop::collection::vec((0_u64..20_000_000, 1_u32..6), 1..400),
        ) {
            let rate = Rate::of(count, Duration::from_nanos(interval * u64::from(count)), burst);
            let (mut bucket, mut slow, mut now) = (Bucket::default(), Slow::full(&rate), 0);
            for (step, cost) in steps {
                now += step;
                let before = bucket;
                let taken = bucket.take(&rate, cost, now);
                prop_assert_eq!(taken.is_ok(), slow.take(&rate, cost, now));
                if let Err(Wait(wait)) = taken {
                    prop_assert_eq!(bucket, before, "a refusal takes nothing");
                    if cost <= burst {
                        prop_assert!(bucket.clone().take(&rate, cost, now + wait - 1).is_err());
                        prop_assert!(bucket.clone().take(&rate, cost, now + wait).is_ok());
                    }
                }
            }
        }

        /// At any numbers and any time: no panic, and never more than a burst at once.
        #[test]
        fn never_more_than_a_burst_at_once(
            used: u64, now: u64, count in 1_u32..1_000_000, millis in 1_u64..86_400_000,
            burst in 1_u32..2_000,
        ) {
            let rate = Rate::of(count, Duration::from_millis(millis), burst);
            let mut bucket = Bucket(used);
            let through = (0..burst + 10).filter(|_| bucket.take(&rate, 1, now).is_ok()).count();
            if now < u64::MAX / 2 {
                prop_assert!(through <= burst as usize, "{through}");
            }
        }
    }

    #[test]
    fn over_an_hour_it_is_exact() {
        for rate in RATES {
            // Asks ten times as often as it may, and unevenly.
            let step = rate.interval() / 10 - 7;
            let (mut bucket, mut now, mut through) = (Bucket::default(), 0, 0_u64);
            while now < 3_600 * SECOND {
                through += u64::from(bucket.take(&rate, 1, now).is_ok());
                now += step;
            }
            let hour = 3_600 * u128::from(SECOND) * u128::from(rate.count());
            let expected = u128::from(rate.burst()) + hour / rate.period().as_nanos();
            // The last may fall into the next hour.
            assert!((expected - 1..=expected).contains(&through.into()), "{rate:?}: {through}");
        }
    }

    #[test]
    fn over_ten_seconds_at_five_times_the_limit_it_is_within_a_twentieth() {
        for rate in RATES {
            let (step, mut bucket, mut now, mut through) =
                (rate.interval() / 5, Bucket::default(), 0, 0_u32);
            while now < 10 * SECOND {
                through += u32::from(bucket.take(&rate, 1, now).is_ok());
                now += step;
            }
            let limit = f64::from(rate.burst()) + 10.0 * rate.per_second();
            let part = f64::from(through) / limit;
            assert!((0.95..=1.0).contains(&part), "{rate:?}: {through} of {limit}");
        }
    }

    #[test]
    fn a_user_has_120_in_the_first_minute_and_100_in_each_later_one() {
        let rate = Rate::of(100, Duration::from_secs(60), 20);
        let mut bucket = Bucket::default();
        for minute in 0..60 {
            let asked = (0..6_000).map(|step| minute * 60 * SECOND + step * SECOND / 100);
            let through = asked.filter(|now| bucket.take(&rate, 1, *now).is_ok()).count();
            let expected = if minute == 0 { 119..=120 } else { 99..=101 };
            assert!(expected.contains(&through), "minute {minute}: {through}");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let (mut bucket, shared) = (Bucket::default(), SharedBucket::default());
        for _ in 0..1_000 {
            assert_eq!(bucket.take(&Rate::NONE, u32::MAX, 5), Ok(()));
            assert_eq!(shared.take(&Rate::NONE, u32::MAX, 5), Ok(()));
        }
        assert!(bucket.is_full(0));
    }

    #[test]
    fn another_rate_later_does_not_shut_anyone_out_for_longer_than_it_would() {
        let slow = Rate::of(1, Duration::from_secs(3_600), 10);
        let fast = Rate::each_second(10, 10);
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            bucket.take(&slow, 1, 0).expect("within the burst");
        }
        assert_eq!(bucket.take(&fast, 1, 0), Err(Wait(SECOND / 10)));
        assert_eq!(bucket.take(&fast, 1, SECOND / 10), Ok(()), "and this is how long it waits");
        let shared = SharedBucket::default();
        for _ in 0..10 {
            shared.take(&slow, 1, 0).expect("within the burst");
        }
        assert_eq!(shared.take(&fast, 1, 0), Err(Wait(SECOND / 10)));
        assert_eq!(shared.take(&fast, 1, SECOND / 10), Ok(()));
    }

    #[test]
    fn threads_together_get_no_more_than_one_would() {
        let (rate, shared) = (Rate::each_second(1_000, 5_000), SharedBucket::default());
        let through: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..5_000).filter(|_| shared.take(&rate, 1, 9).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(through, 5_000);
    }
}
