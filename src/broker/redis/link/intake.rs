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

use super::super::super::tail::Opening;

/// Bytes of arrivals that may wait in one shard; gaps may be a few more. Small
/// records have room for what comes in half a second at 60,000 a second: a channel
/// without history never gets back what does not fit.
const MOST_BYTES: usize = 8 << 20;
/// What counts for an arrival beside its record.
const OVERHEAD: usize = 128;

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
    Opened(Channel, Opening),
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
        if waiting.missed.contains_key(channel) || !waiting.has_room_for(record.len()) {
            waiting.missed.entry(channel.clone()).or_insert(generation);
            return false;
        }
        waiting.push(Arrival::Record(channel.clone(), record));
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    /// Takes a gap in: behind what came before, before what comes after.
    pub(super) fn gap(&self, channel: Channel, since: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.has_room_for(0) {
            waiting.push(Arrival::Gap(channel, since));
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
        if waiting.has_room_for(arrival.bytes()) {
            waiting.push(arrival);
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

impl Arrival {
    /// Of its record.
    fn bytes(&self) -> usize {
        match self {
            Arrival::Record(_, bytes) | Arrival::Told(bytes) => bytes.len(),
            Arrival::Gap(..) | Arrival::Probe(_) | Arrival::Opened(..) => 0,
        }
    }
}

impl Waiting {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes + OVERHEAD <= MOST_BYTES
    }

    fn push(&mut self, arrival: Arrival) {
        self.bytes += arrival.bytes() + OVERHEAD;
        self.arrivals.push_back(arrival);
    }

    fn pop(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front()?;
        self.bytes -= arrival.bytes() + OVERHEAD;
        while self.has_room_for(0)
            && let Some(channel) = self.missed.keys().next().cloned()
            && let Some(since) = self.missed.remove(&channel)
        {
            self.push(Arrival::Gap(channel, since));
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
        // So large that one more takes the room of none, and a gap that of one.
        let record = || vec![0; OVERHEAD];
        let most = MOST_BYTES / (2 * OVERHEAD);
        let intake = Intake::default();
        for n in 0..most {
            assert!(intake.record(&channel("hot"), record(), 1), "{n} fits");
        }
        assert!(!intake.record(&channel("hot"), record(), 1), "one more does not");
        intake.other(Arrival::Probe(7));
        intake.gap(channel("told"), 1);
        for _ in 0..2 {
            let first = intake.next().now_or_never();
            assert_eq!(first, Some(Arrival::Record(channel("hot"), record())));
        }
        assert!(intake.record(&channel("hot"), vec![2], 1), "it was told");
        let rest = all(&intake);
        assert_eq!(rest.len(), most - 2 + 3);
        // Whichever found room first.
        let gaps = &rest[most - 2..most];
        assert!(gaps.contains(&Arrival::Gap(channel("hot"), 1)), "{gaps:?}");
        assert!(gaps.contains(&Arrival::Gap(channel("told"), 1)), "{gaps:?}");
        assert_eq!(rest.last(), Some(&Arrival::Record(channel("hot"), vec![2])));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let intake = Intake::default();
        assert!(intake.record(&channel("a"), vec![0; MOST_BYTES - OVERHEAD], 1));
        assert!(!intake.record(&channel("b"), vec![0; 1], 1));
        assert!(!intake.record(&channel("b"), Vec::new(), 1), "nothing behind what is missing");
        assert_eq!(all(&intake).len(), 2, "the record and the other channel's gap");
        assert!(intake.record(&channel("b"), vec![0; 1], 1));
    }
}
