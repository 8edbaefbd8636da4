//! The cluster's incarnation: whether Redis still has what it acknowledged.
//!
//! All nodes count heartbeats in one place. If Redis has fewer than it told a node,
//! it came back without its latest writes, and any stream may have lost its end
//! unseen: the incarnation is raised, once for all nodes, and every stream of an
//! older one begins anew when it is next looked at. Each new connection for
//! commands asks before it carries any, and the link each second.

use parking_lot::Mutex;
use redis::{Cmd, RedisError, Value};

use super::scripts;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Life {
    key: String,
    told: Mutex<Told>,
}

/// What Redis told last; counts of different incarnations cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    incarnation: u64,
    count: u64,
}

impl Life {
    /// With the key under which it is counted.
    pub(super) fn new(key: String) -> Life {
        Life { key, told: Mutex::default() }
    }

    /// The incarnation that is known.
    pub(super) fn incarnation(&self) -> u64 {
        self.told.lock().incarnation
    }

    /// The same, if Redis was asked already.
    pub(super) fn learned(&self) -> Option<u64> {
        let told = *self.told.lock();
        (told != Told::default()).then_some(told.incarnation)
    }

    /// Asks.
    pub(super) fn beat(&self) -> Cmd {
        let Told { incarnation, count } = *self.told.lock();
        let mut command = scripts::BEAT.call(std::slice::from_ref(&self.key));
        command.arg(incarnation).arg(count);
        command
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn learn(&self, answer: Value) -> Result<(), RedisError> {
        let (incarnation, count) = redis::from_redis_value(answer)?;
        let raised = self.told.lock().learn(Told { incarnation, count });
        if raised {
            tracing::warn!(event = "incarnation", incarnation, "Redis has lost what it had taken");
        }
        Ok(())
    }
}

impl Told {
    /// `true` if the incarnation is another than was known before.
    fn learn(&mut self, now: Told) -> bool {
        if now.incarnation > self.incarnation {
            return std::mem::replace(self, now) != Told::default();
        }
        if now.incarnation == self.incarnation {
            self.count = self.count.max(now.count);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_compared_within_an_incarnation_only() {
        let told = |incarnation, count| Told { incarnation, count };
        let mut known = Told::default();
        assert!(!known.learn(told(3, 100)), "a node that begins has lost nothing");
        assert!(!known.learn(told(3, 99)), "answers may overtake each other");
        assert_eq!(known, told(3, 100));
        assert!(known.learn(told(4, 7)));
        assert!(!known.learn(told(3, 101)), "asked before");
        assert_eq!(known, told(4, 7));
    }
}
