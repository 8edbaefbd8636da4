//! Whole nodes on one Redis, and clients that stay connected throughout.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, as_node};
use crate::support::{PATIENCE, eventually};

/// The number that is published last.
pub(super) const LAST: u64 = 1_000_000;

pub(super) async fn node(server: &RedisServer) -> TestNode {
    kept_on(server.as_node()).await
}

pub(super) async fn node_at(address: &str) -> TestNode {
    kept_on(as_node(json!({ "address": address }))).await
}

pub(super) async fn kept_on(redis: Value) -> TestNode {
    TestNode::with(options(redis)).await
}

/// A node with the namespace `kept`, on this Redis.
pub(super) fn options(redis: Value) -> Value {
    let namespace = json!({
        "name": "kept",
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_history_for_client": true,
        "allow_presence_for_client": true,
        "history_size": 10_000,
        "history_ttl": "10m",
        "force_recovery": true,
        "presence": true,
        "join_leave": true,
        "force_push_join_leave": true,
    });
    json!({
        "engine": { "type": "redis", "redis": redis },
        "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
        "channel": { "namespaces": [namespace] },
    })
}

/// Asks, and passes over what is pushed before the answer.
pub(super) async fn ask(wire: &mut Wire, command: Value) -> Value {
    wire.say(&command.to_string()).await;
    loop {
        let answer = wire.hear_json().await;
        if answer["id"] == command["id"] {
            return answer;
        }
    }
}

pub(super) async fn publish(wire: &mut Wire, n: u64) -> bool {
    let command = json!({ "id": 7, "publish": { "channel": "kept:a", "data": n } });
    let answer = ask(wire, command).await;
    assert!(answer["publish"].is_object() || answer["error"]["code"] == 100, "{answer}");
    answer["publish"].is_object()
}

pub(super) async fn subscribe(wire: &mut Wire) -> Value {
    let answer = ask(wire, json!({ "id": 2, "subscribe": { "channel": "kept:a" } })).await;
    assert_eq!(answer["subscribe"]["recoverable"], true, "{answer}");
    answer
}

/// The next publication; joins and leaves are passed over.
pub(super) async fn publication(wire: &mut Wire) -> (u64, u64) {
    loop {
        let push = wire.hear_json().await["push"].take();
        let publication = &push["pub"];
        if let (Some(offset), Some(n)) =
            (publication["offset"].as_u64(), publication["data"].as_u64())
        {
            return (offset, n);
        }
        assert!(push["join"].is_object() || push["leave"].is_object(), "{push}");
    }
}

/// Reads all the time, up to a last word; takes nothing but publications, and no
/// unsubscribe or disconnect.
pub(super) async fn read_all(mut wire: Wire) -> (Wire, Vec<(u64, u64)>) {
    let mut got = Vec::new();
    while got.last().is_none_or(|(_, n)| *n != LAST) {
        got.push(publication(&mut wire).await);
    }
    (wire, got)
}

/// Everything that was acknowledged came in the order of publishing, once, and
/// without a hole.
pub(super) fn check(got: &[(u64, u64)], acknowledged: &BTreeSet<u64>) {
    let (mut offset, mut before) = (0, 0);
    for (at, n) in got {
        assert_eq!(*at, offset + 1, "offsets without a hole");
        assert!(*n > before, "in the order of publishing, once each");
        (offset, before) = (*at, *n);
    }
    let got: BTreeSet<u64> = got.iter().map(|(_, n)| *n).collect();
    let lost: Vec<_> = acknowledged.difference(&got).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
}

pub(super) fn is_ready(node: &TestNode) -> bool {
    node.node.as_ref().is_some_and(|node| node.app().is_ready())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_are_one_relay() {
    let server = RedisServer::start().await;
    let (here, there) = (node(&server).await, node(&server).await);
    let (mut ada, mut bob) =
        (Wire::connected(&here, "ada").await, Wire::connected(&there, "bob").await);
    subscribe(&mut ada).await;
    subscribe(&mut bob).await;
    let joined = loop {
        let push = ada.hear_json().await["push"]["join"].take();
        if push["info"]["user"] == "bob" {
            break push;
        }
    };
    assert!(joined["info"]["client"].is_string());
    let mut publisher = Wire::connected(&there, "eve").await;
    for n in 1..=10 {
        assert!(publish(&mut publisher, n).await);
    }
    for wire in [&mut ada, &mut bob] {
        for n in 1..=10 {
            assert_eq!(publication(wire).await, (n, n));
        }
    }
    let count = json!({ "id": 3, "presence_stats": { "channel": "kept:a" } });
    let stats = ask(&mut publisher, count.clone()).await;
    assert_eq!(stats["presence_stats"], json!({ "num_clients": 2, "num_users": 2 }), "{stats}");
    drop(ada);
    let began = Instant::now();
    while ask(&mut publisher, count.clone()).await["presence_stats"]["num_clients"] != 1 {
        assert!(began.elapsed() < PATIENCE, "who has gone is present");
    }
    let page = json!({ "id": 4, "history": { "channel": "kept:a", "limit": 3 } });
    let history = ask(&mut bob, page).await;
    assert!(history.to_string().contains("\"offset\":3"), "{history}");
    for (node, op, least) in
        [(&there, "publish", 10.0), (&there, "stats", 2.0), (&here, "beat", 1.0)]
    {
        let selector = format!("sealcast_redis_op_seconds_count{{op=\"{op}\"}}");
        assert!(node.number(&selector) >= least, "{op}: {}", node.number(&selector));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back_and_no_client_notices() {
    let mut server = RedisServer::durable().await;
    let (here, there) = (node(&server).await, node(&server).await);
    let mut ada = Wire::connected(&here, "ada").await;
    subscribe(&mut ada).await;
    let reading = tokio::spawn(read_all(ada));
    let mut publisher = Wire::connected(&there, "eve").await;
    let mut acknowledged = BTreeSet::new();
    let mut n = 0;
    let mut failed = 0;
    let mut publish_for = async |publisher: &mut Wire, time: Duration| {
        let until = Instant::now() + time;
        while Instant::now() < until {
            n += 1;
            // Of a gap no more than a thousand are brought back: not as fast as it goes.
            let pause = if publish(publisher, n).await {
                acknowledged.insert(n);
                2
            } else {
                failed += 1;
                20
            };
            sleep(Duration::from_millis(pause)).await;
        }
    };
    publish_for(&mut publisher, Duration::from_millis(300)).await;
    server.kill();
    publish_for(&mut publisher, Duration::from_millis(1_500)).await;
    server.start_again().await;
    publish_for(&mut publisher, Duration::from_millis(1_500)).await;
    eventually("ready", || is_ready(&here)).await;
    publish_for(&mut publisher, Duration::from_millis(200)).await;
    assert!(failed > 0, "the fault did not bite");

    assert!(publish(&mut publisher, LAST).await);
    let (_ada, got) = reading.await.unwrap();
    check(&got, &acknowledged);
    assert!(here.number("sealcast_gaps_total") >= 1.0, "no gap was noticed");
    assert!(here.number("sealcast_gap_repairs_total") >= 1.0);
    assert_eq!(here.number("sealcast_gap_repairs_total{result=\"lost\"}"), 0.0);
    assert_eq!(here.number("sealcast_connections"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_the_node_says_so_and_refuses_in_time() {
    let mut server = RedisServer::start().await;
    let node = node(&server).await;
    let mut ada = Wire::connected(&node, "ada").await;
    server.kill();
    let began = Instant::now();
    for n in 0..50 {
        let asked = Instant::now();
        assert!(!publish(&mut ada, n).await, "never by this node alone");
        assert!(asked.elapsed() < Duration::from_millis(600), "{:?}", asked.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(3), "after a few, at once");
    assert_eq!(ada.refused(r#"{"id":2,"subscribe":{"channel":"kept:a"}}"#).await, 100);
    assert!(node.number("sealcast_redis_errors_total") > 0.0);
    assert_eq!(node.number("sealcast_redis_breaker_state"), 1.0);
    eventually("not ready", || !is_ready(&node)).await;
    assert_eq!(node.number("sealcast_redis_up"), 0.0);
}

/// Its connections live and answer, and what is published does not come: what
/// made other relays deaf for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_went_deaf_says_so_hears_again_and_lost_nothing() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.address()).await;
    let (here, there) = (node_at(&proxy.address.to_string()).await, node(&server).await);
    let mut ada = Wire::connected(&here, "ada").await;
    subscribe(&mut ada).await;
    let reading = tokio::spawn(read_all(ada));
    let mut publisher = Wire::connected(&there, "eve").await;
    let mut acknowledged = BTreeSet::new();
    let deaf = Instant::now();
    proxy.set(Passes::NoPushes);
    let mut n = 0;
    let mut said = None;
    while deaf.elapsed() < Duration::from_millis(4_500) {
        n += 1;
        assert!(publish(&mut publisher, n).await, "the other node and Redis are well");
        acknowledged.insert(n);
        if !is_ready(&here) {
            said.get_or_insert(deaf.elapsed());
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(said.is_some_and(|after| after < Duration::from_millis(3_500)), "ready for {said:?}");
    proxy.set(Passes::All);
    assert!(publish(&mut publisher, LAST).await);
    let (_ada, got) = timeout(Duration::from_secs(5), reading).await.expect("heals").unwrap();
    check(&got, &acknowledged);
    assert!(proxy.swallowed() > 0, "the fault did not bite");
    assert!(here.number("sealcast_pubsub_reconnects_total") >= 1.0);
    assert!(here.number("sealcast_gap_repairs_total{result=\"repaired\"}") >= 1.0);
    eventually("ready", || is_ready(&here)).await;
}

/// Asks until two nodes know of each other.
async fn introduced(one: &TestNode, two: &TestNode) {
    for node in [one, two] {
        let both = async {
            while node.api("info", &json!({})).await.json()["result"]["nodes"]
                .as_array()
                .is_none_or(|nodes| nodes.len() < 2)
            {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, both).await.expect("they know of each other");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_reaches_connections_on_every_node() {
    let server = RedisServer::start().await;
    let (one, two) = (node(&server).await, node(&server).await);
    introduced(&one, &two).await;
    let (mut here, mut there) =
        (Wire::connected(&one, "ada").await, Wire::connected(&two, "ada").await);
    let channel = json!({ "user": "ada", "channel": "kept:told" });
    let answer = one.api("subscribe", &channel).await.json();
    assert_eq!(answer, json!({ "result": {} }));
    for wire in [&mut here, &mut there] {
        assert!(wire.hear_json().await["push"]["subscribe"].is_object());
    }
    let channels = two.api("channels", &json!({ "pattern": "kept:*" })).await.json();
    assert_eq!(channels["result"]["channels"]["kept:told"]["num_clients"], 2, "{channels}");
    let answer = two.api("unsubscribe", &channel).await.json();
    assert_eq!(answer, json!({ "result": {} }));
    let left = async |wire: &mut Wire| loop {
        let push = wire.hear_json().await["push"].take();
        if push["unsubscribe"]["code"] == 2000 {
            return;
        }
        assert!(push["join"].is_object() || push["leave"].is_object(), "{push}");
    };
    left(&mut here).await;
    left(&mut there).await;
    let code = json!({ "user": "ada", "disconnect": { "code": 4001, "reason": "enough" } });
    assert_eq!(two.api("disconnect", &code).await.json(), json!({ "result": {} }));
    for mut wire in [here, there] {
        assert_eq!(wire.closed().await, 4001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_removes_no_node_brings_back() {
    const TAIL: &str = "sealcast_recover_from_tail_total";
    let server = RedisServer::start().await;
    let (one, two) = (node(&server).await, node(&server).await);
    let mut resident = Wire::connected(&one, "ada").await;
    subscribe(&mut resident).await;
    let mut publisher = Wire::connected(&two, "bob").await;
    for n in 1..=3 {
        assert!(publish(&mut publisher, n).await);
        assert_eq!(publication(&mut resident).await, (n, n));
    }
    let recover = json!({ "id": 2, "subscribe": {
        "channel": "kept:a", "recover": true, "recoverable": true, "offset": 1,
    }});
    let mut back = Wire::connected(&one, "carl").await;
    let answer = ask(&mut back, recover.clone()).await;
    assert_eq!(answer["subscribe"]["recovered"], true, "{answer}");
    assert_eq!(one.number(TAIL), 1.0, "the node had it");
    let removed = two.api("history_remove", &json!({ "channel": "kept:a" })).await.json();
    assert_eq!(removed, json!({ "result": {} }));
    // What is told behind it has come when the next publication has.
    assert!(publish(&mut publisher, 4).await);
    assert_eq!(publication(&mut resident).await, (4, 4));
    let mut back = Wire::connected(&one, "dora").await;
    let answer = ask(&mut back, recover).await;
    assert_eq!(answer["subscribe"]["recovered"], Value::Null, "{answer}");
    assert_eq!(answer["subscribe"]["offset"], 4, "{answer}");
}
