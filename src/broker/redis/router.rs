//! Which primary a name belongs to, and what is done with all of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::RwLock;
use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::super::Unavailable;
use super::keys::Name;
use super::link::{self, Arrivals, Link, Subject};
use super::primary::{Primary, Way, answered};
use super::ring::Ring;
use super::slots;

/// A primary: where commands go, and where publications come from.
pub(super) struct Member {
    /// Which of all.
    pub(super) at: usize,
    pub(super) primary: Arc<Primary>,
    pub(super) link: Arc<Link>,
}

/// Which member a name belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// Among independent primaries, for ever.
    Ring(Ring),
    /// By its slot, as the cluster has it now; `None` where it is served by none.
    Slots(Box<[Option<usize>]>),
}

/// See the module's text.
pub(super) struct Router {
    state: RwLock<State>,
    arrivals: Arc<Arrivals>,
}

struct State {
    routes: Routes,
    members: BTreeMap<usize, Arc<Member>>,
}

impl Routes {
    /// To nowhere.
    pub(super) fn none() -> Routes {
        Routes::Slots(Box::default())
    }

    fn of(&self, name: Name) -> Option<usize> {
        match self {
            Routes::Ring(ring) => Some(ring.of(name)),
            Routes::Slots(owners) => owners.get(slots::of(name)).copied().flatten(),
        }
    }
}

impl Router {
    /// To nobody yet.
    pub(super) fn new(routes: Routes, arrivals: Arc<Arrivals>) -> Router {
        let state = State { routes, members: BTreeMap::new() };
        Router { state: RwLock::new(state), arrivals }
    }

    /// From now on these are the members, and these the ways to them. Topics go
    /// where they belong now, and have missed something.
    pub(super) fn change(&self, routes: Routes, members: BTreeMap<usize, Arc<Member>>) {
        let mut state = self.state.write();
        if state.routes == routes && state.members.keys().eq(members.keys()) {
            return;
        }
        let before = std::mem::replace(&mut *state, State { routes, members });
        let mut homeless: BTreeMap<usize, Vec<link::Given>> = BTreeMap::new();
        for (at, member) in &before.members {
            for given in member.link.give(|name| state.routes.of(name) != Some(*at)) {
                // Where no one serves the slot it waits with anyone until someone does.
                let to = state.routes.of(given.0).unwrap_or(*at);
                homeless.entry(to).or_default().push(given);
            }
        }
        for (at, given) in homeless {
            let to = state.members.get(&at).or_else(|| state.members.values().next());
            if let Some(member) = to {
                member.link.adopt(given);
            }
        }
    }

    /// See [`Primary::call`].
    pub(super) async fn call(
        &self,
        way: Way,
        name: Name,
        command: Cmd,
        bytes: usize,
    ) -> Result<Value, Unavailable> {
        let answer = self.send(way, name, command, bytes)?;
        answered(answer).await
    }

    /// See [`Primary::send`].
    pub(super) fn send(
        &self,
        way: Way,
        name: Name,
        command: Cmd,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Value>, Unavailable> {
        self.state.read().of(name)?.primary.send(way, name, command, bytes)
    }

    /// The incarnation of the primary to which a name belongs, as far as it is known.
    pub(super) fn incarnation(&self, name: Name) -> u64 {
        self.state.read().of(name).map_or(0, |member| member.primary.life().incarnation())
    }

    /// See [`Link::subscribe`].
    pub(super) async fn subscribe(&self, name: Name, subject: Subject) -> Result<(), Unavailable> {
        // Under the lock it is wanted where it belongs; if that changes, it goes along.
        let confirmed = self.state.read().of(name)?.link.want(name, subject);
        link::confirmed(confirmed).await
    }

    /// See [`Link::want`].
    pub(super) fn want(&self, name: Name, subject: Subject) {
        if let Ok(member) = self.state.read().of(name) {
            drop(member.link.want(name, subject));
        }
    }

    /// See [`Link::unsubscribe`].
    pub(super) fn unsubscribe(&self, name: Name) {
        // Wherever it is: it may be with one that does not serve its slot any more.
        for member in self.state.read().members.values() {
            member.link.unsubscribe(name);
        }
    }

    /// Sends a mark to each primary. It is delivered when each has brought it back.
    ///
    /// # Errors
    /// If one of them did not take it in time.
    pub(super) async fn probe(&self, mark: u64) -> Result<(), Unavailable> {
        let members = self.members();
        self.arrivals.expect(mark, members.iter().map(|member| member.at).collect());
        let sent = join_all(members.iter().map(|member| member.link.probe(mark))).await;
        sent.into_iter().collect()
    }

    /// Sends commands to every primary, and waits until they are answered or not.
    pub(super) async fn everywhere(&self, way: Way, name: Name, commands: &[Cmd]) {
        let members = self.members();
        let to = members.iter().flat_map(|member| {
            commands.iter().map(|command| member.primary.call(way, name, command.clone(), 0))
        });
        join_all(to).await;
    }

    /// The first of `names`, and then one of each other primary.
    pub(super) fn one_each(&self, names: impl Iterator<Item = Name>) -> Vec<Name> {
        let (state, mut seen) = (self.state.read(), HashSet::new());
        names.filter(|name| state.of(*name).is_ok_and(|member| seen.insert(member.at))).collect()
    }

    /// Whether a name belongs to this member.
    pub(super) fn is_at(&self, name: Name, at: usize) -> bool {
        self.state.read().routes.of(name) == Some(at)
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.state.read().members.values().cloned().collect()
    }
}

impl State {
    fn of(&self, name: Name) -> Result<&Arc<Member>, Unavailable> {
        let at = self.routes.of(name).ok_or(Unavailable)?;
        self.members.get(&at).ok_or(Unavailable)
    }
}
