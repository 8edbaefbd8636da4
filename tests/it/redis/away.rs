//! What a node does while Redis is away, and after (`security.md` 3.4).

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::nodes::{ask, is_ready, node, publication, publish, subscribe};
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;

/// How soon everything must be well after Redis is back.
const WELL_WITHIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Frozen,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_killed_is_as_if_it_had_never_been_away() {
    is_away_and_comes_back(Fault::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_frozen_is_as_if_it_had_never_been_away() {
    is_away_and_comes_back(Fault::Frozen).await;
}

async fn is_away_and_comes_back(fault: Fault) {
    let mut server = RedisServer::durable().await;
    let node = node(&server).await;
    let mut resident = Wire::connected(&node, "ada").await;
    subscribe(&mut resident).await;
    let mut publisher = Wire::connected(&node, "eve").await;
    assert!(publish(&mut publisher, 1).await);
    assert_eq!(publication(&mut resident).await, (1, 1));

    let away = Instant::now();
    match fault {
        Fault::Killed => server.kill(),
        Fault::Frozen => server.signal(Signal::STOP),
    }
    refuses(&node, &mut publisher, fault).await;
    // Accepted without Redis, and joined when that is back.
    let mut plain = Wire::connected(&node, "bob").await;
    let answer = say(&mut plain, "subscribe", json!({ "channel": "lobby" })).await;
    assert!(answer["subscribe"].is_object(), "{answer}");
    let mut late = Wire::connected(&node, "carl").await;
    let answer = say(&mut late, "subscribe", json!({ "channel": "kept:a" })).await;
    assert_eq!(answer["error"]["code"], 100, "where it stands cannot be said: {answer}");
    let recover = json!({ "channel": "kept:a", "recover": true, "offset": 1 });
    let answer = say(&mut late, "subscribe", recover).await;
    assert_eq!(answer["error"]["code"], 100, "nor whether something is missing: {answer}");
    while is_ready(&node) {
        assert!(away.elapsed() < Duration::from_millis(3_500), "it says that it is well");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(node.get("/health/ready").await.status, 503);
    refuses(&node, &mut publisher, fault).await;

    match fault {
        Fault::Killed => server.start_again().await,
        Fault::Frozen => server.signal(Signal::CONT),
    }
    let back = Instant::now();
    let well = async {
        while !publish(&mut publisher, 2).await || !is_ready(&node) {
            sleep(Duration::from_millis(20)).await;
        }
        // It joins by itself; what is published before is not owed to it.
        let heard = async {
            loop {
                let push = plain.hear_json().await["push"]["pub"].take();
                if push["data"] == json!({ "back": true }) {
                    return;
                }
            }
        };
        let telling = async {
            loop {
                let data = json!({ "channel": "lobby", "data": { "back": true } });
                node.api("publish", &data).await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! { () = heard => {}, () = telling => {} }
        subscribe(&mut late).await;
    };
    timeout(WELL_WITHIN, well).await.expect("everything is well");
    assert!(back.elapsed() < WELL_WITHIN);
    // A publish that was refused may have been done by a server that was frozen;
    // what was acknowledged comes, and nothing is missing.
    let (mut before, mut n) = (1, 0);
    while n != 2 {
        let (offset, got) = publication(&mut resident).await;
        assert_eq!(offset, before + 1, "no hole");
        (before, n) = (offset, got);
    }
    assert_eq!(node.number("sealcast_gap_repairs_total{result=\"lost\"}"), 0.0);
}

/// Publishing is refused in time, and is not delivered by this node alone.
async fn refuses(node: &TestNode, publisher: &mut Wire, fault: Fault) {
    // Where each takes its time, few are enough, and the breaker has no reason.
    let count = match fault {
        Fault::Killed => 20,
        Fault::Frozen => 3,
    };
    for n in 100..100 + count {
        let asked = Instant::now();
        assert!(!publish(publisher, n).await, "never by this node alone");
        assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
    }
    if let Fault::Killed = fault {
        assert_eq!(node.number("sealcast_redis_breaker_state"), 1.0);
    }
}

async fn say(wire: &mut Wire, name: &str, request: Value) -> Value {
    ask(wire, json!({ "id": 3, name: request })).await
}
