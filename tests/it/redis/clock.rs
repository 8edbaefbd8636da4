//! A node whose clock goes wrong (F-17): it says so and takes nobody new, and whoever
//! is connected notices nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sealcast::server::unix_time;
use serde_json::{Value, json};

use super::nodes::{ask, is_ready, options, publication, publish, subscribe};
use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::node::{TestNode, config};
use crate::support::redis::RedisServer;
use crate::support::token;

/// Seconds that the node's clock is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> Duration {
    let seconds = AHEAD.load(Ordering::Relaxed);
    let off = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { unix_time().saturating_sub(off) } else { unix_time() + off }
}

async fn reason(node: &TestNode) -> (u16, Value) {
    let answer = node.get("/health/ready").await;
    (answer.status, answer.json()["reason"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_wrong_is_told_and_nobody_connected_notices() {
    let server = RedisServer::start().await;
    let node = TestNode::by_clock(clock, &config(options(server.as_node()))).await;
    let mut ada = Wire::connected(&node, "ada").await;
    subscribe(&mut ada).await;
    let mut eve = Wire::connected(&node, "eve").await;
    // A token of ten minutes is good for that long, whatever the clock says later.
    let mut n = 0;
    for seconds in [300, -300, 86_400, -3_600] {
        AHEAD.store(seconds, Ordering::Relaxed);
        let about = |skew: f64| (skew - seconds as f64).abs() < 10.0;
        let skew = || node.number("sealcast_clock_skew_seconds");
        eventually("the clock is measured", || about(skew())).await;
        assert_eq!(reason(&node).await, (503, json!("clock")), "{seconds}");
        n += 1;
        assert!(publish(&mut eve, n).await, "{seconds}");
        assert_eq!(publication(&mut ada).await, (n, n), "{seconds}");
    }
    // What tokens bear, clocks bear as well.
    for seconds in [-5, 5] {
        AHEAD.store(seconds, Ordering::Relaxed);
        eventually("ready again", || is_ready(&node)).await;
        assert_eq!(reason(&node).await, (200, Value::Null), "{seconds}");
        let fresh = token::signed(json!({
            "sub": "bob", "iat": token::now(), "nbf": token::now(), "exp": token::now() + 300,
        }));
        let mut bob = Wire::open(&node).await;
        let connect = json!({ "id": 1, "connect": { "token": fresh } });
        let answer = ask(&mut bob, connect).await;
        assert!(answer["connect"].is_object(), "{seconds}: {answer}");
    }
    eventually("bob has gone", || node.number("sealcast_connections") == 2.0).await;
    n += 1;
    assert!(publish(&mut eve, n).await, "nobody was closed early");
    assert_eq!(publication(&mut ada).await, (n, n));
}
