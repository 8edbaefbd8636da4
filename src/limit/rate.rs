//! A rate: how many of a thing in how long, and how many of them at once.

use std::time::Duration;

/// The most that a rate's count and burst can be.
const MOST_COUNT: u32 = 1 << 24;
/// The longest time that a rate's count can be meant for.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 3_600);

/// At most `count` in each `period`, and `burst` of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
    burst: u32,
    /// Between two when they come evenly, nanoseconds; 0 if there is no limit.
    interval: u64,
    /// How far what was used may run ahead of the time: `burst` intervals.
    depth: u64,
}

/// Why numbers are no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    /// It would shut everything out.
    #[error("0 would refuse everything; write \"none\" for no limit")]
    Zero,
    /// More than anyone means.
    #[error("a rate counts up to {MOST_COUNT}; write \"none\" for no limit")]
    Count,
    /// Not from a millisecond to a day.
    #[error("a rate is meant for 1ms to 24h")]
    Period,
    /// The whole count of a period would never be reached at once, nor one.
    #[error("a burst is 1 to {MOST_COUNT}")]
    Burst,
}

impl Rate {
    /// No limit.
    pub const NONE: Rate =
        Rate { count: 0, period: Duration::ZERO, burst: 0, interval: 0, depth: 0 };

    /// A rate.
    ///
    /// # Errors
    /// If a number is zero, or larger than makes sense.
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Rate, BadRate> {
        if count == 0 {
            return Err(BadRate::Zero);
        }
        if count > MOST_COUNT {
            return Err(BadRate::Count);
        }
        if period < Duration::from_millis(1) || period > LONGEST_PERIOD {
            return Err(BadRate::Period);
        }
        if burst == 0 || burst > MOST_COUNT {
            return Err(BadRate::Burst);
        }
        Ok(Rate::of(count, period, burst))
    }

    /// A rate of numbers that are known to be right; any other is [`Rate::NONE`].
    #[must_use]
    pub const fn of(count: u32, period: Duration, burst: u32) -> Rate {
        if count == 0 || burst == 0 || period.is_zero() {
            return Rate::NONE;
        }
        let period_ns = period.as_secs() * 1_000_000_000 + period.subsec_nanos() as u64;
        // Rounded down by less than a nanosecond, so that at most one in
        // 10⁹ ÷ (rate in a second) is let through too early.
        let interval = period_ns / count as u64;
        Rate { count, period, burst, interval, depth: interval.saturating_mul(burst as u64) }
    }

    /// The same for each second.
    #[must_use]
    pub const fn each_second(count: u32, burst: u32) -> Rate {
        Rate::of(count, Duration::from_secs(1), burst)
    }

    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.interval == 0
    }

    /// How many in each period; 0 if there is no limit.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How many at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How many in a second; infinite if there is no limit.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        if self.is_none() {
            f64::INFINITY
        } else {
            f64::from(self.count) / self.period.as_secs_f64()
        }
    }

    /// In which time so many come back.
    #[must_use]
    pub const fn lasts(&self, count: u32) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(count as u64))
    }

    /// One node's share of it among so many, rounded up.
    #[must_use]
    pub fn share(&self, nodes: usize) -> Rate {
        let part = |count: u32| {
            let part = (count as usize).div_ceil(nodes.max(1));
            u32::try_from(part).unwrap_or(count)
        };
        Rate::of(part(self.count), self.period, part(self.burst))
    }

    pub(super) const fn interval(&self) -> u64 {
        self.interval
    }

    pub(super) const fn depth(&self) -> u64 {
        self.depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_make_sense_are_a_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(Rate::new(10, second, 20), Ok(Rate::each_second(10, 20)));
        assert_eq!(Rate::new(0, second, 20), Err(BadRate::Zero));
        assert_eq!(Rate::new(MOST_COUNT + 1, second, 20), Err(BadRate::Count));
        assert_eq!(Rate::new(10, Duration::ZERO, 20), Err(BadRate::Period));
        assert_eq!(Rate::new(10, LONGEST_PERIOD + second, 20), Err(BadRate::Period));
        assert_eq!(Rate::new(10, second, 0), Err(BadRate::Burst));
        assert_eq!(Rate::new(10, second, MOST_COUNT + 1), Err(BadRate::Burst));
    }

    #[test]
    fn no_limit_is_no_number() {
        assert!(Rate::NONE.is_none() && Rate::NONE.per_second().is_infinite());
        let slow = Rate::of(100, Duration::from_secs(60), 20);
        assert!((slow.per_second() - 5.0 / 3.0).abs() < 1e-9);
        assert!(!slow.is_none());
    }
}
