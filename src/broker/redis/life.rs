//! The cluster's incarnation: whether Redis still has what it acknowledged.
//!
//! All nodes count heartbeats at each primary. If one has fewer than it told a node,
//! it came back without its latest writes, and any of its streams may have lost its
//! end unseen: its incarnation is raised, once for all nodes, and every stream of an
//! older one begins anew when it is next looked at. Each new connection for
//! commands asks before it carries any, and the link each second.
//!
//! In a cluster streams move from one primary to another. So an incarnation is
//! raised above every other that is known, and never lies below that of a primary
//! that served one of its slots before: at worst a stream begins anew that had lost
//! nothing, and never the other way round.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, RedisError, Value};

use super::keys::{Kind, Name};
use super::scripts;

/// What a primary's incarnation is known by: its counter, and another one when its
/// slots have changed.
#[derive(Debug)]
pub(super) struct Life {
    counter: Mutex<Arc<Counter>>,
}

/// Heartbeats that are counted under one name, and so in one slot.
#[derive(Debug)]
pub(super) struct Counter {
    name: Name,
    told: Mutex<Told>,
    newest: Arc<AtomicU64>,
}

/// The counters that are known; those of a cluster outlive its primaries.
#[derive(Debug, Default)]
pub(super) struct Counters {
    all: HashMap<Name, Arc<Counter>>,
    /// The newest incarnation of any.
    newest: Arc<AtomicU64>,
}

/// What Redis told last; counts of different incarnations cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    incarnation: u64,
    count: u64,
    /// What the incarnation must not lie below.
    least: u64,
}

impl Life {
    pub(super) fn new(counter: Arc<Counter>) -> Life {
        Life { counter: Mutex::new(counter) }
    }

    /// What counts it now.
    pub(super) fn counter(&self) -> Arc<Counter> {
        Arc::clone(&self.counter.lock())
    }

    /// From now on it is counted there; older than it was it does not become.
    pub(super) fn count_by(&self, counter: Arc<Counter>) {
        counter.not_below(self.incarnation());
        *self.counter.lock() = counter;
    }

    /// The incarnation that is known.
    pub(super) fn incarnation(&self) -> u64 {
        self.counter.lock().incarnation()
    }

    /// The same, if Redis was asked already.
    pub(super) fn learned(&self) -> Option<u64> {
        let counter = self.counter.lock();
        let is_told = counter.told.lock().count > 0;
        is_told.then(|| counter.incarnation())
    }
}

impl Counters {
    /// The counter of this name.
    pub(super) fn of(&mut self, name: Name) -> Arc<Counter> {
        let make = || {
            let newest = Arc::clone(&self.newest);
            Arc::new(Counter { name, told: Mutex::default(), newest })
        };
        Arc::clone(self.all.entry(name).or_insert_with(make))
    }
}

impl Counter {
    /// Where it counts.
    pub(super) fn name(&self) -> Name {
        self.name
    }

    fn incarnation(&self) -> u64 {
        let told = self.told.lock();
        told.incarnation.max(told.least)
    }

    /// The incarnation is at least this one.
    pub(super) fn not_below(&self, least: u64) {
        let mut told = self.told.lock();
        told.least = told.least.max(least);
        self.newest.fetch_max(least, Ordering::Relaxed);
    }

    /// Asks.
    pub(super) fn beat(&self) -> Cmd {
        let Told { incarnation, count, least } = *self.told.lock();
        let mut command = scripts::BEAT.call(&[self.name.key(Kind::Life)]);
        command.arg(incarnation).arg(count).arg(least).arg(self.newest.load(Ordering::Relaxed));
        command
    }

    /// Takes the answer, and says what time it is at Redis.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn learn(&self, answer: Value) -> Result<Duration, RedisError> {
        let (incarnation, count, seconds, micros) = redis::from_redis_value(answer)?;
        self.newest.fetch_max(incarnation, Ordering::Relaxed);
        let raised = self.told.lock().learn(incarnation, count);
        if raised {
            tracing::warn!(event = "incarnation", incarnation, "Redis has lost what it had taken");
        }
        Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
    }
}

impl Told {
    /// `true` if the incarnation is another than was known before.
    fn learn(&mut self, incarnation: u64, count: u64) -> bool {
        let before = *self;
        if incarnation > before.incarnation {
            (self.incarnation, self.count) = (incarnation, count);
            return before.count > 0 && incarnation > before.least;
        }
        if incarnation == before.incarnation {
            self.count = before.count.max(count);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Names;
    use super::*;

    #[test]
    fn counts_are_compared_within_an_incarnation_only() {
        let told = |incarnation, count| Told { incarnation, count, least: 0 };
        let mut known = Told::default();
        assert!(!known.learn(3, 100), "a node that begins has lost nothing");
        assert!(!known.learn(3, 99), "answers may overtake each other");
        assert_eq!(known, told(3, 100));
        assert!(known.learn(4, 7));
        assert!(!known.learn(3, 101), "asked before");
        assert_eq!(known, told(4, 7));
    }

    #[test]
    fn a_primary_is_never_younger_than_one_whose_slots_it_has() {
        let names = Names::new(String::new());
        let mut counters = Counters::default();
        let (first, second) = (counters.of(names.life(0)), counters.of(names.life(1)));
        assert!(Arc::ptr_eq(&first, &counters.of(names.life(0))));
        let life = Life::new(first);
        assert_eq!((life.learned(), life.incarnation()), (None, 0));
        let answer = |incarnation, count| {
            Value::Array([incarnation, count, 7, 500_000].map(Value::Int).to_vec())
        };
        let time = life.counter().learn(answer(3, 1)).unwrap();
        assert_eq!(time, Duration::from_millis(7_500));
        assert_eq!(life.learned(), Some(3));
        life.count_by(second);
        assert_eq!((life.learned(), life.incarnation()), (None, 3));
        life.counter().learn(answer(3, 1)).unwrap();
        assert_eq!(life.learned(), Some(3));
        life.counter().not_below(5);
        assert_eq!(life.incarnation(), 5);
        assert!(life.counter().learn(Value::Nil).is_err());
    }
}
