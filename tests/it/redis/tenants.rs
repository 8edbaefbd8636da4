//! Limits of a tenant over several nodes.

use std::time::Duration;

use sealcast::broker::{Charge, NotPublished, Outgoing};
use sealcast::limit::{Rate, Scope};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::KEEP;
use super::nodes::{ask, options};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::client::Wire;
use crate::support::node::{TestNode, lay_over};
use crate::support::redis::{RedisServer, spread};
use crate::support::{PATIENCE, eventually, token};

const NODES: usize = 3;

async fn nodes(server: &RedisServer, limits: Value) -> Vec<TestNode> {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let mut all = options(server.as_node());
        lay_over(&mut all, json!({ "limits": limits }));
        nodes.push(TestNode::with(all).await);
    }
    nodes
}

async fn of(node: &TestNode, user: &str, tenant: &str) -> Wire {
    Wire::admitted(node, json!({ "token": token::of_tenant(user, tenant) })).await.0
}

/// How many of so many publishes pass, from each in turn, kept and not.
async fn passed(wires: &mut [Wire], count: usize) -> usize {
    let mut passed = 0;
    for n in 0..count {
        let room = if n % 2 == 0 { "kept:a" } else { "room" };
        let command = json!({ "id": 7, "publish": { "channel": room, "data": n } });
        let at = n % wires.len();
        let answer = ask(&mut wires[at], command).await;
        let code = answer["error"]["code"].as_u64();
        assert!(matches!(code, None | Some(111)), "{answer}");
        passed += usize::from(code.is_none());
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_spread_over_three_nodes_has_its_number_and_others_do_not_notice() {
    let server = RedisServer::start().await;
    let nodes = nodes(&server, json!({ "tenant_messages": "20/h" })).await;
    let (mut acme, mut other) = (Vec::new(), Vec::new());
    for (at, node) in nodes.iter().enumerate() {
        acme.push(of(node, &format!("user-{at}"), "acme").await);
        other.push(of(node, &format!("user-{at}"), "other").await);
    }
    assert_eq!(passed(&mut acme, 20).await, 20, "at the number");
    assert_eq!(passed(&mut acme, 40).await, 0, "and past it");
    assert_eq!(passed(&mut other, 20).await, 20);
    let sum = |selector: &str| nodes.iter().map(|node| node.number(selector)).sum::<f64>();
    assert_eq!(sum(r#"sealcast_rate_limited_total{scope="tenant"}"#), 40.0);
    assert_eq!(sum(r#"sealcast_redis_op_seconds_count{op="draw"}"#), 0.0, "no second trip");
    // Each node asked once more, and knew then.
    let asked = sum(r#"sealcast_redis_op_seconds_count{op="publish"}"#)
        + sum(r#"sealcast_redis_op_seconds_count{op="publish_unkept"}"#);
    assert!(asked <= (40 + NODES) as f64, "{asked}");
    let all: Vec<String> = server.ask("KEYS *").await;
    assert!(all.iter().all(|key| !key.contains("acme")), "{all:?}");

    // An operator gives one of them more, at any node, for all.
    let wish = json!({ "tenant": "acme", "rate": "1000/s", "ttl": 600, "reason": "paid" });
    assert_eq!(nodes[0].api("limits_set", &wish).await.json(), json!({ "result": {} }));
    for node in &nodes {
        eventually("it holds", || node.number("sealcast_limit_overrides") == 1.0).await;
    }
    let began = Instant::now();
    while passed(&mut acme, NODES).await < NODES {
        assert!(began.elapsed() < PATIENCE, "what was used counts for a moment only");
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(passed(&mut acme, 30).await, 30);
    assert_eq!(passed(&mut other, 3).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_connections_on_all_nodes_together() {
    let server = RedisServer::start().await;
    let nodes = nodes(&server, json!({ "tenant_connections": 3 })).await;
    let mut held = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        held.push(of(node, &format!("user-{at}"), "acme").await);
    }
    let connect = |tenant| {
        json!({ "id": 1, "connect": { "token": token::of_tenant("eve", tenant) } }).to_string()
    };
    for node in &nodes {
        assert_eq!(Wire::open(node).await.closed_by(&connect("acme")).await, 3013);
        assert_eq!(node.number(r#"sealcast_rate_limited_total{scope="tenant_connections"}"#), 1.0);
        of(node, "eve", "other").await.is_quiet().await;
    }
    // A place that is given back is another node's to take.
    drop(held.pop());
    let began = Instant::now();
    loop {
        let mut wire = Wire::open(&nodes[0]).await;
        wire.say(&connect("acme")).await;
        if let Ok(sealcast_client::Frame::Text(_)) = wire.0.next_frame(PATIENCE).await {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
}

/// A user's and a tenant's limit are taken together or not at all.
async fn both_or_none(bench: Bench) {
    const FIVE: Rate = Rate::of(5, Duration::from_secs(3_600), 5);
    const TWO: Rate = Rate::of(2, Duration::from_secs(3_600), 2);
    let charge = |scope, subject: &str, rate: Rate| Charge {
        scope,
        subject: subject.into(),
        rate,
        share: rate.share(NODES),
    };
    let publish = async |tenant| {
        let sent = Outgoing { keep: Some(KEEP), ..numbered(1) };
        let charges = vec![charge(Scope::User, "ada", FIVE), charge(Scope::Tenant, tenant, TWO)];
        bench.broker.publish_within(channel("room"), sent, charges).await
    };
    let refused = |answer: Result<_, NotPublished>| match answer {
        Ok(Some(_)) => None,
        Err(NotPublished::TooMany(too_many)) => Some(too_many.scope),
        other => panic!("{other:?}"),
    };
    let mut answers = Vec::new();
    for tenant in ["a", "a", "a", "a", "b", "b", "b", "c", "c"] {
        answers.push(refused(publish(tenant).await));
    }
    let (user, tenant) = (Some(Scope::User), Some(Scope::Tenant));
    let expected = [None, None, tenant, tenant, None, None, tenant, None, user];
    assert_eq!(answers, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_primary_the_limits_are_taken_together() {
    let server = RedisServer::start().await;
    both_or_none(Bench::on(server.config()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_several_primaries_the_limits_are_taken_together() {
    let servers = [RedisServer::start().await, RedisServer::start().await];
    both_or_none(Bench::on(spread(&servers)).await).await;
}
