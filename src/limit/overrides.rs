//! What an operator has set for one user, tenant, connection, address or API key, beside
//! what holds for all: a rate, a cap on the queue, or that nothing is let through.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::gcra::Nanos;
use super::network::Network;
use super::rate::Rate;

/// Most overrides that are in force at the same time, in the whole cluster.
pub const MOST_OVERRIDES: usize = 10_000;
/// The longest time that one holds.
pub const LONGEST_OVERRIDE: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Most bytes of the reason.
const MOST_REASON: usize = 255;
/// The fastest rate that can be set, in a second: the hard cap of every rate of one
/// client.
const FASTEST: f64 = 10_000.0;
/// The hard caps of queues.
const MOST_QUEUE: QueueCap = QueueCap { messages: Some(1_000_000), bytes: Some(64 << 20) };

/// Whom an override is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A user, on all connections together.
    User(String),
    /// All users of a tenant together.
    Tenant(String),
    /// One connection.
    Client(Uuid),
    /// Whoever comes from an address.
    Address(Network),
    /// An API key, by its name.
    ApiKey(String),
}

impl Subject {
    /// The subject of this kind and name, if there can be one.
    #[must_use]
    pub fn of(kind: &str, name: &str) -> Option<Subject> {
        match kind {
            "user" => Some(Subject::User(name.to_owned())),
            "tenant" => Some(Subject::Tenant(name.to_owned())),
            "client" => name.parse().ok().map(Subject::Client),
            "address" => name.parse().ok().map(Subject::Address),
            "key" => Some(Subject::ApiKey(name.to_owned())),
            _ => None,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Subject::User(_) => "user",
            Subject::Tenant(_) => "tenant",
            Subject::Client(_) => "client",
            Subject::Address(_) => "address",
            Subject::ApiKey(_) => "key",
        }
    }

    /// Which one.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Subject::User(name) | Subject::Tenant(name) | Subject::ApiKey(name) => name.clone(),
            Subject::Client(id) => id.to_string(),
            Subject::Address(network) => network.to_string(),
        }
    }
}

/// How much may wait for one connection; `None` as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCap {
    /// Most messages.
    pub messages: Option<usize>,
    /// Most bytes.
    pub bytes: Option<usize>,
}

/// What holds for the subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// In the place of what holds for all: of a user and of a tenant the messages, of a
    /// connection the commands, of an address the connects, of a key the calls.
    pub rate: Option<Rate>,
    /// Of the subject's connections.
    pub queue: QueueCap,
    /// It is let do nothing.
    pub block: bool,
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// For whom.
    pub subject: Subject,
    /// What.
    pub terms: Terms,
    /// Why, in the words of who set it.
    pub reason: String,
    /// Who set it: the name of an API key.
    pub by: String,
}

/// Why an override makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOverride {
    /// It says nothing.
    Empty,
    /// A block, and something else that would never come to bear.
    Contradiction,
    /// A rate beyond the hard cap, or none at all.
    Rate,
    /// A cap of zero, or beyond the hard cap.
    Queue,
    /// The subject has no queue.
    NoQueue,
    /// Missing, too long, or with control characters.
    Reason,
}

impl BadOverride {
    /// What is wrong, for who set it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            BadOverride::Empty => "says nothing: give rate, queue_messages, queue_bytes or block",
            BadOverride::Contradiction => "contradictory: what is blocked has no rate and no queue",
            BadOverride::Rate => "the hard cap of a rate is 10000/s, also for its burst",
            BadOverride::Queue => {
                "queue_messages is 1 to 1000000, and queue_bytes is 1 to 67108864"
            }
            BadOverride::NoQueue => "contradictory: an API key has no queue",
            BadOverride::Reason => "reason is needed: 1 to 255 bytes without control characters",
        }
    }
}

impl Override {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), BadOverride> {
        let Terms { rate, queue, block } = self.terms;
        let limits_queue = queue != QueueCap::default();
        if !block && rate.is_none() && !limits_queue {
            return Err(BadOverride::Empty);
        }
        if block && (rate.is_some() || limits_queue) {
            return Err(BadOverride::Contradiction);
        }
        let too_fast =
            |rate: Rate| rate.per_second() > FASTEST || f64::from(rate.burst()) > FASTEST;
        if rate.is_some_and(too_fast) {
            return Err(BadOverride::Rate);
        }
        if limits_queue && matches!(self.subject, Subject::ApiKey(_)) {
            return Err(BadOverride::NoQueue);
        }
        let within = |cap: Option<usize>, most: Option<usize>| {
            cap.is_none_or(|cap| cap > 0 && Some(cap) <= most)
        };
        if !within(queue.messages, MOST_QUEUE.messages) || !within(queue.bytes, MOST_QUEUE.bytes) {
            return Err(BadOverride::Queue);
        }
        let reason = &self.reason;
        if reason.trim().is_empty()
            || reason.len() > MOST_REASON
            || reason.chars().any(char::is_control)
        {
            return Err(BadOverride::Reason);
        }
        Ok(())
    }
}

/// The overrides that a node knows of, and until when each holds by its clock.
/// Looking costs next to nothing while there are none.
#[derive(Debug, Default)]
pub struct Overrides {
    any: AtomicBool,
    table: ArcSwap<Table>,
}

/// Whose connection one is, as far as that is known and counted.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The connection itself.
    pub client: Uuid,
    /// Its user, who is not the anonymous one.
    pub user: Option<&'a str>,
    /// That user's tenant.
    pub tenant: Option<&'a str>,
    /// Where it comes from.
    pub address: Option<Network>,
}

#[derive(Debug, Default)]
struct Table {
    users: HashMap<String, Held>,
    tenants: HashMap<String, Held>,
    clients: HashMap<Uuid, Held>,
    addresses: HashMap<Network, Held>,
    api_keys: HashMap<String, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    terms: Terms,
    until: Nanos,
}

impl Overrides {
    /// What holds for a user.
    #[must_use]
    pub fn user(&self, user: &str, now: Nanos) -> Option<Terms> {
        self.look(now, |table| table.users.get(user).copied())
    }

    /// What holds for a tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &str, now: Nanos) -> Option<Terms> {
        self.look(now, |table| table.tenants.get(tenant).copied())
    }

    /// What holds for a connection.
    #[must_use]
    pub fn client(&self, client: Uuid, now: Nanos) -> Option<Terms> {
        self.look(now, |table| table.clients.get(&client).copied())
    }

    /// What holds for an address.
    #[must_use]
    pub fn address(&self, address: Network, now: Nanos) -> Option<Terms> {
        self.look(now, |table| table.addresses.get(&address).copied())
    }

    /// What holds for an API key.
    #[must_use]
    pub fn api_key(&self, name: &str, now: Nanos) -> Option<Terms> {
        self.look(now, |table| table.api_keys.get(name).copied())
    }

    /// How much may wait for a connection: what its own override says, before its
    /// user's, before its tenant's, before its address'.
    #[must_use]
    pub fn queue(&self, whose: Whose<'_>, now: Nanos) -> QueueCap {
        let all = self.of(whose, now).map(|terms| terms.unwrap_or_default().queue);
        QueueCap {
            messages: all.iter().find_map(|cap| cap.messages),
            bytes: all.iter().find_map(|cap| cap.bytes),
        }
    }

    /// Whether a connection must go.
    #[must_use]
    pub fn blocks(&self, whose: Whose<'_>, now: Nanos) -> bool {
        self.of(whose, now).into_iter().flatten().any(|terms| terms.block)
    }

    /// These hold from now on, and no others.
    pub fn replace(&self, all: impl IntoIterator<Item = (Override, Nanos)>) {
        let mut table = Table::default();
        let mut any = false;
        for (Override { subject, terms, .. }, until) in all.into_iter().take(MOST_OVERRIDES) {
            any = true;
            let held = Held { terms, until };
            match subject {
                Subject::User(user) => drop(table.users.insert(user, held)),
                Subject::Tenant(tenant) => drop(table.tenants.insert(tenant, held)),
                Subject::Client(client) => drop(table.clients.insert(client, held)),
                Subject::Address(address) => drop(table.addresses.insert(address, held)),
                Subject::ApiKey(key) => drop(table.api_keys.insert(key, held)),
            }
        }
        self.table.store(table.into());
        self.any.store(any, Ordering::Release);
    }

    /// How many hold.
    #[must_use]
    pub fn count(&self, now: Nanos) -> usize {
        fn live<K: Hash>(of: &HashMap<K, Held>, now: Nanos) -> usize {
            of.values().filter(|held| held.until > now).count()
        }
        let table = self.table.load();
        live(&table.users, now)
            + live(&table.tenants, now)
            + live(&table.clients, now)
            + live(&table.addresses, now)
            + live(&table.api_keys, now)
    }

    /// What holds for a connection, the nearest first.
    fn of(&self, whose: Whose<'_>, now: Nanos) -> [Option<Terms>; 4] {
        let Whose { client, user, tenant, address } = whose;
        [
            self.client(client, now),
            user.and_then(|user| self.user(user, now)),
            tenant.and_then(|tenant| self.tenant(tenant, now)),
            address.and_then(|address| self.address(address, now)),
        ]
    }

    fn look(&self, now: Nanos, find: impl FnOnce(&Table) -> Option<Held>) -> Option<Terms> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        find(&self.table.load()).filter(|held| held.until > now).map(|held| held.terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: Subject, terms: Terms) -> Override {
        Override { subject, terms, reason: "flood".into(), by: "ops".into() }
    }

    fn queue(messages: Option<usize>, bytes: Option<usize>) -> Terms {
        Terms { queue: QueueCap { messages, bytes }, ..Terms::default() }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let user = || Subject::User("ada".into());
        let rate = |rate| Terms { rate: Some(rate), ..Terms::default() };
        let block = Terms { block: true, ..Terms::default() };
        let good = [
            of(user(), rate(Rate::each_second(10_000, 10_000))),
            of(user(), queue(Some(1), Some(1))),
            of(user(), queue(Some(1_000_000), Some(64 << 20))),
            of(Subject::ApiKey("ops".into()), block),
        ];
        for one in good {
            assert_eq!(one.check(), Ok(()), "{one:?}");
        }
        let bad = [
            (of(user(), Terms::default()), BadOverride::Empty),
            (
                of(user(), Terms { rate: Some(Rate::each_second(1, 1)), ..block }),
                BadOverride::Contradiction,
            ),
            (of(user(), Terms { block: true, ..queue(Some(1), None) }), BadOverride::Contradiction),
            (of(user(), rate(Rate::each_second(10_001, 1))), BadOverride::Rate),
            (of(user(), rate(Rate::each_second(1, 10_001))), BadOverride::Rate),
            (of(user(), rate(Rate::NONE)), BadOverride::Rate),
            (of(user(), queue(Some(0), None)), BadOverride::Queue),
            (of(user(), queue(None, Some(0))), BadOverride::Queue),
            (of(user(), queue(Some(1_000_001), None)), BadOverride::Queue),
            (of(user(), queue(None, Some((64 << 20) + 1))), BadOverride::Queue),
            (of(Subject::ApiKey("ops".into()), queue(Some(1), None)), BadOverride::NoQueue),
            (Override { reason: " ".into(), ..of(user(), block) }, BadOverride::Reason),
            (Override { reason: "a\nb".into(), ..of(user(), block) }, BadOverride::Reason),
            (Override { reason: "x".repeat(256), ..of(user(), block) }, BadOverride::Reason),
        ];
        for (one, why) in bad {
            assert_eq!(one.check(), Err(why), "{one:?}");
        }
    }

    #[test]
    fn each_holds_for_its_subject_until_its_time() {
        let overrides = Overrides::default();
        assert_eq!(overrides.user("ada", 0), None);
        let (client, address) = (Uuid::from_u128(1), "192.0.2.1".parse().expect("an address"));
        let whose = |user, address| Whose { client, user: Some(user), tenant: Some("a"), address };
        let block = Terms { block: true, ..Terms::default() };
        overrides.replace([
            (of(Subject::User("ada".into()), queue(Some(5), None)), 10),
            (of(Subject::Client(client), queue(None, Some(7))), 20),
            (of(Subject::Tenant("a".into()), queue(Some(8), None)), 25),
            (of(Subject::Address(address), queue(Some(9), Some(9))), 30),
            (of(Subject::ApiKey("ops".into()), block), 40),
        ]);
        assert_eq!(overrides.count(9), 5);
        let cap = |now| overrides.queue(whose("ada", Some(address)), now);
        let at = |messages, bytes| QueueCap { messages, bytes };
        assert_eq!(cap(9), at(Some(5), Some(7)), "the nearest one counts");
        assert_eq!(cap(10), at(Some(8), Some(7)));
        assert_eq!(cap(20), at(Some(8), Some(9)));
        assert_eq!(cap(25), at(Some(9), Some(9)));
        assert_eq!(cap(30), at(None, None));
        assert_eq!(overrides.user("bob", 9), None);
        assert_eq!(overrides.api_key("ops", 39), Some(block));
        assert_eq!(overrides.api_key("ops", 40), None);
        assert_eq!(overrides.count(39), 1);
        overrides.replace([(of(Subject::User("ada".into()), block), 100)]);
        assert!(overrides.blocks(whose("ada", None), 50));
        assert!(!overrides.blocks(whose("bob", Some(address)), 50));
        assert!(!overrides.blocks(whose("ada", None), 100));
        overrides.replace([(of(Subject::Tenant("a".into()), block), 100)]);
        assert!(overrides.blocks(whose("bob", None), 50));
        let other = Whose { tenant: Some("b"), ..whose("bob", None) };
        assert!(!overrides.blocks(other, 50) && overrides.user("a", 50).is_none());
    }
}
