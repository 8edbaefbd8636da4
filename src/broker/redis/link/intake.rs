//! Between the link's connection, which must never wait, and the feed, which
//! may be full: a bounded queue for each shard.
//!
//! What does not fit is dropped, and its channel is told of a gap as soon as
//! there is room, at the place in the order where it was lost or later. The
//! connection and all other channels are not touched by it.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use sealcast_wire::Channel;
use tokio::sync::Notify;

/// Arrivals that may wait in one shard; gaps may be a few more.
const MOST: usize = 1_024;
/// Bytes of records that may wait in one shard.
const MOST_BYTES: usize = 8 << 20;

/// What came for a shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A record of a channel, unread.
    Record(Channel, Vec<u8>),
    /// The channel may have missed something since that generation.
    Gap(Channel, u64),
    /// A probe's mark.
    Probe(u64),
    /// The channel is subscribed anew.
    Opened(Channel),
    /// A message of another node.
    Told(Vec<u8>),
}

/// One shard's queue, with one task that empties it.
#[derive(Default)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    arrivals: VecDeque<Arrival>,
    bytes: usize,
    /// Channels of which something did not fit. Until they are told so, nothing
    /// else of them is taken.
    missed: HashMap<Channel, u64>,
}

impl Intake {
    /// Takes a record in. `false` if it did not fit.
    pub(super) fn record(&self, channel: &Channel, record: Vec<u8>, generation: u64) -> bool {
        let mut waiting = self.waiting.lock();
        let fits = waiting.arrivals.len() < MOST && waiting.bytes + record.len() <= MOST_BYTES;
        if !fits || waiting.missed.contains_key(channel) {
            waiting.missed.entry(channel.clone()).or_insert(generation);
            return false;
        }
        waiting.bytes += record.len();
        waiting.arrivals.push_back(Arrival::Record(channel.clone(), record));
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    /// Takes a gap in: behind what came before, before what comes after.
    pub(super) fn gap(&self, channel: Channel, since: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.arrivals.len() < MOST {
            waiting.arrivals.push_back(Arrival::Gap(channel, since));
        } else {
            waiting.missed.entry(channel).or_insert(since);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes in what is not missed if there is no room for it: without a probe the
    /// node is not ready, without its beginning a channel has no tail, and a
    /// message that is not answered is sent again.
    pub(super) fn other(&self, arrival: Arrival) {
        let mut waiting = self.waiting.lock();
        if waiting.arrivals.len() < MOST {
            waiting.arrivals.push_back(arrival);
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// The next arrival.
    pub(super) async fn next(&self) -> Arrival {
        loop {
            if let Some(arrival) = self.waiting.lock().pop() {
                return arrival;
            }
            self.arrived.notified().await;
        }
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front()?;
        if let Arrival::Record(_, record) = &arrival {
            self.bytes -= record.len();
        }
        while self.arrivals.len() < MOST
            && let Some(channel) = self.missed.keys().next().cloned()
            && let Some(since) = self.missed.remove(&channel)
        {
            self.arrivals.push_back(Arrival::Gap(channel, since));
        }
        if self.arrivals.is_empty() {
            self.arrivals = VecDeque::new();
        }
        Some(arrival)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    fn all(intake: &Intake) -> Vec<Arrival> {
        std::iter::from_fn(|| intake.next().now_or_never()).collect()
    }

    #[test]
    fn what_arrives_comes_out_in_order() {
        let intake = Intake::default();
        assert!(intake.record(&channel("a"), vec![1], 1));
        intake.gap(channel("b"), 1);
        intake.other(Arrival::Probe(7));
        assert!(intake.record(&channel("b"), vec![2], 2));
        let expected = [
            Arrival::Record(channel("a"), vec![1]),
            Arrival::Gap(channel("b"), 1),
            Arrival::Probe(7),
            Arrival::Record(channel("b"), vec![2]),
        ];
        assert_eq!(all(&intake), expected);
    }

    #[test]
    fn what_does_not_fit_is_a_gap_of_its_channel_and_of_no_other() {
        let intake = Intake::default();
        for n in 0..MOST {
            assert!(intake.record(&channel("hot"), vec![0], 1), "{n} fits");
        }
        assert!(!intake.record(&channel("hot"), vec![1], 1), "one more does not");
        intake.other(Arrival::Probe(7));
        intake.gap(channel("told"), 1);
        assert_eq!(intake.next().now_or_never(), Some(Arrival::Record(channel("hot"), vec![0])));
        // Whichever found room first; the other's turn comes with the next.
        assert_eq!(intake.next().now_or_never(), Some(Arrival::Record(channel("hot"), vec![0])));
        assert_eq!(intake.next().now_or_never(), Some(Arrival::Record(channel("hot"), vec![0])));
        assert!(intake.record(&channel("hot"), vec![2], 1), "it was told");
        let rest = all(&intake);
        assert_eq!(rest.len(), MOST - 3 + 3);
        let gaps = &rest[MOST - 3..MOST - 1];
        assert!(gaps.contains(&Arrival::Gap(channel("hot"), 1)), "{gaps:?}");
        assert!(gaps.contains(&Arrival::Gap(channel("told"), 1)), "{gaps:?}");
        assert_eq!(rest.last(), Some(&Arrival::Record(channel("hot"), vec![2])));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let intake = Intake::default();
        assert!(intake.record(&channel("a"), vec![0; MOST_BYTES], 1));
        assert!(!intake.record(&channel("b"), vec![0; 1], 1));
        assert!(!intake.record(&channel("b"), Vec::new(), 1), "nothing behind what is missing");
        assert_eq!(all(&intake).len(), 2, "the record and the other channel's gap");
        assert!(intake.record(&channel("b"), vec![0; 1], 1));
    }
}
