//! Places among the connections of a user or an address in the whole cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Relay;
use crate::broker::{Away, Charge, Holder};
use crate::limit::{Rate, Scope};

/// A place; given back when dropped.
pub struct Lease {
    relay: Arc<Relay>,
    holder: Holder,
}

impl Relay {
    /// Whether other nodes may have connections of the same holders.
    #[must_use]
    pub fn has_leases(&self) -> bool {
        self.broker.is_shared()
    }

    /// Whether a publication comes back as soon as the pump has its turn: the broker is
    /// in this node.
    #[must_use]
    pub fn comes_back_at_once(&self) -> bool {
        !self.broker.is_shared()
    }

    /// Takes a place for a connection that this node has counted itself; `None` if
    /// `most` are taken in the cluster. While the broker is away each node has its
    /// share of them, rounded up.
    pub async fn lease(self: &Arc<Self>, holder: Holder, most: Option<usize>) -> Option<Lease> {
        let lease = |holder| Lease { relay: Arc::clone(self), holder };
        match self.broker.hold(holder.clone(), most).await {
            Ok(held) => held.then(|| lease(holder)),
            Err(Away { here }) => {
                // It is counted here either way, until it is dropped.
                let lease = lease(holder);
                let share = most.map(|most| most.div_ceil(self.live_nodes()));
                share.is_none_or(|share| here <= share).then_some(lease)
            }
        }
    }

    /// What a publication counts against over all nodes; nothing where this node is all
    /// there is, or there is no limit.
    #[must_use]
    pub fn charge(&self, scope: Scope, subject: &str, rate: Rate) -> Option<Charge> {
        let counts = self.has_leases() && !rate.is_none();
        let share = rate.share(self.live_nodes());
        counts.then(|| Charge { scope, subject: subject.to_owned(), rate, share })
    }

    /// So many nodes live, as far as anyone has heard.
    pub fn note_live_nodes(&self, count: usize) {
        self.live_nodes.store(count.max(1), Ordering::Relaxed);
    }

    /// How many nodes lived when the broker was last there.
    #[must_use]
    pub fn live_nodes(&self) -> usize {
        self.live_nodes.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.relay.broker.release(&self.holder);
    }
}
