//! How long to wait before something is tried again.

use std::time::Duration;

/// The bounds of the waits between attempts. Each wait is random, so that the
/// clients of a server that restarts do not come back all at once: between `min`
/// and `min` plus a part that doubles with each attempt, never above `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest wait.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// Attempts after which the range has long stopped growing.
const MOST_DOUBLINGS: u32 = 31;

impl Backoff {
    /// Between half a second and 20 seconds, as the official SDKs have it.
    pub const DEFAULT: Backoff =
        Backoff { min: Duration::from_millis(500), max: Duration::from_secs(20) };

    /// The wait after `failures` failed attempts. `random` is from 0 to 1.
    #[must_use]
    pub fn delay(self, failures: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.min(MOST_DOUBLINGS));
        let spread = self.min.saturating_mul(doubled).min(self.max);
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 };
        self.min.saturating_add(spread.mul_f64(random)).min(self.max)
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_range_doubles_up_to_the_bound() {
        let backoff = Backoff { min: MS(500), max: MS(20_000) };
        for (failures, most) in [(0, 1_000), (1, 1_500), (2, 2_500), (5, 16_500), (6, 20_000)] {
            assert_eq!(backoff.delay(failures, 0.0), MS(500), "{failures}");
            assert_eq!(backoff.delay(failures, 1.0), MS(most), "{failures}");
        }
        assert_eq!(backoff.delay(1, 0.5), MS(1_000));
        for failures in [7, 31, 32, u32::MAX] {
            assert_eq!(backoff.delay(failures, 1.0), MS(20_000));
        }
    }

    #[test]
    fn odd_bounds_stay_bounds() {
        let still = Backoff { min: Duration::ZERO, max: Duration::ZERO };
        assert_eq!(still.delay(3, 0.7), Duration::ZERO);
        let turned = Backoff { min: MS(10), max: MS(5) };
        assert_eq!(turned.delay(0, f64::NAN), MS(5));
        let endless = Backoff { min: Duration::MAX, max: Duration::MAX };
        assert_eq!(endless.delay(u32::MAX, 0.0), Duration::MAX);
    }
}
