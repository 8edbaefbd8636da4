//! A node: how its parts are put together, and in which order it starts and
//! leaves.

mod allocator;
mod listeners;
mod modes;
mod pressure;
mod reload;
mod worst;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{ClusterKey, NodeId, OriginRule, Origins, Pseudonyms};
use crate::broker::{Broker, Feed, Memory, Redis, Sharding, Unfit, Work};
use crate::cluster::Cluster;
use crate::config::{Config, Drain, Engine, Listeners, Setting};
use crate::http::{App, Health, Live};
use crate::hub::{Clock, Hub, hand_over_polling};
use crate::limit::{self, Cap, Usage};
use crate::metrics::Metrics;
use crate::net::{self, Acceptor, Announces};
use crate::relay::Relay;
use crate::session::{Policies, Policy};
pub use allocator::give_back_soon;
use listeners::Doors;
use pressure::Pressure;
use worst::Worst;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Shards of channels for each core.
const SHARDS_PER_CORE: usize = 4;
/// How often deadlines are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// How often history that is too old is dropped.
const HISTORY_SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker cannot be used; the node is never a lesser one instead.
    #[error(transparent)]
    Redis(#[from] Unfit),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A node that runs.
pub struct Node {
    app: Arc<App>,
    live: Live,
    /// The options in force.
    settings: Mutex<Vec<Setting>>,
    /// Where clients come in.
    pub public: SocketAddr,
    /// Where the server API comes in, if it has a listener that is not the public one.
    pub internal: Option<SocketAddr>,
    /// Where metrics are served: on that one, or on one of their own.
    pub metrics: SocketAddr,
    drain: Drain,
    accepting: CancellationToken,
    /// Sockets and connections.
    tasks: TaskTracker,
    /// What runs as long as the node.
    works: CancellationToken,
}

impl Node {
    /// Starts a node inside a tokio runtime. `fatal` is called if a part dies
    /// without which the node would be deaf.
    ///
    /// # Errors
    /// If it cannot listen where it is told to, or if its broker cannot be reached for
    /// some seconds.
    pub async fn start(
        config: Config,
        fatal: Arc<dyn Fn(&'static str) + Send + Sync>,
    ) -> Result<Node, StartError> {
        Node::start_by(unix_time, config, fatal).await
    }

    /// The same by a clock of its own, which tells the time since 1970.
    ///
    /// # Errors
    /// See [`Node::start`].
    pub async fn start_by(
        clock: fn() -> Duration,
        mut config: Config,
        fatal: Arc<dyn Fn(&'static str) + Send + Sync>,
    ) -> Result<Node, StartError> {
        let doors = Doors::open(&config)?;
        let Listeners { public, internal, .. } = doors.addresses;
        let metrics_address = doors.addresses.metrics();

        let metrics = Metrics::new(VERSION);
        metrics
            .connection_limits(config.limits.websocket_connections, config.limits.sse_connections);
        metrics.queue_limit(config.limits.node_queue_bytes);
        modes::tell(&config, &metrics);
        let tasks = TaskTracker::new();
        let works = CancellationToken::new();
        let usage = Usage::new();
        let relay = start_relay(&config, (clock, &metrics, &usage), &works, &fatal).await?;
        if config.dev.is_some() {
            relay.watch("warnings", &works, &fatal, modes::keep_warning());
        }
        let (drain, spoken) = (config.drain, (config.proxy_protocol, config.http2));
        let settings = Mutex::new(std::mem::take(&mut config.settings));
        let app = Arc::new(app(config, (relay, usage, clock), &tasks, public));
        let live = Live::new(Arc::clone(&app));
        metrics.config_in_force(unix_now());

        start_cluster(&app, &works, &fatal);

        let accepting = CancellationToken::new();
        let acceptor = |sockets, stop: &CancellationToken, announces: Option<Announces>| Acceptor {
            announces,
            http2: false,
            sockets: Cap::new(sockets),
            header_timeout: app.policy.limits.header_timeout,
            tasks: tasks.clone(),
            stop: stop.clone(),
            metrics: Arc::clone(&metrics),
        };
        doors.serve(&live, acceptor, (&accepting, &works), spoken);
        Ok(Node {
            drain,
            app,
            live,
            settings,
            public,
            internal,
            metrics: metrics_address,
            accepting,
            tasks,
            works,
        })
    }

    /// What its routes share, as it was at the start. A reload makes another with
    /// the same relay, health and places.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Leaves in order: not ready, then deaf to newcomers, then without clients,
    /// and at the deadline in any case.
    pub async fn drain(self) {
        let Drain { lb_wait, spread, deadline } = self.drain;
        let hub = self.app.policy.relay.hub();
        tracing::info!(event = "drain_begins", connections = hub.census().clients, "leaving");
        self.app.health.leave();
        let leaving = async {
            tokio::time::sleep(lb_wait).await;
            self.accepting.cancel();
            net::close_spread(hub, spread).await;
            self.tasks.close();
            self.tasks.wait().await;
            self.app.policy.relay.settle().await;
            self.app.cluster.say_goodbye().await;
        };
        if tokio::time::timeout(deadline, leaving).await.is_err() {
            tracing::warn!(event = "drain_deadline", "left before every client was gone");
        }
        self.works.cancel();
        tracing::info!(event = "drain_ends", "gone");
    }
}

/// Broker, hub and relay, and what runs as long as the node.
async fn start_relay(
    config: &Config,
    (clock, metrics, usage): (fn() -> Duration, &Arc<Metrics>, &Arc<Usage>),
    works: &CancellationToken,
    fatal: &Arc<dyn Fn(&'static str) + Send + Sync>,
) -> Result<Arc<Relay>, Unfit> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let sharding = Sharding::new(cores * SHARDS_PER_CORE);
    let hub = Hub::new(sharding.count(), &config.limits, Clock::start(), Arc::clone(metrics));
    let (feed, receivers) = Feed::new(sharding.clone(), config.limits.node_tail_bytes);
    let tails = Arc::clone(feed.tails());
    let (broker, parts): (Arc<dyn Broker>, Vec<Work>) = match &config.engine {
        Engine::Memory => {
            let memory = Arc::new(Memory::new(feed, config.limits.node_history_bytes));
            (Arc::clone(&memory) as Arc<dyn Broker>, vec![("history", Box::pin(sweep(memory)))])
        }
        Engine::Redis(redis) => {
            let (broker, parts) = Redis::start(redis.clone(), feed, (clock, metrics)).await?;
            (broker, parts)
        }
    };
    let relay = Relay::new(Arc::clone(&hub), broker, tails, sharding);
    relay.start(receivers, works, fatal);
    for (name, part) in parts {
        relay.watch(name, works, fatal, part);
    }
    // Whoever connects first meets them already, unless the broker is away.
    let _ = relay.renew_overrides(usage).await;
    let overrides = Arc::clone(&relay).keep_overrides(Arc::clone(usage));
    relay.watch("overrides", works, fatal, overrides);
    let usage = Arc::clone(usage);
    let mut pressure = Pressure::new(&config.limits);
    relay.watch("sweep", works, fatal, async move {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lags = Worst::default();
        let mut queues = Worst::default();
        loop {
            let late = every.tick().await.elapsed();
            hub.metrics().runtime_lag.set(lags.with(late).as_secs_f64());
            let longest = queues.with(hub.take_longest_queue());
            hub.metrics().queue_messages_max.set(longest as f64);
            // Of ten thousand connections a hundred are pinged at once.
            hand_over_polling();
            hub.sweep(hub.clock().now());
            pressure.look(&hub);
            usage.forget(limit::nanos(hub.clock().precise()));
        }
    });
    Ok(relay)
}

/// Drops what is too old from the embedded broker, again and again.
async fn sweep(memory: Arc<Memory>) {
    loop {
        tokio::time::sleep(HISTORY_SWEEP_EVERY).await;
        memory.sweep();
    }
}

/// Hears the other nodes, and tells them of this one.
fn start_cluster(
    app: &App,
    works: &CancellationToken,
    fatal: &Arc<dyn Fn(&'static str) + Send + Sync>,
) {
    let relay = &app.policy.relay;
    if let Some(told) = relay.take_told() {
        let cluster = Arc::clone(&app.cluster);
        relay.watch("cluster", works, fatal, async move { cluster.hear(told).await });
    }
    if let Some(wishes) = relay.take_wishes() {
        let cluster = Arc::clone(&app.cluster);
        relay.watch("displace", works, fatal, async move { cluster.make_room(wishes).await });
    }
    let cluster = Arc::clone(&app.cluster);
    relay.watch("hello", works, fatal, async move { cluster.say_hello().await });
}

fn app(
    mut config: Config,
    (relay, usage, clock): (Arc<Relay>, Arc<Usage>, fn() -> Duration),
    tasks: &TaskTracker,
    public: SocketAddr,
) -> App {
    let pseudonyms = config.pseudonyms.take().unwrap_or_else(Pseudonyms::random);
    let policy = Arc::new(policy(&mut config, relay, (usage, clock), pseudonyms));
    let policies = Policies::new(Arc::clone(&policy));
    let origins = if config.dev.is_some() {
        // The page that this node serves.
        let own = ["localhost", "127.0.0.1"]
            .map(|host| OriginRule::parse(&format!("http://{host}:{}", public.port())));
        Origins::new(own.into_iter().flatten().collect())
    } else {
        config.origins
    };
    let name = config.name.unwrap_or_else(host_name);
    let node = (NodeId::new_v4(), name, VERSION);
    let key = config.cluster.unwrap_or_else(ClusterKey::random);
    let cluster = Cluster::new(node, Arc::clone(&policies), key);
    App {
        origins,
        proxies: config.proxies,
        api_keys: config.api_keys,
        api_errors: config.api_errors,
        api_rates: config.api_rates,
        health: Health::default(),
        connections: Cap::new(config.limits.websocket_connections),
        streams: Cap::new(config.limits.sse_connections),
        waiting: Cap::new(config.limits.waiting_connections),
        transports: config.transports,
        tasks: tasks.clone(),
        dev: config.dev,
        policies,
        policy,
        cluster,
    }
}

fn policy(
    config: &mut Config,
    relay: Arc<Relay>,
    (usage, unix_time): (Arc<Usage>, fn() -> Duration),
    pseudonyms: Pseudonyms,
) -> Policy {
    Policy {
        relay,
        verifier: config.verifier.take(),
        admission: std::mem::take(&mut config.admission),
        namespaces: std::mem::take(&mut config.namespaces),
        limits: config.limits.clone(),
        pseudonyms,
        usage,
        unix_time,
        version: format!("{VERSION} Sealcast"),
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "sealcast".to_owned(), |name| name.trim().to_owned())
}

/// Seconds since 1970.
#[must_use]
pub fn unix_now() -> u64 {
    unix_time().as_secs()
}

/// The time since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
