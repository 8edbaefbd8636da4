//! When a publication counts as taken.

use std::time::Duration;

use redis::{Cmd, Value};

/// How long a replica may take to say that it has something.
const COPIED_WITHIN: Duration = Duration::from_millis(250);

/// See the module's text. In any case not before Redis has run the script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When Redis has it, and by its own pace on its disk.
    #[default]
    Everysec,
    /// When it is on Redis' disk: Redis must be set up so.
    Always,
    /// When a replica has it too.
    Replica,
}

impl Durability {
    /// As a configuration calls them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Durability> {
        match text {
            "everysec" => Some(Durability::Everysec),
            "always" => Some(Durability::Always),
            "wait:1" => Some(Durability::Replica),
            _ => None,
        }
    }

    /// What is sent behind commands that must have been copied before they are
    /// answered, once for all of them.
    pub(super) fn wait(self) -> Option<Cmd> {
        (self == Durability::Replica).then(|| {
            let mut wait = redis::cmd("WAIT");
            wait.arg(1).arg(COPIED_WITHIN.as_millis() as u64);
            wait
        })
    }
}

/// Whether the answer to [`Durability::wait`] says that there is a copy.
pub(super) fn is_copied(answer: Option<&Value>) -> bool {
    matches!(answer, Some(Value::Int(copies)) if *copies > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_is_waited_for_and_only_its_word_counts() {
        for (text, waits) in [("everysec", false), ("always", false), ("wait:1", true)] {
            let known = Durability::parse(text).unwrap();
            assert_eq!(known.wait().is_some(), waits, "{text}");
        }
        for text in ["", "wait", "wait:2", "Always", "no"] {
            assert_eq!(Durability::parse(text), None, "{text}");
        }
        assert!(is_copied(Some(&Value::Int(2))));
        for none in [None, Some(&Value::Int(0)), Some(&Value::Nil), Some(&Value::Okay)] {
            assert!(!is_copied(none), "{none:?}");
        }
    }
}
