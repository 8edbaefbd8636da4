//! Which primary a name belongs to, and what is done with all of them.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::super::Unavailable;
use super::keys::Name;
use super::link::{Arrivals, Link, Subject};
use super::primary::{Primary, Way, answered};
use super::ring::Ring;

/// A primary: where commands go, and where publications come from.
pub(super) struct Member {
    /// Which of all.
    pub(super) at: usize,
    pub(super) primary: Arc<Primary>,
    pub(super) link: Arc<Link>,
}

/// See the module's text.
pub(super) struct Router {
    ring: Ring,
    members: Vec<Member>,
    arrivals: Arc<Arrivals>,
}

impl Router {
    /// Over `members` in the order of the ring's.
    pub(super) fn new(ring: Ring, members: Vec<Member>, arrivals: Arc<Arrivals>) -> Router {
        Router { ring, members, arrivals }
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
        self.of(name)?.primary.send(way, name, command, bytes)
    }

    /// See [`Link::subscribe`].
    pub(super) async fn subscribe(&self, name: Name, subject: Subject) -> Result<(), Unavailable> {
        self.of(name)?.link.subscribe(name, subject).await
    }

    /// See [`Link::want`].
    pub(super) fn want(&self, name: Name, subject: Subject) {
        if let Ok(member) = self.of(name) {
            member.link.want(name, subject);
        }
    }

    /// See [`Link::unsubscribe`].
    pub(super) fn unsubscribe(&self, name: Name) {
        if let Ok(member) = self.of(name) {
            member.link.unsubscribe(name);
        }
    }

    /// Sends a mark to each primary. It is delivered when each has brought it back.
    ///
    /// # Errors
    /// If one of them did not take it in time.
    pub(super) async fn probe(&self, mark: u64) -> Result<(), Unavailable> {
        let links: HashSet<_> = self.members.iter().map(|member| member.at).collect();
        self.arrivals.expect(mark, links);
        let sent = join_all(self.members.iter().map(|member| member.link.probe(mark))).await;
        sent.into_iter().collect()
    }

    /// Sends commands to every primary, and waits until they are answered or not.
    pub(super) async fn everywhere(&self, way: Way, name: Name, commands: &[Cmd]) {
        let to = self.members.iter().flat_map(|member| {
            commands.iter().map(|command| member.primary.call(way, name, command.clone(), 0))
        });
        join_all(to).await;
    }

    /// The first of `names`, and then one of each other primary.
    pub(super) fn one_each(&self, names: impl Iterator<Item = Name>) -> Vec<Name> {
        let mut seen = HashSet::new();
        names.filter(|name| self.of(*name).is_ok_and(|member| seen.insert(member.at))).collect()
    }

    fn of(&self, name: Name) -> Result<&Member, Unavailable> {
        self.members.get(self.ring.of(name)).ok_or(Unavailable)
    }
}
