//! The connection's side of its subscriptions: which, and where each stands.

use bytes::Bytes;
use sealcast_wire::Channel;

use super::Connection;
use crate::hub::deadlines::{Deadline, Millis};
use crate::hub::outbox::{Outbox, Phase, Subscription, Terms, Traces};
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

/// What is noted of a subscription.
#[derive(Debug, Default)]
pub struct Noted {
    /// How many subscriptions the connection may have with it.
    pub most: usize,
    /// The server made it.
    pub server_side: bool,
    /// What a token or a backend says of it; nothing for most.
    pub terms: Option<Terms>,
}

/// What the connection's task has to see to.
#[derive(Debug, Default)]
pub struct Notes {
    /// Channels whose subscriptions are over, each told once.
    pub expired: Vec<Channel>,
    /// See [`Registration::client`](crate::hub::Registration::client).
    pub client_changed: bool,
}

impl Connection {
    /// Notes a subscription, unless there are as many as there may be.
    ///
    /// # Errors
    /// Says why not.
    pub fn add_subscription(
        &self,
        channel: &Channel,
        shard: usize,
        slot: Slot,
        noted: Noted,
    ) -> Result<(), NotAdded> {
        let Noted { most, server_side, terms } = noted;
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
        let terms = terms.map(Box::new);
        let channel = channel.clone();
        let subscription = Subscription { channel, shard, slot, server_side, terms };
        outbox.subscriptions.insert(at, subscription);
        self.set_subscription_deadline(&mut outbox);
        Ok(())
    }

    /// Whether the server made the subscription; `false` also if there is none.
    #[must_use]
    pub fn is_server_side(&self, channel: &Channel) -> bool {
        let outbox = self.outbox.lock();
        let found = outbox.find(channel).ok().and_then(|at| outbox.subscriptions.get(at));
        found.is_some_and(|subscription| subscription.server_side)
    }

    /// Puts other terms in the place of those of a subscription that the server
    /// made; `false` if there is no such subscription.
    pub fn set_terms(&self, channel: &Channel, terms: Option<Terms>) -> bool {
        let mut outbox = self.outbox.lock();
        let Ok(at) = outbox.find(channel) else { return false };
        let found = outbox.subscriptions.get_mut(at).filter(|one| one.server_side);
        let Some(subscription) = found else { return false };
        subscription.terms = terms.map(Box::new);
        self.set_subscription_deadline(&mut outbox);
        true
    }

    /// Sets when a subscription ends; `false` if there is no such subscription.
    pub fn extend_subscription(&self, channel: &Channel, expires: Option<Millis>) -> bool {
        let mut outbox = self.outbox.lock();
        let Ok(at) = outbox.find(channel) else { return false };
        if let Some(subscription) = outbox.subscriptions.get_mut(at) {
            subscription.terms.get_or_insert_default().expires = expires;
        }
        self.set_subscription_deadline(&mut outbox);
        true
    }

    /// What the subscription's token says of the user; empty if there is none.
    #[must_use]
    pub fn subscription_info(&self, channel: &Channel) -> Bytes {
        let outbox = self.outbox.lock();
        let found = outbox.find(channel).ok().and_then(|at| outbox.subscriptions.get(at));
        let terms = found.and_then(|subscription| subscription.terms.as_ref());
        terms.map(|terms| terms.info.clone()).unwrap_or_default()
    }

    /// The registry has other words about the client: its session must read them.
    pub(in crate::hub) fn note_client_changed(&self) {
        let mut outbox = self.outbox.lock();
        outbox.client_changed = true;
        outbox.wake();
    }

    /// What the connection's task has to see to at `now`, told once.
    pub fn take_notes(&self, now: Millis) -> Notes {
        let mut outbox = self.outbox.lock();
        let client_changed = std::mem::take(&mut outbox.client_changed);
        if !std::mem::take(&mut outbox.subscription_due) {
            return Notes { expired: Vec::new(), client_changed };
        }
        let mut expired = Vec::new();
        for subscription in &mut outbox.subscriptions {
            if let Some(terms) = &mut subscription.terms
                && terms.expires.is_some_and(|at| at <= now)
            {
                terms.expires = None;
                expired.push(subscription.channel.clone());
            }
        }
        self.set_subscription_deadline(&mut outbox);
        Notes { expired, client_changed }
    }

    fn set_subscription_deadline(&self, outbox: &mut Outbox) {
        let terms = outbox.subscriptions.iter().filter_map(|one| one.terms.as_ref());
        let earliest = terms.filter_map(|terms| terms.expires).min().unwrap_or(Millis::NEVER);
        outbox.deadlines.set(Deadline::Subscription, earliest);
        self.note_due(&outbox.deadlines);
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
        if let Some(marks) = &mut outbox.marks {
            marks.end(channel);
        }
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
        let noted = outbox.traces.get_or_insert_default();
        noted.retain(|(other, _)| other != channel);
        noted.push((channel.clone(), traces));
    }

    /// Whether there is anything to be cleaned up.
    #[must_use]
    pub fn has_traces(&self) -> bool {
        self.outbox.lock().traces.is_some()
    }

    /// Takes what is to be cleaned up for one channel.
    pub fn take_traces(&self, channel: &Channel) -> Option<Traces> {
        let mut outbox = self.outbox.lock();
        let noted = outbox.traces.as_mut()?;
        let at = noted.iter().position(|(noted, _)| noted == channel)?;
        let traces = noted.swap_remove(at).1;
        if noted.is_empty() {
            outbox.traces = None;
        }
        Some(traces)
    }

    /// Takes all that is to be cleaned up.
    pub fn take_all_traces(&self) -> Vec<(Channel, Traces)> {
        self.outbox.lock().traces.take().map(|noted| *noted).unwrap_or_default()
    }
}
