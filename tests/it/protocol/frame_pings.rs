//! WebSocket ping frames in the place of the protocol's pings.

use std::time::Duration;

use sealcast_client::{Connection, Frame};
use sealcast_wire::Encoding;
use sealcast_wire::ws::Opcode;
use serde_json::json;
use tokio::time::Instant;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, eventually, token};

async fn node() -> TestNode {
    let client = json!({ "ping_interval": "1s", "pong_timeout": "600ms" });
    TestNode::with(json!({ "client": client })).await
}

/// Connects with this behind the address; the result's `ping` and `pong`.
async fn connect(node: &TestNode, query: &str) -> (Wire, Option<u64>, Option<bool>) {
    let mut options = node.options("ada", Encoding::Json);
    options.url = format!("{}{query}", options.url);
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } });
    let result = wire.ask(&connect.to_string()).await["connect"].clone();
    (wire, result["ping"].as_u64(), result["pong"].as_bool())
}

async fn pinged(wire: &mut Wire) {
    let frame = wire.0.next_frame(PATIENCE).await.unwrap();
    assert_eq!(frame, Frame::Ping(Vec::new()));
}

#[tokio::test]
async fn pings_are_frames_and_pongs_keep_the_connection() {
    let node = node().await;
    let (mut wire, ping, pong) = connect(&node, "?cf_ws_frame_ping_pong=true").await;
    assert_eq!((ping, pong), (None, None), "the client has nothing to wait for");
    for _ in 0..3 {
        pinged(&mut wire).await;
        wire.0.send_frame(b"", Opcode::Pong).await.unwrap();
    }
    wire.is_quiet().await;
}

#[tokio::test]
async fn without_a_pong_frame_the_connection_ends() {
    let node = node().await;
    let (mut wire, ..) = connect(&node, "?a=b&cf_ws_frame_ping_pong=true").await;
    pinged(&mut wire).await;
    let asked = Instant::now();
    // The protocol's own answer is none to this.
    wire.say("{}").await;
    assert_eq!(wire.closed().await, 3012);
    let waited = asked.elapsed();
    assert!(waited > Duration::from_millis(500) && waited < Duration::from_secs(5), "{waited:?}");
    drop(wire);
    eventually("counted", || node.number("sealcast_disconnects_total{code=\"3012\"}") == 1.0).await;
}

#[tokio::test]
async fn it_holds_for_protobuf_too() {
    let node = node().await;
    let mut options = node.options("ada", Encoding::Protobuf);
    options.url = format!("{}?cf_ws_frame_ping_pong=true", options.url);
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    let result = wire.0.connect(&options).await.unwrap();
    assert_eq!((result.ping, result.pong), (0, false));
    pinged(&mut wire).await;
    wire.0.send_frame(b"", Opcode::Pong).await.unwrap();
    pinged(&mut wire).await;
}

#[tokio::test]
async fn nothing_but_the_word_itself_asks_for_it() {
    let node = node().await;
    for query in
        ["", "?cf_ws_frame_ping_pong=false", "?cf_ws_frame_ping_pong", "?cf_ws_frame_ping_pong=1"]
    {
        let (_, ping, pong) = connect(&node, query).await;
        assert_eq!((ping, pong), (Some(1), Some(true)), "{query}");
    }
}
