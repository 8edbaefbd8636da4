//! The channels of one shard and who listens to each.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::reply::{ClientInfo, Event};
use sealcast_wire::{Channel, Disconnect, Epoch, Position, Publication, Reply};

use super::batch::{Batch, Item};
use super::connection::Connection;
use super::format::Format;
use super::subscriber::{Lost, Served, Subscriber, Wants};

/// What a channel takes, in a map that may be half empty.
pub(super) const CHANNEL: usize = 2 * size_of::<(Channel, Subscribers)>();

/// A subscriber's place in its channel; stays the same as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

/// What a delivery carries.
#[derive(Debug)]
pub enum Content {
    /// Publications, for every subscriber.
    Publications(Box<Batch>),
    /// Who came or went, for those who asked for it.
    Membership(Membership),
}

/// Someone who came or went, encoded once a format.
#[derive(Debug)]
pub struct Membership {
    who: Arc<ClientInfo>,
    came: bool,
    frames: Vec<(Format, Bytes)>,
}

impl Membership {
    /// `came` or went.
    #[must_use]
    pub fn new(who: Arc<ClientInfo>, came: bool) -> Membership {
        Membership { who, came, frames: Vec::new() }
    }

    pub(super) fn frame(&mut self, channel: &Channel, connection: &Connection) -> Bytes {
        let format = connection.format();
        if let Some((_, frame)) = self.frames.iter().find(|(known, _)| *known == format) {
            return frame.clone();
        }
        let who = ClientInfo::clone(&self.who);
        let event = if self.came { Event::Join(who) } else { Event::Leave(who) };
        let frame = connection.frame(&Reply::push(channel.as_str().into(), event));
        self.frames.push((format, frame.clone()));
        frame
    }
}

/// A delivery on its way through the subscribers of a channel.
///
/// It can stop after any number of them and go on later. Slots keep their place
/// and carry the count at which they went live, so whoever comes or goes in
/// between is neither skipped nor served twice.
#[derive(Debug)]
pub struct FanOut {
    channel: Channel,
    content: Content,
    /// Only those who went live before this delivery began are served.
    began: u64,
    cursor: usize,
    /// It is worth nothing a moment later: who comes and goes can be asked for, and of
    /// cursors there is a newer position.
    passing: bool,
}

impl FanOut {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Where a subscriber stands that got all of it.
    pub(super) fn reaches(&self) -> Option<Position> {
        let Content::Publications(batch) = &self.content else { return None };
        let last = batch.items().iter().rev().find(|item| item.publication.offset > 0)?;
        Some(Position { offset: last.publication.offset, epoch: last.epoch.clone()? })
    }

    /// Whether those who are slow may do without it.
    pub(super) fn is_passing(&self) -> bool {
        self.passing
    }

    /// How many messages each subscriber gets at most.
    #[must_use]
    pub fn messages(&self) -> usize {
        match &self.content {
            Content::Publications(batch) => batch.items().len(),
            Content::Membership(_) => 1,
        }
    }

    /// The payload bytes of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.content {
            Content::Publications(batch) => batch.bytes(),
            Content::Membership(_) => 0,
        }
    }
}

/// What one step of a delivery came to.
#[derive(Default)]
pub struct Advance {
    /// Subscribers that got something.
    pub served: usize,
    /// Everyone has been served.
    pub done: bool,
    /// The channel has no subscriber left.
    pub emptied: bool,
    /// Publications that were pushed.
    pub(super) messages: usize,
    /// Those who could not get this batch, and were taken out.
    pub(super) missed: Vec<Missed>,
}

/// A subscriber that could not get something.
pub(super) struct Missed {
    pub(super) connection: Arc<Connection>,
    /// How its connection ends; `None` if it only has to subscribe again.
    pub(super) ended_by: Option<Disconnect>,
}

impl Missed {
    fn by(gone: Subscriber, lost: Lost) -> Missed {
        Missed { ended_by: gone.ended_by(lost), connection: Arc::clone(&gone.connection) }
    }
}

/// What came of going live.
pub(super) enum Live {
    /// It receives.
    Yes,
    /// Something is missing behind its position; it was taken out.
    Missed(Missed),
    /// It had been taken out before.
    Gone,
}

impl Advance {
    /// Of a delivery that has nobody to serve.
    pub(super) fn through() -> Advance {
        Advance { done: true, ..Advance::default() }
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
    taken: u32,
    /// How many of them asked for deltas.
    deltas: u32,
    /// How many of them have a position, or will.
    positioned: u32,
    /// What was delivered last, if anyone asked for deltas: the next patch's base.
    newest: Option<Arc<Publication>>,
    /// Where the stream stood that was delivered or read last; many have none.
    seen: Option<Box<Position>>,
}

enum Place {
    Free { next: Option<u32> },
    Taken(Subscriber),
}

impl Shard {
    pub(super) fn open(&mut self, channel: &Channel) {
        if !self.channels.contains_key(channel) {
            self.channels.insert(channel.clone(), Subscribers::default());
        }
    }

    pub(super) fn join(
        &mut self,
        channel: &Channel,
        connection: &Arc<Connection>,
        wants: Wants,
    ) -> Result<Slot, Wants> {
        let Some(subscribers) = self.channels.get_mut(channel) else { return Err(wants) };
        Ok(subscribers.put(Subscriber::joining(
            Arc::clone(connection),
            wants,
            channel.as_str().len(),
        )))
    }

    pub(super) fn go_live(
        &mut self,
        channel: &Channel,
        slot: Slot,
        position: Option<Position>,
        push: impl Fn(&Connection, Bytes, usize),
        reply: Option<Bytes>,
    ) -> Live {
        let deliveries = self.deliveries;
        let Some(subscribers) = self.channels.get_mut(channel) else { return Live::Gone };
        if let (None, Some(position)) = (&subscribers.seen, &position) {
            subscribers.seen = Some(Box::new(position.clone()));
        }
        let Some(subscriber) = subscribers.get(slot) else { return Live::Gone };
        if let Some(reply) = reply {
            push(&subscriber.connection, reply, 1);
        }
        if let Some(position) = &position {
            subscriber.connection.begin_mark(channel, position);
        }
        let joined = subscriber.go_live(deliveries, position, |connection, form, mut late| {
            push(connection, late.all(channel, connection.format(), form), 1);
        });
        match joined {
            Ok(()) => Live::Yes,
            Err(lost) => match subscribers.remove(slot) {
                Some(gone) => Live::Missed(Missed::by(gone, lost)),
                None => Live::Gone,
            },
        }
    }

    pub(super) fn reads_again(&mut self, channel: &Channel, slot: Slot) -> bool {
        let subscriber = self.channels.get_mut(channel).and_then(|all| all.get(slot));
        subscriber.is_some_and(Subscriber::reads_again)
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

    pub(super) fn begin(&mut self, channel: Channel, mut content: Content) -> FanOut {
        self.deliveries += 1;
        let passing = match &content {
            Content::Membership(_) => true,
            // What a patch is made against must have come.
            Content::Publications(batch) => {
                let deltas = self.channels.get(&channel).map_or(0, |all| all.deltas);
                deltas == 0 && batch.items().iter().all(|item| item.passing)
            }
        };
        if let Content::Publications(batch) = &mut content
            && let Some(subscribers) = self.channels.get_mut(&channel)
        {
            let last = batch.items().iter().rev().find(|item| item.publication.offset > 0);
            if let Some((item, epoch)) = last.and_then(|item| Some((item, item.epoch.as_ref()?))) {
                let offset = item.publication.offset;
                match &mut subscribers.seen {
                    Some(seen) if seen.epoch == *epoch => seen.offset = offset,
                    seen => *seen = Some(Box::new(Position { offset, epoch: Arc::clone(epoch) })),
                }
            }
            let newest = batch.items().last().filter(|_| subscribers.deltas > 0);
            let newest = newest.map(|item| Arc::clone(&item.publication));
            batch.set_base(std::mem::replace(&mut subscribers.newest, newest));
        }
        FanOut { channel, content, began: self.deliveries, cursor: 0, passing }
    }

    /// Serves further subscribers.
    pub(super) fn advance(
        &mut self,
        fan_out: &mut FanOut,
        budget: usize,
        mut deliver: impl FnMut(&Arc<Connection>, Bytes, usize),
    ) -> Advance {
        let mut advance = Advance::through();
        let Some(subscribers) = self.channels.get_mut(&fan_out.channel) else { return advance };
        let mut lost = Vec::new();
        for place in subscribers.slots.iter_mut().skip(fan_out.cursor) {
            if advance.served == budget {
                advance.done = false;
                break;
            }
            let at = fan_out.cursor;
            fan_out.cursor += 1;
            let Place::Taken(subscriber) = place else { continue };
            match subscriber.serve(&fan_out.channel, &mut fan_out.content, fan_out.began) {
                Served::Nothing => continue,
                // Nothing to write, but memory to look at.
                Served::Kept => deliver(&subscriber.connection, Bytes::new(), 0),
                Served::Lost(why) => {
                    lost.push((at, why));
                    continue;
                }
                Served::Frames(frames, messages) => {
                    deliver(&subscriber.connection, frames, messages);
                    advance.messages += messages;
                }
                Served::Parts(parts) => {
                    advance.messages += parts.len();
                    for part in parts {
                        deliver(&subscriber.connection, part, 1);
                    }
                }
            }
            advance.served += 1;
        }
        for (at, why) in lost {
            let gone = u32::try_from(at).ok().and_then(|at| subscribers.remove(Slot(at)));
            advance.missed.extend(gone.map(|gone| Missed::by(gone, why)));
            advance.emptied = subscribers.taken == 0;
        }
        advance
    }

    /// Whether publications are missing between what was delivered last and this.
    pub(super) fn is_behind_hole(&self, channel: &Channel, next: &Item) -> bool {
        let seen = self.channels.get(channel).and_then(|subscribers| subscribers.seen.as_ref());
        seen.is_some_and(|seen| {
            next.epoch.as_ref() == Some(&seen.epoch) && next.publication.offset > seen.offset + 1
        })
    }

    /// Something of the channel may be missing: where the positioned subscriber
    /// stands that is furthest behind, in each stream that any stands in.
    pub(super) fn doubt(&mut self, channel: &Channel) -> Vec<Position> {
        let Some(subscribers) = self.channels.get_mut(channel) else { return Vec::new() };
        let taken = subscribers.slots.iter_mut().filter_map(|place| match place {
            Place::Taken(subscriber) => Some(subscriber),
            Place::Free { .. } => None,
        });
        let mut furthest: Vec<Position> = Vec::new();
        for position in taken.filter_map(Subscriber::doubt) {
            match furthest.iter_mut().find(|known| known.epoch == position.epoch) {
                Some(known) => known.offset = known.offset.min(position.offset),
                None => furthest.push(position),
            }
        }
        furthest
    }

    /// Where the positioned subscriber stands that is furthest behind.
    pub(super) fn stands(&self, channel: &Channel) -> Option<Position> {
        let slots = &self.channels.get(channel)?.slots;
        let stands = slots.iter().filter_map(|place| match place {
            Place::Taken(subscriber) => subscriber.position(),
            Place::Free { .. } => None,
        });
        stands.min_by_key(|position| position.offset)
    }

    /// Channels with subscribers who have a position, if `wanted` says so.
    pub(super) fn positioned(&self, wanted: impl Fn(&Channel) -> bool) -> Vec<Channel> {
        let used = self.channels.iter().filter(|(_, all)| all.positioned > 0);
        used.filter(|(channel, _)| wanted(channel)).map(|(channel, _)| channel.clone()).collect()
    }

    /// Takes out everyone who has a position in the stream `of`, or in any if that is
    /// `None`. `true` if nobody is left.
    pub(super) fn lose(&mut self, channel: &Channel, of: Option<&Epoch>) -> (Vec<Missed>, bool) {
        let Some(subscribers) = self.channels.get_mut(channel) else { return (Vec::new(), true) };
        let stands = |place: &Place| match place {
            Place::Taken(one) => one.stands() && of.is_none_or(|of| one.is_in(of)),
            Place::Free { .. } => false,
        };
        let slots = subscribers.slots.iter().enumerate().filter(|(_, place)| stands(place));
        let slots: Vec<_> = slots.filter_map(|(at, _)| u32::try_from(at).ok()).collect();
        let gone = slots.into_iter().filter_map(|at| subscribers.remove(Slot(at)));
        let missed = gone.map(|gone| Missed::by(gone, Lost::Hole)).collect();
        (missed, subscribers.taken == 0)
    }

    /// Channels that have subscribers, and how many each has.
    pub(super) fn channels(&self, into: &mut Vec<(Channel, usize)>) {
        let used = self.channels.iter().filter(|(_, all)| all.taken > 0);
        into.extend(used.map(|(channel, all)| (channel.clone(), all.taken as usize)));
    }

    /// Subscriptions, and channels that have any.
    pub(super) fn count(&self) -> (usize, usize) {
        self.channels
            .values()
            .filter(|all| all.taken > 0)
            .fold((0, 0), |(subscriptions, channels), all| {
                (subscriptions + all.taken as usize, channels + 1)
            })
    }
}

impl Subscribers {
    fn put(&mut self, subscriber: Subscriber) -> Slot {
        self.taken += 1;
        self.deltas += u32::from(subscriber.wants_delta());
        self.positioned += u32::from(subscriber.is_positioned());
        let place = Place::Taken(subscriber);
        if let Some(at) = self.free
            && let Some(slot) = self.slots.get_mut(at as usize)
        {
            if let Place::Free { next } = slot {
                self.free = *next;
            }
            *slot = place;
            return Slot(at);
        }
        if self.slots.is_empty() {
            self.slots.reserve_exact(1);
        }
        self.slots.push(place);
        // A node has descriptors for far fewer than 2^32 connections.
        Slot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
    }

    fn get(&mut self, slot: Slot) -> Option<&mut Subscriber> {
        match self.slots.get_mut(slot.0 as usize) {
            Some(Place::Taken(subscriber)) => Some(subscriber),
            _ => None,
        }
    }

    fn remove(&mut self, slot: Slot) -> Option<Subscriber> {
        let place = self.slots.get_mut(slot.0 as usize)?;
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        let freed = std::mem::replace(place, Place::Free { next: self.free });
        self.free = Some(slot.0);
        self.taken -= 1;
        let Place::Taken(subscriber) = freed else { return None };
        self.deltas -= u32::from(subscriber.wants_delta());
        self.positioned -= u32::from(subscriber.is_positioned());
        Some(subscriber)
    }
}
