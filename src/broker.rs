//! The broker's contract: how publications get from the node that takes them in
//! to every node that has subscribers, and what is kept of them.
//!
//! # Order
//! All deliveries of one channel reach a node's [`Feed`] in one order, the same
//! on every node, and each at most once. Publications of a channel with history
//! come in the order of their offsets, without a hole. Joins and leaves may be
//! reordered against publications. Nothing is promised between channels. What
//! changes something of one channel takes effect in the order in which the calls'
//! futures were first polled; what only reads sees everything that was answered
//! before.
//!
//! # Atomicity and acknowledgement
//! When a publish's future is `Ok`, the publication is in the stream (if history
//! is kept) and on its way to every node that was subscribed when it was
//! accepted, and will not be taken back; both happen or neither does. When it is
//! an error, it may or may not have happened; the broker never retries it.
//!
//! # Idempotency and versions
//! Both are looked at before anything is written, the key first. A repeated key
//! answers what the first publish was answered, for [`IDEMPOTENCY_WINDOW`]; a
//! version that is not newer answers the stream's position. Neither publishes.
//!
//! # Streams
//! A channel's stream exists from the first look at it, with an epoch. Its top
//! and epoch stay until `meta_ttl` after the last publication, whatever became
//! of its entries. A stream that begins anew has another epoch.
//!
//! # Subscriptions
//! A node subscribes once for each channel. Everything accepted after the future
//! of [`Broker::subscribe`] is `Ok` reaches the feed, until
//! [`Broker::unsubscribe`] is called. Both may be repeated; a repeat does nothing.
//! What a broker loses on the way all the same, it says: [`Delivery::Gap`] comes in
//! its place. A subscribe that fails is wanted all the same, until the channel is
//! unsubscribed: what is accepted once the broker has made it reaches the feed.
//!
//! # Errors
//! [`Unavailable`] after [`CALL_TIMEOUT`] at the latest; no call waits longer.
//! Dropping a future stops the waiting, not what has been sent. What was called
//! unavailable and happens all the same may happen behind later calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Epoch, Position, Publication};

#[cfg(doc)]
use crate::limit::MOST_OVERRIDES;
use crate::limit::{Network, Override, Rate, Scope, Subject, TooMany};

mod arrivals;
mod feed;
mod memory;
mod redis;
#[cfg(test)]
mod stand_in;
mod stream;
mod tail;

pub use arrivals::Arrivals;
pub use feed::{Delivery, FEED_CAPACITY, Feed, Sharding};
pub use memory::Memory;
pub use redis::{
    BadEndpoint, Credentials, Durability, Endpoint, Fault, Redis, RedisConfig, Sentinels, Tls,
    Topology, Unfit, Work,
};
#[cfg(test)]
pub(crate) use stand_in::StandIn;
pub use tail::Tails;

/// The deadline of every call.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(500);
/// The most that a node's clock and its broker's may be apart (F-17).
pub const MOST_SKEW: Duration = Duration::from_secs(30);
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(300);

/// The broker could not do it in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker is not available")]
pub struct Unavailable;

/// The position asked from is not of this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the position is not of this stream")]
pub struct Unrecoverable;

/// Why a page of history cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// See [`Unrecoverable`].
    #[error(transparent)]
    Unrecoverable(#[from] Unrecoverable),
}

/// What is kept of a channel's publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Most entries.
    pub entries: usize,
    /// Most bytes.
    pub bytes: usize,
    /// Longest age of an entry; an older one is never returned.
    pub ttl: Duration,
    /// How long the position outlives the last publication.
    pub meta_ttl: Duration,
}

/// What to publish, and how.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The publication; the broker sets its offset and epoch.
    pub publication: Publication,
    /// Keep it in the stream.
    pub keep: Option<Retention>,
    /// The same key in the same channel publishes once. Scoped by its owner.
    pub idempotency: Option<IdempotencyKey>,
    /// Publishes only if newer than every version before, and what it counts in.
    pub version: Option<(u64, String)>,
    /// Whether subscribers who asked for deltas may get one.
    pub delta: bool,
    /// It is worth nothing a moment later, and may be given up for who is slow; only of
    /// what is not kept.
    pub passing: bool,
}

/// Who chose a key, and the key; at most 64 bytes each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The caller, so that two callers' keys never meet.
    pub owner: String,
    /// The caller's key.
    pub key: String,
}

/// Which page of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HistoryQuery {
    /// Most publications.
    pub limit: usize,
    /// Only those after it (before it, if reverse).
    pub since: Option<Since>,
    /// Newest first.
    pub reverse: bool,
}

/// A position as a client gives it; an empty epoch stands for any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Since {
    /// See [`Position`].
    pub offset: u64,
    /// See [`Position`]; may be empty.
    pub epoch: Epoch,
}

/// A page of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// In the order that was asked for.
    pub publications: Vec<Arc<Publication>>,
    /// The stream's top at that moment, not the page's end.
    pub position: Position,
}

/// Who is subscribed, by client id.
pub type Presence = BTreeMap<String, Arc<ClientInfo>>;

/// How many are subscribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceStats {
    /// Connections.
    pub clients: usize,
    /// Distinct users; all anonymous ones count as one.
    pub users: usize,
}

/// A limit over all nodes that a publication, or something else, counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose limit it is.
    pub scope: Scope,
    /// Who.
    pub subject: String,
    /// How fast.
    pub rate: Rate,
    /// This node's share of it, for as long as nobody can be asked.
    pub share: Rate,
}

/// Why something was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublished {
    /// See [`Unavailable`].
    Unavailable(Unavailable),
    /// It was one too many, and nothing was done.
    TooMany(TooMany),
}

impl From<Unavailable> for NotPublished {
    fn from(unavailable: Unavailable) -> NotPublished {
        NotPublished::Unavailable(unavailable)
    }
}

impl From<TooMany> for NotPublished {
    fn from(too_many: TooMany) -> NotPublished {
        NotPublished::TooMany(too_many)
    }
}

/// Whose connections are counted over all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A user.
    User(String),
    /// Whoever comes from an address.
    Address(Network),
    /// A tenant of the application.
    Tenant(String),
}

impl Holder {
    fn kind(&self) -> &'static str {
        match self {
            Holder::User(_) => "user",
            Holder::Address(_) => "address",
            Holder::Tenant(_) => "tenant",
        }
    }

    fn name(&self) -> String {
        match self {
            Holder::User(name) | Holder::Tenant(name) => name.clone(),
            Holder::Address(network) => network.to_string(),
        }
    }
}

/// The broker could not be asked; this node has so many connections of the holder, the
/// new one among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// How many.
    pub here: usize,
}

/// Every override of limits in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverrideList {
    /// Another one after each change.
    pub version: String,
    /// Each, and how long it holds from now on.
    pub all: Vec<(Override, Duration)>,
}

/// See the module's text for what is promised.
pub trait Broker: Send + Sync + 'static {
    /// Publishes to everyone who is subscribed to `channel`, on any node. Answers
    /// the position of the publication, if it is kept.
    fn publish(
        &self,
        channel: Channel,
        outgoing: Outgoing,
    ) -> BoxFuture<'_, Result<Option<Position>, Unavailable>>;

    /// As [`Broker::publish`], if none of these limits is exceeded. Each counts over all
    /// nodes; a repeated key is answered and does not count. A node that is the only one
    /// has counted them already.
    fn publish_within(
        &self,
        channel: Channel,
        outgoing: Outgoing,
        _charges: Vec<Charge>,
    ) -> BoxFuture<'_, Result<Option<Position>, NotPublished>> {
        Box::pin(async move { Ok(self.publish(channel, outgoing).await?) })
    }

    /// What a publish with this key was answered, as long as that is remembered; `None`
    /// if there was none. Who repeats it is answered so, whatever the limits say.
    fn answered(
        &self,
        channel: Channel,
        key: IdempotencyKey,
    ) -> BoxFuture<'_, Result<Option<Option<Position>>, Unavailable>>;

    /// Takes one from each of these limits over all nodes, or from none, for what is not
    /// a publication; the broker is not asked each time. While it is away, this node's
    /// share holds. A node that is the only one has counted it already.
    fn charge(&self, _charges: Vec<Charge>) -> BoxFuture<'_, Result<(), TooMany>> {
        Box::pin(async { Ok(()) })
    }

    /// Tells everyone who is subscribed that someone came (`true`) or went.
    fn announce(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
        came: bool,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Reads a page of the channel's stream. `meta_ttl` holds if the stream is
    /// made by this look.
    fn history(
        &self,
        channel: Channel,
        query: HistoryQuery,
        meta_ttl: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>>;

    /// Everything of the stream behind `from`, where this node's subscribers stand,
    /// at most `most` publications. As [`Broker::history`], but if the stream is
    /// found to be no longer the one in which they came there, it has begun anew.
    fn behind(
        &self,
        channel: Channel,
        from: Position,
        most: usize,
        meta_ttl: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>> {
        let since = Some(Since { offset: from.offset, epoch: from.epoch });
        self.history(channel, HistoryQuery { limit: most, since, reverse: false }, meta_ttl)
    }

    /// Removes the stream's entries; its position stays.
    fn remove_history(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Enters a client among those present, until [`Broker::exit`] or, a minute
    /// later at most, until this node is gone.
    fn enter(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Takes a client from those present.
    fn exit(&self, channel: Channel, client: String) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Who is present.
    fn presence(&self, channel: Channel) -> BoxFuture<'_, Result<Presence, Unavailable>>;

    /// How many are present.
    fn presence_stats(&self, channel: Channel)
    -> BoxFuture<'_, Result<PresenceStats, Unavailable>>;

    /// Wants the deliveries of `channel` on this node's feed, also if this fails.
    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// No longer wants them.
    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Keeps a value for `ttl`, for one to take. Nothing is put over another, and what
    /// was kept may be lost, but is never taken twice.
    fn put_once(
        &self,
        id: [u8; 32],
        value: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Takes it; `None` if there is none, or no more.
    fn take_once(&self, id: [u8; 32]) -> BoxFuture<'_, Result<Option<Bytes>, Unavailable>>;

    /// Sends a message to every other node; it comes on their feeds as
    /// [`Delivery::Told`], and may come on this one's as well. Messages may be lost,
    /// or overtake each other.
    fn tell(&self, message: Bytes) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Whether other nodes may use the same broker.
    fn is_shared(&self) -> bool;

    /// Counts one more connection of a holder on this node, if there are fewer than
    /// `most` on all nodes together. `false` if not. Until [`Broker::release`], or,
    /// a minute later at most, until this node is gone.
    ///
    /// # Errors
    /// If the broker is away: it is counted here, and there when it is back.
    fn hold(&self, of: Holder, most: Option<usize>) -> BoxFuture<'_, Result<bool, Away>>;

    /// One of those has gone.
    fn release(&self, of: &Holder);

    /// Puts an override in force for so long, in the place of one of the same subject.
    /// `false` if there are [`MOST_OVERRIDES`] already.
    fn set_override(
        &self,
        one: Override,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// Takes an override back. `false` if there is none.
    fn remove_override(&self, of: Subject) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// The overrides in force; `None` if they are still those that were read with the
    /// version `known`, which is empty where nothing was. What is over ends by itself.
    fn overrides(&self, known: String) -> BoxFuture<'_, Result<Option<OverrideList>, Unavailable>>;

    /// Sends a mark through the broker to every shard of this node's feed, by
    /// the way that publications take. Whoever reads the feed tells whether it
    /// came; the future being `Ok` only says that it was sent.
    fn probe(&self, mark: u64) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// How far this node's clock and the broker's were lately apart; nothing where
    /// the broker has none of its own.
    fn skew(&self) -> Duration {
        Duration::ZERO
    }
}
