//! One subscriber of a channel: what it gets of a batch, and in which form.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::filter::Filter;
use sealcast_wire::{Channel, Disconnect, Epoch, Position, Publication};

use super::batch::{Batch, Form, Item};
use super::connection::Connection;
use super::outbox::Subscription;
use super::shard::{CHANNEL, Content};
use crate::limit::Permit;

/// Most publications kept for a subscriber whose history is being read.
const MOST_PENDING: usize = 1_000;
/// What one of those takes beside its payload.
const PENDING: usize = size_of::<Item>() + size_of::<Publication>();
/// What a subscription takes beside its channel's name: a place with the channel, one
/// with the connection, what an allocator takes for these and the name, and what the
/// node keeps of a channel, which is all its own where nobody else is subscribed.
const SUBSCRIPTION: usize =
    size_of::<Subscriber>() + size_of::<Subscription>() + ALLOCATED + CHANNEL;
const ALLOCATED: usize = 192;
/// What a position takes beside that: with its channel, with the stream's tail, and with
/// those that are compared with their streams. As measured.
const POSITION: usize = 128;
/// Most bytes of those.
const MOST_PENDING_BYTES: usize = 1 << 20;

/// What a subscriber asked for beyond the bare publications, and was granted.
#[derive(Debug, Default)]
pub struct Wants {
    /// Publications in the order of their offsets, without a hole.
    pub positioned: bool,
    /// Patches instead of whole publications.
    pub delta: bool,
    /// Only publications whose tags match.
    pub filter: Option<Arc<Selection>>,
    /// Who comes and goes.
    pub membership: bool,
    /// The server made the subscription: it cannot be told to subscribe again.
    pub server_side: bool,
    /// Only JSON: a publication that is not ends the connection with 3506. Set
    /// where publications may be anything and the client reads JSON.
    pub json_only: bool,
}

/// A filter that a subscription keeps; its bytes count until it ends.
#[derive(Debug)]
pub struct Selection {
    pub(super) filter: Filter,
    pub(super) _bytes: Permit,
}

impl Selection {
    /// Whether the subscriber wants this publication.
    #[must_use]
    pub fn takes(&self, publication: &Publication) -> bool {
        self.filter.matches(&publication.tags)
    }
}

impl Wants {
    fn is_plain(&self) -> bool {
        !self.positioned
            && !self.delta
            && self.filter.is_none()
            && !self.membership
            && !self.server_side
            && !self.json_only
    }
}

pub(super) struct Subscriber {
    pub(super) connection: Arc<Connection>,
    state: State,
    /// Only there if it wants more than every publication as it is.
    tracked: Option<Box<Tracked>>,
    /// Bytes that are counted for it at its connection, but for what is pending.
    bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its reply is not out yet.
    Joining,
    /// It gets this delivery, of those that the shard counts, and what begins after it.
    Live(NonZeroU64),
}

#[derive(Debug, Default)]
struct Tracked {
    wants: Wants,
    /// The last offset it got, or passed by, and of which stream.
    offset: u64,
    epoch: Option<Epoch>,
    /// It got the channel's last publication, so a patch against that is fine.
    in_step: bool,
    /// What came while its history is being read.
    pending: Vec<Item>,
    pending_bytes: usize,
    overflow: bool,
}

/// Why a subscriber cannot get what is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It does not join with the subscriber's position.
    Hole,
    /// It is not JSON, and the subscriber reads nothing else.
    Unreadable,
}

/// What a delivery does for one subscriber.
pub(super) enum Served {
    /// Nothing: not live, or nothing for it.
    Nothing,
    /// It is kept for it, which takes memory.
    Kept,
    /// These frames, of so many messages.
    Frames(Bytes, usize),
    /// These frames one after the other.
    Parts(Vec<Bytes>),
    /// It cannot get this batch.
    Lost(Lost),
}

impl Subscriber {
    /// A subscriber of a channel whose name has so many bytes.
    pub(super) fn joining(connection: Arc<Connection>, wants: Wants, name: usize) -> Subscriber {
        let filter = wants.filter.as_ref().map_or(0, |selection| selection.filter.bytes());
        let tracked =
            (!wants.is_plain()).then(|| Box::new(Tracked { wants, ..Tracked::default() }));
        let own = match &tracked {
            None => 0,
            Some(tracked) if tracked.wants.positioned => size_of::<Tracked>() + POSITION,
            Some(_) => size_of::<Tracked>(),
        };
        let bytes = SUBSCRIPTION + name + filter + own;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        connection.keep(bytes as usize);
        Subscriber { connection, state: State::Joining, tracked, bytes }
    }

    pub(super) fn wants_delta(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| tracked.wants.delta)
    }

    /// How the connection is ended after `lost`; `None` if a client that subscribed
    /// itself is told to do so again.
    pub(super) fn ended_by(&self, lost: Lost) -> Option<Disconnect> {
        let server_side = self.tracked.as_ref().is_some_and(|tracked| tracked.wants.server_side);
        match lost {
            Lost::Unreadable => Some(Disconnect::INAPPROPRIATE_PROTOCOL),
            Lost::Hole if server_side => Some(Disconnect::INSUFFICIENT_STATE),
            Lost::Hole => None,
        }
    }

    /// Goes live after so many deliveries, at `position`: what came behind it meanwhile is handed to `late`.
    ///
    /// # Errors
    /// If a publication is missing behind the position, or too much came, or what
    /// came cannot be read.
    pub(super) fn go_live(
        &mut self,
        deliveries: u64,
        position: Option<Position>,
        mut late: impl FnMut(&Connection, Form, Batch),
    ) -> Result<(), Lost> {
        self.state = State::Live(NonZeroU64::MIN.saturating_add(deliveries));
        let Some(tracked) = &mut self.tracked else { return Ok(()) };
        if let Some(Position { offset, epoch }) = position {
            (tracked.offset, tracked.epoch) = (offset, Some(epoch));
        }
        self.connection.give_back(std::mem::take(&mut tracked.pending_bytes));
        if std::mem::take(&mut tracked.overflow) {
            return Err(Lost::Hole);
        }
        let form = if tracked.wants.delta { Form::Full } else { Form::Plain };
        for item in std::mem::take(&mut tracked.pending) {
            match tracked.step(&item) {
                Step::Old => {}
                Step::Gap => return Err(Lost::Hole),
                Step::Next => {
                    tracked.pass(&item);
                    if tracked.matches(&item) {
                        let mut batch = Batch::of(item);
                        if tracked.wants.json_only && !batch.is_json() {
                            return Err(Lost::Unreadable);
                        }
                        late(&self.connection, form, batch);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether it would find a hole if it went live now; if so it begins to keep what
    /// comes anew, for a position that is read from now on.
    pub(super) fn reads_again(&mut self) -> bool {
        let joining = self.state == State::Joining;
        let tracked = self.tracked.as_mut().filter(|_| joining);
        tracked.is_some_and(|tracked| std::mem::take(&mut tracked.overflow))
    }

    /// Something may be missing: answers where it stands if that can be said. One
    /// that is not live yet will find a hole when it goes live.
    pub(super) fn doubt(&mut self) -> Option<Position> {
        let tracked = self.tracked.as_mut().filter(|tracked| tracked.wants.positioned)?;
        if self.state == State::Joining {
            tracked.overflow(&self.connection);
            return None;
        }
        tracked.position()
    }

    /// Whether it has a position that can be lost.
    pub(super) fn stands(&self) -> bool {
        self.state != State::Joining && self.is_positioned()
    }

    /// Whether its position is one of this stream.
    pub(super) fn is_in(&self, epoch: &Epoch) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| tracked.epoch.as_ref() == Some(epoch))
    }

    /// Where it stands, if it has a position already.
    pub(super) fn position(&self) -> Option<Position> {
        self.tracked.as_ref().filter(|_| self.stands())?.position()
    }

    /// Whether it has a position, or will.
    pub(super) fn is_positioned(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| tracked.wants.positioned)
    }

    /// What it gets of a delivery that began at `began`.
    pub(super) fn serve(&mut self, channel: &Channel, content: &mut Content, began: u64) -> Served {
        match content {
            Content::Publications(batch) => self.serve_batch(channel, batch, began),
            Content::Membership(membership) => {
                let wanted = self.tracked.as_ref().is_some_and(|one| one.wants.membership);
                if wanted && self.is_live(began) {
                    Served::Frames(membership.frame(channel, &self.connection), 1)
                } else {
                    Served::Nothing
                }
            }
        }
    }

    fn serve_batch(&mut self, channel: &Channel, batch: &mut Batch, began: u64) -> Served {
        let format = self.connection.format();
        let live = self.is_live(began);
        let joining = self.state == State::Joining;
        let Some(tracked) = &mut self.tracked else {
            return if live {
                Served::Frames(batch.all(channel, format, Form::Plain), batch.items().len())
            } else {
                Served::Nothing
            };
        };
        if joining {
            let kept = tracked.keep(&self.connection, batch.items());
            return if kept { Served::Kept } else { Served::Nothing };
        }
        let mut wanted = Vec::new();
        for (at, item) in batch.items().iter().enumerate() {
            // A position says what it has; without one, only the time can.
            if !live && !tracked.counts(item) {
                continue;
            }
            match tracked.step(item) {
                Step::Old => {}
                Step::Gap => return Served::Lost(Lost::Hole),
                Step::Next => {
                    tracked.pass(item);
                    if tracked.matches(item) {
                        wanted.push(at);
                    }
                }
            }
        }
        if tracked.wants.json_only && !wanted.is_empty() && !batch.is_json() {
            return Served::Lost(Lost::Unreadable);
        }
        let count = batch.items().len();
        let whole = wanted.len() == count;
        let in_step = std::mem::replace(&mut tracked.in_step, wanted.last() == Some(&(count - 1)));
        let form = match (tracked.wants.delta, in_step && whole) {
            (false, _) => Form::Plain,
            (true, false) => Form::Full,
            (true, true) => Form::Patch,
        };
        if whole && form != Form::Full {
            return Served::Frames(batch.all(channel, format, form), count);
        }
        // The first is full; those that follow one that was delivered are patches.
        let mut parts = Vec::with_capacity(wanted.len());
        let mut before = None;
        for at in wanted {
            let chained = tracked.wants.delta && before.is_some_and(|before| before + 1 == at);
            let form = if chained { Form::Patch } else { form };
            parts.push(batch.part(channel, format, form, (at, at + 1)));
            before = Some(at);
        }
        if parts.is_empty() { Served::Nothing } else { Served::Parts(parts) }
    }

    fn is_live(&self, began: u64) -> bool {
        matches!(self.state, State::Live(first) if first.get() <= began)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Next,
    Old,
    Gap,
}

impl Tracked {
    /// Whether the subscriber's position decides about this publication.
    fn counts(&self, item: &Item) -> bool {
        self.wants.positioned && item.publication.offset > 0
    }

    fn position(&self) -> Option<Position> {
        Some(Position { offset: self.offset, epoch: self.epoch.clone()? })
    }

    /// How a publication relates to the subscriber's position.
    fn step(&self, item: &Item) -> Step {
        let offset = item.publication.offset;
        if !self.counts(item) {
            return Step::Next;
        }
        if self.epoch != item.epoch {
            return Step::Gap;
        }
        match offset.cmp(&(self.offset + 1)) {
            std::cmp::Ordering::Less => Step::Old,
            std::cmp::Ordering::Equal => Step::Next,
            std::cmp::Ordering::Greater => Step::Gap,
        }
    }

    fn pass(&mut self, item: &Item) {
        if item.publication.offset > 0 {
            self.offset = item.publication.offset;
        }
    }

    fn matches(&self, item: &Item) -> bool {
        self.wants.filter.as_ref().is_none_or(|filter| filter.takes(&item.publication))
    }

    /// Whether something is kept.
    fn keep(&mut self, connection: &Connection, items: &[Item]) -> bool {
        // Without a position nothing is owed from before the reply.
        if !self.wants.positioned {
            return false;
        }
        for item in items {
            if self.overflow {
                return false;
            }
            let bytes = PENDING + item.publication.data.len();
            self.pending_bytes += bytes;
            connection.keep(bytes);
            if self.pending.len() >= MOST_PENDING || self.pending_bytes > MOST_PENDING_BYTES {
                self.overflow(connection);
                return false;
            }
            self.pending.push(item.clone());
        }
        true
    }

    /// It cannot go live any more, and nothing is kept for it.
    fn overflow(&mut self, connection: &Connection) {
        self.overflow = true;
        self.pending = Vec::new();
        connection.give_back(std::mem::take(&mut self.pending_bytes));
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let pending = self.tracked.as_ref().map_or(0, |tracked| tracked.pending_bytes);
        self.connection.give_back(self.bytes as usize + pending);
    }
}
