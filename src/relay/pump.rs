//! The pump: carries what arrives in one shard to the subscribers.
//!
//! A tick takes what is waiting, serves each channel that has work for a while,
//! and writes each connection that got something once. It never awaits a client,
//! and a channel with many subscribers gives way to the others after every
//! [`TURN`] deliveries, so that a small one need not wait for its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sealcast_wire::Channel;
use sealcast_wire::reply::ClientInfo;
use tokio::sync::mpsc;

use crate::broker::Delivery;
use crate::hub::{Advance, Batch, Connection, Content, FanOut, Item, Membership};

use super::Relay;

/// Deliveries of one channel before the next one's turn.
const TURN: usize = 256;
/// Deliveries of all channels in one tick.
const TICK: usize = 1_024;
/// Publications that wait in the pump before it leaves the rest in its inbox,
/// where they hold back who publishes.
const MOST_WAITING: usize = 1_024;
/// The same in payload bytes.
const MOST_WAITING_BYTES: usize = 4 << 20;

pub(super) struct Pump {
    shard: usize,
    relay: Arc<Relay>,
    inbox: mpsc::Receiver<Delivery>,
    /// Channels that have work, in the order of their turns; each is in `work`.
    turns: VecDeque<Channel>,
    work: HashMap<Channel, Work>,
    waiting: usize,
    waiting_bytes: usize,
    dirty: Vec<Arc<Connection>>,
}

/// What is to be done for one channel: one batch on its way, and behind it what
/// came since.
#[derive(Default)]
struct Work {
    current: Option<FanOut>,
    next: VecDeque<Waiting>,
}

enum Waiting {
    Publication(Item),
    Membership(Arc<ClientInfo>, bool),
}

impl Work {
    /// The next delivery: the publications that wait together, or who came or went.
    fn next_content(&mut self) -> Option<Content> {
        let first = match self.next.pop_front()? {
            Waiting::Publication(first) => first,
            Waiting::Membership(who, came) => {
                return Some(Content::Membership(Membership::new(who, came)));
            }
        };
        let mut batch = Batch::of(first);
        while matches!(self.next.front(), Some(Waiting::Publication(item)) if batch.fits(item)) {
            let Some(Waiting::Publication(next)) = self.next.pop_front() else { break };
            batch.add(next);
        }
        Some(Content::Publications(Box::new(batch)))
    }
}

impl Pump {
    pub(super) fn new(shard: usize, relay: Arc<Relay>, inbox: mpsc::Receiver<Delivery>) -> Pump {
        Pump {
            shard,
            relay,
            inbox,
            turns: VecDeque::new(),
            work: HashMap::new(),
            waiting: 0,
            waiting_bytes: 0,
            dirty: Vec::new(),
        }
    }

    /// Runs until the broker is gone and everything is delivered.
    pub(super) async fn run(mut self) {
        loop {
            if self.turns.is_empty() {
                match self.inbox.recv().await {
                    Some(delivery) => self.take(delivery),
                    None => return,
                }
            }
            while self.waiting < MOST_WAITING && self.waiting_bytes < MOST_WAITING_BYTES {
                let Ok(delivery) = self.inbox.try_recv() else { break };
                self.take(delivery);
            }
            self.tick();
            if !self.turns.is_empty() {
                tokio::task::yield_now().await;
            }
        }
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
            Delivery::Publication { channel, publication, epoch, delta } => {
                self.waiting_bytes += publication.data.len();
                (channel, Waiting::Publication(Item { publication, epoch, delta }))
            }
            Delivery::Membership { channel, who, came } => {
                (channel, Waiting::Membership(who, came))
            }
        };
        self.waiting += 1;
        match self.work.get_mut(&channel) {
            Some(work) => work.next.push_back(waiting),
            None => {
                let next = VecDeque::from([waiting]);
                self.work.insert(channel.clone(), Work { current: None, next });
                self.turns.push_back(channel);
            }
        }
    }

    fn tick(&mut self) {
        let mut served = 0;
        for _ in 0..self.turns.len() {
            if served >= TICK {
                break;
            }
            let Some(channel) = self.turns.pop_front() else { break };
            let (count, done) = self.turn(&channel);
            served += count;
            if done {
                self.work.remove(&channel);
            } else {
                self.turns.push_back(channel);
            }
        }
        let hub = self.relay.hub();
        for connection in self.dirty.drain(..) {
            connection.flush(hub);
        }
    }

    /// One turn of one channel: how many deliveries, and whether it has no more.
    fn turn(&mut self, channel: &Channel) -> (usize, bool) {
        let hub = self.relay.hub();
        let Some(work) = self.work.get_mut(channel) else { return (0, true) };
        let mut served = 0;
        while served < TURN {
            if work.current.is_none() {
                let Some(content) = work.next_content() else { return (served, true) };
                work.current = hub.begin(self.shard, channel.clone(), content);
            }
            let Some(fan_out) = &mut work.current else { return (served, true) };
            let Advance { served: count, done, emptied, .. } =
                hub.advance(self.shard, fan_out, TURN - served, &mut self.dirty);
            served += count;
            if emptied {
                self.relay.linger.add(channel.clone(), self.shard, hub.clock().now());
            }
            if done {
                self.waiting -= fan_out.messages();
                self.waiting_bytes -= fan_out.bytes();
                work.current = None;
                if work.next.is_empty() {
                    return (served, true);
                }
                // What came since is the next tick's, so that it goes out together.
                return (served, false);
            }
        }
        (served, false)
    }
}
