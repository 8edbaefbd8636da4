//! What is kept of a channel's publications, and publishing once.

use std::sync::Arc;
use std::time::Duration;

use sealcast::broker::{
    Delivery, HistoryError, HistoryQuery, IdempotencyKey, Outgoing, Page, Retention, Since,
    Unrecoverable,
};
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Position, Publication};
use tokio::time::{Instant, sleep};

use super::{Bench, channel, number, numbered, outgoing};
use crate::support::PATIENCE;

macro_rules! streams_contract {
    ($name:ident, $make:expr) => {
        promises!(
            $name,
            $make,
            tokio::test(flavor = "multi_thread"),
            [
                what_is_kept_is_delivered_and_read_at_the_same_place,
                pages_go_either_way_from_anywhere,
                entries_and_bytes_are_bounded_and_offsets_go_on,
                what_is_too_old_is_not_read_and_the_position_stays,
                a_stream_that_was_forgotten_begins_anew,
                removing_takes_the_entries_and_leaves_the_position,
                another_epoch_is_not_this_stream,
                a_key_publishes_once_and_answers_the_same,
                only_newer_versions_are_published,
                offsets_have_no_hole_whoever_publishes,
            ]
        );
    };
}

streams_contract!(memory, super::super::brokers::memory());
streams_contract!(redis, super::super::brokers::redis());
streams_contract!(sentinel, super::super::brokers::sentinel());
streams_contract!(several, super::super::brokers::several());
streams_contract!(cluster, super::super::brokers::cluster());

const KEEP: Retention = Retention {
    entries: 10,
    bytes: 1 << 20,
    ttl: Duration::from_secs(60),
    meta_ttl: Duration::from_secs(3_600),
};

fn kept(n: u64, keep: Retention) -> Outgoing {
    Outgoing { keep: Some(keep), ..numbered(n) }
}

impl Bench {
    /// Publishes and keeps the numbers, and answers the last position.
    async fn keep(&self, name: &str, numbers: impl IntoIterator<Item = u64>) -> Position {
        let mut position = None;
        for n in numbers {
            position = self.broker.publish(channel(name), kept(n, KEEP)).await.unwrap();
        }
        position.expect("kept")
    }

    async fn page(&self, name: &str, query: HistoryQuery) -> Page {
        self.broker.history(channel(name), query, KEEP.meta_ttl).await.unwrap()
    }

    async fn numbers(&self, name: &str, query: HistoryQuery) -> Vec<u64> {
        self.page(name, query).await.publications.iter().map(|one| number(one)).collect()
    }
}

fn query(limit: usize, since: Option<u64>, reverse: bool) -> HistoryQuery {
    let since = since.map(|offset| Since { offset, epoch: "".into() });
    HistoryQuery { limit, since, reverse }
}

async fn what_is_kept_is_delivered_and_read_at_the_same_place(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    let before = bench.page("room", query(10, None, false)).await;
    assert_eq!((before.publications.len(), before.position.offset), (0, 0));
    let sent = Publication {
        data: "{\"text\":\"\u{1f98a}\"}".into(),
        info: Some(ClientInfo { user: "ada".into(), client: "one".into(), ..Default::default() }),
        tags: [("key".to_owned(), "value".to_owned())].into(),
        ..Publication::default()
    };
    for offset in 1..=2 {
        let delta = offset == 2;
        // What is kept is not passing, whoever says so.
        let out = Outgoing { keep: Some(KEEP), delta, passing: true, ..outgoing(sent.clone()) };
        let position = bench.broker.publish(channel("room"), out).await.unwrap().expect("kept");
        assert_eq!(position, Position { offset, ..before.position.clone() });
        let (_, delivery) = bench.next().await;
        let Delivery::Publication { publication, epoch, delta: came, passing, .. } = delivery
        else {
            panic!("{delivery:?}")
        };
        assert!(!passing);
        // The first tells the epoch.
        let told = if offset == 1 { before.position.epoch.to_string() } else { String::new() };
        let expected = Publication { offset, epoch: told, ..sent.clone() };
        assert_eq!((&*publication, came), (&expected, delta));
        assert_eq!(epoch.as_deref(), Some(&*before.position.epoch));
        let page = bench.page("room", query(1, Some(offset - 1), false)).await;
        assert_eq!((&*page.publications[0], page.position), (&expected, position));
    }
}

async fn pages_go_either_way_from_anywhere(bench: Bench) {
    let top = bench.keep("room", 1..=5).await;
    for (limit, since, reverse, expected) in [
        (100, None, false, &[1, 2, 3, 4, 5][..]),
        (usize::MAX, None, false, &[1, 2, 3, 4, 5]),
        (2, None, false, &[1, 2]),
        (2, None, true, &[5, 4]),
        (100, Some(3), false, &[4, 5]),
        (1, Some(3), false, &[4]),
        (100, Some(3), true, &[2, 1]),
        (100, Some(0), false, &[1, 2, 3, 4, 5]),
        (100, Some(0), true, &[]),
        (100, Some(5), false, &[]),
        (100, Some(u64::MAX), false, &[]),
        (100, Some(u64::MAX), true, &[5, 4, 3, 2, 1]),
        (0, None, false, &[]),
    ] {
        let query = query(limit, since, reverse);
        assert_eq!(bench.numbers("room", query.clone()).await, expected, "{query:?}");
        assert_eq!(bench.page("room", query).await.position, top);
    }
    assert!(bench.numbers("other", query(100, None, false)).await.is_empty());
}

async fn entries_and_bytes_are_bounded_and_offsets_go_on(bench: Bench) {
    let top = bench.keep("room", 1..=25).await;
    assert_eq!(top.offset, 25);
    let all = query(100, None, false);
    assert_eq!(bench.numbers("room", all.clone()).await, (16..=25).collect::<Vec<_>>());
    // Less is kept from now on.
    let few = Retention { entries: 3, ..KEEP };
    bench.broker.publish(channel("room"), kept(26, few)).await.unwrap();
    assert_eq!(bench.numbers("room", all.clone()).await, [24, 25, 26]);
    // Each costs its payload and something around it.
    let tight = Retention { bytes: 10_000, ..KEEP };
    for n in 0..5 {
        let large = Publication { data: vec![b'1'; 3_000 + n].into(), ..Publication::default() };
        let out = Outgoing { keep: Some(tight), ..outgoing(large) };
        bench.broker.publish(channel("room"), out).await.unwrap();
    }
    let offsets = async |all: HistoryQuery| -> Vec<u64> {
        bench.page("room", all).await.publications.iter().map(|one| one.offset).collect()
    };
    assert_eq!(offsets(all.clone()).await, [29, 30, 31]);
    let huge = Publication { data: vec![b'1'; 11_000].into(), ..Publication::default() };
    let out = Outgoing { keep: Some(tight), ..outgoing(huge) };
    let position = bench.broker.publish(channel("room"), out).await.unwrap().expect("it counts");
    assert_eq!(position, Position { offset: 32, ..top });
    assert_eq!(offsets(all).await, [0u64; 0], "it does not fit, and nothing before it is left");
    assert_eq!(bench.keep("room", [33]).await.offset, 33);
    assert_eq!(bench.numbers("room", query(9, None, false)).await, [33]);
}

async fn what_is_too_old_is_not_read_and_the_position_stays(bench: Bench) {
    let brief = Retention { ttl: Duration::from_millis(300), ..KEEP };
    bench.broker.publish(channel("room"), kept(1, brief)).await.unwrap();
    bench.broker.publish(channel("idle"), kept(1, brief)).await.unwrap();
    let began = Instant::now();
    let position = bench.keep("room", [2]).await;
    loop {
        let read = bench.numbers("room", query(10, None, false)).await;
        if began.elapsed() > Duration::from_millis(350) {
            assert_eq!(read, [2], "younger ones stay");
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.page("room", query(10, None, false)).await.position, position);
    let idle = bench.page("idle", query(10, None, false)).await;
    assert_eq!((idle.publications.len(), idle.position.offset), (0, 1));
    assert_eq!(bench.keep("idle", [2]).await, Position { offset: 2, ..idle.position });
}

async fn a_stream_that_was_forgotten_begins_anew(bench: Bench) {
    // The entries are to outlive the position, which must not confuse anyone.
    let brief = Retention { meta_ttl: Duration::from_millis(200), ..KEEP };
    let before = bench.broker.publish(channel("room"), kept(1, brief)).await.unwrap().unwrap();
    let began = Instant::now();
    let page = loop {
        let page = bench.page("room", query(10, None, false)).await;
        if page.position.epoch != before.epoch {
            break page;
        }
        assert!(began.elapsed() < PATIENCE, "it is never forgotten");
        // The embedded broker forgets when it is swept, which is its node's task.
        if let Some(memory) = &bench.memory {
            memory.sweep();
        }
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((page.publications.len(), page.position.offset), (0, 0));
    assert_eq!(bench.keep("room", [7]).await, Position { offset: 1, ..page.position });
    assert_eq!(bench.numbers("room", query(10, None, false)).await, [7]);
}

async fn removing_takes_the_entries_and_leaves_the_position(bench: Bench) {
    bench.broker.remove_history(channel("room")).await.unwrap();
    let position = bench.keep("room", 1..=3).await;
    bench.broker.remove_history(channel("room")).await.unwrap();
    let page = bench.page("room", query(10, None, false)).await;
    assert_eq!((page.publications.len(), page.position), (0, position));
    assert_eq!(bench.keep("room", [4]).await.offset, 4);
    assert_eq!(bench.numbers("room", query(10, None, false)).await, [4]);
}

async fn another_epoch_is_not_this_stream(bench: Bench) {
    let position = bench.keep("room", 1..=3).await;
    let since = |epoch: &str| Some(Since { offset: 1, epoch: epoch.into() });
    let ask = |epoch: &str| HistoryQuery { since: since(epoch), ..query(10, None, false) };
    assert_eq!(bench.numbers("room", ask(&position.epoch)).await, [2, 3]);
    let other = bench.broker.history(channel("room"), ask("another"), KEEP.meta_ttl).await;
    assert_eq!(other.unwrap_err(), HistoryError::Unrecoverable(Unrecoverable));
    assert_eq!(bench.page("room", query(0, None, false)).await.position, position);
}

async fn a_key_publishes_once_and_answers_the_same(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    let once = |n: u64, keep: Option<Retention>, owner: &str, key: &str| Outgoing {
        keep,
        idempotency: Some(IdempotencyKey { owner: owner.into(), key: key.into() }),
        ..numbered(n)
    };
    for keep in [None, Some(KEEP)] {
        let key = if keep.is_some() { "kept" } else { "passing" };
        let publish = async |n, owner: &'static str, key: &str| {
            bench.broker.publish(channel("room"), once(n, keep, owner, key)).await.unwrap()
        };
        let first = publish(1, "ada", key).await;
        assert_eq!(first.is_some(), keep.is_some());
        assert_eq!(publish(2, "ada", key).await, first, "the same key");
        assert_ne!((publish(3, "bob", key).await, keep), (first, Some(KEEP)), "another's");
        publish(4, "ada", &format!("{key}2")).await;
        bench.broker.publish(channel("room"), numbered(5)).await.unwrap();
        for n in [1, 3, 4, 5] {
            assert_eq!(bench.next_number().await.1, n);
        }
    }
    bench.is_quiet().await;
}

async fn only_newer_versions_are_published(bench: Bench) {
    let version = |n: u64, version: u64, of: &str| Outgoing {
        version: Some((version, of.to_owned())),
        ..kept(n, KEEP)
    };
    // Two that differ only beyond what a double holds.
    let (large, larger) = ((1 << 60) + 1, (1 << 60) + 2);
    for (n, newest, of, published) in [
        (1, 5, "a", true),
        (2, 5, "a", false),
        (3, 4, "a", false),
        (4, 10, "a", true),
        (5, 1, "b", true),
        (6, 1, "b", false),
        (7, large, "b", true),
        (8, larger, "b", true),
        (9, large, "b", false),
    ] {
        let top = bench.page("room", query(0, None, false)).await.position;
        let answer = bench.broker.publish(channel("room"), version(n, newest, of)).await.unwrap();
        let offset = top.offset + u64::from(published);
        assert_eq!(answer, Some(Position { offset, ..top }), "{n}");
    }
    assert_eq!(bench.numbers("room", query(10, None, false)).await, [1, 4, 5, 7, 8]);
}

async fn offsets_have_no_hole_whoever_publishes(mut bench: Bench) {
    const EACH: u64 = 100;
    bench.broker.subscribe(channel("room")).await.unwrap();
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let broker = Arc::clone(&bench.broker);
            tokio::spawn(async move {
                let mut last = 0;
                for n in 0..EACH {
                    let sent = kept(publisher * EACH + n, KEEP);
                    let position = broker.publish(channel("room"), sent).await.unwrap().unwrap();
                    assert!(position.offset > last, "each publisher's own rise");
                    last = position.offset;
                }
            })
        })
        .collect();
    for expected in 1..=4 * EACH {
        match bench.next().await {
            (_, Delivery::Publication { publication, .. }) => {
                assert_eq!(publication.offset, expected);
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
