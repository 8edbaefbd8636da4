//! The only room that knows both the broker and the hub: publishing, making and
//! ending subscriptions, and carrying what arrives to who listens.

mod away;
mod check;
mod displace;
mod gate;
mod how;
mod joined;
mod leases;
mod linger;
mod overrides;
mod probe;
mod pump;
mod recovery;
mod repair;
mod shaping;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Position, Publication};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authorized, Publish, Subscribe};
use crate::broker::{
    Broker, CALL_TIMEOUT, Delivery, MOST_SKEW, NotPublished, Outgoing, Sharding, Tails, Unavailable,
};
use crate::hub::{Connection, Hub, Millis, Slot, Traces, Wants};
use away::Unconfirmed;
use check::{Checks, Doubts};
use displace::Wishes;
use gate::Gates;
use linger::Linger;
use overrides::Reading;
use probe::Probes;
use recovery::Reads;
use shaping::Shaper;

pub use displace::Displace;
pub use how::How;
pub use joined::Joined;
pub use leases::Lease;
pub use probe::READY_WITHIN;
pub use shaping::Shape;
pub use turns::{NoTurn, Turn, Turns};

/// How often the node proves that its broker carries messages.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How often channels that lost their last subscriber are looked at.
const LINGER_EVERY: Duration = Duration::from_millis(250);

/// How often the node looks for what is stale or deaf.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Messages of other nodes that wait; more are dropped, and are then not answered.
const MOST_TOLD: usize = 1_024;

/// Pages of history, and lists of who is present, that are read at once for clients
/// and the server API, and how many may wait. Recoveries share their reads, and are
/// none of these.
const PAGES: (usize, usize) = (64, 1_024);
/// Batches of the server API that run at once, each with as much as its answer may
/// hold, and how many may wait.
const BATCHES: (usize, usize) = (16, 256);

/// What to do when a part dies without which the node would be deaf.
pub type Fatal = Arc<dyn Fn(&'static str) + Send + Sync>;

/// See the module's text.
pub struct Relay {
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    tails: Arc<Tails>,
    sharding: Sharding,
    gates: Gates,
    reads: Reads,
    linger: Linger,
    probes: Probes,
    /// Channels that the broker has not confirmed.
    unconfirmed: Unconfirmed,
    /// Until when nobody is told that a position is stale: who was told comes back.
    told_stale: AtomicU64,
    checks: Mutex<Checks>,
    doubts: Doubts,
    /// What other nodes say, from the pumps to whoever listens.
    told: (mpsc::Sender<Bytes>, Mutex<Option<mpsc::Receiver<Bytes>>>),
    /// Repairs of gaps that may run now, on all shards.
    repairs: Semaphore,
    overrides: Reading,
    /// How many nodes there were when the broker was last there.
    live_nodes: AtomicUsize,
    wishes: Wishes,
    /// What waits to go out of shaped channels.
    shaper: Shaper,
    page_turns: Turns,
    batch_turns: Turns,
}

impl Relay {
    /// A relay between `broker` and `hub`, which have as many shards as `sharding`;
    /// `tails` are of the broker's feed.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        broker: Arc<dyn Broker>,
        tails: Arc<Tails>,
        sharding: Sharding,
    ) -> Arc<Relay> {
        let (tell, told) = mpsc::channel(MOST_TOLD);
        Arc::new(Relay {
            page_turns: Turns::new(PAGES.0, PAGES.1, "page", hub.metrics()),
            batch_turns: Turns::new(BATCHES.0, BATCHES.1, "batch", hub.metrics()),
            hub,
            broker,
            probes: Probes::new(sharding.count()),
            doubts: Doubts::new(sharding.count()),
            shaper: Shaper::new(sharding.count()),
            unconfirmed: Unconfirmed::default(),
            told_stale: AtomicU64::new(0),
            checks: Mutex::default(),
            sharding,
            tails,
            gates: Gates::default(),
            reads: Reads::default(),
            linger: Linger::default(),
            told: (tell, Mutex::new(Some(told))),
            repairs: Semaphore::new(repair::AT_A_TIME),
            overrides: Reading::default(),
            live_nodes: AtomicUsize::new(1),
            wishes: Wishes::default(),
        })
    }

    /// Starts what runs as long as the node: a pump for each shard of the feed,
    /// the probe, the search for what is stale or deaf, and the end of lingering
    /// subscriptions.
    pub fn start(
        self: &Arc<Relay>,
        feed: Vec<mpsc::Receiver<Delivery>>,
        stop: &CancellationToken,
        fatal: &Fatal,
    ) {
        for (shard, inbox) in feed.into_iter().enumerate() {
            self.watch("pump", stop, fatal, pump::Pump::new(shard, Arc::clone(self), inbox).run());
            self.watch("shaper", stop, fatal, Arc::clone(self).send_shaped(shard));
        }
        self.watch("company", stop, fatal, Arc::clone(&self.hub).end_waits());
        let relay = Arc::clone(self);
        self.watch("probe", stop, fatal, async move {
            loop {
                relay.probe().await;
                tokio::time::sleep(PROBE_EVERY).await;
            }
        });
        let relay = Arc::clone(self);
        self.watch("stale", stop, fatal, async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                relay.tell_stale(relay.hub.clock().now());
            }
        });
        let relay = Arc::clone(self);
        self.watch("mend", stop, fatal, async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                relay.mend(relay.hub.clock().now()).await;
            }
        });
        let relay = Arc::clone(self);
        self.watch("linger", stop, fatal, async move {
            loop {
                tokio::time::sleep(LINGER_EVERY).await;
                relay.end_lingering(relay.hub.clock().now()).await;
            }
        });
    }

    /// Runs a task without which the node is deaf, until told to stop; if it
    /// panics, `fatal` is called with its name.
    pub fn watch(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        fatal: &Fatal,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (stop, watch) = (stop.clone(), Watch { name, fatal: Arc::clone(fatal) });
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
            drop(watch);
        });
    }

    /// What other nodes say. Whoever asks first gets it.
    #[must_use]
    pub fn take_told(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.told.1.lock().take()
    }

    /// The hub behind it.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Publishes. The broker's contract says what an answer means.
    ///
    /// # Errors
    /// If the broker could not take it in time, or it was one too many.
    pub async fn publish(
        &self,
        wish: Authorized<Publish>,
        how: How,
    ) -> Result<Option<Position>, NotPublished> {
        let Publish { channel, payload, publisher, tags } = wish.into_inner();
        let publication = Publication {
            data: payload.into_bytes(),
            info: publisher,
            tags,
            ..Publication::default()
        };
        let metrics = self.hub.metrics();
        metrics.messages_in.increment(1);
        metrics.states.received.increment(1);
        let How { keep, idempotency, version, delta, shape, charges } = how;
        if let (Some(shape), Some(publisher)) = (shape, &publication.info) {
            let publisher = publisher.clone();
            self.shape(channel, (publication, publisher), shape).await?;
            return Ok(None);
        }
        let kept = keep.is_some();
        let passing = false;
        let outgoing = Outgoing { publication, keep, idempotency, version, delta, passing };
        let published = self.broker.publish_within(channel, outgoing, charges).await;
        match &published {
            Ok(_) => {
                metrics.states.published.increment(1);
                metrics.states.stored.increment(u64::from(kept));
            }
            Err(NotPublished::TooMany(too_many)) => {
                metrics.states.failed.increment(1);
                metrics.rate_limited(too_many.scope.name());
            }
            Err(NotPublished::Unavailable(_)) => metrics.states.failed.increment(1),
        }
        published
    }

    /// Makes a subscription, which receives nothing until [`Joined::go_live`].
    ///
    /// The first subscriber of a channel takes the channel's gate and subscribes
    /// at the broker; everyone else joins without it.
    ///
    /// Without a position it is made also while the broker is away, and receives
    /// when that is back.
    ///
    /// # Errors
    /// If the broker could not subscribe in time; nothing is left behind then.
    pub async fn subscribe(
        self: &Arc<Self>,
        wish: Authorized<Subscribe>,
        connection: &Arc<Connection>,
        wants: Wants,
    ) -> Result<Joined, Unavailable> {
        let Subscribe { channel } = wish.into_inner();
        let shard = self.sharding.of(&channel);
        let positioned = wants.positioned;
        let wants = match self.hub.join(shard, &channel, connection, wants) {
            Ok(slot) => return self.join_made(channel, shard, slot, positioned).await,
            Err(wants) => wants,
        };
        let gate =
            timeout(CALL_TIMEOUT, self.gates.enter(&channel)).await.map_err(|_| Unavailable)?;
        let wants = match self.hub.join(shard, &channel, connection, wants) {
            Ok(slot) => return self.join_made(channel, shard, slot, positioned).await,
            Err(wants) => wants,
        };
        // If this fails or is given up half-way, the broker may have subscribed
        // all the same: the channel then lingers, and is unsubscribed.
        let unfinished = Unfinished { relay: self, channel: &channel, shard };
        match self.broker.subscribe(channel.clone()).await {
            Ok(()) => self.unconfirmed.remove(&channel),
            Err(Unavailable) if !positioned => self.unconfirmed.add(channel.clone()),
            Err(error) => return Err(error),
        }
        self.hub.open(shard, &channel);
        let slot = self.hub.join(shard, &channel, connection, wants).map_err(|_| Unavailable)?;
        std::mem::forget(unfinished);
        drop(gate);
        Ok(Joined::new(self, channel, shard, slot))
    }

    /// The broker, for what is read and noted there.
    #[must_use]
    pub fn broker(&self) -> &dyn Broker {
        &*self.broker
    }

    /// A turn at reading a page of history, or who is present.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn page_turn(&self) -> Result<Turn<'_>, NoTurn> {
        self.page_turns.take().await
    }

    /// A turn at a batch of the server API.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn batch_turn(&self) -> Result<Turn<'_>, NoTurn> {
        self.batch_turns.take().await
    }

    /// Ends a subscription, if there is one. Nothing of the channel is pushed
    /// afterwards.
    pub fn unsubscribe(&self, channel: &Channel, connection: &Connection) {
        if let Some((shard, slot)) = connection.remove_subscription(channel) {
            self.leave(channel, shard, slot);
        }
    }

    /// Ends all subscriptions of a connection that has gone.
    pub fn unsubscribe_all(&self, connection: &Connection) {
        for (channel, shard, slot) in connection.take_subscriptions() {
            self.leave(&channel, shard, slot);
        }
    }

    /// Cleans up at the broker after a subscription that has ended.
    ///
    /// # Errors
    /// If the broker could not do it in time; what is left there expires.
    pub async fn clean_up(
        &self,
        channel: Channel,
        traces: Traces,
        who: &Arc<ClientInfo>,
    ) -> Result<(), Unavailable> {
        if traces.present {
            self.broker.exit(channel.clone(), who.client.clone()).await?;
        }
        if traces.announced {
            self.broker.announce(channel, Arc::clone(who), false).await?;
        }
        Ok(())
    }

    /// Whether a message has lately gone through the broker and come back, on
    /// every shard.
    #[must_use]
    pub fn is_ready(&self, now: Millis) -> bool {
        self.probes.is_ready(now)
    }

    /// Whether this node's clock and the broker's are close enough.
    #[must_use]
    pub fn clocks_agree(&self) -> bool {
        self.broker.skew() <= MOST_SKEW
    }

    /// Has joined a channel that was subscribed before. Who has a position needs
    /// the broker's word for it.
    async fn join_made(
        self: &Arc<Self>,
        channel: Channel,
        shard: usize,
        slot: Slot,
        positioned: bool,
    ) -> Result<Joined, Unavailable> {
        let joined = Joined::new(self, channel, shard, slot);
        if positioned && self.unconfirmed.has(&joined.channel) {
            self.broker.subscribe(joined.channel.clone()).await?;
            self.unconfirmed.remove(&joined.channel);
        }
        Ok(joined)
    }

    fn leave(&self, channel: &Channel, shard: usize, slot: Slot) {
        if self.hub.leave(shard, channel, slot) {
            self.linger.add(channel.clone(), shard, self.hub.clock().now());
        }
    }

    /// Unsubscribes at the broker from channels that have had no subscriber for
    /// a while. Each is looked at again under its gate.
    async fn end_lingering(&self, now: Millis) {
        for (channel, shard) in self.linger.due(now) {
            let Ok(gate) = timeout(CALL_TIMEOUT, self.gates.enter(&channel)).await else {
                self.linger.add(channel, shard, now);
                continue;
            };
            if !self.hub.close_if_empty(shard, &channel) {
                continue;
            }
            self.unconfirmed.remove(&channel);
            if self.broker.unsubscribe(channel.clone()).await.is_err() {
                // The broker still has it: keep the channel, and try again later.
                self.hub.open(shard, &channel);
                self.linger.add(channel.clone(), shard, now);
            }
            drop(gate);
        }
    }

    async fn probe(&self) {
        let mark = self.probes.begin(self.hub.clock().now());
        if self.broker.probe(mark).await.is_err() {
            tracing::warn!(event = "probe_failed", "the broker did not take a probe");
        }
    }
}

/// A subscription at the broker that has no subscriber yet; lingers if dropped.
struct Unfinished<'a> {
    relay: &'a Relay,
    channel: &'a Channel,
    shard: usize,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.relay.linger.add(self.channel.clone(), self.shard, self.relay.hub.clock().now());
    }
}

/// Reports a panic of the task that holds it.
struct Watch {
    name: &'static str,
    fatal: Fatal,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.fatal)(self.name);
        }
    }
}

#[cfg(test)]
mod tests;
