//! Every connection of the node.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sealcast_wire::User;

use super::Hub;
use super::connection::Connection;
use super::deadlines::Millis;

/// How many connections are looked at before the lock is given up for a moment.
const CHUNK: usize = 1_024;

#[derive(Default)]
pub(crate) struct Registry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
    users: HashMap<User, u32>,
    clients: usize,
}

struct Entry {
    connection: Arc<Connection>,
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
        let entry = Some(Entry { connection, user: None });
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

    /// The connection has authenticated as `user`.
    pub fn authenticated(&self, user: &User) {
        let mut inner = self.hub.registry().0.lock();
        let Some(entry) = inner.places.get_mut(self.at).and_then(Option::as_mut) else { return };
        if entry.user.is_none() {
            entry.user = Some(user.clone());
            inner.clients += 1;
            *inner.users.entry(user.clone()).or_insert(0) += 1;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.hub.registry().0.lock();
        let gone = inner.places.get_mut(self.at).and_then(Option::take);
        inner.free.push(self.at);
        if let Some(user) = gone.and_then(|entry| entry.user) {
            inner.clients -= 1;
            if let Some(count) = inner.users.get_mut(&user) {
                *count -= 1;
                if *count == 0 {
                    inner.users.remove(&user);
                }
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

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        let inner = self.0.lock();
        inner.places.iter().flatten().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// Authenticated connections, and distinct users among them.
    pub(super) fn count(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (inner.clients, inner.users.len())
    }
}
