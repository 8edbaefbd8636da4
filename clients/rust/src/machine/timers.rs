//! What is due when, one time for each key.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::port::Moment;

#[derive(Debug)]
pub(super) struct Timers<K> {
    by_time: BTreeSet<(Moment, K)>,
    by_key: HashMap<K, Moment>,
}

impl<K: Copy + Ord + Hash> Timers<K> {
    pub(super) fn new() -> Timers<K> {
        Timers { by_time: BTreeSet::new(), by_key: HashMap::new() }
    }

    /// Sets or moves one.
    pub(super) fn set(&mut self, key: K, at: Moment) {
        self.clear(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    pub(super) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S: fn(u64) -> Moment = Duration::from_secs;

    #[test]
    fn due_ones_come_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set('b', S(2));
        timers.set('a', S(5));
        timers.set('c', S(3));
        timers.set('a', S(1));
        timers.clear('c');
        timers.clear('x');
        assert_eq!(timers.next(), Some(S(1)));
        assert_eq!(timers.take_due(S(0)), None);
        assert_eq!(timers.take_due(S(2)), Some('a'));
        assert_eq!(timers.take_due(S(2)), Some('b'));
        assert_eq!(timers.take_due(S(9)), None);
        assert_eq!(timers.next(), None);
    }
}
