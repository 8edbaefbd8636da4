//! A cluster: its masters, each with its lanes and its link, as they come and go.
//!
//! Which master serves which slot is asked when anything is in doubt (a command
//! was sent elsewhere, a topic was refused, a connection failed), and now and then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{ErrorKind, Pipeline, RedisError, Value};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::durability::Durability;
use super::endpoint::{self, Endpoint};
use super::fit;
use super::health::Health;
use super::hello::Mode;
use super::keys::{Name, Names};
use super::life::{Counter, Counters, Life};
use super::link::{Arrivals, Link};
use super::place::{self, Place, Unfit};
use super::primary::Primary;
use super::router::{Member, Router, Routes};
use super::slots::{self, Ranges, SLOTS};
use crate::metrics::Metrics;

/// The shortest time between two questions for the slots.
const FLOOR: Duration = Duration::from_millis(200);
/// The longest.
const CEILING: Duration = Duration::from_secs(5);
/// In which time a member answers, or is passed over.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// What the members of a cluster are made with.
pub(super) struct Parts {
    pub(super) names: Names,
    /// The node's id.
    pub(super) id: String,
    pub(super) durability: Durability,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
}

/// Which member serves each slot, if any does.
type Owners = Vec<Option<usize>>;

/// See the module's text. Its task is [`Cluster::run`].
pub(super) struct Cluster {
    seeds: Vec<Endpoint>,
    router: Arc<Router>,
    parts: Parts,
    /// Where each member is.
    at: HashMap<(String, u16), usize>,
    /// Who serves each slot.
    owners: Owners,
    counters: Counters,
    members: BTreeMap<usize, Arc<Member>>,
    links: HashMap<usize, AbortHandle>,
    next: usize,
    /// `true` from a link, which never ends by itself.
    tasks: JoinSet<bool>,
}

impl Cluster {
    /// The cluster that these are members of.
    ///
    /// # Errors
    /// If none of them answers for `patience`, or a master will not do.
    pub(super) async fn find(
        seeds: Vec<Endpoint>,
        parts: Parts,
        patience: Duration,
    ) -> Result<Cluster, Unfit> {
        let all: Vec<_> = seeds.iter().map(ToString::to_string).collect();
        let all = all.join(", ");
        let look = async || match view(&seeds).await {
            Ok(masters) if masters.is_empty() => {
                let (address, problem) = (all.clone(), "no slot is served".to_owned());
                Err(Unfit::Unreachable { address, problem })
            }
            Ok(masters) => Ok(masters),
            Err(error) => Err(place::unfit(&all, &error)),
        };
        let masters = place::try_until(patience, &all, look).await?;
        let mut counters = Counters::default();
        check(&seeds, &masters, (&parts, &mut counters), patience).await?;
        let router = Arc::new(Router::new(Routes::none(), Arc::clone(&parts.arrivals)));
        let mut cluster = Cluster {
            seeds,
            router,
            parts,
            at: HashMap::new(),
            owners: Owners::new(),
            counters,
            members: BTreeMap::new(),
            links: HashMap::new(),
            next: 0,
            tasks: JoinSet::new(),
        };
        cluster.apply(&masters);
        Ok(cluster)
    }

    pub(super) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// Keeps the members as the cluster has them, until one of their tasks fails.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.parts.health.doubted() => {}
                () = sleep(CEILING) => {}
                Some(ended) = self.tasks.join_next() => match ended {
                    Err(error) if error.is_panic() => return,
                    Ok(true) => return,
                    // A lane whose primary is gone, or a link that was ended.
                    _ => continue,
                },
            }
            let asked: Vec<_> = self.known();
            match view(&asked).await {
                Ok(masters) if !masters.is_empty() => self.apply(&masters),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(event = "cluster_unknown", %error, "no member of it answers");
                }
            }
            sleep(FLOOR).await;
        }
    }

    /// Whoever may know: the masters, and the seeds.
    fn known(&self) -> Vec<Endpoint> {
        let mut known = self.seeds.clone();
        for (host, port) in self.at.keys() {
            if let Some(seed) = self.seeds.first() {
                let one = seed.at(host, *port);
                if known.iter().all(|seed| seed.to_string() != one.to_string()) {
                    known.push(one);
                }
            }
        }
        known
    }

    fn apply(&mut self, masters: &[Ranges]) {
        let mut serving = BTreeMap::new();
        for master in masters {
            let next = self.next;
            let at = *self.at.entry(master.address.clone()).or_insert(next);
            self.next = next.max(at + 1);
            serving.insert(at, master);
        }
        let owners = owners(serving.iter().map(|(at, master)| (*at, *master)));
        if owners == self.owners && serving.keys().eq(self.members.keys()) {
            return;
        }
        let mut members = BTreeMap::new();
        for (at, master) in &serving {
            let counter = self.counters.of(life(&self.parts.names, &owners, *at));
            if let Some(member) = self.members.get(at) {
                member.primary.life().count_by(counter);
                members.insert(*at, Arc::clone(member));
            } else if let Some(place) = place_of(&self.seeds, &master.address) {
                members.insert(*at, Arc::new(self.member(*at, place, counter)));
            }
        }
        // Whatever the one that served a slot has lost, its streams there lack it.
        let moved = self.owners.iter().zip(&owners).filter(|(before, now)| before != now);
        for (before, now) in moved.collect::<HashSet<_>>() {
            if let (Some(before), Some(now)) = (before, now)
                && let (Some(before), Some(now)) = (self.members.get(before), members.get(now))
            {
                now.primary.life().counter().not_below(before.primary.life().incarnation());
            }
        }
        self.router.change(Routes::Slots(owners.clone().into()), members.clone());
        for (at, link) in &self.links {
            if !members.contains_key(at) {
                link.abort();
            }
        }
        self.links.retain(|at, _| members.contains_key(at));
        self.at.retain(|_, at| members.contains_key(at));
        (self.members, self.owners) = (members, owners);
    }

    /// A new member, and what runs for it.
    fn member(&mut self, at: usize, place: Place, counter: Arc<Counter>) -> Member {
        let Parts { names, id, durability, arrivals, health, metrics } = &self.parts;
        let life = Arc::new(Life::new(counter));
        let (primary, lanes) = Primary::new(place.clone(), (&life, *durability), health, metrics);
        for lane in lanes {
            self.tasks.spawn(async move {
                lane.await;
                false
            });
        }
        let primary = Arc::new(primary);
        let (names, id, router) = (names.clone(), id.clone(), Arc::downgrade(&self.router));
        // Whichever of its names lies in a slot that this master serves.
        let own = move || -> Option<Name> {
            let router = router.upgrade()?;
            (0..SLOTS).map(|n| names.node(&id, n)).find(|name| router.is_at(*name, at))
        };
        let parts = (Arc::clone(&primary), Arc::clone(arrivals));
        let link = Link::new((at, place), Box::new(own), parts, health, metrics);
        let running = Arc::clone(&link).run();
        let task = self.tasks.spawn(async move {
            running.await;
            true
        });
        self.links.insert(at, task);
        Member { at, primary, link }
    }
}

/// Whether the masters will do. One that cannot be reached may be about to be
/// replaced; the node is not ready before it is. But one at least must be there.
async fn check(
    seeds: &[Endpoint],
    masters: &[Ranges],
    (parts, counters): (&Parts, &mut Counters),
    patience: Duration,
) -> Result<(), Unfit> {
    let owners = owners(masters.iter().enumerate());
    let mut all = Vec::new();
    for (at, master) in masters.iter().enumerate() {
        let own = first_at(|n| parts.names.node(&parts.id, n), &owners, at);
        if let (Some(own), Some(place)) = (own, place_of(seeds, &master.address)) {
            all.push((place, own, counters.of(life(&parts.names, &owners, at))));
        }
    }
    let checks = all.iter().map(async |(place, own, counter)| {
        place.check(patience).await?;
        fit::check(place, *own, (counter, parts.health.skews.clock(), parts.durability)).await
    });
    let (mut fit, mut away) = (false, None);
    for check in join_all(checks).await {
        match check {
            Ok(()) => fit = true,
            Err(unfit @ (Unfit::Unreachable { .. } | Unfit::Replica { .. })) => away = Some(unfit),
            Err(unfit) => return Err(unfit),
        }
    }
    match away {
        Some(unfit) if !fit => Err(unfit),
        Some(unfit) => {
            tracing::warn!(event = "master_away", %unfit, "a master of the cluster is away");
            Ok(())
        }
        None => Ok(()),
    }
}

fn owners<'a>(masters: impl Iterator<Item = (usize, &'a Ranges)>) -> Owners {
    let mut owners = vec![None; SLOTS];
    for (at, master) in masters {
        for (first, last) in &master.ranges {
            let range = usize::from(*first)..=usize::from(*last);
            if let Some(slots) = owners.get_mut(range) {
                slots.fill(Some(at));
            }
        }
    }
    owners
}

/// The first of many names that lies in a slot of this member.
fn first_at(name: impl Fn(usize) -> Name, owners: &Owners, at: usize) -> Option<Name> {
    let is_there = |name: &Name| owners.get(slots::of(*name)) == Some(&Some(at));
    (0..SLOTS).map(name).find(is_there)
}

/// Under which name heartbeats are counted at this member: the same for all nodes.
/// One that has next to no slots may have none, and is counted elsewhere.
fn life(names: &Names, owners: &Owners, at: usize) -> Name {
    first_at(|n| names.life(n), owners, at).unwrap_or_else(|| names.life(0))
}

/// How to speak with the member at this address.
fn place_of(seeds: &[Endpoint], (host, port): &(String, u16)) -> Option<Place> {
    seeds.first().map(|seed| Place::At(seed.at(host, *port), Mode::Cluster))
}

/// Asks all of these. What whoever has seen the latest change says counts.
async fn view(members: &[Endpoint]) -> Result<Vec<Ranges>, RedisError> {
    let answers = members.iter().map(async |member| {
        let none = || RedisError::from((ErrorKind::Io, "a member does not answer"));
        timeout(ANSWER_WITHIN, ask(member)).await.unwrap_or_else(|_| Err(none()))
    });
    let mut newest = None;
    let mut problem: Option<RedisError> = None;
    for answer in join_all(answers).await {
        match answer {
            Ok((epoch, masters)) if newest.as_ref().is_none_or(|(newest, _)| epoch > *newest) => {
                newest = Some((epoch, masters));
            }
            Ok(_) => {}
            Err(error) if error.is_connection_refusal() && problem.is_some() => {}
            Err(error) => problem = Some(error),
        }
    }
    match newest {
        Some((_, masters)) => Ok(masters),
        None => Err(problem.unwrap_or_else(|| (ErrorKind::Io, "no member is given").into())),
    }
}

/// The latest change that a member knows of, and what it takes for the masters.
async fn ask(member: &Endpoint) -> Result<(u64, Vec<Ranges>), RedisError> {
    let mut connection = member.connect(&endpoint::settings()).await?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let (info, slots): (String, Value) = pipeline.query_async(&mut connection).await?;
    let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    let epoch = epoch.and_then(|epoch| epoch.trim().parse().ok()).unwrap_or(0);
    let bad = || RedisError::from((ErrorKind::Parse, "slots that cannot be read"));
    Ok((epoch, slots::read(slots, &member.host()).ok_or_else(bad)?))
}
