//! Which nodes there are, by what each says of itself every few seconds. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::auth::NodeId;
use crate::hub::Millis;

/// How often a node says that it is there.
pub(super) const HELLO_EVERY: Millis = Millis(3_000);
/// How long after its last word a node is forgotten.
const FORGOTTEN_AFTER: Millis = Millis(10_000);
/// Most nodes that are listed.
const MOST: usize = 1_024;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Its name, for people.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Authenticated connections.
    pub clients: usize,
    /// Distinct users among them.
    pub users: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Channels with at least one subscription.
    pub channels: usize,
    /// Seconds since it started.
    pub uptime: u64,
}

/// The nodes that were heard lately, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Members(BTreeMap<NodeId, (Numbers, Millis)>);

impl Members {
    /// A node has said that it is there; `true` if it was not known.
    pub(super) fn hear(&mut self, node: NodeId, numbers: Numbers, now: Millis) -> bool {
        self.forget(now);
        let known = self.0.contains_key(&node);
        if known || self.0.len() < MOST {
            self.0.insert(node, (numbers, now));
            return !known;
        }
        false
    }

    /// A node has said that it leaves.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// Those that are there.
    pub(super) fn all(&mut self, now: Millis) -> impl Iterator<Item = (NodeId, &Numbers)> {
        self.forget(now);
        self.0.iter().map(|(node, (numbers, _))| (*node, numbers))
    }

    fn forget(&mut self, now: Millis) {
        self.0.retain(|_, (_, heard)| heard.after(FORGOTTEN_AFTER) > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(name: &str) -> Numbers {
        Numbers {
            name: name.to_owned(),
            version: "1".to_owned(),
            clients: 1,
            users: 1,
            subscriptions: 1,
            channels: 1,
            uptime: 1,
        }
    }

    fn names(members: &mut Members, now: u64) -> Vec<String> {
        members.all(Millis(now)).map(|(_, numbers)| numbers.name.clone()).collect()
    }

    #[test]
    fn a_node_that_vanishes_is_forgotten_in_ten_seconds() {
        let mut members = Members::default();
        let (one, two) = (NodeId::from_u128(1), NodeId::from_u128(2));
        members.hear(one, numbers("one"), Millis(0));
        members.hear(two, numbers("two"), Millis(0));
        members.hear(two, numbers("still two"), Millis(6_000));
        assert_eq!(names(&mut members, 9_999), ["one", "still two"]);
        assert_eq!(names(&mut members, 10_000), ["still two"]);
        members.remove(two);
        assert_eq!(names(&mut members, 10_001), [""; 0]);
    }

    #[test]
    fn the_list_is_bounded_and_known_ones_stay() {
        let mut members = Members::default();
        for number in 0..MOST as u128 + 5 {
            members.hear(NodeId::from_u128(number), numbers("n"), Millis(0));
        }
        assert_eq!(names(&mut members, 1).len(), MOST);
        members.hear(NodeId::from_u128(0), numbers("first"), Millis(5));
        assert_eq!(names(&mut members, 6).first().map(String::as_str), Some("first"));
    }
}
