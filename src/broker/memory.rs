//! The embedded broker: one process, nothing outside it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sealcast_wire::{Channel, Publication};
use tokio::time::timeout;

use super::feed::{Delivery, Feed};
use super::{Broker, CALL_TIMEOUT, Unavailable};

/// See [`Broker`]. The order of a channel is the order in which its feed's
/// places are given out, which is first come, first served.
pub struct Memory {
    feed: Feed,
    wanted: Mutex<HashSet<Channel>>,
}

impl Memory {
    /// A broker that delivers to `feed`.
    #[must_use]
    pub fn new(feed: Feed) -> Memory {
        Memory { feed, wanted: Mutex::new(HashSet::new()) }
    }
}

impl Broker for Memory {
    fn publish(
        &self,
        channel: Channel,
        publication: Arc<Publication>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let wanted = self.wanted.lock().contains(&channel);
            if !wanted {
                return Ok(());
            }
            let shard = self.feed.shard(&channel).ok_or(Unavailable)?;
            let place = timeout(CALL_TIMEOUT, shard.reserve())
                .await
                .map_err(|_| Unavailable)?
                .map_err(|_| Unavailable)?;
            place.send(Delivery::Publication(channel, publication));
            Ok(())
        })
    }

    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wanted.lock().insert(channel);
            Ok(())
        })
    }

    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wanted.lock().remove(&channel);
            Ok(())
        })
    }

    fn probe(&self, mark: u64) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let sent = async {
                for shard in self.feed.shards() {
                    shard.send(Delivery::Probe(mark)).await.map_err(|_| Unavailable)?;
                }
                Ok(())
            };
            timeout(CALL_TIMEOUT, sent).await.map_err(|_| Unavailable)?
        })
    }
}
