//! Overrides of limits where there is one node.

use std::collections::HashMap;
use std::time::Duration;

use super::super::OverrideList;
use crate::limit::{MOST_OVERRIDES, Override, Subject};

/// Each until its time.
#[derive(Default)]
pub(super) struct Overrides {
    all: HashMap<Subject, (Override, Duration)>,
    changes: u64,
}

impl Overrides {
    /// `false` if there is no place for another.
    pub(super) fn set(&mut self, one: Override, until: Duration, now: Duration) -> bool {
        self.drop_expired(now);
        if self.all.len() >= MOST_OVERRIDES && !self.all.contains_key(&one.subject) {
            return false;
        }
        self.changes += 1;
        self.all.insert(one.subject.clone(), (one, until));
        true
    }

    /// `false` if there is none.
    pub(super) fn remove(&mut self, subject: &Subject, now: Duration) -> bool {
        self.drop_expired(now);
        self.changes += 1;
        self.all.remove(subject).is_some()
    }

    /// `None` if nothing has changed since `known`.
    pub(super) fn list(&self, known: &str, now: Duration) -> Option<OverrideList> {
        let version = if self.changes == 0 { String::new() } else { self.changes.to_string() };
        if version == known {
            return None;
        }
        let in_force = self.all.values().filter(|(_, until)| *until > now);
        let all = in_force.map(|(one, until)| (one.clone(), *until - now)).collect();
        Some(OverrideList { version, all })
    }

    fn drop_expired(&mut self, now: Duration) {
        self.all.retain(|_, (_, until)| *until > now);
    }
}
