//! Every connection of the node.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sealcast_wire::{Tenant, User};

use super::Hub;
use super::connection::Connection;
use super::deadlines::Millis;
use crate::limit::Network;

/// How many connections are looked at before the lock is given up for a moment.
const CHUNK: usize = 1_024;

#[derive(Default)]
pub(crate) struct Registry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Where each user's connections stand, in the order in which they authenticated.
    users: HashMap<User, Seats>,
    /// Places that users' connections have taken before they authenticated.
    connecting: HashMap<User, usize>,
    clients: usize,
}

/// Where the connections of one user stand. Most have one, which takes no storage.
enum Seats {
    One([usize; 1]),
    More(Vec<usize>),
}

impl Seats {
    fn as_slice(&self) -> &[usize] {
        match self {
            Seats::One(one) => one,
            Seats::More(more) => more,
        }
    }

    fn add(&mut self, at: usize) {
        match self {
            Seats::One([one]) => *self = Seats::More(vec![*one, at]),
            Seats::More(more) => more.push(at),
        }
    }

    /// `true` if none is left.
    fn remove(&mut self, at: usize) -> bool {
        match self {
            Seats::One([one]) => *one == at,
            Seats::More(more) => {
                more.retain(|known| *known != at);
                more.is_empty()
            }
        }
    }
}

struct Entry {
    connection: Arc<Connection>,
    client: Option<Client>,
    /// When it authenticated.
    since: Millis,
    /// Where it comes from, if that is known.
    address: Option<Network>,
}

/// A connection, and whose it is as far as that is known.
pub struct Known {
    /// The connection.
    pub connection: Arc<Connection>,
    /// Its user, once it has authenticated.
    pub user: Option<User>,
    /// That user's tenant, if there is one.
    pub tenant: Option<Tenant>,
    /// Where it comes from.
    pub address: Option<Network>,
}

/// How many connections a user has on this node.
pub struct Standing {
    /// Those that live, or are about to authenticate.
    pub taken: usize,
    /// The one that authenticated first of those that live, and when.
    pub oldest: Option<(Arc<Connection>, Millis)>,
}

/// Whom an authenticated connection speaks for.
#[derive(Clone, Debug)]
pub struct Client {
    /// The user.
    pub user: User,
    /// Whose user that is, if the token says so.
    pub tenant: Option<Tenant>,
    /// What the token says of the user; one JSON value, or empty.
    pub info: Bytes,
}

/// A place among a user's connections, for one that is about to authenticate;
/// given back if dropped.
pub struct UserPlace {
    hub: Arc<Hub>,
    /// `None` once the connection has authenticated.
    user: Option<User>,
}

/// Keeps a connection in the registry until it is dropped.
pub struct Registration {
    hub: Arc<Hub>,
    at: usize,
}

impl Registration {
    /// Enters a connection.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, connection: Arc<Connection>) -> Registration {
        let mut inner = hub.registry().0.lock();
        let entry = Some(Entry { connection, client: None, since: Millis::NEVER, address: None });
        let at = match inner.free.pop() {
            Some(at) => {
                if let Some(place) = inner.places.get_mut(at) {
                    *place = entry;
                }
                at
            }
            None => {
                inner.places.push(entry);
                inner.places.len() - 1
            }
        };
        Registration { hub: Arc::clone(hub), at }
    }

    /// Notes where the connection comes from.
    #[must_use]
    pub fn coming_from(self, address: impl Into<Network>) -> Registration {
        let mut inner = self.hub.registry().0.lock();
        if let Some(entry) = inner.places.get_mut(self.at).and_then(Option::as_mut) {
            entry.address = Some(address.into());
        }
        drop(inner);
        self
    }

    /// What is known of the connection.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let inner = self.hub.registry().0.lock();
        inner.places.get(self.at)?.as_ref().map(Entry::known)
    }

    /// Takes a place among the connections of `user`, if fewer than `most` are
    /// taken. One that is ending takes none: its client may be the one that comes.
    #[must_use]
    pub fn take_place(&self, user: &User, most: usize) -> Option<UserPlace> {
        let mut inner = self.hub.registry().0.lock();
        let connecting = inner.connecting.get(user).copied().unwrap_or(0);
        let all = inner.users.get(user).map_or(0, |seats| seats.as_slice().len());
        if all + connecting >= most && inner.lives(user).count() + connecting >= most {
            return None;
        }
        *inner.connecting.entry(user.clone()).or_default() += 1;
        Some(UserPlace { hub: Arc::clone(&self.hub), user: Some(user.clone()) })
    }

    /// The connection has authenticated, and counts itself from now on.
    pub fn authenticated(&self, client: Client, place: Option<UserPlace>) {
        let mut inner = self.hub.registry().0.lock();
        let inner = &mut *inner;
        if let Some(user) = place.and_then(|mut place| place.user.take()) {
            inner.give_back(&user);
        }
        let Some(entry) = inner.places.get_mut(self.at).and_then(Option::as_mut) else { return };
        if entry.client.is_none() {
            inner.clients += 1;
            match inner.users.entry(client.user.clone()) {
                hash_map::Entry::Vacant(user) => {
                    user.insert(Seats::One([self.at]));
                }
                hash_map::Entry::Occupied(mut user) => user.get_mut().add(self.at),
            }
            entry.client = Some(client);
            entry.since = self.hub.clock().now();
        }
    }

    /// Whom the connection speaks for, once it has authenticated.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        let inner = self.hub.registry().0.lock();
        inner.places.get(self.at)?.as_ref()?.client.clone()
    }

    /// The connections of the same user that authenticated before this one.
    #[must_use]
    pub fn older(&self) -> Vec<Arc<Connection>> {
        let inner = self.hub.registry().0.lock();
        let entry = |at: usize| inner.places.get(at)?.as_ref();
        let user = entry(self.at).and_then(|own| own.client.as_ref()).map(|own| &own.user);
        let places = user.and_then(|user| inner.users.get(user)).map(Seats::as_slice);
        let before = places.unwrap_or_default().iter().take_while(|at| **at != self.at);
        before.filter_map(|at| Some(Arc::clone(&entry(*at)?.connection))).collect()
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        if let Some(user) = self.user.take() {
            self.hub.registry().0.lock().give_back(&user);
        }
    }
}

impl Entry {
    fn known(&self) -> Known {
        Known {
            connection: Arc::clone(&self.connection),
            user: self.client.as_ref().map(|client| client.user.clone()),
            tenant: self.client.as_ref().and_then(|client| client.tenant.clone()),
            address: self.address,
        }
    }
}

impl Inner {
    /// The connections of a user that are not ending, in the order in which they
    /// authenticated.
    fn lives(&self, user: &User) -> impl Iterator<Item = &Entry> {
        let places = self.users.get(user).map(Seats::as_slice).unwrap_or_default();
        let entries = places.iter().filter_map(|at| self.places.get(*at)?.as_ref());
        entries.filter(|entry| entry.connection.is_open())
    }

    fn give_back(&mut self, user: &User) {
        if let Some(count) = self.connecting.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.connecting.remove(user);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.hub.registry().0.lock();
        let gone = inner.places.get_mut(self.at).and_then(Option::take);
        inner.free.push(self.at);
        if let Some(client) = gone.and_then(|entry| entry.client) {
            inner.clients -= 1;
            if let Some(seats) = inner.users.get_mut(&client.user)
                && seats.remove(self.at)
            {
                inner.users.remove(&client.user);
            }
        }
    }
}

impl Registry {
    /// Those for whom something is due.
    pub(super) fn due(&self, now: Millis) -> Vec<Arc<Connection>> {
        let mut due = Vec::new();
        let mut at = 0;
        loop {
            let inner = self.0.lock();
            let Some(chunk) = inner.places.get(at..(at + CHUNK).min(inner.places.len())) else {
                return due;
            };
            if chunk.is_empty() {
                return due;
            }
            at += chunk.len();
            due.extend(
                chunk
                    .iter()
                    .flatten()
                    .filter(|entry| entry.connection.next_due() <= now)
                    .map(|entry| Arc::clone(&entry.connection)),
            );
        }
    }

    /// All of them, for `see`, which is not called under the lock.
    pub(super) fn each(&self, mut see: impl FnMut(Known)) {
        let mut at = 0;
        loop {
            let inner = self.0.lock();
            let Some(chunk) = inner.places.get(at..(at + CHUNK).min(inner.places.len())) else {
                return;
            };
            if chunk.is_empty() {
                return;
            }
            at += chunk.len();
            let known: Vec<_> = chunk.iter().flatten().map(Entry::known).collect();
            drop(inner);
            known.into_iter().for_each(&mut see);
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        let inner = self.0.lock();
        inner.places.iter().flatten().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// The authenticated connections of a user.
    pub(super) fn of(&self, user: &User) -> Vec<(Arc<Connection>, Client)> {
        let inner = self.0.lock();
        let places = inner.users.get(user).map(Seats::as_slice).unwrap_or_default();
        let entries = places.iter().filter_map(|at| inner.places.get(*at)?.as_ref());
        entries
            .filter_map(|entry| Some((Arc::clone(&entry.connection), entry.client.clone()?)))
            .collect()
    }

    /// See [`Standing`].
    pub(super) fn standing(&self, user: &User) -> Standing {
        let inner = self.0.lock();
        let connecting = inner.connecting.get(user).copied().unwrap_or(0);
        let oldest = inner.lives(user).next();
        Standing {
            taken: inner.lives(user).count() + connecting,
            oldest: oldest.map(|entry| (Arc::clone(&entry.connection), entry.since)),
        }
    }

    /// What others are told of the user of this connection from now on.
    pub(super) fn set_info(&self, connection: &Arc<Connection>, user: &User, info: Bytes) {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        let places = inner.users.get(user).map(Seats::as_slice).unwrap_or_default();
        for at in places {
            if let Some(entry) = inner.places.get_mut(*at).and_then(Option::as_mut)
                && Arc::ptr_eq(&entry.connection, connection)
                && let Some(client) = &mut entry.client
            {
                client.info = info;
                break;
            }
        }
        connection.note_client_changed();
    }

    /// Authenticated connections, and distinct users among them.
    pub(super) fn count(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (inner.clients, inner.users.len())
    }
}
