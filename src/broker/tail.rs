//! What a node lately received of the channels it is subscribed to. Whoever
//! recovers after a short absence is served from here; the broker is not asked.
//!
//! A tail is a run of publications of one epoch without a hole, whose end is the
//! last that arrived. It lives as long as the node's subscription: what is
//! published in between would be a hole that nobody sees.
//!
//! What the broker was asked for is put in front of it, for a few seconds: after a
//! node was restarted everyone comes back for the same, and one read is enough.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sealcast_wire::{Channel, Epoch, Position, Publication};
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::stream::size;
use super::{Page, Retention, Sharding, Since};

/// Most publications of one channel.
const MOST_ENTRIES: usize = 1_000;
/// What is kept in a tail is at least this large for the bound of all tails, so
/// that tiny publications are bounded in number as well.
const LEAST_BYTES: usize = 256;
/// How long what was read stays, and which part of its lifetime in the stream that
/// may be: nobody knows how old it was when it was read.
const READ_LIFE: Duration = Duration::from_secs(5);
const READ_SHARE: u32 = 16;

/// The tails of a node, by shard.
pub struct Tails {
    sharding: Sharding,
    shards: Vec<Mutex<Shard>>,
    began: Instant,
    arrivals: Arrivals,
}

impl Tails {
    /// Tails that together hold at most `most_bytes`; none for 0.
    #[must_use]
    pub fn new(sharding: &Sharding, most_bytes: usize) -> Tails {
        let most_bytes = most_bytes / sharding.count();
        let shard = || Mutex::new(Shard { most_bytes, ..Shard::default() });
        let shards = std::iter::repeat_with(shard).take(sharding.count()).collect();
        let arrivals = Arrivals::new(sharding.count());
        Tails { sharding: sharding.clone(), shards, began: Instant::now(), arrivals }
    }

    /// When what lately arrived began to wait.
    #[must_use]
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Everything of the stream behind `since`, up to what arrived last, as far as
    /// `keep` lets it be read. `None` if the tail does not hold all of it, or if it
    /// is more than `most` publications: only the broker can tell then.
    #[must_use]
    pub fn behind(
        &self,
        channel: &Channel,
        since: &Since,
        keep: &Retention,
        most: usize,
    ) -> Option<Page> {
        let now = self.began.elapsed();
        let shard = self.shard(channel)?.lock();
        shard.tails.get(channel)?.behind(since, keep, most, now)
    }

    /// To be asked for before a read of the stream that [`Tails::fill`] is to get.
    #[must_use]
    pub fn mark(&self, channel: &Channel) -> Option<Mark> {
        let shard = self.shard(channel)?.lock();
        shard.tails.get(channel).map(|tail| Mark(tail.anew))
    }

    /// Puts what was read behind `since` in front of what arrived, unless the tail
    /// has begun anew since `mark`, or there is a hole between the two.
    pub fn fill(
        &self,
        channel: &Channel,
        mark: Option<Mark>,
        since: &Since,
        page: &Page,
        keep: &Retention,
    ) {
        let now = self.began.elapsed();
        if let (Some(shard), Some(mark)) = (self.shard(channel), mark) {
            shard.lock().fill(channel, mark, since, page, keep, now);
        }
    }

    /// The node is subscribed anew. What is read from now on can be put in, but what
    /// arrives may still be of an earlier subscription, until [`Tails::begin`].
    pub(crate) fn open(&self, channel: &Channel) -> Opening {
        self.shard(channel).map_or(Opening(0), |shard| shard.lock().open(channel))
    }

    /// What arrives from now on came after `opening`, and is kept. Nothing if the
    /// tail was closed or opened again meanwhile.
    pub(crate) fn begin(&self, channel: &Channel, opening: Opening) {
        if let Some(shard) = self.shard(channel) {
            shard.lock().begin(channel, opening);
        }
    }

    /// The node is no longer subscribed.
    pub(super) fn close(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            shard.lock().close(channel);
        }
    }

    /// The channel's history was removed, or something may have been missed.
    pub fn forget(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            shard.lock().forget(channel);
        }
    }

    /// A publication that is kept has arrived.
    pub(super) fn push(&self, channel: &Channel, publication: &Arc<Publication>, epoch: &Epoch) {
        let now = self.began.elapsed();
        if let Some(shard) = self.shard(channel) {
            shard.lock().push(channel, Entry::new(publication, now), epoch);
        }
    }

    fn shard(&self, channel: &Channel) -> Option<&Mutex<Shard>> {
        self.shards.get(self.sharding.of(channel))
    }
}

/// One beginning of a node's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening(u64);

/// A tail as it was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

#[derive(Default)]
struct Shard {
    // Hashed under a key of its own, so that nobody can choose names that fall together.
    tails: HashMap<Channel, Tail, RandomState>,
    /// Whose entry is the oldest, the next oldest and so on. Tails that were
    /// forgotten leave names behind, which count for nothing.
    ages: VecDeque<(Channel, u64)>,
    /// Counts entries, so that a name in `ages` is of one entry only, and beginnings.
    count: u64,
    bytes: usize,
    most_bytes: usize,
}

#[derive(Default)]
struct Tail {
    /// Tells its beginnings apart: no two have the same number.
    anew: u64,
    /// The subscription whose first arrival did not come yet: until then nothing is
    /// served and nothing taken in.
    opening: Option<Opening>,
    epoch: Option<Epoch>,
    /// Offsets follow one another.
    entries: VecDeque<Entry>,
}

struct Entry {
    publication: Arc<Publication>,
    bytes: usize,
    came: Duration,
    /// Of what was read and did not come: when it is over.
    until: Option<Duration>,
    number: u64,
}

impl Entry {
    fn new(publication: &Arc<Publication>, came: Duration) -> Entry {
        let bytes = size(publication).max(LEAST_BYTES);
        Entry { publication: Arc::clone(publication), bytes, came, until: None, number: 0 }
    }
}

impl Shard {
    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn open(&mut self, channel: &Channel) -> Opening {
        self.close(channel);
        let anew = self.count();
        let opening = Opening(anew);
        let tail = Tail { anew, opening: Some(opening), ..Tail::default() };
        self.tails.insert(channel.clone(), tail);
        opening
    }

    fn begin(&mut self, channel: &Channel, opening: Opening) {
        if let Some(tail) = self.tails.get_mut(channel)
            && tail.opening == Some(opening)
        {
            tail.opening = None;
        }
    }

    fn push(&mut self, channel: &Channel, entry: Entry, epoch: &Epoch) {
        let anew = self.count();
        let Some(tail) = self.tails.get_mut(channel) else { return };
        if tail.opening.is_some() {
            return;
        }
        let newest = tail.entries.back().map(|newest| newest.publication.offset);
        let follows = newest.is_none_or(|newest| newest + 1 == entry.publication.offset);
        if !follows || tail.epoch.as_ref() != Some(epoch) {
            self.bytes -= tail.clear(anew);
            tail.epoch = Some(Arc::clone(epoch));
        }
        if entry.bytes > self.most_bytes {
            self.bytes -= tail.clear(anew);
            return;
        }
        self.put(channel, entry);
        self.shed();
    }

    fn fill(
        &mut self,
        channel: &Channel,
        Mark(mark): Mark,
        since: &Since,
        page: &Page,
        keep: &Retention,
        now: Duration,
    ) {
        let Some(tail) = self.tails.get_mut(channel) else { return };
        let Page { publications, position } = page;
        let arrived = tail.epoch.as_ref();
        let same = arrived.is_none_or(|epoch| *epoch == position.epoch);
        // All of it, or all of the rest would look as if it were all.
        let offsets = publications.iter().map(|publication| publication.offset);
        let whole = (since.offset + 1..=position.offset).eq(offsets);
        let first = tail.entries.front().map_or(position.offset + 1, Entry::offset);
        let meets = since.offset + 1 < first && first <= position.offset + 1;
        if tail.anew != mark || !same || !whole || !meets {
            return;
        }
        let life = keep.ttl.min(keep.meta_ttl);
        let until = now + READ_LIFE.min(life / READ_SHARE);
        let read = publications.iter().take_while(|publication| publication.offset < first);
        let entries: Vec<Entry> =
            read.map(|one| Entry { until: Some(until), ..Entry::new(one, now) }).collect();
        let bytes: usize = entries.iter().map(|entry| entry.bytes).sum();
        if bytes > self.most_bytes || entries.len() + tail.entries.len() > MOST_ENTRIES {
            return;
        }
        let arrived = std::mem::take(&mut tail.entries);
        self.bytes -= arrived.iter().map(|entry| entry.bytes).sum::<usize>();
        tail.epoch = Some(Arc::clone(&position.epoch));
        for entry in entries.into_iter().chain(arrived) {
            self.put(channel, entry);
        }
        self.shed();
    }

    /// Behind the others of its tail, which must be there.
    fn put(&mut self, channel: &Channel, mut entry: Entry) {
        entry.number = self.count();
        let Some(tail) = self.tails.get_mut(channel) else { return };
        self.ages.push_back((channel.clone(), entry.number));
        self.bytes += entry.bytes;
        tail.entries.push_back(entry);
        if tail.entries.len() > MOST_ENTRIES {
            self.bytes -= tail.drop_oldest();
        }
    }

    /// Lets the oldest of all go until the bounds hold.
    fn shed(&mut self) {
        // Names without entries are let go as well, else they would pile up.
        while self.bytes > self.most_bytes || self.ages.len() > self.most_names() {
            let Some((channel, number)) = self.ages.pop_front() else { return };
            let Some(tail) = self.tails.get_mut(&channel) else { continue };
            if tail.entries.front().is_some_and(|oldest| oldest.number == number) {
                self.bytes -= tail.drop_oldest();
            }
        }
    }

    fn most_names(&self) -> usize {
        self.most_bytes / LEAST_BYTES
    }

    fn forget(&mut self, channel: &Channel) {
        let anew = self.count();
        if let Some(tail) = self.tails.get_mut(channel) {
            self.bytes -= tail.clear(anew);
        }
    }

    fn close(&mut self, channel: &Channel) {
        if let Some(mut tail) = self.tails.remove(channel) {
            self.bytes -= tail.clear(0);
        }
    }
}

impl Tail {
    fn behind(&self, since: &Since, keep: &Retention, most: usize, now: Duration) -> Option<Page> {
        let epoch = self.epoch.as_ref().filter(|_| self.opening.is_none())?;
        if !since.epoch.is_empty() && since.epoch != *epoch {
            return None;
        }
        let newest = self.entries.back()?;
        let top = newest.publication.offset;
        let behind = usize::try_from(top.checked_sub(since.offset)?).ok()?;
        if behind > most.min(keep.entries) || !newest.is_fresh(keep, now) {
            return None;
        }
        let wanted = self.entries.range(self.entries.len().checked_sub(behind)?..);
        let mut bytes = 0;
        for entry in wanted.clone() {
            bytes += entry.bytes;
            if bytes > keep.bytes || !entry.is_fresh(keep, now) {
                return None;
            }
        }
        let publications = wanted.map(|entry| Arc::clone(&entry.publication)).collect();
        Some(Page { publications, position: Position { offset: top, epoch: Arc::clone(epoch) } })
    }

    /// Drops everything and begins anew; how many bytes that were.
    fn clear(&mut self, anew: u64) -> usize {
        self.anew = anew;
        self.epoch = None;
        std::mem::take(&mut self.entries).iter().map(|entry| entry.bytes).sum()
    }

    fn drop_oldest(&mut self) -> usize {
        self.entries.pop_front().map_or(0, |oldest| oldest.bytes)
    }
}

impl Entry {
    fn offset(&self) -> u64 {
        self.publication.offset
    }

    fn is_fresh(&self, keep: &Retention, now: Duration) -> bool {
        now < self.came.saturating_add(keep.ttl.min(keep.meta_ttl))
            && self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests;
