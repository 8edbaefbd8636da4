//! What a node lately received of the channels it is subscribed to. Whoever
//! recovers after a short absence is served from here; the broker is not asked.
//!
//! A tail is a run of publications of one epoch without a hole, whose end is the
//! last that arrived. It lives as long as the node's subscription: what is
//! published in between would be a hole that nobody sees.

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

    /// The node is subscribed anew: what arrives from now on is kept.
    pub(super) fn open(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            let mut shard = shard.lock();
            shard.close(channel);
            shard.tails.insert(channel.clone(), Tail::default());
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

#[derive(Default)]
struct Shard {
    tails: HashMap<Channel, Tail>,
    /// Whose entry is the oldest, the next oldest and so on. Tails that were
    /// forgotten leave names behind, which count for nothing.
    ages: VecDeque<(Channel, u64)>,
    /// Counts entries, so that a name in `ages` is of one entry only.
    count: u64,
    bytes: usize,
    most_bytes: usize,
}

#[derive(Default)]
struct Tail {
    epoch: Option<Epoch>,
    /// Offsets follow one another.
    entries: VecDeque<Entry>,
}

struct Entry {
    publication: Arc<Publication>,
    bytes: usize,
    came: Duration,
    number: u64,
}

impl Entry {
    fn new(publication: &Arc<Publication>, came: Duration) -> Entry {
        let bytes = size(publication).max(LEAST_BYTES);
        Entry { publication: Arc::clone(publication), bytes, came, number: 0 }
    }
}

impl Shard {
    fn push(&mut self, channel: &Channel, mut entry: Entry, epoch: &Epoch) {
        let Some(tail) = self.tails.get_mut(channel) else { return };
        let newest = tail.entries.back().map(|newest| newest.publication.offset);
        let follows = newest.is_none_or(|newest| newest + 1 == entry.publication.offset);
        if !follows || tail.epoch.as_ref() != Some(epoch) {
            self.bytes -= tail.clear();
            tail.epoch = Some(Arc::clone(epoch));
        }
        if entry.bytes > self.most_bytes {
            self.bytes -= tail.clear();
            return;
        }
        self.count += 1;
        entry.number = self.count;
        self.ages.push_back((channel.clone(), entry.number));
        self.bytes += entry.bytes;
        tail.entries.push_back(entry);
        if tail.entries.len() > MOST_ENTRIES {
            self.bytes -= tail.drop_oldest();
        }
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
        if let Some(tail) = self.tails.get_mut(channel) {
            self.bytes -= tail.clear();
        }
    }

    fn close(&mut self, channel: &Channel) {
        if let Some(mut tail) = self.tails.remove(channel) {
            self.bytes -= tail.clear();
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

    /// Drops everything; how many bytes that were.
    fn clear(&mut self) -> usize {
        self.epoch = None;
        std::mem::take(&mut self.entries).iter().map(|entry| entry.bytes).sum()
    }

    fn drop_oldest(&mut self) -> usize {
        self.entries.pop_front().map_or(0, |oldest| oldest.bytes)
    }
}

impl Entry {
    fn is_fresh(&self, keep: &Retention, now: Duration) -> bool {
        now < self.came.saturating_add(keep.ttl.min(keep.meta_ttl))
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
