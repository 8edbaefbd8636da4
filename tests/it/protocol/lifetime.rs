//! Pings, and the end of credentials.

use std::time::Duration;

use sealcast_client::Frame;
use sealcast_wire::Encoding;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, eventually, token};

/// Seconds: soon enough to wait for, far enough that a machine that stalls does not miss it.
const SOON: i64 = 4;

async fn connected(node: &TestNode, token: &str) -> (Wire, Value) {
    let mut wire = Wire::open(node).await;
    let answer = wire.ask(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    assert!(answer["connect"].is_object(), "{answer}");
    (wire, answer["connect"].clone())
}

fn refresh(token: &str) -> String {
    json!({ "id": 2, "refresh": { "token": token } }).to_string()
}

#[tokio::test]
async fn a_refresh_brings_a_new_expiry() {
    let node = TestNode::start().await;
    let (mut wire, _) = connected(&node, &token::expiring("ada", 60)).await;
    let answer = wire.ask(&refresh(&token::expiring("ada", 300))).await;
    assert_eq!(answer["refresh"]["expires"], true, "{answer}");
    assert!((290..=300).contains(&answer["refresh"]["ttl"].as_u64().unwrap()), "{answer}");
}

#[tokio::test]
async fn a_bad_refresh_ends_the_connection() {
    let node = TestNode::start().await;
    for (token, code) in [
        (String::new(), 3501),
        (token::of("bob"), 3500),
        ("nonsense".into(), 3500),
        (token::expiring("ada", -60), 3005),
    ] {
        let mut wire = Wire::connected(&node, "ada").await;
        assert_eq!(wire.closed_by(&refresh(&token)).await, code);
    }
}

#[tokio::test]
async fn who_does_not_refresh_is_closed_after_the_grace() {
    let node = TestNode::with(json!({ "client": { "expired_close_delay": "500ms" } })).await;
    let began = Instant::now();
    let (mut wire, result) = connected(&node, &token::expiring("ada", SOON)).await;
    assert_eq!(result["expires"], true);
    assert!((1..=SOON).contains(&result["ttl"].as_i64().unwrap()), "{result}");
    assert_eq!(wire.closed().await, 3005);
    let lived = began.elapsed();
    // A second less than its life, for the clock's seconds, and the grace.
    assert!(lived >= Duration::from_millis(3_500), "{lived:?}");
    assert!(lived < Duration::from_secs(10), "{lived:?}");
}

#[tokio::test]
async fn a_refresh_that_never_expires_stops_the_clock() {
    let node = TestNode::with(json!({ "client": { "expired_close_delay": "200ms" } })).await;
    let (mut wire, _) = connected(&node, &token::expiring("ada", SOON)).await;
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "expire_at": 0 });
    let answer = wire.ask(&refresh(&token::signed(claims))).await;
    assert_eq!(answer, json!({ "id": 2, "refresh": {} }));
    // Its life, the grace, and a sweep.
    tokio::time::sleep(Duration::from_millis(SOON.unsigned_abs() * 1_000 + 800)).await;
    wire.is_quiet().await;
}

#[tokio::test]
async fn pings_come_as_announced_and_must_be_answered() {
    let client = json!({ "ping_interval": "1s", "pong_timeout": "600ms" });
    let node = TestNode::with(json!({ "client": client })).await;
    let (mut wire, result) = connected(&node, &token::of("ada")).await;
    assert_eq!((&result["ping"], &result["pong"]), (&json!(1), &json!(true)));
    // Pongs that nobody asked for do no harm.
    wire.say("{}").await;
    wire.say("{}\n{}").await;
    let mut last = Instant::now();
    for round in 0..3 {
        assert_eq!(wire.hear().await, "{}", "{round}");
        assert!(last.elapsed() < Duration::from_secs(3), "{:?}", last.elapsed());
        last = Instant::now();
        wire.say("{}").await;
    }
    assert_eq!(wire.hear().await, "{}");
    assert_eq!(wire.closed().await, 3012);
    assert!(last.elapsed() < Duration::from_secs(5));
    drop(wire);
    eventually("counted", || node.number("sealcast_disconnects_total{code=\"3012\"}") == 1.0).await;
}

#[tokio::test]
async fn protobuf_pings_are_one_empty_message() {
    let client = json!({ "ping_interval": "1s", "pong_timeout": "600ms" });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut wire = Wire::open_protobuf(&node).await;
    wire.0.connect(&node.options("ada", Encoding::Protobuf)).await.unwrap();
    assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), Frame::Binary(vec![0]));
    wire.say_bytes(&[0]).await;
    assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), Frame::Binary(vec![0]));
    assert_eq!(wire.closed().await, 3012);
}

#[tokio::test]
async fn a_ping_frame_is_no_pong_and_is_answered() {
    let client = json!({ "ping_interval": "1s", "pong_timeout": "600ms" });
    let node = TestNode::with(json!({ "client": client })).await;
    let (mut wire, _) = connected(&node, &token::of("ada")).await;
    wire.0.send_frame(b"are you there", sealcast_wire::ws::Opcode::Ping).await.unwrap();
    let answer = wire.0.next_frame(PATIENCE).await.unwrap();
    assert_eq!(answer, Frame::Pong(b"are you there".to_vec()));
    assert_eq!(wire.hear().await, "{}");
    wire.0.send_frame(b"", sealcast_wire::ws::Opcode::Pong).await.unwrap();
    assert_eq!(wire.closed().await, 3012);
}
