//! What a relay must never do, looked for in what its clients saw. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Names a publication: its whole payload.
pub(crate) type Id = u64;

/// What all clients of a run saw. Times come from one logical clock: a smaller
/// one was surely over before a larger one began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) published: BTreeMap<Id, Published>,
    pub(crate) subscriptions: Vec<Subscription>,
    /// What came without a subscription: client, channel, publication.
    pub(crate) strays: Vec<(usize, usize, Id)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) channel: usize,
    /// Which of all connections published it. A connection's ids grow.
    pub(crate) connection: usize,
    /// Before it was sent.
    pub(crate) sent: u64,
    /// The answer was that it is published.
    pub(crate) acked: bool,
}

/// One subscription, from its reply to its end.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) client: usize,
    pub(crate) channel: usize,
    /// After its reply had come.
    pub(crate) since: u64,
    /// The client kept it until nothing more was to come.
    pub(crate) held: bool,
    pub(crate) received: Vec<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// No order of the channel fits what its subscribers saw: each of these came
    /// before the next, and the last before the first.
    Disorder { channel: usize, cycle: Vec<Id> },
    /// Each pair came back to back, and one end is the same: between the other
    /// two ends someone has missed something.
    Gap { channel: usize, one: [Id; 2], other: [Id; 2] },
    /// A subscriber saw it behind what the same connection published later.
    Overtaken { channel: usize, id: Id },
    /// A client saw it twice, perhaps in different subscriptions.
    Twice { client: usize, channel: usize, id: Id },
    /// It was sent after the subscription stood, was acknowledged, and never came.
    Lost { client: usize, channel: usize, id: Id },
    /// Nobody published it there.
    Misplaced { client: usize, channel: usize, id: Id },
    /// It came where the client had no subscription.
    Stray { client: usize, channel: usize, id: Id },
}

/// Everything that is wrong.
pub(crate) fn check(log: &Log) -> Vec<Violation> {
    let mut violations = Vec::new();
    for &(client, channel, id) in &log.strays {
        violations.push(Violation::Stray { client, channel, id });
    }
    twice(log, &mut violations);
    for subscription in &log.subscriptions {
        let Subscription { client, channel, .. } = *subscription;
        let received: HashSet<Id> = subscription.received.iter().copied().collect();
        let lost = owed(log, subscription).filter(|id| !received.contains(id));
        violations.extend(lost.map(|id| Violation::Lost { client, channel, id }));
    }
    let mut channels: BTreeMap<usize, Vec<Vec<Id>>> = BTreeMap::new();
    for subscription in &log.subscriptions {
        let Subscription { client, channel, .. } = *subscription;
        for &id in &subscription.received {
            if log.published.get(&id).is_none_or(|published| published.channel != channel) {
                violations.push(Violation::Misplaced { client, channel, id });
            }
        }
        overtaken(log, subscription, &mut violations);
        let mut seen = HashSet::new();
        let once = subscription.received.iter().copied().filter(|id| seen.insert(*id)).collect();
        channels.entry(channel).or_default().push(once);
    }
    for (channel, sequences) in channels {
        if let Some(cycle) = cycle(&sequences) {
            violations.push(Violation::Disorder { channel, cycle });
        } else {
            gaps(channel, &sequences, &mut violations);
        }
    }
    violations
}

/// What must have come: every publication that was acknowledged and was sent
/// while the subscription stood, if it was then kept to the end.
pub(crate) fn owed(log: &Log, subscription: &Subscription) -> impl Iterator<Item = Id> {
    let Subscription { channel, since, held, .. } = *subscription;
    log.published
        .iter()
        .filter(move |(_, published)| {
            held && published.acked && published.channel == channel && published.sent > since
        })
        .map(|(id, _)| *id)
}

fn overtaken(log: &Log, subscription: &Subscription, violations: &mut Vec<Violation>) {
    let mut newest: HashMap<usize, Id> = HashMap::new();
    for id in &subscription.received {
        let Some(published) = log.published.get(id) else { continue };
        let newest = newest.entry(published.connection).or_insert(*id);
        if id < newest {
            violations.push(Violation::Overtaken { channel: subscription.channel, id: *id });
        }
        *newest = (*id).max(*newest);
    }
}

fn twice(log: &Log, violations: &mut Vec<Violation>) {
    let mut seen = HashSet::new();
    for Subscription { client, channel, received, .. } in &log.subscriptions {
        for id in received {
            if !seen.insert((*client, *id)) {
                violations.push(Violation::Twice { client: *client, channel: *channel, id: *id });
            }
        }
    }
}

/// Publications that each came before the next, in a circle, if there are any:
/// what is left when everything that nothing precedes is taken away.
fn cycle(sequences: &[Vec<Id>]) -> Option<Vec<Id>> {
    let mut before: HashMap<Id, BTreeSet<Id>> = HashMap::new();
    let mut after: HashMap<Id, BTreeSet<Id>> = HashMap::new();
    for sequence in sequences {
        for id in sequence {
            before.entry(*id).or_default();
        }
        for pair in sequence.windows(2) {
            before.entry(pair[1]).or_default().insert(pair[0]);
            after.entry(pair[0]).or_default().insert(pair[1]);
        }
    }
    let mut free: Vec<Id> =
        before.iter().filter(|(_, all)| all.is_empty()).map(|(id, _)| *id).collect();
    while let Some(id) = free.pop() {
        before.remove(&id);
        for next in after.get(&id).into_iter().flatten() {
            if let Some(left) = before.get_mut(next)
                && left.remove(&id)
                && left.is_empty()
            {
                free.push(*next);
            }
        }
    }
    // Everything left has something left before it, so walking back must return.
    let mut path = vec![*before.keys().min()?];
    loop {
        let previous = *before[path.last()?].first()?;
        if let Some(at) = path.iter().position(|id| *id == previous) {
            let mut cycle = path.split_off(at);
            cycle.reverse();
            return Some(cycle);
        }
        path.push(previous);
    }
}

/// Sequences without disorder are pieces of one order, without holes, exactly if
/// nothing has two successors or two predecessors.
fn gaps(channel: usize, sequences: &[Vec<Id>], violations: &mut Vec<Violation>) {
    let pairs: BTreeSet<[Id; 2]> =
        sequences.iter().flat_map(|sequence| sequence.windows(2)).map(|w| [w[0], w[1]]).collect();
    for end in [0, 1] {
        let mut known = HashMap::new();
        for pair in &pairs {
            if let Some(one) = known.insert(pair[end], *pair) {
                violations.push(Violation::Gap { channel, one, other: *pair });
            }
        }
    }
}

/// The checker finds what it is there for, in logs that were forged to hold it.
mod tests {
    use super::*;

    /// A log in which 1 to 5 were published in channel 0, at these times, and
    /// acknowledged.
    fn log(sequences: &[(usize, &[Id])]) -> Log {
        Log {
            published: (1..=5)
                .map(|id| {
                    (
                        id,
                        Published {
                            channel: 0,
                            connection: id as usize,
                            sent: 10 * id,
                            acked: true,
                        },
                    )
                })
                .collect(),
            subscriptions: sequences
                .iter()
                .map(|(client, received)| Subscription {
                    client: *client,
                    channel: 0,
                    since: 0,
                    held: false,
                    received: received.to_vec(),
                })
                .collect(),
            strays: Vec::new(),
        }
    }

    #[test]
    fn pieces_of_one_order_are_right() {
        let mut right =
            log(&[(0, &[1, 2, 3, 4, 5]), (1, &[2, 3]), (1, &[5]), (2, &[]), (3, &[3, 4])]);
        right.subscriptions[0].held = true;
        assert_eq!(check(&right), []);
        let owed_to = |at: usize| owed(&right, &right.subscriptions[at]).count();
        assert_eq!((owed_to(0), owed_to(1)), (5, 0));
    }

    #[test]
    fn two_who_saw_different_orders_are_found() {
        let found = check(&log(&[(0, &[1, 2, 3]), (1, &[1, 3, 2])]));
        assert_eq!(found, [Violation::Disorder { channel: 0, cycle: vec![3, 2] }]);
    }

    #[test]
    fn a_circle_is_found_of_which_nobody_saw_the_whole() {
        let found = check(&log(&[(0, &[1, 2]), (1, &[2, 3]), (2, &[3, 1]), (3, &[4, 5])]));
        let [Violation::Disorder { channel: 0, cycle }] = found.as_slice() else {
            panic!("{found:?}");
        };
        let mut turned = cycle.clone();
        turned.rotate_left(cycle.iter().position(|id| *id == 1).unwrap());
        assert_eq!(turned, [1, 2, 3]);
    }

    #[test]
    fn a_hole_in_the_middle_is_found() {
        let found = check(&log(&[(0, &[1, 2, 3, 4]), (1, &[1, 2, 4])]));
        let gap = |one, other| Violation::Gap { channel: 0, one, other };
        assert_eq!(found, [gap([2, 3], [2, 4]), gap([2, 4], [3, 4])]);
        assert_eq!(check(&log(&[(0, &[1, 3]), (1, &[2, 3])])), [gap([1, 3], [2, 3])]);
    }

    #[test]
    fn the_same_thing_twice_is_found_also_after_coming_back() {
        let twice = Violation::Twice { client: 1, channel: 0, id: 2 };
        assert_eq!(check(&log(&[(1, &[1, 2, 2, 3])])), std::slice::from_ref(&twice));
        assert_eq!(check(&log(&[(1, &[1, 2]), (1, &[2, 3])])), [twice]);
        assert_eq!(check(&log(&[(1, &[1, 2]), (2, &[2, 3])])), []);
    }

    #[test]
    fn a_loss_at_the_end_is_found_if_the_publication_was_owed() {
        let mut forged = log(&[(0, &[3, 4])]);
        forged.subscriptions[0].since = 25;
        assert_eq!(check(&forged), [], "it left before the end");
        forged.subscriptions[0].held = true;
        assert_eq!(check(&forged), [Violation::Lost { client: 0, channel: 0, id: 5 }]);
        forged.published.get_mut(&5).unwrap().acked = false;
        assert_eq!(check(&forged), [], "nobody was promised it");
        forged.published.get_mut(&2).unwrap().sent = 26;
        assert_eq!(check(&forged), [Violation::Lost { client: 0, channel: 0, id: 2 }]);
    }

    #[test]
    fn a_publisher_whose_order_was_changed_is_found() {
        let mut forged = log(&[(0, &[2, 1, 3])]);
        assert_eq!(check(&forged), [], "different publishers may come in any order");
        forged.published.get_mut(&1).unwrap().connection = 2;
        assert_eq!(check(&forged), [Violation::Overtaken { channel: 0, id: 1 }]);
    }

    #[test]
    fn what_belongs_elsewhere_or_nowhere_is_found() {
        let mut forged = log(&[(0, &[1, 2, 9])]);
        forged.published.get_mut(&2).unwrap().channel = 1;
        forged.strays.push((4, 0, 3));
        let expected = [
            Violation::Stray { client: 4, channel: 0, id: 3 },
            Violation::Misplaced { client: 0, channel: 0, id: 2 },
            Violation::Misplaced { client: 0, channel: 0, id: 9 },
        ];
        assert_eq!(check(&forged), expected);
    }
}
