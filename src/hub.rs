//! Who on this node listens to what, and what waits to be written to them.
//!
//! Locks, in the order in which they are taken: a shard of channels, then one
//! connection's outbox; the registry, then one connection's outbox. None is ever held over an await. Delivering pushes
//! onto outboxes under the shard's lock and writes after it.

mod batch;
mod company;
mod connection;
mod deadlines;
mod format;
mod marks;
mod outbox;
mod polling;
mod queue;
mod registry;
mod shard;
mod shed;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sealcast_wire::filter::Filter;
use sealcast_wire::reply::Event;
use sealcast_wire::{Channel, Disconnect, Epoch, Position, Reply, Unsubscribed, User};

use crate::limit::{Budget, Cap, Limits, Stage};
use crate::metrics::Metrics;

pub use batch::{BATCH_BYTES, BATCH_MESSAGES, Batch, Item, for_delta};
pub use connection::{
    Connection, ConnectionId, Duplex, Echo, NotAdded, Noted, Notes, Pings, Socket, Status,
};
pub use deadlines::{Clock, Deadline, Millis};
pub use format::{Format, Framing, OVER};
pub use marks::Marks;
pub use outbox::{Terms, Traces};
pub use polling::hand_over_polling;
pub use registry::{Client, Known, Registration, Standing, UserPlace};
pub use shard::{Advance, Content, FanOut, Membership, Slot};
pub use subscriber::{Selection, Wants};

use company::Company;
use registry::Registry;
use shard::{Live, Missed, Shard};

/// The limits that hold for every outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) write_timeout: Millis,
    pub(crate) ping_interval: Millis,
    pub(crate) pong_timeout: Millis,
}

/// The hub of a node.
pub struct Hub {
    shards: Vec<Mutex<Shard>>,
    registry: Registry,
    company: Company,
    limits: OutboxLimits,
    budget: Budget,
    /// Most bytes held for one connection.
    conn_memory: AtomicUsize,
    /// What the node gives up because it is full: a `Stage`.
    stage: AtomicU8,
    /// Most messages that a full socket made wait, since somebody last asked.
    longest_queue: AtomicUsize,
    /// Bytes of filters that subscriptions keep.
    filters: Cap,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// Most bytes that the filters of all subscriptions take.
const MOST_FILTER_BYTES: usize = 64 << 20;

/// What a node serves at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Authenticated connections.
    pub clients: usize,
    /// Distinct users among them; all anonymous ones count as one.
    pub users: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Channels with at least one subscription.
    pub channels: usize,
}

impl Hub {
    /// A hub of `shards` shards.
    #[must_use]
    pub fn new(shards: usize, limits: &Limits, clock: Clock, metrics: Arc<Metrics>) -> Arc<Hub> {
        Arc::new(Hub {
            shards: (0..shards.max(1)).map(|_| Mutex::new(Shard::default())).collect(),
            registry: Registry::default(),
            company: Company::default(),
            limits: OutboxLimits {
                messages: limits.queue_messages,
                bytes: limits.queue_bytes,
                write_timeout: limits.write_timeout.into(),
                ping_interval: limits.ping_interval.into(),
                pong_timeout: limits.pong_timeout.into(),
            },
            budget: Budget::new(limits.node_queue_bytes),
            conn_memory: AtomicUsize::new(limits.conn_memory),
            stage: AtomicU8::new(0),
            longest_queue: AtomicUsize::new(0),
            filters: Cap::new(MOST_FILTER_BYTES),
            clock,
            metrics,
        })
    }

    /// The node's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The node's numbers.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A command that came at `began`, by the precise clock, has been answered.
    pub fn observe_command(&self, method: &str, began: Duration) {
        let took = self.clock.precise().saturating_sub(began);
        self.metrics.histograms.commands.observe(method, took);
    }

    /// The budget of bytes held for clients.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Lets a subscription keep a filter; `None` if all of the node's take too much.
    #[must_use]
    pub fn select(&self, filter: Filter) -> Option<Arc<Selection>> {
        let bytes = self.filters.take_many(filter.bytes())?;
        Some(Arc::new(Selection { filter, _bytes: bytes }))
    }

    /// How many messages waited for the one connection that most waited for, since
    /// this was last asked; of those whose socket was full.
    #[must_use]
    pub fn take_longest_queue(&self) -> usize {
        self.longest_queue.swap(0, Ordering::Relaxed)
    }

    /// A full socket makes so many messages wait.
    pub(crate) fn note_queue(&self, messages: usize) {
        self.longest_queue.fetch_max(messages, Ordering::Relaxed);
    }

    pub(crate) fn limits(&self) -> &OutboxLimits {
        &self.limits
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds a subscriber that does not receive yet, if the channel has its
    /// subscription at the broker; otherwise the caller must make that first
    /// (see [`Hub::open`]).
    pub fn join(
        &self,
        shard: usize,
        channel: &Channel,
        connection: &Arc<Connection>,
        wants: Wants,
    ) -> Result<Slot, Wants> {
        let Some(shard) = self.shard(shard) else { return Err(wants) };
        let slot = shard.lock().join(channel, connection, wants)?;
        connection.check_memory(self);
        Ok(slot)
    }

    /// Makes the channel known, so that subscribers can join it; idempotent.
    pub fn open(&self, shard: usize, channel: &Channel) {
        if let Some(shard) = self.shard(shard) {
            shard.lock().open(channel);
        }
    }

    /// Puts the subscribe reply, if there is one to send, on the subscriber's
    /// outbox and lets it receive from then on, in one step: nothing of the
    /// channel can come before the reply, and nothing after it is missed. One
    /// that wants its publications positioned stands at `position`; what came
    /// behind that since it joined follows the reply at once. `false` if the slot
    /// has gone.
    pub fn go_live(
        &self,
        shard: usize,
        channel: &Channel,
        slot: Slot,
        position: Option<Position>,
        reply: Option<bytes::Bytes>,
    ) -> bool {
        let Some(shard) = self.shard(shard) else { return false };
        let push = |connection: &Connection, frames, messages| {
            connection.push(self, frames, messages);
        };
        let live = shard.lock().go_live(channel, slot, position, push, reply);
        match live {
            Live::Gone => false,
            Live::Yes => true,
            Live::Missed(missed) => {
                let mut dirty = Vec::new();
                self.tell_of_loss(channel, &missed, &mut dirty);
                dirty.iter().for_each(|connection| connection.flush(self));
                true
            }
        }
    }

    /// Whether a subscriber that is not live yet may have missed something, and so has
    /// to read again what it has read. What comes from now on is kept for it.
    pub fn reads_again(&self, shard: usize, channel: &Channel, slot: Slot) -> bool {
        self.shard(shard).is_some_and(|shard| shard.lock().reads_again(channel, slot))
    }

    /// Takes a subscriber out. `true` if the channel has none left.
    pub fn leave(&self, shard: usize, channel: &Channel, slot: Slot) -> bool {
        self.shard(shard).is_some_and(|shard| shard.lock().leave(channel, slot))
    }

    /// Forgets the channel if it has no subscribers. `true` if it has none.
    pub fn close_if_empty(&self, shard: usize, channel: &Channel) -> bool {
        self.shard(shard).is_some_and(|shard| shard.lock().close_if_empty(channel))
    }

    /// Begins a delivery: those who go live later do not get it, unless their
    /// position says that they should.
    #[must_use]
    pub fn begin(&self, shard: usize, channel: Channel, content: Content) -> Option<FanOut> {
        Some(self.shard(shard)?.lock().begin(channel, content))
    }

    /// Pushes the batch to at most `budget` further subscribers and notes those
    /// who now have something to write.
    pub fn advance(
        &self,
        shard: usize,
        fan_out: &mut FanOut,
        budget: usize,
        dirty: &mut Vec<Arc<Connection>>,
    ) -> Advance {
        let Some(shard) = self.shard(shard) else { return Advance::through() };
        let (channel, reached) = (fan_out.channel().clone(), fan_out.reaches());
        let droppable = fan_out.is_passing() && self.stage() >= Stage::Dropping;
        let mut dropped = 0;
        let mut advance = shard.lock().advance(fan_out, budget, |connection, frames, messages| {
            if droppable && connection.is_blocked() {
                dropped += messages;
                return;
            }
            if connection.push(self, frames, messages) {
                dirty.push(Arc::clone(connection));
            }
            if let Some(reached) = &reached {
                connection.reach_mark(&channel, reached);
            }
        });
        let delivered = advance.messages.saturating_sub(dropped) as u64;
        self.metrics.shedding.ephemeral.increment(dropped as u64);
        self.metrics.messages_out.increment(delivered);
        self.metrics.states.delivered.increment(delivered);
        for missed in advance.missed.drain(..) {
            self.tell_of_loss(fan_out.channel(), &missed, dirty);
        }
        advance
    }

    /// Whether publications of the stream are missing between what the channel
    /// delivered last and `next`.
    #[must_use]
    pub fn is_behind_hole(&self, shard: usize, channel: &Channel, next: &Item) -> bool {
        self.shard(shard).is_some_and(|shard| shard.lock().is_behind_hole(channel, next))
    }

    /// Something of the channel may be missing: answers where the positioned
    /// subscriber stands that is furthest behind, in each stream that any stands in.
    /// Those that are not live yet will find a hole when they go live.
    pub fn doubt(&self, shard: usize, channel: &Channel) -> Vec<Position> {
        self.shard(shard).map(|shard| shard.lock().doubt(channel)).unwrap_or_default()
    }

    /// Where the positioned subscriber of the channel stands that is furthest behind.
    #[must_use]
    pub fn stands(&self, shard: usize, channel: &Channel) -> Option<Position> {
        self.shard(shard)?.lock().stands(channel)
    }

    /// Channels with subscribers who have a position, if `wanted` says so, with
    /// their shards.
    #[must_use]
    pub fn positioned(&self, wanted: impl Fn(&Channel) -> bool) -> Vec<(usize, Channel)> {
        let of = |(at, shard): (usize, &Mutex<Shard>)| {
            let channels = shard.lock().positioned(&wanted);
            channels.into_iter().map(move |channel| (at, channel))
        };
        self.shards.iter().enumerate().flat_map(of).collect()
    }

    /// What is missing cannot be had: ends every positioned subscription of the
    /// channel that stands in the stream `of`, or in any if that is `None`, and notes
    /// those who now have something to write. `true` if the channel has no subscriber
    /// left.
    pub fn lose(
        &self,
        shard: usize,
        (channel, of): (&Channel, Option<&Epoch>),
        dirty: &mut Vec<Arc<Connection>>,
    ) -> bool {
        let Some(shard) = self.shard(shard) else { return true };
        let (missed, emptied) = shard.lock().lose(channel, of);
        for missed in missed {
            self.tell_of_loss(channel, &missed, dirty);
        }
        emptied
    }

    /// A subscriber was taken out, because it misses something that cannot be had
    /// or read: one that subscribed itself is told to do so again and recover,
    /// where that helps; the others' connections end.
    fn tell_of_loss(&self, channel: &Channel, missed: &Missed, dirty: &mut Vec<Arc<Connection>>) {
        let Missed { connection, ended_by } = missed;
        // Its slot is free, and may be another's when this connection is gone.
        connection.remove_subscription(channel);
        if let Some(disconnect) = ended_by {
            connection.close(self, *disconnect);
            return;
        }
        let event = Event::from(Unsubscribed::InsufficientState);
        let frame = connection.frame(&Reply::push(channel.as_str().into(), event));
        if connection.push(self, frame, 1) {
            dirty.push(Arc::clone(connection));
        }
    }

    /// Does what is due for every connection: see [`Deadline`]. Called several
    /// times a second by one task, with the time.
    pub fn sweep(&self, now: Millis) {
        let due = self.registry.due(now);
        for connection in due {
            connection.on_due(self, now);
        }
        self.metrics.held_bytes.set(self.budget.held() as f64);
    }

    /// Every connection at this moment.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.registry.all()
    }

    /// Shows every connection to `see`, and whose it is.
    pub fn each_connection(&self, see: impl FnMut(Known)) {
        self.registry.each(see);
    }

    /// The authenticated connections of a user; all anonymous ones are of one.
    #[must_use]
    pub fn connections_of(&self, user: &User) -> Vec<(Arc<Connection>, Client)> {
        self.registry.of(user)
    }

    /// How many connections a user has here, and which is the oldest.
    #[must_use]
    pub fn standing(&self, user: &User) -> Standing {
        self.registry.standing(user)
    }

    /// What others are told of the user of this connection from now on: one JSON
    /// value, or empty. Its session learns it the next time it does something.
    pub fn set_info(&self, connection: &Arc<Connection>, user: &User, info: bytes::Bytes) {
        self.registry.set_info(connection, user, info);
    }

    /// Every channel with subscribers, and how many each has.
    #[must_use]
    pub fn channels(&self) -> Vec<(Channel, usize)> {
        let mut channels = Vec::new();
        for shard in &self.shards {
            shard.lock().channels(&mut channels);
        }
        channels
    }

    /// Ends every connection with `disconnect`.
    pub fn close_all(&self, disconnect: Disconnect) {
        for connection in self.connections() {
            connection.close(self, disconnect);
        }
    }

    /// Counts what is served.
    #[must_use]
    pub fn census(&self) -> Census {
        let (clients, users) = self.registry.count();
        let (mut subscriptions, mut channels) = (0, 0);
        for shard in &self.shards {
            let (more_subscriptions, more_channels) = shard.lock().count();
            subscriptions += more_subscriptions;
            channels += more_channels;
        }
        Census { clients, users, subscriptions, channels }
    }

    fn shard(&self, shard: usize) -> Option<&Mutex<Shard>> {
        self.shards.get(shard)
    }
}

#[cfg(test)]
pub(crate) mod tests;
