//! How late timers are: what a client waits because the runtime is busy.

use std::time::Duration;

/// Ticks that are remembered: 15 s of them, the time between two scrapes.
const TICKS: usize = 60;

/// How late the last ticks were.
pub(super) struct Lags {
    ticks: [Duration; TICKS],
    next: usize,
}

impl Default for Lags {
    fn default() -> Lags {
        Lags { ticks: [Duration::ZERO; TICKS], next: 0 }
    }
}

impl Lags {
    /// Remembers one tick; the worst of those that are remembered.
    pub(super) fn worst_with(&mut self, late: Duration) -> Duration {
        if let Some(tick) = self.ticks.get_mut(self.next) {
            *tick = late;
        }
        self.next = (self.next + 1) % TICKS;
        self.ticks.iter().max().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_remembered_until_it_is_old() {
        let mut lags = Lags::default();
        let long = Duration::from_millis(200);
        assert_eq!(lags.worst_with(long), long);
        for _ in 1..TICKS {
            assert_eq!(lags.worst_with(Duration::from_millis(1)), long);
        }
        assert_eq!(lags.worst_with(Duration::from_millis(1)), Duration::from_millis(1));
    }
}
