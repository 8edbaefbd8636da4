//! The channels of one shard and who listens to each.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::Channel;

use super::batch::Batch;
use super::connection::Connection;

/// A subscriber's place in its channel; stays the same as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

/// The delivery of one batch, on its way through the subscribers.
///
/// It can stop after any number of them and go on later. Slots keep their place
/// and carry the count at which they went live, so whoever comes or goes in
/// between is neither skipped nor served twice.
#[derive(Debug)]
pub struct FanOut {
    channel: Channel,
    batch: Batch,
    /// Only those who went live before this delivery began are served.
    began: u64,
    cursor: usize,
}

impl FanOut {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// How many publications each subscriber gets.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.batch.len()
    }

    /// The payload bytes of the batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
    }
}

#[derive(Default)]
pub(super) struct Shard {
    channels: HashMap<Channel, Subscribers>,
    /// Counts deliveries that began.
    deliveries: u64,
}

#[derive(Default)]
struct Subscribers {
    slots: Vec<Place>,
    free: Option<u32>,
    taken: usize,
}

enum Place {
    Free { next: Option<u32> },
    Taken(Subscriber),
}

struct Subscriber {
    connection: Arc<Connection>,
    /// The delivery count at which it went live; `None` before.
    live_since: Option<u64>,
}

impl Shard {
    pub(super) fn open(&mut self, channel: &Channel) {
        if !self.channels.contains_key(channel) {
            self.channels.insert(channel.clone(), Subscribers::default());
        }
    }

    pub(super) fn join(&mut self, channel: &Channel, connection: &Arc<Connection>) -> Option<Slot> {
        let subscribers = self.channels.get_mut(channel)?;
        let subscriber = Subscriber { connection: Arc::clone(connection), live_since: None };
        subscribers.put(subscriber)
    }

    pub(super) fn go_live(
        &mut self,
        channel: &Channel,
        slot: Slot,
        reply: impl FnOnce(&Connection) -> bool,
    ) -> bool {
        let deliveries = self.deliveries;
        let Some(subscriber) = self.channels.get_mut(channel).and_then(|all| all.get(slot)) else {
            return false;
        };
        reply(&subscriber.connection);
        subscriber.live_since = Some(deliveries);
        true
    }

    pub(super) fn leave(&mut self, channel: &Channel, slot: Slot) -> bool {
        let Some(subscribers) = self.channels.get_mut(channel) else { return false };
        subscribers.remove(slot);
        subscribers.taken == 0
    }

    pub(super) fn close_if_empty(&mut self, channel: &Channel) -> bool {
        let empty = self.channels.get(channel).is_none_or(|all| all.taken == 0);
        if empty {
            self.channels.remove(channel);
            if self.channels.len() * 4 < self.channels.capacity() && self.channels.capacity() > 64 {
                self.channels.shrink_to_fit();
            }
        }
        empty
    }

    pub(super) fn begin(&mut self, channel: Channel, batch: Batch) -> FanOut {
        self.deliveries += 1;
        FanOut { channel, batch, began: self.deliveries, cursor: 0 }
    }

    pub(super) fn advance(
        &mut self,
        fan_out: &mut FanOut,
        budget: usize,
        mut deliver: impl FnMut(&Arc<Connection>, Bytes, usize),
    ) -> (usize, bool) {
        let Some(subscribers) = self.channels.get(&fan_out.channel) else { return (0, true) };
        let mut served = 0;
        for place in subscribers.slots.iter().skip(fan_out.cursor) {
            if served == budget {
                return (served, false);
            }
            fan_out.cursor += 1;
            let Place::Taken(subscriber) = place else { continue };
            if subscriber.live_since.is_some_and(|since| since < fan_out.began) {
                let encoding = subscriber.connection.encoding();
                let frames = fan_out.batch.frames(&fan_out.channel, encoding);
                deliver(&subscriber.connection, frames, fan_out.batch.len());
                served += 1;
            }
        }
        (served, true)
    }

    /// Subscriptions, and channels that have any.
    pub(super) fn count(&self) -> (usize, usize) {
        self.channels
            .values()
            .filter(|all| all.taken > 0)
            .fold((0, 0), |(subscriptions, channels), all| {
                (subscriptions + all.taken, channels + 1)
            })
    }
}

impl Subscribers {
    fn put(&mut self, subscriber: Subscriber) -> Option<Slot> {
        let place = Place::Taken(subscriber);
        let at = match self.free {
            Some(at) => {
                let slot = self.slots.get_mut(at as usize)?;
                if let Place::Free { next } = slot {
                    self.free = *next;
                }
                *slot = place;
                at
            }
            None => {
                let at = u32::try_from(self.slots.len()).ok()?;
                if self.slots.is_empty() {
                    self.slots.reserve_exact(1);
                }
                self.slots.push(place);
                at
            }
        };
        self.taken += 1;
        Some(Slot(at))
    }

    fn get(&mut self, slot: Slot) -> Option<&mut Subscriber> {
        match self.slots.get_mut(slot.0 as usize) {
            Some(Place::Taken(subscriber)) => Some(subscriber),
            _ => None,
        }
    }

    fn remove(&mut self, slot: Slot) {
        if self.get(slot).is_some()
            && let Some(place) = self.slots.get_mut(slot.0 as usize)
        {
            *place = Place::Free { next: self.free };
            self.free = Some(slot.0);
            self.taken -= 1;
        }
    }
}
