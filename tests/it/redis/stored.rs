//! What lies at Redis: names without a user's text, no more than was asked for, and
//! what becomes of things that are not as the broker left them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redis::Value;
use sealcast::broker::{
    HistoryError, HistoryQuery, IdempotencyKey, Outgoing, PresenceStats, Retention, Unavailable,
};
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Position, Publication};

use super::KEEP;
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::redis::RedisServer;

pub(super) fn who(user: &str, client: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo { user: user.into(), client: client.into(), ..Default::default() })
}

pub(super) fn kept(n: u64) -> Outgoing {
    Outgoing { keep: Some(KEEP), ..numbered(n) }
}

pub(super) async fn key_of(server: &RedisServer, kind: &str) -> String {
    let keys: Vec<String> = server.ask(&format!("KEYS *:{kind}")).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_holds_a_users_text_and_everything_but_the_last_word_goes_by_itself() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let name = channel("canary:channel#canaryuser");
    bench.broker.subscribe(name.clone()).await.unwrap();
    let key = IdempotencyKey { owner: "canaryowner".into(), key: "canarykey".into() };
    let sent =
        Outgoing { idempotency: Some(key), version: Some((1, "canaryversion".into())), ..kept(1) };
    bench.broker.publish(name.clone(), sent).await.unwrap();
    bench.broker.enter(name.clone(), who("canaryuser", "canaryclient")).await.unwrap();
    let keys: Vec<String> = server.ask("KEYS *").await;
    let topics: Vec<String> = server.ask("PUBSUB CHANNELS").await;
    assert_eq!((keys.len(), topics.len()), (8, 3), "{keys:?} {topics:?}");
    for name in keys.iter().chain(&topics) {
        let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let rest = name.strip_prefix("sc:{").unwrap_or_else(|| panic!("{name}"));
        let (hash, kind) = rest.split_once("}:").unwrap();
        assert!(hash.len() == 40 && hex(hash), "{name}");
        let kind = kind.split_once(':').map_or(kind, |(kind, number)| {
            assert!(hex(number), "{name}");
            kind
        });
        assert_eq!(kind.len(), 1, "{name}");
    }
    // But for the one that tells whether Redis has lost anything.
    for key in keys.iter().filter(|key| !key.ends_with(":l")) {
        let left: i64 = server.ask(&format!("PTTL {key}")).await;
        assert!(left > 0, "{key} would stay for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_entered_again_in_time_is_gone() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let room = channel("room");
    for (user, client) in [("ada", "one"), ("ada", "two"), ("bob", "three")] {
        bench.broker.enter(room.clone(), who(user, client)).await.unwrap();
    }
    // Their node is gone for long.
    let until = key_of(&server, "x").await;
    let _: i64 = server.ask(&format!("ZADD {until} XX 1 one 1 three")).await;
    let stats = bench.broker.presence_stats(room.clone()).await.unwrap();
    assert_eq!(stats, PresenceStats { clients: 1, users: 1 });
    let present = bench.broker.presence(room).await.unwrap();
    assert_eq!(present.keys().collect::<Vec<_>>(), ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_under_a_key_fails_that_channel_and_no_other() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let at = bench.broker.publish(channel("room"), kept(1)).await.unwrap().unwrap();
    let meta = key_of(&server, "m").await;
    let longer = "foreign".repeat(100);
    // The last is what a later version would leave.
    let foreign: [&[&str]; 4] = [
        &["SET", &meta, "foreign"],
        &["SET", &meta, &longer],
        &["HSET", &meta, "foreign", "1"],
        &["SETRANGE", &meta, "0", "\u{2}"],
    ];
    let _: () = server.ask(&format!("RENAME {meta} {meta}:kept")).await;
    for command in foreign {
        let _: i64 = server.ask(&format!("COPY {meta}:kept {meta} REPLACE")).await;
        if command[0] == "HSET" {
            let _: i64 = server.ask(&format!("DEL {meta}")).await;
        }
        let _: Value = server.ask_words(command).await;
        // However often: it is no failure of Redis, and opens no breaker.
        for n in 0..20 {
            let published = bench.broker.publish(channel("room"), kept(n)).await;
            assert_eq!(published, Err(Unavailable), "{command:?}");
        }
        let query = HistoryQuery::default();
        let read = bench.broker.history(channel("room"), query, KEEP.meta_ttl).await;
        assert_eq!(read.unwrap_err(), HistoryError::Unavailable(Unavailable), "{command:?}");
        let behind = bench.broker.behind(channel("room"), at.clone(), 1, KEEP.meta_ttl).await;
        assert_eq!(behind.unwrap_err(), HistoryError::Unavailable(Unavailable), "{command:?}");
    }
    let told: String = server.ask("INFO errorstats").await;
    assert!(told.contains("errorstat_FORMAT:"), "it is said what is wrong: {told}");
    assert!(bench.broker.publish(channel("other"), kept(1)).await.unwrap().is_some());
    let _: i64 = server.ask(&format!("COPY {meta}:kept {meta} REPLACE")).await;
    let next = bench.broker.publish(channel("room"), kept(2)).await.unwrap().unwrap();
    assert_eq!(next, Position { offset: 2, ..at }, "nothing of it was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_ours_is_an_error_and_never_skipped() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    for n in 1..=2 {
        bench.broker.publish(channel("room"), kept(n)).await.unwrap();
    }
    let stream = key_of(&server, "s").await;
    let query = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    let read = async || bench.broker.history(channel("room"), query.clone(), KEEP.meta_ttl).await;
    assert_eq!(read().await.unwrap().publications.len(), 2);
    let _: String = server.ask(&format!("XADD {stream} 3-0 r {{\"data\":3}}")).await;
    assert_eq!(read().await.unwrap_err(), HistoryError::Unavailable(Unavailable));
}

/// The entries of the only stream: by offset, how long each is and when it goes.
async fn entries(server: &RedisServer) -> BTreeMap<u64, (usize, u64)> {
    let stream = key_of(server, "s").await;
    let entries: Vec<(String, Vec<Value>)> = server.ask(&format!("XRANGE {stream} - +")).await;
    let read = entries.into_iter().map(|(id, fields)| {
        let [_, Value::BulkString(record)] = &fields[..] else { panic!("{fields:?}") };
        let gone = u64::from_be_bytes(record[18..26].try_into().unwrap());
        (id.strip_suffix("-0").unwrap().parse().unwrap(), (record.len(), gone))
    });
    read.collect()
}

/// Most publications look at nothing of what is there; all the same nothing stays
/// that should not, and nothing goes that need not.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_what_the_bounds_allow_whatever_was_asked_for_before() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut model: BTreeMap<u64, usize> = BTreeMap::new();
    let (mut keep, mut full) = (KEEP, 0);
    for n in 1..=600 {
        if random.random_bool(0.025) {
            let entries = [1, 3, 20, 1_000][random.random_range(0..4)];
            let bytes = [300, 1_500, 6_000, 1 << 20][random.random_range(0..4)];
            keep = Retention { entries, bytes, ..KEEP };
        }
        if random.random_bool(0.01) {
            bench.broker.remove_history(channel("room")).await.unwrap();
            model.clear();
        }
        let data = vec![b'1'; random.random_range(1..400)];
        let publication = Publication { data: data.into(), ..Publication::default() };
        let version = random.random_bool(0.1).then(|| (n, "test".to_owned()));
        let sent = Outgoing { publication, keep: Some(keep), version, ..kept(n) };
        let length = 83 + 1 + 4 + sent.publication.data.len() + 1 + 4;
        bench.broker.publish(channel("room"), sent).await.unwrap();
        model.insert(n, length);
        while model.len() > keep.entries || model.values().sum::<usize>() > keep.bytes {
            model.pop_first();
            full += 1;
        }
        let stored = entries(&server).await;
        let stored: BTreeMap<u64, usize> =
            stored.iter().map(|(n, (long, _))| (*n, *long)).collect();
        assert_eq!(stored, model, "{keep:?}");
    }
    assert!(full > 100, "{full} dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_what_is_young_enough_and_all_of_that() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let keep = Retention { ttl: Duration::from_millis(60), ..KEEP };
    let time = async || {
        let (seconds, micros): (u64, u64) = server.ask("TIME").await;
        seconds * 1_000 + micros / 1_000
    };
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = 0;
    while all.len() - seen < 200 {
        let before = time().await;
        let n = all.len() as u64 + 1;
        bench
            .broker
            .publish(channel("room"), Outgoing { keep: Some(keep), ..kept(n) })
            .await
            .unwrap();
        let stored = entries(&server).await;
        let after = time().await;
        // What Redis itself has dropped with the whole stream is never seen.
        all.insert(n, stored.get(&n).map_or(0, |(_, gone)| *gone));
        for (n, gone) in &all {
            let there = stored.contains_key(n);
            assert!(!there || *gone > before, "{n} is too old");
            assert!(there || *gone <= after, "{n} is young enough");
        }
        seen = stored.len();
    }
}
