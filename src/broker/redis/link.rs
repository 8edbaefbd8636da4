//! The link: the one connection by which a primary's publications come in.
//!
//! Nothing but subscribing and pings is done on it. What Redis pushes is tagged
//! and handed over without waiting. The link never gives up: when the connection
//! is lost, or seems alive but does not answer a ping or bring the node's own
//! heartbeat back, another one is made, everything wanted is subscribed again,
//! and each channel that was subscribed before is told of a gap, behind the last
//! that came by the old connection and before the first that comes by the new.

mod arrivals;
mod intake;
mod wanted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, PushInfo, PushKind, RedisError, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::{CALL_TIMEOUT, Unavailable};
use super::endpoint;
use super::health::Health;
use super::hello::Mode;
use super::keys::{Kind, Name};
use super::patience::within;
use super::place::Place;
use super::primary::{Primary, Way};
use super::record::{self, Own};
use crate::metrics::Metrics;
use wanted::{Confirmed, Wanted};

pub(super) use arrivals::{Arrivals, bad_record};
pub(super) use wanted::Subject;

/// Topics that are subscribed together at most: Redis answers each.
const MOST_TOGETHER: usize = 1_000;
/// How often the connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_millis(500);
/// In which time it must say so.
const PONG_WITHIN: Duration = Duration::from_millis(700);
/// In which time it is connected to a primary that says it is one.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// In which time topics are confirmed; whether it lives the pings tell.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often topics that were refused are asked for again.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// How often the node proves that what it publishes comes back.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// In which time it must.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// The longest pause before the next attempt to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The link to one primary. Its task is [`Link::run`].
pub(super) struct Link {
    /// Which of all links it is.
    at: usize,
    place: Place,
    /// The node's own topic on this connection: probes and heartbeats.
    own: Mutex<Option<Name>>,
    /// Chooses it.
    choose: Choose,
    primary: Arc<Primary>,
    arrivals: Arc<Arrivals>,
    wanted: Mutex<Wanted>,
    /// Something is to be subscribed or left.
    changed: Notify,
    /// The newest heartbeat that came back.
    beat: AtomicU64,
    /// Everything wanted has been asked for.
    up: AtomicBool,
    came_back: Notify,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Finds a name for the node's own topic at this primary, if there is one.
pub(super) type Choose = Box<dyn Fn() -> Option<Name> + Send + Sync>;

/// Topics that one link gave away, for another one.
pub(super) type Given = (Name, wanted::Topic);

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
    #[error("sentinels have put another primary in its place")]
    Moved,
    #[error("the cluster has no use for it")]
    Useless,
}

impl Link {
    pub(super) fn new(
        (at, place): (usize, Place),
        choose: Choose,
        (primary, arrivals): (Arc<Primary>, Arc<Arrivals>),
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Link> {
        health.link_down();
        Arc::new(Link {
            at,
            place,
            own: Mutex::default(),
            choose,
            primary,
            arrivals,
            wanted: Mutex::default(),
            changed: Notify::new(),
            beat: AtomicU64::new(0),
            up: AtomicBool::new(false),
            came_back: Notify::new(),
            health: Arc::clone(health),
            metrics: Arc::clone(metrics),
        })
    }

    /// Wants what is published on a topic. `None` if it is subscribed, else what
    /// tells when it is; see [`confirmed`].
    pub(super) fn want(&self, name: Name, subject: Subject) -> Option<oneshot::Receiver<()>> {
        let waiting = self.wanted.lock().want(name, subject);
        self.changed.notify_one();
        waiting
    }

    /// Gives away the topics that belong elsewhere.
    pub(super) fn give(&self, elsewhere: impl Fn(Name) -> bool) -> Vec<Given> {
        self.wanted.lock().give(elsewhere)
    }

    /// Takes what other links gave away.
    pub(super) fn adopt(&self, topics: Vec<Given>) {
        self.wanted.lock().take(topics);
        self.changed.notify_one();
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
                Ok((connection, moves, broken)) => {
                    self.wanted.lock().begin(generation);
                    let loss = self.live((connection, moves), &broken, generation).await;
                    // From here on nothing of the old connection is taken.
                    self.wanted.lock().end();
                    if self.up.swap(false, Ordering::Relaxed) {
                        self.health.link_down();
                    }
                    self.metrics.pubsub_reconnect();
                    loss
                }
                Err(error) => Loss::Redis(error),
            };
            tracing::warn!(event = "link_lost", generation, reason = %lost, "no link to Redis");
            self.health.doubt();
            // After a connection that held, at once; then twice as long each time.
            if began.elapsed() > 2 * LONGEST_PAUSE {
                pause = Duration::ZERO;
            }
            let chance: f64 = rand::random();
            sleep(pause.mul_f64(0.5 + chance / 2.0)).await;
            pause = (2 * pause).clamp(Duration::from_millis(50), LONGEST_PAUSE);
        }
    }

    /// A connection, how often the primary had moved, and what tells that it is not what it should be any more.
    async fn connect(
        self: &Arc<Self>,
        generation: u64,
    ) -> Result<(MultiplexedConnection, u64, Arc<Notify>), RedisError> {
        let (link, broken) = (Arc::clone(self), Arc::new(Notify::new()));
        let breaks = Arc::clone(&broken);
        let take = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if !link.take(generation, push) {
                breaks.notify_one();
            }
            Ok(())
        };
        let settings = endpoint::settings().set_response_timeout(Some(ANSWER_WITHIN));
        let settings = settings.set_push_sender(take);
        let none = || RedisError::from((ErrorKind::Io, "it does not answer"));
        let connecting = within(CONNECT_WITHIN, self.place.connect(&settings));
        let (connection, moves) = connecting.await.ok_or_else(none)??;
        Ok((connection, moves, broken))
    }

    /// The life of one connection.
    async fn live(
        &self,
        (mut connection, moves): (MultiplexedConnection, u64),
        broken: &Notify,
        generation: u64,
    ) -> Loss {
        let Some(own) = (self.choose)() else { return Loss::Useless };
        *self.own.lock() = Some(own);
        // Nothing else tells yet whether it lives.
        match within(PONG_WITHIN, self.ask_for(&mut connection, &[own])).await {
            Some(Ok(())) => {}
            Some(Err(loss)) => return loss,
            None => return Loss::Ping,
        }
        let subscribing = self.subscribe_wanted(connection.clone(), generation);
        tokio::select! {
            loss = subscribing => loss,
            loss = self.ping(connection) => loss,
            loss = self.beat() => loss,
            () = self.watch_life(generation) => Loss::Broken,
            () = broken.notified() => Loss::Broken,
            () = self.place.moved(moves) => Loss::Moved,
        }
    }

    /// Brings Redis to what is wanted, again and again.
    async fn subscribe_wanted(&self, mut on: MultiplexedConnection, generation: u64) -> Loss {
        loop {
            let changes = self.wanted.lock().changes(MOST_TOGETHER);
            let idle = changes.subscribe.is_empty() && changes.unsubscribe.is_empty();
            if !changes.subscribe.is_empty() {
                if let Err(loss) = self.ask_for(&mut on, &changes.subscribe).await {
                    return loss;
                }
                if self.is_sharded() && self.wanted.lock().refused(&changes.subscribe) {
                    self.health.doubt();
                }
            }
            if !changes.unsubscribe.is_empty()
                && let Err(loss) = self.leave(&mut on, &changes.unsubscribe).await
            {
                return loss;
            }
            if idle {
                if !self.up.swap(true, Ordering::Relaxed) {
                    self.health.link_up();
                    tracing::info!(event = "link_up", generation, "the link to Redis stands");
                }
                if self.is_sharded() {
                    let _ = timeout(RETRY_EVERY, self.changed.notified()).await;
                    self.wanted.lock().retry();
                } else {
                    self.changed.notified().await;
                }
            }
        }
    }

    /// Subscribes. The pushed confirmations count, not the answers; but without an
    /// answer the connection is not worth keeping.
    async fn ask_for(&self, on: &mut MultiplexedConnection, names: &[Name]) -> Result<(), Loss> {
        if self.is_sharded() {
            return each(on, "SSUBSCRIBE", names).await;
        }
        Ok(on.subscribe(topics(names)).await?)
    }

    async fn leave(&self, on: &mut MultiplexedConnection, names: &[Name]) -> Result<(), Loss> {
        if self.is_sharded() {
            return each(on, "SUNSUBSCRIBE", names).await;
        }
        Ok(on.unsubscribe(topics(names)).await?)
    }

    async fn ping(&self, mut connection: MultiplexedConnection) -> Loss {
        loop {
            sleep(PING_EVERY).await;
            if let Err(loss) = pong(&mut connection, self.is_sharded()).await {
                return loss;
            }
        }
    }

    fn is_sharded(&self) -> bool {
        self.place.mode() == Mode::Cluster
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
                if receivers == 0 || within(BEAT_WITHIN, back).await.is_none() {
                    return Loss::Heartbeat;
                }
            }
            sleep(BEAT_EVERY).await;
        }
    }

    /// Asks each second whether Redis has lost anything, and what time it is. If so, every channel may
    /// have a stream that is not the one it had. Never ends.
    async fn watch_life(&self, generation: u64) {
        let life = self.primary.life();
        let mut known = life.incarnation();
        loop {
            sleep(BEAT_EVERY).await;
            let (counter, skews) = (life.counter(), &self.health.skews);
            let sent = skews.now();
            // Not only when a replica has it: what was published meanwhile was heard, and
            // whoever heard it must be told if a failover takes it back.
            let asked = self.primary.call(Way::Write, counter.name(), counter.beat(), 0);
            match asked.await.map(|answer| counter.learn(answer)) {
                Ok(Ok(told)) => skews.measured(self.at, sent, told),
                Ok(Err(error)) => {
                    tracing::error!(event = "bad_beat", %error, "what counts heartbeats is not ours");
                }
                Err(Unavailable) => {}
            }
            let now = life.incarnation();
            if std::mem::replace(&mut known, now) != now {
                for channel in self.wanted.lock().subscribed_channels() {
                    self.arrivals.missed(channel.clone(), generation);
                }
            }
        }
    }

    /// Answers how many received it.
    async fn send_to_self(&self, record: Vec<u8>) -> Result<i64, Unavailable> {
        let own = self.own.lock().ok_or(Unavailable)?;
        let mut command = redis::cmd(self.place.mode().publish());
        let bytes = record.len();
        command.arg(own.key(Kind::Topic)).arg(record);
        match self.primary.call(Way::Read, own, command, bytes).await? {
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
        let is_own = name.is_some() && name == *self.own.lock();
        match (push.kind, name) {
            (PushKind::Message | PushKind::SMessage, Some(name)) => {
                let Some(Value::BulkString(bytes)) = data.next() else { return false };
                if is_own {
                    self.take_own(bytes);
                    return true;
                }
                match wanted.subject(name) {
                    Some(Subject::Channel(channel)) => {
                        self.arrivals.record(channel, bytes, generation);
                    }
                    Some(Subject::Control) => self.arrivals.told(bytes),
                    None => {}
                }
                true
            }
            (PushKind::Subscribe | PushKind::SSubscribe, Some(name)) => {
                if !is_own {
                    self.subscribed(wanted.subscribed(name));
                    wanted.tell(name);
                }
                self.changed.notify_one();
                true
            }
            (PushKind::Unsubscribe, Some(name)) => {
                self.changed.notify_one();
                wanted.unsubscribed(name)
            }
            // The slot is served by another one now.
            (PushKind::SUnsubscribe, Some(name)) => {
                if !wanted.unsubscribed(name) {
                    wanted.displaced(name);
                    self.health.doubt();
                }
                self.changed.notify_one();
                !is_own
            }
            _ => false,
        }
    }

    fn subscribed(&self, confirmed: Confirmed) {
        match confirmed {
            Confirmed::Nothing => {}
            Confirmed::Fresh(channel) => self.arrivals.opened(channel),
            Confirmed::Gap(channel, since) => self.arrivals.missed(channel, since),
        }
    }

    fn take_own(&self, bytes: Vec<u8>) {
        match record::read_own(bytes) {
            Ok(Own::Probe(mark)) => self.arrivals.probe(mark, self.at),
            Ok(Own::Heartbeat(count)) => {
                self.beat.fetch_max(count, Ordering::Relaxed);
                self.came_back.notify_one();
            }
            Err(error) => bad_record(error, &self.metrics),
        }
    }
}

/// A link that nobody needs any more is not down.
impl Drop for Link {
    fn drop(&mut self) {
        self.health.skews.forget(self.at);
        if !self.up.load(Ordering::Relaxed) {
            self.health.link_up();
        }
    }
}

/// Waits for what [`Link::want`] answered.
///
/// # Errors
/// If Redis has not confirmed it in time; it is wanted all the same.
pub(super) async fn confirmed(waiting: Option<oneshot::Receiver<()>>) -> Result<(), Unavailable> {
    let Some(waiting) = waiting else { return Ok(()) };
    within(CALL_TIMEOUT, waiting).await.ok_or(Unavailable)?.map_err(|_| Unavailable)
}

fn topics(names: &[Name]) -> Vec<String> {
    names.iter().map(|name| name.key(Kind::Topic)).collect()
}

/// A command for each topic, because a slot that is not served here refuses a
/// whole command; and then a ping. When that is answered all answers are there.
async fn each(on: &mut MultiplexedConnection, verb: &str, names: &[Name]) -> Result<(), Loss> {
    let mut pipeline = redis::Pipeline::with_capacity(names.len());
    for topic in topics(names) {
        pipeline.cmd(verb).arg(topic);
    }
    on.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
    pong(on, true).await
}

/// Asks whether the connection lives. When Redis leaves a sharded topic by itself,
/// the library takes that for the answer to whatever waits for one; so there
/// another ping is sent until one is answered as it should be.
async fn pong(on: &mut MultiplexedConnection, sharded: bool) -> Result<(), Loss> {
    let ping = redis::cmd("PING");
    let asking = async {
        loop {
            match on.send_packed_command(&ping).await? {
                Value::SimpleString(pong) if pong == "PONG" => return Ok(()),
                _ if sharded => {}
                _ => return Err(Loss::Ping),
            }
        }
    };
    within(PONG_WITHIN, asking).await.unwrap_or(Err(Loss::Ping))
}
