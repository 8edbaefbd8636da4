//! What no fault excuses, looked for in what was published and what came. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Names a publication: its whole meaning.
pub(super) type Id = u64;

/// What was published: by id, the channel, and when.
pub(super) type Published = BTreeMap<Id, Sent>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) channel: usize,
    /// On the clock that all share, before it was sent.
    pub(super) at: u64,
    /// The answer was that it is published.
    pub(super) acked: bool,
}

/// What one subscriber heard of one channel, from its first subscription on.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    pub(super) channel: usize,
    pub(super) heard: Vec<Heard>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is subscribed, and stands here.
    Stands {
        epoch: String,
        offset: u64,
    },
    /// It was told that it may have missed what was sent before this time.
    Told {
        at: u64,
    },
    Publication {
        offset: u64,
        id: Id,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// The offset did not follow the one before, and nobody was told.
    Step { lineage: usize, before: u64, offset: u64 },
    /// Two saw another publication at the same place.
    Conflict { channel: usize, offset: u64, ids: [Id; 2] },
    /// It came twice to the same one.
    Twice { lineage: usize, id: Id },
    /// Nobody published it there.
    Foreign { lineage: usize, id: Id },
    /// It was acknowledged, never came, and nobody was told.
    Lost { lineage: usize, id: Id },
    /// It came before anyone stood anywhere.
    Early { lineage: usize },
}

/// Everything that is wrong.
pub(super) fn check(published: &Published, lineages: &[Lineage]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut places: HashMap<(usize, String, u64), Id> = HashMap::new();
    for (lineage, Lineage { channel, heard }) in lineages.iter().enumerate() {
        let channel = *channel;
        let mut stands: Option<(String, u64)> = None;
        let mut came = HashSet::new();
        let mut excused = 0;
        for one in heard {
            match one {
                Heard::Stands { epoch, offset } => stands = Some((epoch.clone(), *offset)),
                Heard::Told { at } => excused = excused.max(*at),
                Heard::Publication { offset, id } => {
                    let Some((epoch, before)) = &mut stands else {
                        violations.push(Violation::Early { lineage });
                        continue;
                    };
                    if *offset != *before + 1 {
                        let (before, offset) = (*before, *offset);
                        violations.push(Violation::Step { lineage, before, offset });
                    }
                    *before = *offset;
                    let place = (channel, epoch.clone(), *offset);
                    let first = *places.entry(place).or_insert(*id);
                    if first != *id {
                        let (offset, ids) = (*offset, [first, *id]);
                        violations.push(Violation::Conflict { channel, offset, ids });
                    }
                    if !came.insert(*id) {
                        violations.push(Violation::Twice { lineage, id: *id });
                    }
                    if published.get(id).is_none_or(|sent| sent.channel != channel) {
                        violations.push(Violation::Foreign { lineage, id: *id });
                    }
                }
            }
        }
        let owed = |sent: &Sent| sent.acked && sent.channel == channel && sent.at > excused;
        let lost = published.iter().filter(|(id, sent)| owed(sent) && !came.contains(*id));
        violations.extend(lost.map(|(id, _)| Violation::Lost { lineage, id: *id }));
    }
    violations
}

/// The checker finds what it is there for, in logs that were forged to hold it.
mod tests {
    use super::*;

    /// 1 to 4 were acknowledged in channel 0, at these times; 5 was not.
    fn published() -> Published {
        (1..=5).map(|id| (id, Sent { channel: 0, at: 10 * id, acked: id < 5 })).collect()
    }

    fn stands(epoch: &str, offset: u64) -> Heard {
        Heard::Stands { epoch: epoch.into(), offset }
    }

    fn came(all: impl IntoIterator<Item = (u64, Id)>) -> Vec<Heard> {
        let mut heard = vec![stands("a", 0)];
        heard.extend(all.into_iter().map(|(offset, id)| Heard::Publication { offset, id }));
        heard
    }

    fn found(heard: &[Vec<Heard>]) -> Vec<Violation> {
        let lineages: Vec<_> =
            heard.iter().map(|heard| Lineage { channel: 0, heard: heard.clone() }).collect();
        check(&published(), &lineages)
    }

    #[test]
    fn everything_once_and_in_order_is_right() {
        let all = came((1..=4).map(|n| (n, n)));
        let with_the_last = came((1..=5).map(|n| (n, n)));
        assert_eq!(found(&[all, with_the_last]), []);
    }

    #[test]
    fn what_was_told_to_be_missing_is_excused_and_nothing_later() {
        let mut told = came([(1, 1), (2, 2)]);
        told.extend([Heard::Told { at: 35 }, stands("b", 0)]);
        told.push(Heard::Publication { offset: 1, id: 4 });
        assert_eq!(found(std::slice::from_ref(&told)), []);
        told.pop();
        assert_eq!(found(&[told]), [Violation::Lost { lineage: 0, id: 4 }]);
    }

    #[test]
    fn a_hole_and_what_was_lost_in_it_are_found() {
        let lost = Violation::Lost { lineage: 0, id: 3 };
        let step = Violation::Step { lineage: 0, before: 2, offset: 4 };
        assert_eq!(found(&[came([(1, 1), (2, 2), (4, 4)])]), [step, lost.clone()]);
        assert_eq!(found(&[came([(1, 1), (2, 2), (3, 4)])]), [lost]);
    }

    #[test]
    fn what_comes_twice_or_from_nowhere_is_found() {
        let twice = came([(1, 1), (2, 2), (3, 2), (4, 3), (5, 4)]);
        assert_eq!(found(&[twice]), [Violation::Twice { lineage: 0, id: 2 }]);
        let foreign = came([(1, 1), (2, 2), (3, 3), (4, 4), (5, 99)]);
        assert_eq!(found(&[foreign]), [Violation::Foreign { lineage: 0, id: 99 }]);
    }

    #[test]
    fn two_who_do_not_agree_are_found() {
        let (one, two) = (came((1..=4).map(|n| (n, n))), came([(1, 1), (2, 3), (3, 2), (4, 4)]));
        let conflict = |offset, ids| Violation::Conflict { channel: 0, offset, ids };
        assert_eq!(found(&[one, two]), [conflict(2, [2, 3]), conflict(3, [3, 2])]);
    }

    #[test]
    fn what_comes_before_the_subscription_is_found() {
        let early = came((1..=4).map(|n| (n, n))).split_off(1);
        assert!(found(&[early]).contains(&Violation::Early { lineage: 0 }));
    }
}
