//! The worst of the last seconds, so that what is short-lived is seen by whoever
//! asks seldom.

/// Ticks that are remembered: 15 s of them, the time between two scrapes.
const TICKS: usize = 60;

/// What was measured in the last ticks.
pub(super) struct Worst<T> {
    ticks: [T; TICKS],
    next: usize,
}

impl<T: Copy + Default> Default for Worst<T> {
    fn default() -> Worst<T> {
        Worst { ticks: [T::default(); TICKS], next: 0 }
    }
}

impl<T: Copy + Default + Ord> Worst<T> {
    /// Remembers one tick; the worst of those that are remembered.
    pub(super) fn with(&mut self, measured: T) -> T {
        if let Some(tick) = self.ticks.get_mut(self.next) {
            *tick = measured;
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
        let mut worst = Worst::default();
        assert_eq!(worst.with(200), 200);
        for _ in 1..TICKS {
            assert_eq!(worst.with(1), 200);
        }
        assert_eq!(worst.with(1), 1);
    }
}
