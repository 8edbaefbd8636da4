//! A subscription between joining and its reply.

use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::{Channel, Position};

use super::Relay;
use crate::hub::{Connection, NotAdded, Noted, Slot};

/// A subscription that was made and does not receive yet; taken back if dropped.
pub struct Joined {
    relay: Arc<Relay>,
    pub(super) channel: Channel,
    shard: usize,
    slot: Option<Slot>,
}

impl Joined {
    pub(super) fn new(relay: &Arc<Relay>, channel: Channel, shard: usize, slot: Slot) -> Joined {
        Joined { relay: Arc::clone(relay), channel, shard, slot: Some(slot) }
    }

    /// Whether something of the channel may have been missed since it was made, so that
    /// what was read by then must be read again. What comes from now on is kept.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.slot.is_some_and(|slot| self.relay.hub.reads_again(self.shard, &self.channel, slot))
    }

    /// Notes the subscription at the connection, writes the reply and lets it
    /// receive from `position` on; see [`Hub::go_live`].
    ///
    /// # Errors
    /// If the connection does not take it; nothing is left behind then.
    pub fn go_live(
        mut self,
        connection: &Arc<Connection>,
        noted: Noted,
        position: Option<Position>,
        reply: Option<Bytes>,
    ) -> Result<(), NotAdded> {
        let Some(slot) = self.slot else { return Err(NotAdded::Ending) };
        connection.add_subscription(&self.channel, self.shard, slot, noted)?;
        self.slot = None;
        let Joined { relay, channel, shard, .. } = &self;
        if !relay.hub.go_live(*shard, channel, slot, position, reply) {
            return Err(NotAdded::Ending);
        }
        if !connection.is_subscribed(channel) {
            // It missed something and was taken out again, maybe as the last one.
            relay.linger.add(channel.clone(), *shard, relay.hub.clock().now());
        }
        Ok(())
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.relay.leave(&self.channel, self.shard, slot);
        }
    }
}
