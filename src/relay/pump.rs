//! The pump: carries what arrives in one shard to the subscribers.
//!
//! A tick takes what is waiting, serves each channel that has work for a while,
//! and writes each connection that got something once. It never awaits a client,
//! and a channel with many subscribers gives way to the others after every
//! [`TURN`] deliveries, so that a small one need not wait for its end. A channel
//! that has its first turn comes before those that have had one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sealcast_wire::Channel;
use sealcast_wire::reply::ClientInfo;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::broker::Delivery;
use crate::hub::{
    Advance, Batch, Connection, Content, FanOut, Item, Membership, hand_over_polling,
};

use super::Relay;

use super::repair::{Repaired, repair};

/// Deliveries of one channel before the next one's turn: about half a millisecond.
const TURN: usize = 64;
/// Deliveries of all channels in one tick.
const TICK: usize = 1_024;
/// Connections that are written, without a rest, until another thread is to watch the
/// sockets, and after which one is again.
const UNWATCHED: usize = 2 * TURN;
const WATCHED: usize = 1_024;
/// Publications that wait in the pump before it leaves the rest in its inbox,
/// where they hold back who publishes.
const MOST_WAITING: usize = 1_024;
/// The same in payload bytes.
const MOST_WAITING_BYTES: usize = 4 << 20;

pub(super) struct Pump {
    shard: usize,
    relay: Arc<Relay>,
    inbox: mpsc::Receiver<Delivery>,
    /// Channels whose positions do not fit their streams.
    doubts: mpsc::Receiver<Channel>,
    /// Channels that have work and are not being repaired, in the order of their
    /// turns: those that have had none, and the others. Each is in `work`.
    fresh: VecDeque<Channel>,
    turns: VecDeque<Channel>,
    work: HashMap<Channel, Work>,
    waiting: Held,
    /// What waits behind repairs: as much again.
    parked: Held,
    repairs: JoinSet<(Channel, Vec<Repaired>)>,
    dirty: Vec<Arc<Connection>>,
    /// Connections that may be written until another thread is to watch the sockets.
    unwatched: usize,
    /// Since when the first that this tick took has waited, if anything was taken.
    arrived: Option<Duration>,
    /// What this tick delivered to the end: since when it waited, and how many
    /// publications it was.
    delivered: Vec<(Duration, usize)>,
}

/// How much is held.
#[derive(Clone, Copy, Default)]
struct Held {
    messages: usize,
    bytes: usize,
}

/// What is to be done for one channel: one batch on its way, and behind it what
/// came since.
#[derive(Default)]
struct Work {
    current: Option<FanOut>,
    next: VecDeque<Waiting>,
    /// Since when the first of `current` waited, and the first of `next`; at the
    /// latest, and not known of what was repaired.
    since: (Option<Duration>, Option<Duration>),
    repairing: bool,
    /// What comes next has been repaired as far as it can be.
    repaired: bool,
}

enum Waiting {
    Publication(Item),
    Membership(Arc<ClientInfo>, bool),
    /// Something may be missing between what came before and what comes after.
    Gap,
}

/// How a channel's turn ended.
enum Turn {
    /// It has no more.
    Done,
    /// It has more.
    More,
    /// It has more, but not before it is repaired.
    Repair,
}

impl Held {
    fn is_full(self) -> bool {
        self.messages >= MOST_WAITING || self.bytes >= MOST_WAITING_BYTES
    }

    fn add(&mut self, other: Held) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    fn take(&mut self, other: Held) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

impl Waiting {
    fn held(&self) -> Held {
        match self {
            Waiting::Publication(item) => Held { messages: 1, bytes: item.publication.data.len() },
            Waiting::Membership(..) => Held { messages: 1, bytes: 0 },
            Waiting::Gap => Held::default(),
        }
    }
}

impl Work {
    /// The next delivery: the publications that wait together, or who came or
    /// went. Nothing if there is none, or a gap comes first.
    fn next_content(&mut self) -> Option<Content> {
        let first = match self.next.pop_front()? {
            Waiting::Publication(first) => first,
            Waiting::Membership(who, came) => {
                return Some(Content::Membership(Membership::new(who, came)));
            }
            Waiting::Gap => {
                self.next.push_front(Waiting::Gap);
                return None;
            }
        };
        let mut last = first.publication.offset;
        let mut batch = Batch::of(first);
        while let Some(Waiting::Publication(item)) = self.next.front() {
            let offset = item.publication.offset;
            if !batch.fits(item) || (last > 0 && offset > last + 1) {
                break;
            }
            last = last.max(offset);
            let Some(Waiting::Publication(next)) = self.next.pop_front() else { break };
            batch.add(next);
        }
        Some(Content::Publications(Box::new(batch)))
    }

    /// What waits in it.
    fn held(&self) -> Held {
        let mut all = Held::default();
        self.next.iter().for_each(|waiting| all.add(waiting.held()));
        all
    }
}

impl Pump {
    pub(super) fn new(shard: usize, relay: Arc<Relay>, inbox: mpsc::Receiver<Delivery>) -> Pump {
        let doubts = relay.doubts.take(shard);
        Pump {
            shard,
            relay,
            inbox,
            doubts,
            fresh: VecDeque::new(),
            turns: VecDeque::new(),
            work: HashMap::new(),
            waiting: Held::default(),
            parked: Held::default(),
            repairs: JoinSet::new(),
            dirty: Vec::new(),
            unwatched: UNWATCHED,
            arrived: None,
            delivered: Vec::new(),
        }
    }

    /// Runs until the broker is gone and everything is delivered.
    pub(super) async fn run(mut self) {
        loop {
            if self.is_idle() {
                self.unwatched = UNWATCHED;
                tokio::select! {
                    delivery = self.inbox.recv() => match delivery {
                        Some(delivery) => self.take(delivery),
                        None => return,
                    },
                    Some(repaired) = self.repairs.join_next() => self.repaired(repaired),
                    Some(channel) = self.doubts.recv() => self.take(Delivery::Gap { channel, since: 0 }),
                }
            }
            while let Some(repaired) = self.repairs.try_join_next() {
                self.repaired(repaired);
            }
            while let Ok(channel) = self.doubts.try_recv() {
                self.take(Delivery::Gap { channel, since: 0 });
            }
            while !self.waiting.is_full() {
                let Ok(delivery) = self.inbox.try_recv() else { break };
                self.take(delivery);
            }
            if self.arrived.take().is_some() {
                self.relay.tails.arrivals().taken(self.shard);
            }
            self.tick();
            if !self.is_idle() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.turns.is_empty()
    }

    fn take(&mut self, delivery: Delivery) {
        let (channel, waiting) = match delivery {
            Delivery::Probe(mark) => return self.relay.probes.came_back(self.shard, mark),
            Delivery::Told(message) => {
                if self.relay.told.0.try_send(message).is_err() {
                    self.relay.hub().metrics().disbelieved("too_many");
                }
                return;
            }
            Delivery::Publication { channel, publication, epoch, delta, passing } => {
                if self.arrived.is_none() {
                    self.arrived = self.relay.tails.arrivals().first(self.shard);
                }
                (channel, Waiting::Publication(Item { publication, epoch, delta, passing }))
            }
            Delivery::Membership { channel, who, came } => {
                (channel, Waiting::Membership(who, came))
            }
            Delivery::Gap { channel, since } => {
                tracing::debug!(event = "gap", since, "a channel may have missed something");
                (channel, Waiting::Gap)
            }
        };
        match self.work.get_mut(&channel) {
            Some(work) if work.repairing => park(work, waiting, &mut self.parked),
            Some(work) => {
                self.waiting.add(waiting.held());
                if work.next.is_empty() {
                    work.since.1 = self.arrived;
                }
                work.next.push_back(waiting);
            }
            None => {
                self.waiting.add(waiting.held());
                let next = VecDeque::from([waiting]);
                let since = (None, self.arrived);
                self.work.insert(channel.clone(), Work { next, since, ..Work::default() });
                self.fresh.push_back(channel);
            }
        }
    }

    fn tick(&mut self) {
        let mut served = 0;
        let mut older = self.turns.len();
        while served < TICK {
            // Not for ever: half of a tick belongs to the others.
            let first = served < TICK / 2 || older == 0;
            let fresh = if first { self.fresh.pop_front() } else { None };
            let next = fresh.or_else(|| {
                older = older.checked_sub(1)?;
                self.turns.pop_front()
            });
            let Some(channel) = next else { break };
            let (count, turn) = self.turn(&channel);
            served += count;
            match turn {
                Turn::Done => drop(self.work.remove(&channel)),
                Turn::More => self.turns.push_back(channel),
                Turn::Repair => self.begin_repair(channel),
            }
        }
        if self.dirty.len() >= self.unwatched {
            hand_over_polling();
            self.unwatched = WATCHED;
        }
        self.unwatched = self.unwatched.saturating_sub(self.dirty.len());
        let hub = self.relay.hub();
        for connection in self.dirty.drain(..) {
            hub.flush_delivered(connection);
        }
        if !self.delivered.is_empty() {
            let now = self.relay.tails.arrivals().now();
            let latency = &hub.metrics().histograms.delivery;
            for (since, publications) in self.delivered.drain(..) {
                latency.observe_many(now.saturating_sub(since), publications as u64);
            }
        }
    }

    /// One turn of one channel: how many deliveries, and how it ended.
    fn turn(&mut self, channel: &Channel) -> (usize, Turn) {
        let hub = self.relay.hub();
        let Some(work) = self.work.get_mut(channel) else { return (0, Turn::Done) };
        let mut served = 0;
        while served < TURN {
            if work.current.is_none() {
                // What is not kept has no place in a stream: the shard need not be asked.
                let hole = |item: &Item| {
                    item.publication.offset > 0 && hub.is_behind_hole(self.shard, channel, item)
                };
                if !std::mem::take(&mut work.repaired)
                    && matches!(work.next.front(), Some(Waiting::Publication(item)) if hole(item))
                {
                    return (served, Turn::Repair);
                }
                let Some(content) = work.next_content() else {
                    let gap = !work.next.is_empty();
                    return (served, if gap { Turn::Repair } else { Turn::Done });
                };
                work.since.0 = match &content {
                    Content::Publications(_) => work.since.1,
                    Content::Membership(_) => None,
                };
                work.current = hub.begin(self.shard, channel.clone(), content);
            }
            let Some(fan_out) = &mut work.current else { return (served, Turn::Done) };
            let Advance { served: count, done, emptied, .. } =
                hub.advance(self.shard, fan_out, TURN - served, &mut self.dirty);
            served += count;
            if emptied {
                self.relay.linger.add(channel.clone(), self.shard, hub.clock().now());
            }
            if done {
                let (messages, bytes) = (fan_out.messages(), fan_out.bytes());
                self.waiting.take(Held { messages, bytes });
                work.current = None;
                self.delivered.extend(work.since.0.take().map(|since| (since, messages)));
                // What came since is the next tick's, so that it goes out together.
                return (served, if work.next.is_empty() { Turn::Done } else { Turn::More });
            }
        }
        (served, Turn::More)
    }

    /// Everything before the gap or hole is delivered: reads what is missing behind
    /// it, while the channel's later deliveries wait.
    fn begin_repair(&mut self, channel: Channel) {
        let Some(work) = self.work.get_mut(&channel) else { return };
        while matches!(work.next.front(), Some(Waiting::Gap)) {
            work.next.pop_front();
        }
        let stand = self.relay.hub().doubt(self.shard, &channel);
        if stand.is_empty() {
            // Nobody counts what comes.
            work.repaired = true;
            self.turns.push_back(channel);
            return;
        }
        (work.repairing, work.since.1) = (true, None);
        let held = work.held();
        self.waiting.take(held);
        for waiting in std::mem::take(&mut work.next) {
            park(work, waiting, &mut self.parked);
        }
        let relay = Arc::clone(&self.relay);
        self.repairs.spawn(async move {
            let mut repaired = Vec::with_capacity(stand.len());
            // Hardly ever in more than one stream.
            for from in stand {
                repaired.push(repair(&relay, &channel, from).await);
            }
            (channel, repaired)
        });
    }

    /// What was missing goes out first, and then what waited.
    fn repaired(&mut self, repaired: Result<(Channel, Vec<Repaired>), JoinError>) {
        let (channel, repaired) = match repaired {
            Ok(repaired) => repaired,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        };
        let Some(work) = self.work.get_mut(&channel) else { return };
        (work.repairing, work.repaired) = (false, true);
        self.parked.take(work.held());
        for repaired in repaired.into_iter().rev() {
            match repaired {
                Repaired::Whole(items) => {
                    for item in items.into_iter().rev() {
                        work.next.push_front(Waiting::Publication(item));
                    }
                }
                // Who has subscribed again meanwhile stands in another stream already.
                Repaired::Lost(epoch) => {
                    let hub = self.relay.hub();
                    tracing::warn!(event = "gap_lost", "positioned subscriptions end with 2500");
                    if hub.lose(self.shard, (&channel, Some(&epoch)), &mut self.dirty) {
                        self.relay.linger.add(channel.clone(), self.shard, hub.clock().now());
                    }
                }
            }
        }
        self.waiting.add(work.held());
        self.turns.push_back(channel);
    }
}

/// Keeps what came for a channel that is being repaired. If there is no room it is
/// dropped, and a gap stands in its place: the stream has what is kept.
fn park(work: &mut Work, waiting: Waiting, parked: &mut Held) {
    let waiting = if parked.is_full() { Waiting::Gap } else { waiting };
    if matches!((&waiting, work.next.back()), (Waiting::Gap, Some(Waiting::Gap))) {
        return;
    }
    parked.add(waiting.held());
    work.next.push_back(waiting);
}

#[cfg(test)]
mod tests;
