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
    let held: usize = shard.tails.values().flat_map(|tail| &tail.entries).map(|e| e.bytes).sum();
    assert_eq!(shard.bytes, held);
}

fn page(offsets: impl IntoIterator<Item = u64>, top: u64) -> Page {
    let publications = offsets.into_iter().map(|offset| entry(offset, at(0)).publication);
    let position = Position { offset: top, epoch: epoch("e") };
    Page { publications: publications.collect(), position }
}

fn fill(shard: &mut Shard, mark: u64, offset: u64, page: &Page, now: Duration) {
    shard.fill(&room(), Mark(mark), &since(offset, "e"), page, &KEEP, now);
    let held: usize = shard.tails.values().flat_map(|tail| &tail.entries).map(|e| e.bytes).sum();
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
        let outgoing = Outgoing { publication, keep: Some(KEEP), ..Outgoing::default() };
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

#[test]
fn nothing_is_served_before_the_subscription_has_begun() {
    let mut shard = shard([4]);
    let stale = shard.open(&room());
    let opening = shard.open(&room());
    let mark = shard.tails[&room()].anew;
    shard.begin(&room(), stale);
    shard.push(&room(), entry(5, at(100)), &epoch("e"));
    assert_eq!(shard.bytes, 0, "it was published before the subscription");
    fill(&mut shard, mark, 2, &page(3..=7, 7), at(100));
    assert_eq!(read(&shard, &since(2, "e"), &KEEP, at(100)), None, "more may be on its way");
    shard.begin(&room(), opening);
    assert_eq!(read(&shard, &since(2, "e"), &KEEP, at(100)), Some(vec![3, 4, 5, 6, 7]));
    shard.push(&room(), entry(8, at(100)), &epoch("e"));
    assert_eq!(read(&shard, &since(6, "e"), &KEEP, at(100)), Some(vec![7, 8]));
}
