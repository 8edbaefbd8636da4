//! What lies at Redis: names without a user's text, and what becomes of things
//! that are not as the broker left them.

use std::sync::Arc;

use sealcast::broker::{
    HistoryError, HistoryQuery, IdempotencyKey, Outgoing, PresenceStats, Unavailable,
};
use sealcast_wire::reply::ClientInfo;

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
    assert_eq!((keys.len(), topics.len()), (9, 3), "{keys:?} {topics:?}");
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
    bench.broker.publish(channel("room"), kept(1)).await.unwrap();
    let meta = key_of(&server, "m").await;
    let _: () = server.ask(&format!("SET {meta} foreign")).await;
    // However often: it is no failure of Redis, and opens no breaker.
    for n in 0..20 {
        assert_eq!(bench.broker.publish(channel("room"), kept(n)).await, Err(Unavailable));
    }
    let read = bench.broker.history(channel("room"), HistoryQuery::default(), KEEP.meta_ttl).await;
    assert_eq!(read.unwrap_err(), HistoryError::Unavailable(Unavailable));
    assert!(bench.broker.publish(channel("other"), kept(1)).await.unwrap().is_some());
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
