//! What users, tenants, addresses, keys and the node as a whole have used of their
//! limits. It outlives every reload: numbers change, and what was used stays used.
//!
//! All of it is of this node alone, but for what operators have set. What is to hold
//! over a cluster is asked here first and at the broker after, which may tell how long
//! somebody has to wait; then that bucket is empty here too, and a flood does not reach
//! the broker.

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
    /// The tenant's messages.
    Tenant,
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
    /// The tenant's connections.
    TenantConnections,
    /// The API key's calls.
    ApiKey,
    /// The user's tickets.
    Tickets,
    /// Sessions and tickets that the address named and that are not there.
    Guesses,
    /// Nobody's: an operator has blocked the user, the tenant, the connection, the address
    /// or the key.
    Blocked,
    /// What the node has of memory and descriptors; see [`super::Stage`].
    NodeFull,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 17] = [
        Scope::Connection,
        Scope::Bytes,
        Scope::Subscribe,
        Scope::User,
        Scope::Tenant,
        Scope::Ephemeral,
        Scope::Node,
        Scope::NodeConnects,
        Scope::Address,
        Scope::AddressConnections,
        Scope::UserConnections,
        Scope::TenantConnections,
        Scope::ApiKey,
        Scope::Tickets,
        Scope::Guesses,
        Scope::Blocked,
        Scope::NodeFull,
    ];

    /// Its name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Connection => "connection",
            Scope::Bytes => "bytes",
            Scope::Subscribe => "subscribe",
            Scope::User => "user",
            Scope::Tenant => "tenant",
            Scope::Ephemeral => "ephemeral",
            Scope::Node => "node",
            Scope::NodeConnects => "node_connects",
            Scope::Address => "address",
            Scope::AddressConnections => "address_connections",
            Scope::UserConnections => "user_connections",
            Scope::TenantConnections => "tenant_connections",
            Scope::ApiKey => "api_key",
            Scope::Tickets => "tickets",
            Scope::Guesses => "guesses",
            Scope::Blocked => "blocked",
            Scope::NodeFull => "node_full",
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
    tenants: Keyed,
    addresses: Keyed,
    connections: Arc<Counts>,
    tenant_connections: Arc<Counts>,
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
            tenants: Keyed::new(MOST_KEYS),
            addresses: Keyed::new(MOST_KEYS),
            connections: Counts::new(),
            tenant_connections: Counts::new(),
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
        self.users.take(user, &self.user_rate(user, limits, now), 1, now)
    }

    /// How fast a user's messages may come.
    #[must_use]
    pub fn user_rate(&self, user: &str, limits: &Limits, now: Nanos) -> Rate {
        let own = self.overrides.user(user, now).and_then(|terms| terms.rate);
        own.unwrap_or(limits.user_messages)
    }

    /// One message of a user of this tenant.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn tenant_message(&self, tenant: &str, limits: &Limits, now: Nanos) -> Result<(), Wait> {
        self.tenants.take(tenant, &self.tenant_rate(tenant, limits, now), 1, now)
    }

    /// How fast the messages of a tenant's users may come, of all together.
    #[must_use]
    pub fn tenant_rate(&self, tenant: &str, limits: &Limits, now: Nanos) -> Rate {
        let own = self.overrides.tenant(tenant, now).and_then(|terms| terms.rate);
        own.unwrap_or(limits.tenant_messages)
    }

    /// Over all nodes a limit of this scope, a user's, a tenant's or a key's, is used up
    /// for so long: so it is here too, and a flood goes no further.
    pub fn exhaust(&self, (scope, subject): (Scope, &str), rate: &Rate, wait: Wait, now: Nanos) {
        let keyed = match scope {
            Scope::User => &self.users,
            Scope::Tenant => &self.tenants,
            Scope::ApiKey => &self.api_keys,
            _ => return,
        };
        keyed.exhaust(subject, rate, wait, now);
    }

    /// A place among a tenant's connections on this node, given back when dropped;
    /// `None` if all are taken.
    #[must_use]
    pub fn tenant_connection(&self, tenant: &str, most: usize) -> Option<Share> {
        self.tenant_connections.take(tenant, most)
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

    /// What an operator has set for one user, tenant, connection, address or key.
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
        let messages = [&self.users, &self.tenants, &self.api_keys];
        let doors = [&self.addresses, &self.tickets, &self.guesses];
        for keyed in messages.into_iter().chain(doors) {
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
    fn after_a_million_users_and_addresses_memory_is_what_it_was() {
        const SECOND: Nanos = 1_000_000_000;
        /// What is in use all the time.
        const STEADY: u32 = 20_000;
        let usage = Usage::new();
        let limits = Profile::Standard.limits();
        let limits = Limits { node_connects: Rate::NONE, ..limits };
        let seen = |subjects: std::ops::Range<u32>, now| {
            for subject in subjects {
                let _ = usage.message(&subject.to_string(), &limits, now);
                drop(usage.connect(IpAddr::from(subject.to_be_bytes()), &limits, now));
            }
        };
        // Four times a second, as the node does it.
        let pass = |from: Nanos, seconds: u64| {
            for quarter in 0..4 * seconds {
                usage.forget(from + quarter * SECOND / 4);
            }
        };
        let storage = || {
            let buckets = usage.users.capacity() + usage.addresses.capacity();
            (buckets, usage.users.len() + usage.addresses.len() + usage.connections.len())
        };
        seen(0..STEADY, SECOND);
        let (before, used) = storage();
        seen(0..1_000_000, SECOND);
        assert!(storage().1 > 1_990_000, "there is a place for nearly each");
        // The longest window is the minute of a user.
        pass(SECOND, 60);
        seen(0..STEADY, 61 * SECOND);
        let (after, remain) = storage();
        assert_eq!(remain, used);
        assert!(after <= before + before / 10, "{before} places before, {after} after");
    }

    #[test]
    fn who_guesses_too_often_may_not_even_name_what_is_right() {
        let (usage, limits) = (Usage::new(), Profile::Standard.limits());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..1_000 {
            assert_eq!(usage.may_name(one, &limits, 0), Ok(()), "what is right costs nothing");
        }
        for _ in 0..100 {
            assert_eq!(usage.may_name(one, &limits, 0), Ok(()));
            usage.guessed(one, &limits, 0);
        }
        let tenth = 100_000_000;
        assert_eq!(usage.may_name(one, &limits, 0), Err(Wait(tenth)));
        assert_eq!(usage.may_name(other, &limits, 0), Ok(()));
        // Those that were asked for together do not lengthen it.
        usage.guessed(one, &limits, 0);
        assert_eq!(usage.may_name(one, &limits, tenth), Ok(()));
        let strict = Profile::Strict.limits();
        for _ in 0..20 {
            assert_eq!(usage.may_name(other, &strict, 0), Ok(()));
            usage.guessed(other, &strict, 0);
        }
        assert!(usage.may_name(other, &strict, 0).is_err());
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

    #[test]
    fn a_tenant_has_a_number_of_its_own_or_none() {
        let (usage, none) = (Usage::new(), Profile::Standard.limits());
        assert!((0..1_000).all(|_| usage.tenant_message("acme", &none, 0).is_ok()));
        let limits = Limits { tenant_messages: Rate::each_second(10, 30), ..none };
        let through = |tenant, now| {
            (0..100).filter(|_| usage.tenant_message(tenant, &limits, now).is_ok()).count()
        };
        assert_eq!((through("acme", 0), through("other", 0)), (30, 30));
        assert!(usage.message("acme", &limits, 0).is_ok(), "a user of the same name");
        assert_eq!(through("acme", 1_000_000_000), 10);
        usage.exhaust((Scope::Tenant, "third"), &limits.tenant_messages, Wait(100_000_000), 0);
        assert_eq!((through("third", 0), through("third", 100_000_000)), (0, 1));
    }

    #[test]
    fn connections_of_a_tenant_are_given_back() {
        let usage = Usage::new();
        let held: Vec<_> = (0..2).map(|_| usage.tenant_connection("acme", 2)).collect();
        assert!(held.iter().all(Option::is_some) && usage.tenant_connection("acme", 2).is_none());
        assert!(usage.tenant_connection("other", 2).is_some());
        drop(held);
        assert!(usage.tenant_connection("acme", 2).is_some());
    }
}
