//! The connection's side of its subscriptions: which, and where each stands.

use sealcast_wire::Channel;

use super::Connection;
use crate::hub::outbox::{Phase, Subscription, Traces};
use crate::hub::shard::Slot;

/// Why a subscription was not noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// The connection is ending.
    Ending,
    /// There is one of this channel.
    Twice,
    /// There are as many as there may be.
    TooMany,
}

impl Connection {
    /// Notes a subscription, unless there are `most` already.
    ///
    /// # Errors
    /// Says why not.
    pub fn add_subscription(
        &self,
        channel: &Channel,
        shard: usize,
        slot: Slot,
        most: usize,
    ) -> Result<(), NotAdded> {
        let mut outbox = self.outbox.lock();
        let (Ok(shard), Phase::Open) = (u16::try_from(shard), outbox.phase) else {
            return Err(NotAdded::Ending);
        };
        let Err(at) = outbox.find(channel) else { return Err(NotAdded::Twice) };
        if outbox.subscriptions.len() >= most {
            return Err(NotAdded::TooMany);
        }
        if outbox.subscriptions.is_empty() {
            outbox.subscriptions.reserve_exact(1);
        }
        let subscription = Subscription { channel: channel.clone(), shard, slot };
        outbox.subscriptions.insert(at, subscription);
        Ok(())
    }

    /// Whether it is subscribed to the channel.
    #[must_use]
    pub fn is_subscribed(&self, channel: &Channel) -> bool {
        self.outbox.lock().find(channel).is_ok()
    }

    /// How many subscriptions it has.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.outbox.lock().subscriptions.len()
    }

    /// Forgets a subscription and tells where it stood.
    pub fn remove_subscription(&self, channel: &Channel) -> Option<(usize, Slot)> {
        let mut outbox = self.outbox.lock();
        let at = outbox.find(channel).ok()?;
        let removed = outbox.subscriptions.remove(at);
        Some((removed.shard.into(), removed.slot))
    }

    /// Forgets all subscriptions and tells where they stood.
    pub fn take_subscriptions(&self) -> Vec<(Channel, usize, Slot)> {
        std::mem::take(&mut self.outbox.lock().subscriptions)
            .into_iter()
            .map(|one| (one.channel, one.shard.into(), one.slot))
            .collect()
    }

    /// Notes what a subscription leaves at the broker. It stays noted when the
    /// subscription ends, until someone takes it to clean up.
    pub fn note_traces(&self, channel: &Channel, traces: Traces) {
        let mut outbox = self.outbox.lock();
        outbox.traces.retain(|(noted, _)| noted != channel);
        outbox.traces.push((channel.clone(), traces));
    }

    /// Whether there is anything to be cleaned up.
    #[must_use]
    pub fn has_traces(&self) -> bool {
        !self.outbox.lock().traces.is_empty()
    }

    /// Takes what is to be cleaned up for one channel.
    pub fn take_traces(&self, channel: &Channel) -> Option<Traces> {
        let mut outbox = self.outbox.lock();
        let at = outbox.traces.iter().position(|(noted, _)| noted == channel)?;
        Some(outbox.traces.swap_remove(at).1)
    }

    /// Takes all that is to be cleaned up.
    pub fn take_all_traces(&self) -> Vec<(Channel, Traces)> {
        std::mem::take(&mut self.outbox.lock().traces)
    }
}
