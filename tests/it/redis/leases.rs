//! Connections of a user and of an address, counted over all nodes.

use std::time::Duration;

use sealcast::broker::Holder;
use sealcast_client::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::broker_contract::Bench;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, eventually, token};

async fn node(server: &RedisServer, options: Value) -> TestNode {
    let mut all = json!({
        "engine": { "type": "redis", "redis": server.as_node() },
        "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
    });
    for (section, value) in options.as_object().unwrap() {
        all[section] = value.clone();
    }
    TestNode::with(all).await
}

/// The code with which a connection of `user` ends, or 0 and the connection.
async fn connect(node: &TestNode, user: &str) -> (u16, Wire) {
    let mut wire = Wire::open(node).await;
    let command = json!({ "id": 1, "connect": { "token": token::of(user) } }).to_string();
    wire.say(&command).await;
    let code = match wire.0.next_frame(PATIENCE).await {
        Ok(Frame::Text(_)) => 0,
        Ok(Frame::Close(code, _)) => code.unwrap_or(0),
        other => panic!("{other:?}"),
    };
    (code, wire)
}

/// How many connections each node says it has of any holder.
async fn leases(server: &RedisServer) -> Vec<(String, Vec<String>)> {
    let all: Vec<String> = server.ask("KEYS *").await;
    let mut found = Vec::new();
    for key in all.into_iter().filter(|key| key.ends_with("}:n1")) {
        let values: Vec<String> = server.ask(&format!("HVALS {key}")).await;
        let ttl: i64 = server.ask(&format!("PTTL {key}")).await;
        // Gone meanwhile, or going.
        assert!((1..=40_000).contains(&ttl) || ttl == -2, "{key} {ttl}");
        found.push((key, values));
    }
    found
}

async fn handshake(node: &TestNode) -> u16 {
    let request = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    ask(node.public, request).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_connections_on_all_nodes_together() {
    let server = RedisServer::start().await;
    for (answer, code) in [(json!("retry"), 3013), (json!("refuse"), 3504)] {
        let client = json!({ "user_connection_limit": 3, "user_connection_limit_answer": answer });
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(node(&server, json!({ "client": client })).await);
        }
        let mut held = Vec::new();
        for node in &nodes {
            let (code, wire) = connect(node, "ada").await;
            assert_eq!(code, 0);
            held.push(wire);
        }
        for node in &nodes {
            assert_eq!(connect(node, "ada").await.0, code, "the fourth");
            assert_eq!(
                node.number(r#"sealcast_rate_limited_total{scope="user_connections"}"#),
                1.0
            );
            assert_eq!(connect(node, "bob").await.0, 0);
        }
        // A place that is given back is another node's to take.
        drop(held.pop());
        let began = Instant::now();
        while connect(&nodes[0], "ada").await.0 != 0 {
            assert!(began.elapsed() < PATIENCE);
            sleep(Duration::from_millis(20)).await;
        }
        drop((held, nodes));
        server.ask::<String>("PING").await;
        let began = Instant::now();
        while !leases(&server).await.is_empty() {
            assert!(began.elapsed() < PATIENCE, "nothing is left of who has gone");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn replacing(most: usize) -> Value {
    json!({ "client": {
        "user_connection_limit": most,
        "user_connection_limit_answer": "replace",
    } })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_takes_the_place_of_the_oldest_on_whatever_node() {
    let server = RedisServer::start().await;
    let nodes = [node(&server, replacing(2)).await, node(&server, replacing(2)).await];
    know_each_other(&nodes).await;
    let mut first = Wire::connected(&nodes[0], "ada").await;
    let mut second = Wire::connected(&nodes[1], "ada").await;
    let mut bob = Wire::connected(&nodes[0], "bob").await;
    let mut third = Wire::connected(&nodes[1], "ada").await;
    assert_eq!(first.closed().await, 3504, "the oldest, at the other node");
    let mut fourth = Wire::connected(&nodes[1], "ada").await;
    assert_eq!(second.closed().await, 3504, "and at the same");
    let _fifth = Wire::connected(&nodes[0], "ada").await;
    assert_eq!(third.closed().await, 3504);
    for wire in [&mut fourth, &mut bob] {
        wire.is_quiet().await;
    }
    // One that goes by itself makes room, and nobody is sent away for it.
    drop(fourth);
    let open = || nodes.iter().map(|node| open(node, "ada")).sum::<usize>();
    eventually("it is gone", || open() == 1).await;
    let mut sixth = Wire::connected(&nodes[1], "ada").await;
    sixth.is_quiet().await;
    assert_eq!(open(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_come_at_once_no_more_than_the_newest_stay() {
    const MOST: usize = 3;
    let server = RedisServer::start().await;
    let nodes = [node(&server, replacing(MOST)).await, node(&server, replacing(MOST)).await];
    know_each_other(&nodes).await;
    let coming = (0..16).map(|n| connect(&nodes[n % 2], "ada"));
    let came = futures_util::future::join_all(coming).await;
    let open: usize = nodes.iter().map(|node| open(node, "ada")).sum();
    assert!((1..=MOST).contains(&open), "{open}");
    for (code, _) in came {
        assert!([0, 3013].contains(&code), "{code}");
    }
}

async fn know_each_other(nodes: &[TestNode]) {
    for node in nodes {
        let relay = &node.node.as_ref().unwrap().app().policy.relay;
        eventually("they know each other", || relay.live_nodes() == nodes.len()).await;
    }
}

/// How many connections of a user live on a node.
fn open(node: &TestNode, user: &str) -> usize {
    let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
    let user = sealcast_wire::User::parse(user).unwrap();
    hub.connections_of(&user).iter().filter(|(connection, _)| connection.is_open()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_on_all_nodes_together() {
    let server = RedisServer::start().await;
    let limits = json!({ "limits": { "profile": "none", "ip_connections": 3 } });
    let nodes = [node(&server, limits.clone()).await, node(&server, limits).await];
    let mut held = Vec::new();
    for at in [0, 1, 0] {
        held.push(Wire::connected(&nodes[at], "ada").await);
    }
    for node in &nodes {
        assert_eq!(handshake(node).await, 503);
        assert_eq!(node.number(r#"sealcast_rate_limited_total{scope="address_connections"}"#), 1.0);
    }
    held.pop();
    let began = Instant::now();
    while handshake(&nodes[1]).await != 101 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_had_counts_no_more_once_its_time_is_over() {
    let server = RedisServer::start().await;
    let dead = Bench::on(server.config()).await;
    let lives = Bench::on(server.config()).await;
    let ada = || Holder::User("ada".into());
    for _ in 0..2 {
        assert_eq!(dead.broker.hold(ada(), Some(2)).await, Ok(true));
    }
    assert_eq!(dead.broker.hold(ada(), Some(2)).await, Ok(false));
    assert_eq!(lives.broker.hold(ada(), Some(2)).await, Ok(false));
    // It is not there to give anything back.
    let [(key, values)] = &leases(&server).await[..] else { panic!("one holder") };
    let [value] = &values[..] else { panic!("one node") };
    let (count, until) = value.split_once(' ').unwrap();
    assert_eq!(count, "2");
    let time: Vec<u64> = server.ask("TIME").await;
    let ahead = until.parse::<u64>().unwrap() - time[0] * 1_000;
    assert!(ahead <= 41_000, "{ahead} ms");
    // Its time is over: as after 40 s.
    let node: Vec<String> = server.ask(&format!("HKEYS {key}")).await;
    let over = time[0] * 1_000 - 1;
    let _: i64 = server.ask_words(&["HSET", key, &node[0], &format!("2 {over}")]).await;
    for (count, fits) in [(1, true), (2, true), (3, false)] {
        assert_eq!(lives.broker.hold(ada(), Some(2)).await, Ok(fits), "{count}");
    }
    lives.broker.release(&ada());
    assert_eq!(lives.broker.hold(ada(), Some(2)).await, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_node_has_its_share() {
    let mut server = RedisServer::start().await;
    let options = json!({
        "client": { "user_connection_limit": 3 },
        "limits": { "profile": "standard" },
    });
    let modes = |node: &TestNode| {
        ["cluster", "local", "off"]
            .map(|mode| node.number(&format!("sealcast_ratelimit_mode{{mode=\"{mode}\"}}")))
    };
    let nodes = [node(&server, options.clone()).await, node(&server, options).await];
    know_each_other(&nodes).await;
    for node in &nodes {
        assert_eq!(node.number("sealcast_limits_local_share"), 0.0);
        assert_eq!(modes(node), [1.0, 0.0, 0.0]);
    }
    server.kill();
    let mut held = Vec::new();
    for node in &nodes {
        eventually("it is told", || node.number("sealcast_limits_local_share") == 1.0).await;
        assert_eq!(modes(node), [0.0, 1.0, 0.0]);
        // Half of three, rounded up.
        for expected in [0, 0, 3013] {
            let (code, wire) = connect(node, "ada").await;
            assert_eq!(code, expected);
            held.push(wire);
        }
    }
    server.start_again().await;
    for node in &nodes {
        eventually("it is over", || node.number("sealcast_limits_local_share") == 0.0).await;
        assert_eq!(modes(node), [1.0, 0.0, 0.0]);
    }
}
