//! Who is present, and how many.

use std::sync::Arc;

use sealcast::broker::PresenceStats;
use sealcast_wire::reply::ClientInfo;

use super::{Bench, channel};

macro_rules! presence_contract {
    ($name:ident, $make:expr) => {
        promises!(
            $name,
            $make,
            tokio::test(flavor = "multi_thread"),
            [
                who_enters_is_present_until_it_goes,
                users_are_counted_once_however_often_they_are_there,
            ]
        );
    };
}

presence_contract!(memory, super::super::brokers::memory());
presence_contract!(redis, super::super::brokers::redis());
presence_contract!(sentinel, super::super::brokers::sentinel());
presence_contract!(several, super::super::brokers::several());
presence_contract!(cluster, super::super::brokers::cluster());

fn client(user: &str, client: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo {
        user: user.into(),
        client: client.into(),
        conn_info: "{\"a\":1}".into(),
        ..Default::default()
    })
}

async fn who_enters_is_present_until_it_goes(bench: Bench) {
    let broker = &bench.broker;
    assert!(broker.presence(channel("room")).await.unwrap().is_empty());
    broker.exit(channel("room"), "one".into()).await.unwrap();
    for (room, user, name) in [
        ("room", "ada", "one"),
        ("room", "ada", "two"),
        ("room", "", "three"),
        ("other", "bob", "four"),
    ] {
        broker.enter(channel(room), client(user, name)).await.unwrap();
    }
    // What is told of it may change.
    let changed = Arc::new(ClientInfo { chan_info: "2".into(), ..(*client("ada", "one")).clone() });
    broker.enter(channel("room"), Arc::clone(&changed)).await.unwrap();
    let present = broker.presence(channel("room")).await.unwrap();
    assert_eq!(present.keys().collect::<Vec<_>>(), ["one", "three", "two"]);
    assert_eq!(present["one"], changed);
    assert_eq!(present["two"], client("ada", "two"));
    broker.exit(channel("room"), "one".into()).await.unwrap();
    broker.exit(channel("room"), "one".into()).await.unwrap();
    let present = broker.presence(channel("room")).await.unwrap();
    assert_eq!(present.keys().collect::<Vec<_>>(), ["three", "two"]);
    assert_eq!(broker.presence(channel("other")).await.unwrap().len(), 1);
}

async fn users_are_counted_once_however_often_they_are_there(bench: Bench) {
    let broker = &bench.broker;
    let stats = async || {
        let PresenceStats { clients, users } =
            broker.presence_stats(channel("room")).await.unwrap();
        (clients, users)
    };
    assert_eq!(stats().await, (0, 0));
    for (n, user) in ["ada", "ada", "", "", "bob"].into_iter().enumerate() {
        broker.enter(channel("room"), client(user, &n.to_string())).await.unwrap();
        broker.enter(channel("room"), client(user, &n.to_string())).await.unwrap();
    }
    assert_eq!(stats().await, (5, 3));
    for gone in ["0", "2", "2", "nobody"] {
        broker.exit(channel("room"), gone.into()).await.unwrap();
    }
    assert_eq!(stats().await, (3, 3));
    broker.exit(channel("room"), "1".into()).await.unwrap();
    assert_eq!(stats().await, (2, 2));
    // The same connection, as someone else.
    broker.enter(channel("room"), client("bob", "3")).await.unwrap();
    assert_eq!(stats().await, (2, 1));
}
