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

    /// The node is subscribed anew: what arrives from now on is kept.
    pub(super) fn open(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            let mut shard = shard.lock();
            shard.close(channel);
            let anew = shard.count();
            shard.tails.insert(channel.clone(), Tail { anew, ..Tail::default() });
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

/// A tail as it was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

#[derive(Default)]
struct Shard {
    tails: HashMap<Channel, Tail>,
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

    fn push(&mut self, channel: &Channel, entry: Entry, epoch: &Epoch) {
        let anew = self.count();
        let Some(tail) = self.tails.get_mut(channel) else { return };
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
        let epoch = self.epoch.as_ref()?;
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
mod tests {
    use super::*;

    const KEEP: Retention = Retention {
        entries: 100,
        bytes: 1 << 20,
        ttl: Duration::from_secs(60),
        meta_ttl: Duration::from_secs(3_600),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn room() -> Channel {
        Channel::parse("room").expect("valid")
    }

    fn epoch(text: &str) -> Epoch {
        text.into()
    }

    fn since(offset: u64, epoch: &str) -> Since {
        Since { offset, epoch: epoch.into() }
    }

    fn entry(offset: u64, came: Duration) -> Entry {
        let publication = Publication { offset, data: "{}".into(), ..Publication::default() };
        Entry::new(&Arc::new(publication), came)
    }

    fn shard(offsets: impl IntoIterator<Item = u64>) -> Shard {
        let mut shard = Shard { most_bytes: 1 << 20, ..Shard::default() };
        shard.tails.insert(room(), Tail::default());
        for offset in offsets {
            shard.push(&room(), entry(offset, at(offset)), &epoch("e"));
        }
        shard
    }

    fn read(shard: &Shard, since: &Since, keep: &Retention, now: Duration) -> Option<Vec<u64>> {
        let page = shard.tails.get(&room())?.behind(since, keep, 300, now)?;
        assert_eq!(&*page.position.epoch, "e");
        Some(page.publications.iter().map(|one| one.offset).collect())
    }

    #[test]
    fn everything_behind_a_position_that_it_reaches_back_to() {
        let shard = shard(5..=9);
        let read = |offset, epoch| read(&shard, &since(offset, epoch), &KEEP, at(10));
        assert_eq!(read(7, "e"), Some(vec![8, 9]));
        assert_eq!(read(4, "e"), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(read(9, ""), Some(vec![]));
        assert_eq!(read(3, "e"), None, "4 is not here");
        assert_eq!(read(10, "e"), None, "ahead of what arrived");
        assert_eq!(read(7, "f"), None, "another stream");
    }

    #[test]
    fn no_more_than_the_history_may_hold() {
        let shard = shard(1..=9);
        let read = |offset, keep, now| read(&shard, &since(offset, "e"), keep, now);
        assert_eq!(read(7, &Retention { entries: 2, ..KEEP }, at(10)), Some(vec![8, 9]));
        assert_eq!(read(6, &Retention { entries: 2, ..KEEP }, at(10)), None);
        assert_eq!(read(6, &Retention { bytes: 600, ..KEEP }, at(10)), None);
        assert_eq!(read(7, &KEEP, at(67)), Some(vec![8, 9]));
        assert_eq!(read(7, &KEEP, at(68)), None, "8 is too old");
        assert_eq!(read(9, &KEEP, at(69)), None, "and then the position may be, too");
        let page = shard.tails.get(&room()).expect("open").behind(&since(7, ""), &KEEP, 1, at(9));
        assert_eq!(page, None, "more than may be recovered");
    }

    #[test]
    fn a_hole_or_another_stream_begins_it_anew() {
        let mut shard = shard([1, 2, 4]);
        assert_eq!(read(&shard, &since(3, "e"), &KEEP, at(5)), Some(vec![4]));
        assert_eq!(read(&shard, &since(2, "e"), &KEEP, at(5)), None);
        shard.push(&room(), entry(5, at(5)), &epoch("f"));
        assert_eq!(read(&shard, &since(4, "e"), &KEEP, at(5)), None);
        shard.forget(&room());
        assert_eq!(shard.bytes, 0);
        shard.close(&room());
        shard.push(&room(), entry(6, at(6)), &epoch("f"));
        assert_eq!((shard.bytes, shard.tails.len()), (0, 0), "only while subscribed");
    }

    #[test]
    fn the_oldest_of_all_go_first_and_nothing_piles_up() {
        let mut shard = shard([]);
        let other = Channel::parse("other").expect("valid");
        shard.tails.insert(other.clone(), Tail::default());
        let one = entry(1, at(0)).bytes;
        shard.most_bytes = one * 10;
        for offset in 1..=8 {
            shard.push(&room(), entry(offset, at(0)), &epoch("e"));
        }
        for offset in 1..=5 {
            shard.push(&other, entry(offset, at(0)), &epoch("e"));
        }
        assert_eq!(shard.bytes, one * 10);
        assert_eq!(read(&shard, &since(3, "e"), &KEEP, at(1)).expect("held").len(), 5);
        assert_eq!(read(&shard, &since(2, "e"), &KEEP, at(1)), None);
        for _ in 0..1_000 {
            shard.forget(&room());
            shard.push(&room(), entry(1, at(0)), &epoch("e"));
        }
        assert!(shard.ages.len() <= 11, "{} names", shard.ages.len());
        let held: usize =
            shard.tails.values().flat_map(|tail| &tail.entries).map(|e| e.bytes).sum();
        assert_eq!(shard.bytes, held);
    }

    fn page(offsets: impl IntoIterator<Item = u64>, top: u64) -> Page {
        let publications = offsets.into_iter().map(|offset| entry(offset, at(0)).publication);
        let position = Position { offset: top, epoch: epoch("e") };
        Page { publications: publications.collect(), position }
    }

    fn fill(shard: &mut Shard, mark: u64, offset: u64, page: &Page, now: Duration) {
        shard.fill(&room(), Mark(mark), &since(offset, "e"), page, &KEEP, now);
        let held: usize =
            shard.tails.values().flat_map(|tail| &tail.entries).map(|e| e.bytes).sum();
        assert_eq!(shard.bytes, held);
    }

    #[test]
    fn what_was_read_serves_those_who_come_next() {
        let mut empty = shard([]);
        fill(&mut empty, 0, 2, &page(3..=5, 5), at(100));
        assert_eq!(read(&empty, &since(2, "e"), &KEEP, at(101)), Some(vec![3, 4, 5]));
        assert_eq!(read(&empty, &since(4, "e"), &KEEP, at(101)), Some(vec![5]));
        assert_eq!(read(&empty, &since(1, "e"), &KEEP, at(101)), None);
        assert_eq!(read(&empty, &since(2, "e"), &KEEP, at(104)), None, "its time is over");
        empty.push(&room(), entry(6, at(101)), &epoch("e"));
        assert_eq!(read(&empty, &since(2, "e"), &KEEP, at(102)), Some(vec![3, 4, 5, 6]));
        assert_eq!(read(&empty, &since(5, "e"), &KEEP, at(105)), Some(vec![6]), "it came");
        // Some of it arrived while it was read.
        let mut some = shard([]);
        some.push(&room(), entry(5, at(100)), &epoch("e"));
        let mark = some.tails[&room()].anew;
        some.push(&room(), entry(6, at(100)), &epoch("e"));
        fill(&mut some, mark, 2, &page(3..=5, 5), at(100));
        assert_eq!(read(&some, &since(2, "e"), &KEEP, at(101)), Some(vec![3, 4, 5, 6]));
        assert_eq!(read(&some, &since(4, "e"), &KEEP, at(105)), Some(vec![5, 6]), "they came");
    }

    #[test]
    fn nothing_is_filled_in_that_may_have_a_hole() {
        let unfilled = |shard: &mut Shard, mark, offset, page: &Page| {
            fill(shard, mark, offset, page, at(100));
            assert_eq!(read(shard, &since(offset, ""), &KEEP, at(100)), None);
        };
        unfilled(&mut shard([]), 0, 2, &page(3..=5, 6));
        unfilled(&mut shard([]), 0, 2, &page([3, 5], 5));
        unfilled(&mut shard([]), 0, 2, &page([], 2));
        // It began anew while it was read.
        let mut anew = shard([]);
        anew.forget(&room());
        unfilled(&mut anew, 0, 2, &page(3..=5, 5));
        let mut closed = shard([]);
        closed.close(&room());
        unfilled(&mut closed, 0, 2, &page(3..=5, 5));
        // What arrived first lies further on, or is of another stream.
        let mut hole = shard([8]);
        let mark = hole.tails[&room()].anew;
        unfilled(&mut hole, mark, 2, &page(3..=5, 5));
        let mut other = shard([]);
        other.push(&room(), entry(6, at(100)), &epoch("f"));
        let mark = other.tails[&room()].anew;
        unfilled(&mut other, mark, 2, &page(3..=5, 5));
        // More than there is room for.
        let mut full = shard([]);
        full.most_bytes = LEAST_BYTES * 2;
        unfilled(&mut full, 0, 2, &page(3..=5, 5));
    }

    #[test]
    fn one_channel_is_bounded_in_entries() {
        let shard = shard(1..=(MOST_ENTRIES as u64 + 50));
        assert_eq!(shard.tails.get(&room()).expect("open").entries.len(), MOST_ENTRIES);
    }
    #[tokio::test]
    async fn what_was_published_while_nobody_listened_is_not_skipped() {
        use crate::broker::{Broker as _, Feed, Memory, Outgoing};
        let (feed, _receivers) = Feed::new(Sharding::new(1), 1 << 20);
        let tails = Arc::clone(feed.tails());
        let broker = Memory::new(feed, 1 << 20);
        let publish = async || {
            let publication = Publication { data: "{}".into(), ..Publication::default() };
            let outgoing = Outgoing {
                publication,
                keep: Some(KEEP),
                idempotency: None,
                version: None,
                delta: false,
            };
            broker.publish(room(), outgoing).await.expect("taken").expect("kept").offset
        };
        broker.subscribe(room()).await.expect("subscribed");
        assert_eq!(publish().await, 1);
        assert!(tails.behind(&room(), &since(0, ""), &KEEP, 300).is_some());
        broker.unsubscribe(room()).await.expect("unsubscribed");
        assert_eq!(publish().await, 2);
        broker.subscribe(room()).await.expect("subscribed");
        assert_eq!(tails.behind(&room(), &since(1, ""), &KEEP, 300), None);
        assert_eq!(publish().await, 3);
        let page = tails.behind(&room(), &since(2, ""), &KEEP, 300).expect("3 is here");
        assert_eq!((page.publications.len(), page.position.offset), (1, 3));
        assert_eq!(tails.behind(&room(), &since(1, ""), &KEEP, 300), None, "2 is not");
        broker.remove_history(room()).await.expect("removed");
        assert_eq!(tails.behind(&room(), &since(3, ""), &KEEP, 300), None);
    }
}
