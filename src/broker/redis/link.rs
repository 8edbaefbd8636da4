//! The link: the one connection by which a primary's publications come in.
//!
//! Nothing but subscribing and pings is done on it. What Redis pushes is tagged
//! and handed over without waiting. The link never gives up: when the connection
//! is lost, or seems alive but does not answer a ping or bring the node's own
//! heartbeat back, another one is made, everything wanted is subscribed again,
//! and each channel that was subscribed before is told of a gap, behind the last
//! that came by the old connection and before the first that comes by the new.

mod intake;
mod wanted;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Client, PushInfo, PushKind, RedisError, Value};
use sealcast_wire::Channel;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::super::feed::{Delivery, Feed, Sharding};
use super::super::{CALL_TIMEOUT, Tails, Unavailable};
use super::endpoint::{self, Endpoint};
use super::keys::{Kind, Name};
use super::primary::{Primary, Way};
use super::record::{self, BadRecord, Own, Record, Stored};
use super::seen::{Entry, Seen};
use crate::metrics::Metrics;
use intake::{Arrival, Intake};
use wanted::{Confirmed, Wanted};

/// Topics that are subscribed together at most: Redis answers each.
const MOST_TOGETHER: usize = 1_000;
/// How often the connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_millis(500);
/// In which time it must say so.
const PONG_WITHIN: Duration = Duration::from_millis(700);
/// How often the node proves that what it publishes comes back.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// In which time it must.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// The longest pause before the next attempt to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What came from all primaries, on its way to the feed.
pub(super) struct Arrivals {
    sharding: Sharding,
    intakes: Vec<Intake>,
    seen: Arc<Seen>,
    metrics: Arc<Metrics>,
}

/// The link to one primary. Its task is [`Link::run`].
pub(super) struct Link {
    endpoint: Endpoint,
    /// The node's own topic: probes and heartbeats.
    own: Name,
    /// The topic of all nodes.
    control: Name,
    primary: Arc<Primary>,
    arrivals: Arc<Arrivals>,
    wanted: Mutex<Wanted>,
    /// Something is to be subscribed or left.
    changed: Notify,
    /// The newest heartbeat that came back.
    beat: AtomicU64,
    came_back: Notify,
    metrics: Arc<Metrics>,
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the connection ended, or Redis left a topic by itself")]
    Broken,
    #[error("a ping was not answered as it should be")]
    Ping,
    #[error("the node's own heartbeat did not come back")]
    Heartbeat,
}

impl Arrivals {
    /// A queue for each shard of `feed`, and what empties them into it.
    pub(super) fn new(
        feed: Feed,
        seen: &Arc<Seen>,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Arrivals>, Vec<impl Future<Output = ()> + Send + 'static>) {
        let sharding = feed.sharding().clone();
        let arrivals = Arc::new(Arrivals {
            intakes: (0..sharding.count()).map(|_| Intake::default()).collect(),
            sharding,
            seen: Arc::clone(seen),
            metrics: Arc::clone(metrics),
        });
        let feed = Arc::new(feed);
        let shards = 0..arrivals.intakes.len();
        let works = shards.map(|at| forward(Arc::clone(&arrivals), Arc::clone(&feed), at));
        let works = works.collect();
        (arrivals, works)
    }

    fn of(&self, channel: &Channel) -> Option<&Intake> {
        self.intakes.get(self.sharding.of(channel))
    }

    fn gap(&self, channel: Channel, since: u64) -> Delivery {
        self.metrics.gap();
        Delivery::Gap { channel, since }
    }

    /// What to deliver, if anything: a gap before what contradicts what was seen.
    fn read(&self, arrival: Arrival, tails: &Tails) -> [Option<Delivery>; 2] {
        let mut gap = None;
        let delivery = match arrival {
            Arrival::Probe(mark) => Delivery::Probe(mark),
            Arrival::Told(message) => Delivery::Told(message.into()),
            Arrival::Opened(channel) => {
                tails.open(&channel);
                return [None, None];
            }
            Arrival::Gap(channel, since) => self.gap(channel, since),
            Arrival::Record(channel, bytes) => match record::read(&channel, bytes) {
                Ok(Record::Publication(Stored { publication, epoch, delta, tag, before })) => {
                    if let Some(epoch) = &epoch {
                        let (epoch, offset) = (Arc::clone(epoch), publication.offset);
                        if !self.seen.pushed(&channel, Entry { epoch, offset, tag }, before) {
                            gap = Some(self.gap(channel.clone(), 0));
                        }
                    }
                    let publication = Arc::new(publication);
                    Delivery::Publication { channel, publication, epoch, delta }
                }
                Ok(Record::Membership { who, came }) => {
                    Delivery::Membership { channel, who: Arc::new(who), came }
                }
                Ok(Record::Erased) => {
                    tails.forget(&channel);
                    return [None, None];
                }
                Ok(Record::Renewed) => self.gap(channel, 0),
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

/// Empties one shard's queue into the feed, as long as anyone reads that.
async fn forward(arrivals: Arc<Arrivals>, feed: Arc<Feed>, at: usize) {
    let (Some(intake), Some(shard)) = (arrivals.intakes.get(at), feed.shards().nth(at)) else {
        return;
    };
    loop {
        let arrival = intake.next().await;
        for delivery in arrivals.read(arrival, feed.tails()).into_iter().flatten() {
            let Ok(place) = shard.place().await else { return };
            place.send(delivery);
        }
    }
}

impl Link {
    pub(super) fn new(
        endpoint: Endpoint,
        (own, control): (Name, Name),
        primary: Arc<Primary>,
        arrivals: Arc<Arrivals>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Link> {
        Arc::new(Link {
            endpoint,
            own,
            control,
            primary,
            arrivals,
            wanted: Mutex::default(),
            changed: Notify::new(),
            beat: AtomicU64::new(0),
            came_back: Notify::new(),
            metrics: Arc::clone(metrics),
        })
    }

    /// Wants a channel's publications; returns when Redis has confirmed that on
    /// the connection that counts now.
    ///
    /// # Errors
    /// If it has not in time; it is wanted all the same.
    pub(super) async fn subscribe(&self, name: Name, channel: &Channel) -> Result<(), Unavailable> {
        let Some(confirmed) = self.wanted.lock().want(name, channel) else { return Ok(()) };
        self.changed.notify_one();
        timeout(CALL_TIMEOUT, confirmed).await.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
    }

    /// No longer wants them.
    pub(super) fn unsubscribe(&self, name: Name) {
        self.wanted.lock().unwant(name);
        self.changed.notify_one();
    }

    /// Sends a mark by the way that publications take.
    ///
    /// # Errors
    /// If Redis did not take it in time.
    pub(super) async fn probe(&self, mark: u64) -> Result<(), Unavailable> {
        self.send_to_self(record::probe(mark)).await.map(|_| ())
    }

    /// Keeps the link alive, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut generation = 0;
        let mut pause = Duration::ZERO;
        loop {
            generation += 1;
            let began = Instant::now();
            let lost = match self.connect(generation).await {
                Ok((connection, broken)) => {
                    self.wanted.lock().begin(generation);
                    let loss = self.live(connection, &broken, generation).await;
                    // From here on nothing of the old connection is taken.
                    self.wanted.lock().end();
                    self.metrics.redis_up(false);
                    self.metrics.pubsub_reconnect();
                    loss
                }
                Err(error) => Loss::Redis(error),
            };
            tracing::warn!(event = "link_lost", generation, reason = %lost, "no link to Redis");
            // After a connection that held, at once; then twice as long each time.
            if began.elapsed() > 2 * LONGEST_PAUSE {
                pause = Duration::ZERO;
            }
            let chance: f64 = rand::random();
            sleep(pause.mul_f64(0.5 + chance / 2.0)).await;
            pause = (2 * pause).clamp(Duration::from_millis(50), LONGEST_PAUSE);
        }
    }

    /// A connection, and what tells that it is not what it should be any more.
    async fn connect(
        self: &Arc<Self>,
        generation: u64,
    ) -> Result<(MultiplexedConnection, Arc<Notify>), RedisError> {
        let (link, broken) = (Arc::clone(self), Arc::new(Notify::new()));
        let breaks = Arc::clone(&broken);
        let take = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if !link.take(generation, push) {
                breaks.notify_one();
            }
            Ok(())
        };
        let client = Client::open(self.endpoint.info())?;
        let settings = endpoint::settings().set_push_sender(take);
        let connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        Ok((connection, broken))
    }

    /// The life of one connection.
    async fn live(
        &self,
        mut connection: MultiplexedConnection,
        broken: &Notify,
        generation: u64,
    ) -> Loss {
        let topics = [self.own.key(Kind::Topic), self.control.key(Kind::Topic)];
        if let Err(error) = connection.subscribe(&topics).await {
            return error.into();
        }
        let subscribing = self.subscribe_wanted(connection.clone(), generation);
        tokio::select! {
            loss = subscribing => loss,
            loss = self.ping(connection) => loss,
            loss = self.beat() => loss,
            () = self.watch_life(generation) => Loss::Broken,
            () = broken.notified() => Loss::Broken,
        }
    }

    /// Brings Redis to what is wanted, again and again.
    async fn subscribe_wanted(&self, mut on: MultiplexedConnection, generation: u64) -> Loss {
        let topics = |names: Vec<Name>| -> Vec<String> {
            names.iter().map(|name| name.key(Kind::Topic)).collect()
        };
        let mut told = false;
        loop {
            let changes = self.wanted.lock().changes(MOST_TOGETHER);
            let idle = changes.subscribe.is_empty() && changes.unsubscribe.is_empty();
            // The pushed confirmations count, not the answers; but without an
            // answer the connection is not worth keeping.
            if !changes.subscribe.is_empty()
                && let Err(error) = on.subscribe(topics(changes.subscribe)).await
            {
                return error.into();
            }
            if !changes.unsubscribe.is_empty()
                && let Err(error) = on.unsubscribe(topics(changes.unsubscribe)).await
            {
                return error.into();
            }
            if idle {
                if !std::mem::replace(&mut told, true) {
                    self.metrics.redis_up(true);
                    tracing::info!(event = "link_up", generation, "the link to Redis stands");
                }
                self.changed.notified().await;
            }
        }
    }

    async fn ping(&self, mut connection: MultiplexedConnection) -> Loss {
        loop {
            sleep(PING_EVERY).await;
            let ping = redis::cmd("PING");
            match timeout(PONG_WITHIN, connection.send_packed_command(&ping)).await {
                Ok(Ok(Value::SimpleString(pong))) if pong == "PONG" => {}
                Ok(Err(error)) => return error.into(),
                _ => return Loss::Ping,
            }
        }
    }

    /// Publishes a heartbeat to the node itself each second. That Redis cannot be
    /// asked to is no fault of this connection.
    async fn beat(&self) -> Loss {
        loop {
            let count = self.beat.load(Ordering::Relaxed) + 1;
            if let Ok(receivers) = self.send_to_self(record::heartbeat(count)).await {
                let back = async {
                    while self.beat.load(Ordering::Relaxed) < count {
                        self.came_back.notified().await;
                    }
                };
                if receivers == 0 || timeout(BEAT_WITHIN, back).await.is_err() {
                    return Loss::Heartbeat;
                }
            }
            sleep(BEAT_EVERY).await;
        }
    }

    /// Asks each second whether Redis has lost anything. If so, every channel may
    /// have a stream that is not the one it had. Never ends.
    async fn watch_life(&self, generation: u64) {
        let life = self.primary.life();
        let mut known = life.incarnation();
        loop {
            sleep(BEAT_EVERY).await;
            if let Ok(answer) = self.primary.call(Way::Read, self.control, life.beat(), 0).await
                && let Err(error) = life.learn(answer)
            {
                tracing::error!(event = "bad_beat", %error, "what counts heartbeats is not ours");
            }
            if std::mem::replace(&mut known, life.incarnation()) != life.incarnation() {
                for channel in self.wanted.lock().subscribed_channels() {
                    if let Some(intake) = self.arrivals.of(channel) {
                        intake.gap(channel.clone(), generation);
                    }
                }
            }
        }
    }

    /// Answers how many received it.
    async fn send_to_self(&self, record: Vec<u8>) -> Result<i64, Unavailable> {
        let mut command = redis::cmd("PUBLISH");
        let bytes = record.len();
        command.arg(self.own.key(Kind::Topic)).arg(record);
        match self.primary.call(Way::Read, self.own, command, bytes).await? {
            Value::Int(receivers) => Ok(receivers),
            _ => Err(Unavailable),
        }
    }

    /// What the connection pushes: handed over at once, whatever it is. Called by
    /// the connection's own task. `false` if the connection is not what it should be.
    fn take(&self, generation: u64, push: PushInfo) -> bool {
        // Held throughout, so that nothing of an old connection can come behind
        // what ends it.
        let mut wanted = self.wanted.lock();
        if !wanted.is_current(generation) {
            return true;
        }
        let mut data = push.data.into_iter();
        let name = match data.next() {
            Some(Value::BulkString(topic)) => Name::of_topic(&topic),
            _ => None,
        };
        match (push.kind, name) {
            (PushKind::Message, Some(name)) => {
                let Some(Value::BulkString(bytes)) = data.next() else { return false };
                if name == self.own {
                    self.take_own(bytes);
                } else if name == self.control {
                    if let Some(first) = self.arrivals.intakes.first() {
                        first.other(Arrival::Told(bytes));
                    }
                } else if let Some(channel) = wanted.channel(name)
                    && let Some(intake) = self.arrivals.of(channel)
                    && !intake.record(channel, bytes, generation)
                {
                    self.metrics.pubsub_dropped();
                }
                true
            }
            (PushKind::Subscribe, Some(name)) => {
                if name != self.own && name != self.control {
                    self.subscribed(wanted.subscribed(name));
                }
                self.changed.notify_one();
                true
            }
            (PushKind::Unsubscribe, Some(name)) => {
                self.changed.notify_one();
                wanted.unsubscribed(name)
            }
            _ => false,
        }
    }

    fn subscribed(&self, confirmed: Confirmed) {
        match confirmed {
            Confirmed::Unwanted => {}
            Confirmed::Fresh(channel) => {
                if let Some(intake) = self.arrivals.of(&channel) {
                    intake.other(Arrival::Opened(channel));
                }
            }
            Confirmed::Gap(channel, since) => {
                if let Some(intake) = self.arrivals.of(&channel) {
                    intake.gap(channel, since);
                }
            }
        }
    }

    fn take_own(&self, bytes: Vec<u8>) {
        match record::read_own(bytes) {
            Ok(Own::Probe(mark)) => {
                for intake in &self.arrivals.intakes {
                    intake.other(Arrival::Probe(mark));
                }
            }
            Ok(Own::Heartbeat(count)) => {
                self.beat.fetch_max(count, Ordering::Relaxed);
                self.came_back.notify_one();
            }
            Err(error) => bad_record(error, &self.metrics),
        }
    }
}

/// Counts and tells of bytes that are not a record.
pub(super) fn bad_record(error: BadRecord, metrics: &Metrics) {
    metrics.redis_error("record");
    tracing::error!(event = "bad_record", %error, "what came from Redis is not a record");
}
