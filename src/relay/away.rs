//! While the broker is away: who must know that what they have is stale is told,
//! and what was subscribed meanwhile is made good.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use sealcast_wire::Channel;
use tokio::time::timeout;

use super::Relay;
use crate::broker::CALL_TIMEOUT;
use crate::hub::Millis;

/// After so long without a sign of the broker, whoever has a position is told
/// with 2500 that it is stale (`security.md` 3.4).
pub(super) const STALE_AFTER: Millis = Millis(30_000);
/// Channels that are confirmed at the same time.
const AT_A_TIME: usize = 64;

/// Channels with subscribers that the broker has not confirmed. Those without a
/// position do not wait for it; nobody else joins before it has.
#[derive(Default)]
pub(super) struct Unconfirmed(Mutex<HashSet<Channel>>);

impl Unconfirmed {
    pub(super) fn add(&self, channel: Channel) {
        self.0.lock().insert(channel);
    }

    pub(super) fn has(&self, channel: &Channel) -> bool {
        self.0.lock().contains(channel)
    }

    pub(super) fn remove(&self, channel: &Channel) {
        let mut channels = self.0.lock();
        if channels.remove(channel) && channels.is_empty() {
            *channels = HashSet::new();
        }
    }

    fn all(&self) -> Vec<Channel> {
        self.0.lock().iter().cloned().collect()
    }
}

impl Relay {
    /// While the broker is here, looks for what is not as it should be.
    pub(super) async fn mend(&self, now: Millis) {
        if self.is_ready(now) {
            self.confirm().await;
            self.check_positions(now).await;
        }
    }

    /// Ends every subscription that has a position if the broker has been silent
    /// for long. Those that are made later have its answer, and are told when that
    /// is as old.
    pub(super) fn tell_stale(&self, now: Millis) {
        let until = self.told_stale.load(Ordering::Relaxed);
        if !self.probes.is_silent(now, STALE_AFTER) || now < Millis(until) {
            return;
        }
        self.told_stale.store(now.after(STALE_AFTER).0, Ordering::Relaxed);
        let mut dirty = Vec::new();
        let channels = self.hub.positioned(|_| true);
        if !channels.is_empty() {
            let count = channels.len();
            tracing::warn!(event = "stale", channels = count, "no broker: positions are stale");
        }
        for (shard, channel) in channels {
            if self.hub.lose(shard, (&channel, None), &mut dirty) {
                self.linger.add(channel, shard, self.hub.clock().now());
            }
        }
        for connection in dirty {
            connection.flush(&self.hub);
        }
    }

    async fn confirm(&self) {
        let confirming = stream::iter(self.unconfirmed.all()).map(async |channel| {
            // Nobody else can make it or end it meanwhile.
            let Ok(_gate) = timeout(CALL_TIMEOUT, self.gates.enter(&channel)).await else { return };
            if self.unconfirmed.has(&channel)
                && self.broker.subscribe(channel.clone()).await.is_ok()
            {
                self.unconfirmed.remove(&channel);
            }
        });
        confirming.buffer_unordered(AT_A_TIME).collect::<()>().await;
    }
}
