//! Whether everything came exactly once and in order.

use std::fmt;

/// How many of the missing numbers of one subscriber are kept in mind. More is a
/// failure however they go on.
const MISSING: usize = 4_096;
/// How many subscribers a verdict names.
const NAMED: usize = 5;

/// What each subscriber of one channel has received of publications that are
/// numbered from 0 on.
#[derive(Debug)]
pub(super) struct Ledger {
    subscribers: Vec<Received>,
    published: u64,
    /// Deliveries that count: those of a number that had not come before.
    arrived: u64,
    faults: Faults,
}

#[derive(Clone, Debug, Default)]
struct Received {
    /// The highest number that came, plus one.
    next: u64,
    /// The numbers below `next` that have not come.
    missing: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    doubled: u64,
    disordered: u64,
    unpublished: u64,
}

impl Ledger {
    pub(super) fn new(subscribers: usize) -> Ledger {
        Ledger {
            subscribers: vec![Received::default(); subscribers],
            published: 0,
            arrived: 0,
            faults: Faults::default(),
        }
    }

    /// The number for the next publication, which is owed to everyone from now on.
    pub(super) fn publish(&mut self) -> u64 {
        self.published += 1;
        self.published - 1
    }

    /// Publication `number` came to this subscriber.
    pub(super) fn note(&mut self, subscriber: usize, number: u64) {
        let Some(received) = self.subscribers.get_mut(subscriber) else { return };
        if number >= self.published {
            self.faults.unpublished += 1;
        } else if number >= received.next {
            let room = MISSING.saturating_sub(received.missing.len());
            received.missing.extend((received.next..number).take(room));
            received.next = number + 1;
            self.arrived += 1;
        } else if let Some(at) = received.missing.iter().position(|missing| *missing == number) {
            received.missing.remove(at);
            self.faults.disordered += 1;
            self.arrived += 1;
        } else {
            self.faults.doubled += 1;
        }
    }

    /// Deliveries so far.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether nothing is to be waited for: all of it came.
    pub(super) fn is_complete(&self) -> bool {
        self.arrived == self.published * self.subscribers.len() as u64
    }

    /// `Ok` if everything came exactly once and in order.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub(super) fn verdict(&self) -> Result<(), Verdict> {
        let lost = (self.published * self.subscribers.len() as u64).saturating_sub(self.arrived);
        if lost == 0 && self.faults == Faults::default() {
            return Ok(());
        }
        let short = self.subscribers.iter().enumerate().filter_map(|(at, received)| {
            let first = received.missing.first().copied().unwrap_or(received.next);
            (first < self.published).then_some((at, first))
        });
        Err(Verdict {
            lost,
            faults: self.faults,
            published: self.published,
            short: short.take(NAMED).collect(),
        })
    }
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    lost: u64,
    faults: Faults,
    published: u64,
    /// Some of the subscribers that lack something, and the first they lack.
    short: Vec<(usize, u64)>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { doubled, disordered, unpublished } = self.faults;
        write!(
            f,
            "of {} publications to each, {} deliveries are missing, {doubled} came twice, \
             {disordered} came late, {unpublished} were never published",
            self.published, self.lost
        )?;
        for (subscriber, first) in &self.short {
            write!(f, "; subscriber {subscriber} lacks number {first}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ledger(subscribers: usize, published: u64, received: &[(usize, u64)]) -> Ledger {
        let mut ledger = Ledger::new(subscribers);
        for number in 0..published {
            assert_eq!(ledger.publish(), number);
        }
        for (subscriber, number) in received {
            ledger.note(*subscriber, *number);
        }
        ledger
    }

    #[test]
    fn everything_once_and_in_order_is_right() {
        let ledger = ledger(2, 3, &[(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]);
        assert!(ledger.is_complete());
        assert_eq!(ledger.verdict(), Ok(()));
    }

    #[test]
    fn a_lost_message_is_found_in_the_middle_and_at_the_end() {
        let middle = ledger(2, 3, &[(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)]);
        assert!(!middle.is_complete());
        let verdict = middle.verdict().unwrap_err();
        assert_eq!((verdict.lost, &verdict.short[..]), (1, &[(1, 1)][..]));
        let end = ledger(2, 2, &[(0, 0), (1, 0), (1, 1)]);
        assert!(!end.is_complete());
        assert_eq!(end.verdict().unwrap_err().short, [(0, 1)]);
        assert!(ledger(1, 1, &[]).verdict().unwrap_err().to_string().contains("lacks number 0"));
    }

    #[test]
    fn a_doubled_message_is_found_and_does_not_make_up_for_a_lost_one() {
        let doubled = ledger(1, 2, &[(0, 0), (0, 1), (0, 1)]);
        assert!(doubled.is_complete());
        assert_eq!(doubled.verdict().unwrap_err().faults.doubled, 1);
        let both = ledger(1, 3, &[(0, 0), (0, 0), (0, 1)]);
        assert!(!both.is_complete());
        let verdict = both.verdict().unwrap_err();
        assert_eq!((verdict.lost, verdict.faults.doubled), (1, 1));
    }

    #[test]
    fn swapped_messages_are_found_though_all_came() {
        let swapped = ledger(1, 3, &[(0, 1), (0, 0), (0, 2)]);
        assert!(swapped.is_complete());
        let verdict = swapped.verdict().unwrap_err();
        assert_eq!((verdict.lost, verdict.faults.disordered), (0, 1));
    }

    #[test]
    fn what_was_never_published_is_found() {
        let ledger = ledger(1, 1, &[(0, 0), (0, 7)]);
        assert_eq!(ledger.verdict().unwrap_err().faults.unpublished, 1);
    }
}
