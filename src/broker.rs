//! The broker's contract: how publications get from the node that takes them in
//! to every node that has subscribers.
//!
//! # Order
//! All publications of one channel reach a node's [`Feed`] in one order, the
//! same on every node, and each at most once. Nothing is promised between
//! channels. Calls to [`Broker::publish`] for one channel take effect in the
//! order in which their futures were first polled.
//!
//! # Atomicity and acknowledgement
//! When a publish's future is `Ok`, the publication is on its way to every node
//! that was subscribed when it was accepted, and will not be taken back. When it
//! is an error, it may or may not have happened; the broker never retries it.
//!
//! # Subscriptions
//! A node subscribes once for each channel. Every publication accepted after the
//! future of [`Broker::subscribe`] is `Ok` reaches the feed, until
//! [`Broker::unsubscribe`] is called. Both may be repeated; a repeat does nothing.
//!
//! # Errors
//! [`Unavailable`] after [`CALL_TIMEOUT`] at the latest; no call waits longer.
//! Dropping a future stops the waiting, not what has been sent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sealcast_wire::{Channel, Publication};

mod feed;
mod memory;
#[cfg(test)]
mod stand_in;

pub use feed::{Delivery, FEED_CAPACITY, Feed, Sharding};
pub use memory::Memory;
#[cfg(test)]
pub(crate) use stand_in::StandIn;

/// The deadline of every call.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(500);

/// The broker could not do it in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker is not available")]
pub struct Unavailable;

/// See the module's text for what is promised.
pub trait Broker: Send + Sync + 'static {
    /// Publishes to everyone who is subscribed to `channel`, on any node.
    fn publish(
        &self,
        channel: Channel,
        publication: Arc<Publication>,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Wants the publications of `channel` on this node's feed.
    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// No longer wants them.
    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Sends a mark through the broker to every shard of this node's feed, by
    /// the way that publications take. Whoever reads the feed tells whether it
    /// came; the future being `Ok` only says that it was sent.
    fn probe(&self, mark: u64) -> BoxFuture<'_, Result<(), Unavailable>>;
}
