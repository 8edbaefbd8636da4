//! How the broker is put together, by what its Redis is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::super::feed::Feed;
use super::agreement::Agreement;
use super::cluster::{Cluster, Parts};
use super::credit::Credits;
use super::durability::Durability;
use super::endpoint::Endpoint;
use super::health::Health;
use super::hello::Mode;
use super::keys::Names;
use super::leases::Leases;
use super::life::{Counters, Life};
use super::link::{Arrivals, Link, Subject};
use super::place::{Place, Unfit};
use super::present::Present;
use super::primary::Primary;
use super::ring::Ring;
use super::router::{Member, Router, Routes};
use super::seen::Seen;
use super::sentinel::Sentinels;
use super::{Redis, fit};
use crate::metrics::Metrics;

/// How long a node tries to reach Redis before it refuses to start.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which Redis to use, and how. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is.
    pub topology: Topology,
    /// Tells several installations in one Redis apart.
    pub prefix: String,
    /// When a publication counts as taken.
    pub durability: Durability,
}

/// How what is used of Redis hangs together.
#[derive(Clone, Debug)]
pub enum Topology {
    /// A primary at a fixed address, or several that know nothing of each other,
    /// among which the channels are spread.
    Primaries(Vec<Endpoint>),
    /// A primary that sentinels watch, and replace when it fails.
    Watched(Sentinels),
    /// A cluster of which these are members.
    Cluster(Vec<Endpoint>),
}

impl Topology {
    fn mode(&self) -> Mode {
        match self {
            Topology::Primaries(_) | Topology::Watched(_) => Mode::Standalone,
            Topology::Cluster(_) => Mode::Cluster,
        }
    }
}

/// A part of the broker that runs as long as the node, and its name. Without it
/// the node would be deaf.
pub type Work = (&'static str, BoxFuture<'static, ()>);

impl Redis {
    /// A broker that delivers to `feed`, and what must run for it. `clock` tells the
    /// time since 1970: it is compared with Redis' and used for nothing else.
    ///
    /// # Errors
    /// If this Redis cannot be reached for some seconds, or will not do.
    pub async fn start(
        config: RedisConfig,
        feed: Feed,
        (clock, metrics): (fn() -> Duration, &Arc<Metrics>),
    ) -> Result<(Arc<Redis>, Vec<Work>), Unfit> {
        let RedisConfig { topology, prefix, durability } = config;
        let names = Names::new(prefix);
        let id = uuid::Uuid::new_v4().to_string();
        let node = id.clone();
        let tails = Arc::clone(feed.tails());
        let health = Health::new(clock, metrics);
        let seen = Arc::new(Seen::new(feed.sharding().clone()));
        let (arrivals, forwards) = Arrivals::new(feed, &seen, metrics);
        let (metrics, mode) = (Arc::clone(metrics), topology.mode());
        let parts = Parts { names: names.clone(), id, durability, arrivals, health, metrics };
        let metrics = Arc::clone(&parts.metrics);
        let health = Arc::clone(&parts.health);
        let (router, mut works) = match topology {
            Topology::Cluster(seeds) => {
                let cluster = Cluster::find(seeds, parts, PATIENCE).await?;
                let router = Arc::clone(cluster.router());
                (router, vec![("redis cluster", cluster.run().boxed())])
            }
            Topology::Primaries(endpoints) => {
                let place = |at: Endpoint| {
                    let identity = at.identity();
                    (Place::At(at, Mode::Standalone), identity)
                };
                independent(endpoints.into_iter().map(place).unzip(), &parts).await?
            }
            Topology::Watched(sentinels) => {
                let identity = sentinels.to_string();
                independent((vec![Place::Watched(sentinels)], vec![identity]), &parts).await?
            }
        };
        works.extend(forwards.into_iter().map(|forward| ("redis feed", forward.boxed())));
        // By one alone there is nowhere else to speak.
        let alone = mode == Mode::Standalone && router.one_each(names.controls()).len() == 1;
        let controls: Vec<_> = names.controls().take(if alone { 1 } else { usize::MAX }).collect();
        for control in &controls {
            router.want(*control, Subject::Control);
        }
        let broker = Arc::new(Redis {
            names,
            mode,
            controls,
            router,
            health,
            present: Present::default(),
            leases: Leases::new(node),
            credits: Credits::new(),
            alone,
            tails,
            seen,
            metrics,
        });
        let keeping = Arc::clone(&broker);
        let keep = async move { keeping.present.keep(&keeping.names, &keeping.router).await };
        works.push(("redis presence", keep.boxed()));
        let keeping = Arc::clone(&broker);
        let keep = async move { keeping.leases.keep(&keeping.router).await };
        works.push(("redis leases", keep.boxed()));
        Ok((broker, works))
    }
}

/// Primaries that know nothing of each other, and what runs for them.
async fn independent(
    (places, identities): (Vec<Place>, Vec<String>),
    parts: &Parts,
) -> Result<(Arc<Router>, Vec<Work>), Unfit> {
    let Parts { names, id, durability, arrivals, health, metrics } = parts;
    let agreement = Agreement::new(names, &identities);
    let own = names.node(id, 0);
    let mut lives = Vec::new();
    for place in &places {
        place.check(PATIENCE).await?;
        // Each counts for itself: a stream stays where it is.
        let counter = Counters::default().of(names.life(0));
        fit::check(place, own, (&counter, health.skews.clock(), *durability)).await?;
        agreement.check(place).await?;
        lives.push(Arc::new(Life::new(counter)));
    }
    let (mut works, mut members): (Vec<Work>, _) = (Vec::new(), BTreeMap::new());
    for (at, (place, life)) in places.into_iter().zip(&lives).enumerate() {
        let (primary, lanes) = Primary::new(place.clone(), (life, *durability), health, metrics);
        let primary = Arc::new(primary);
        let ends = (Arc::clone(&primary), Arc::clone(arrivals));
        let link = Link::new((at, place), Box::new(move || Some(own)), ends, health, metrics);
        works.push(("redis link", Arc::clone(&link).run().boxed()));
        works.extend(lanes.into_iter().map(|lane| ("redis lane", lane.boxed())));
        members.insert(at, Arc::new(Member { at, primary, link }));
    }
    let router = Arc::new(Router::new(Routes::none(), Arc::clone(arrivals)));
    router.change(Routes::Ring(Ring::new(&identities)), members);
    let agreed = agreement.keep(names.list(), Arc::clone(&router));
    works.push(("redis agreement", agreed.boxed()));
    Ok((router, works))
}
