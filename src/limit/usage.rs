//! What users, addresses and the node as a whole have used of their limits. It
//! outlives every reload: numbers change, and what was used stays used.
//!
//! All of it is of this node alone. What is to hold over a cluster is asked here
//! first and at the broker after, which may tell how long a user has to wait; then
//! the user's bucket is empty here too, and a flood does not reach the broker.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use super::counts::{Counts, Share};
use super::gcra::{Nanos, SharedBucket, Wait};
use super::keyed::Keyed;
use super::network::Network;
use super::overrides::Overrides;
use super::profile::Limits;
use super::rate::Rate;

/// Users, and addresses, that are remembered at the same time: beyond, newcomers
/// share.
const MOST_KEYS: usize = 1_000_000;

/// Whose limit refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection's, for its commands.
    Connection,
    /// The connection's, for the bytes of its commands.
    Bytes,
    /// The connection's, for subscribes and what follows from them.
    Subscribe,
    /// The user's messages.
    User,
    /// The connection's, for what it publishes to a shaped channel.
    Ephemeral,
    /// The node's commands.
    Node,
    /// The node's new connections.
    NodeConnects,
    /// The address' new connections.
    Address,
    /// The address' connections.
    AddressConnections,
    /// The user's connections.
    UserConnections,
    /// The API key's calls.
    ApiKey,
    /// The user's tickets.
    Tickets,
    /// Sessions and tickets that the address named and that are not there.
    Guesses,
    /// Nobody's: an operator has blocked the user, the connection, the address or the key.
    Blocked,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 14] = [
        Scope::Connection,
        Scope::Bytes,
        Scope::Subscribe,
        Scope::User,
        Scope::Ephemeral,
        Scope::Node,
        Scope::NodeConnects,
        Scope::Address,
        Scope::AddressConnections,
        Scope::UserConnections,
        Scope::ApiKey,
        Scope::Tickets,
        Scope::Guesses,
        Scope::Blocked,
    ];

    /// Its name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Connection => "connection",
            Scope::Bytes => "bytes",
            Scope::Subscribe => "subscribe",
            Scope::User => "user",
            Scope::Ephemeral => "ephemeral",
            Scope::Node => "node",
            Scope::NodeConnects => "node_connects",
            Scope::Address => "address",
            Scope::AddressConnections => "address_connections",
            Scope::UserConnections => "user_connections",
            Scope::ApiKey => "api_key",
            Scope::Tickets => "tickets",
            Scope::Guesses => "guesses",
            Scope::Blocked => "blocked",
        }
    }
}

/// A new connection, or a call, is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Whose limit it is.
    pub scope: Scope,
    /// When it is worth trying again; zero where nobody knows.
    pub wait: Wait,
}

/// See the module's text.
#[derive(Debug)]
pub struct Usage {
    commands: SharedBucket,
    connects: SharedBucket,
    users: Keyed,
    addresses: Keyed,
    connections: Arc<Counts>,
    api_keys: Keyed,
    tickets: Keyed,
    guesses: Keyed,
    overrides: Overrides,
}

impl Usage {
    /// Nothing is used.
    #[must_use]
    pub fn new() -> Arc<Usage> {
        Arc::new(Usage {
            commands: SharedBucket::default(),
            connects: SharedBucket::default(),
            users: Keyed::new(MOST_KEYS),
            addresses: Keyed::new(MOST_KEYS),
            connections: Counts::new(),
            api_keys: Keyed::new(MOST_KEYS),
            tickets: Keyed::new(MOST_KEYS),
            guesses: Keyed::new(MOST_KEYS),
            overrides: Overrides::default(),
        })
    }

    /// One command, of whomever.
    ///
    /// # Errors
    /// If the node has had enough.
    pub fn command(&self, limits: &Limits, now: Nanos) -> Result<(), Wait> {
        self.commands.take(&limits.node_commands, 1, now)
    }

    /// One message of a user.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn message(&self, user: &str, limits: &Limits, now: Nanos) -> Result<(), Wait> {
        let own = self.overrides.user(user, now).and_then(|terms| terms.rate);
        self.users.take(user, &own.unwrap_or(limits.user_messages), 1, now)
    }

    /// One call by an API key of this name.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn call(&self, key: &str, rate: &Rate, now: Nanos) -> Result<(), TooMany> {
        let own = self.overrides.api_key(key, now).unwrap_or_default();
        if own.block {
            return Err(TooMany { scope: Scope::Blocked, wait: Wait(0) });
        }
        let taken = self.api_keys.take(key, &own.rate.unwrap_or(*rate), 1, now);
        taken.map_err(|wait| TooMany { scope: Scope::ApiKey, wait })
    }

    /// What an operator has set for one user, connection, address or key.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// One ticket of a user.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn ticket(
        &self,
        user: &(impl Hash + ?Sized),
        limits: &Limits,
        now: Nanos,
    ) -> Result<(), Wait> {
        self.tickets.take(user, &limits.user_tickets, 1, now)
    }

    /// Whether an address may name a session or a ticket: it may not when it has
    /// named too many that are not there, whether this one is or not.
    ///
    /// # Errors
    /// If it has.
    pub fn may_name(&self, address: IpAddr, limits: &Limits, now: Nanos) -> Result<(), Wait> {
        self.guesses.check(&Network::from(address), &limits.ip_guesses, 1, now)
    }

    /// An address has named one that is not there.
    pub fn guessed(&self, address: IpAddr, limits: &Limits, now: Nanos) {
        // Some that were asked for together may come here when nothing is left.
        let _ = self.guesses.take(&Network::from(address), &limits.ip_guesses, 1, now);
    }

    /// A new connection; its place among those of its address is given back when
    /// dropped. What one address is refused costs the node nothing.
    ///
    /// # Errors
    /// If it is one too many, for the address or the node.
    pub fn connect(&self, address: IpAddr, limits: &Limits, now: Nanos) -> Result<Share, TooMany> {
        let subject = Network::from(address);
        let too_many = |scope| move |wait| TooMany { scope, wait };
        let own = self.overrides.address(subject, now).unwrap_or_default();
        if own.block {
            return Err(TooMany { scope: Scope::Blocked, wait: Wait(0) });
        }
        self.addresses
            .take(&subject, &own.rate.unwrap_or(limits.ip_connects), 1, now)
            .map_err(too_many(Scope::Address))?;
        let share = self
            .connections
            .take(&subject, limits.ip_connections)
            .ok_or(TooMany { scope: Scope::AddressConnections, wait: Wait(0) })?;
        self.connects.take(&limits.node_connects, 1, now).map_err(too_many(Scope::NodeConnects))?;
        Ok(share)
    }

    /// Forgets, in a part of all, who has used nothing lately; called often it
    /// comes round.
    pub fn forget(&self, now: Nanos) {
        let tickets = [&self.tickets, &self.guesses];
        for keyed in [&self.users, &self.addresses, &self.api_keys].into_iter().chain(tickets) {
            keyed.forget(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Profile;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let usage = Usage::new();
        let limits = Limits { ip_connections: 1, ..Profile::Standard.limits() };
        let first = usage.connect(address("2001:db8::1"), &limits, 0);
        assert!(first.is_ok());
        let again = usage.connect(address("2001:db8::ffff:1"), &limits, 0);
        assert!(matches!(again, Err(TooMany { scope: Scope::AddressConnections, .. })));
        let others = ["2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", "::1"];
        let others: Vec<_> =
            others.iter().map(|text| usage.connect(address(text), &limits, 0)).collect();
        assert!(others.iter().all(Result::is_ok), "{others:?}");
        let mapped = usage.connect(address("::ffff:192.0.2.1"), &limits, 0);
        assert!(mapped.is_err(), "the same as 192.0.2.1");
        drop(first);
        assert!(usage.connect(address("2001:db8::2"), &limits, 0).is_ok());
    }

    #[test]
    fn an_address_that_is_refused_uses_nothing_of_the_node() {
        let usage = Usage::new();
        let limits = Profile::Strict.limits();
        let one = address("192.0.2.1");
        for _ in 0..10 {
            usage.connect(one, &limits, 0).map(drop).expect("the address' burst");
        }
        for _ in 0..1_000 {
            let refused = usage.connect(one, &limits, 0).map(drop);
            let wait = Wait(1_000_000_000);
            assert_eq!(refused, Err(TooMany { scope: Scope::Address, wait }));
        }
        let through = (0..1_000_u32)
            .filter(|other| usage.connect(IpAddr::from(other.to_be_bytes()), &limits, 0).is_ok());
        assert_eq!(through.count(), 190, "the rest of the node's 200");
    }

    #[test]
    fn refusals_for_one_user_are_nobody_elses() {
        let (usage, limits) = (Usage::new(), Profile::Standard.limits());
        let through = (0..100).filter(|_| usage.message("ada", &limits, 0).is_ok()).count();
        assert_eq!(through, 20);
        assert!(usage.message("bob", &limits, 0).is_ok());
        let through = (0..10_000).filter(|_| usage.command(&limits, 0).is_ok()).count();
        assert_eq!(through, 5_000);
    }
}
