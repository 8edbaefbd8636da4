//! What came by all links, on its way to the feed.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use sealcast_wire::Channel;

use super::super::super::Tails;
use super::super::super::feed::{Delivery, Feed, Sharding};
use super::super::record::{self, BadRecord, Record, Stored};
use super::super::seen::{Entry, Seen};
use super::intake::{Arrival, Intake};
use crate::metrics::Metrics;

/// Probes that are waited for at most: one is sent each second.
const MOST_PROBES: usize = 8;

/// See the module's text.
pub(in super::super) struct Arrivals {
    sharding: Sharding,
    intakes: Vec<Intake>,
    /// Marks that are under way, each with the links that did not bring it yet.
    probes: Mutex<VecDeque<(u64, HashSet<usize>)>>,
    tails: Arc<Tails>,
    seen: Arc<Seen>,
    metrics: Arc<Metrics>,
}

impl Arrivals {
    /// A queue for each shard of `feed`, and what empties them into it.
    pub(in super::super) fn new(
        feed: Feed,
        seen: &Arc<Seen>,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Arrivals>, Vec<impl Future<Output = ()> + Send + 'static>) {
        let sharding = feed.sharding().clone();
        let arrivals = Arc::new(Arrivals {
            intakes: (0..sharding.count()).map(|_| Intake::default()).collect(),
            sharding,
            tails: Arc::clone(feed.tails()),
            probes: Mutex::default(),
            seen: Arc::clone(seen),
            metrics: Arc::clone(metrics),
        });
        let feed = Arc::new(feed);
        let shards = 0..arrivals.intakes.len();
        let works = shards.map(|at| forward(Arc::clone(&arrivals), Arc::clone(&feed), at));
        let works = works.collect();
        (arrivals, works)
    }

    /// Waits for a mark from each of these links, to pass it on when it is there.
    pub(in super::super) fn expect(&self, mark: u64, links: HashSet<usize>) {
        let mut probes = self.probes.lock();
        while probes.len() >= MOST_PROBES {
            probes.pop_front();
        }
        probes.push_back((mark, links));
    }

    /// A mark came back by a link.
    pub(super) fn probe(&self, mark: u64, link: usize) {
        let mut probes = self.probes.lock();
        let Some(at) = probes.iter().position(|(expected, _)| *expected == mark) else { return };
        if let Some((_, missing)) = probes.get_mut(at) {
            missing.remove(&link);
            if !missing.is_empty() {
                return;
            }
        }
        probes.remove(at);
        for intake in &self.intakes {
            intake.other(Arrival::Probe(mark));
        }
    }

    /// A record of a channel came.
    pub(super) fn record(&self, channel: &Channel, record: Vec<u8>, generation: u64) {
        if let Some(intake) = self.of(channel)
            && !intake.record(channel, record, generation)
        {
            self.metrics.pubsub_dropped();
        }
    }

    /// Another node said something.
    pub(super) fn told(&self, message: Vec<u8>) {
        if let Some(first) = self.intakes.first() {
            first.other(Arrival::Told(message));
        }
    }

    /// A channel receives from here on; to be said before whoever waits for it is told,
    /// for then the channel is read.
    pub(super) fn opened(&self, channel: Channel) {
        if let Some(intake) = self.of(&channel) {
            let opening = self.tails.open(&channel);
            intake.other(Arrival::Opened(channel, opening));
        }
    }

    /// A channel may have missed something.
    pub(super) fn missed(&self, channel: Channel, since: u64) {
        if let Some(intake) = self.of(&channel) {
            intake.gap(channel, since);
        }
    }

    fn of(&self, channel: &Channel) -> Option<&Intake> {
        self.intakes.get(self.sharding.of(channel))
    }

    fn gap(&self, channel: Channel, since: u64) -> Delivery {
        self.metrics.gap();
        Delivery::Gap { channel, since }
    }

    /// What to deliver, if anything: a gap before what contradicts what was seen.
    fn read(&self, arrival: Arrival) -> [Option<Delivery>; 2] {
        let mut gap = None;
        let delivery = match arrival {
            Arrival::Probe(mark) => Delivery::Probe(mark),
            Arrival::Told(message) => Delivery::Told(message.into()),
            Arrival::Opened(channel, opening) => {
                self.tails.begin(&channel, opening);
                return [None, None];
            }
            Arrival::Gap(channel, since) => self.gap(channel, since),
            Arrival::Record(channel, bytes) => match record::read(&channel, bytes) {
                Ok(Record::Publication(stored)) => {
                    let Stored { publication, epoch, delta, passing, tag, before } = stored;
                    if let Some(epoch) = &epoch {
                        let (epoch, offset) = (Arc::clone(epoch), publication.offset);
                        if !self.seen.pushed(&channel, Entry { epoch, offset, tag }, before) {
                            gap = Some(self.gap(channel.clone(), 0));
                        }
                    }
                    let publication = Arc::new(publication);
                    Delivery::Publication { channel, publication, epoch, delta, passing }
                }
                Ok(Record::Membership { who, came }) => {
                    Delivery::Membership { channel, who: Arc::new(who), came }
                }
                Ok(Record::Erased) => {
                    self.tails.forget(&channel);
                    return [None, None];
                }
                Ok(Record::Missed) => self.gap(channel, 0),
                Err(error) => {
                    bad_record(error, &self.metrics);
                    // If it is kept, it is read again, or ends the subscriptions.
                    self.gap(channel, 0)
                }
            },
        };
        [gap, Some(delivery)]
    }
}

/// Counts and tells of bytes that are not a record.
pub(in super::super) fn bad_record(error: BadRecord, metrics: &Metrics) {
    metrics.redis_error("record");
    tracing::error!(event = "bad_record", %error, "what came from Redis is not a record");
}

/// Empties one shard's queue into the feed, as long as anyone reads that.
async fn forward(arrivals: Arc<Arrivals>, feed: Arc<Feed>, at: usize) {
    let (Some(intake), Some(shard)) = (arrivals.intakes.get(at), feed.shards().nth(at)) else {
        return;
    };
    loop {
        let arrival = intake.next().await;
        for delivery in arrivals.read(arrival).into_iter().flatten() {
            let Ok(place) = shard.place().await else { return };
            place.send(delivery);
        }
    }
}
