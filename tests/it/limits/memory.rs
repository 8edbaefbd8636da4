//! Memory: of one connection, and of a node that is full.

use sealcast::limit::Stage;
use sealcast_client::{Connection, Error};
use sealcast_wire::Encoding;
use serde_json::json;

use crate::slow::{held, reluctant};
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::{ORIGIN, TestNode};
use crate::support::{eventually, token};

/// The beginning of a text frame of 64 KiB, and so many bytes of it.
fn unfinished(bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    frame.resize(frame.len() + bytes, b' ');
    frame
}

#[tokio::test]
async fn a_connection_that_holds_too_much_ends_as_slow_and_the_others_stay() {
    let limits = json!({ "conn_memory_max": 20_000, "message_deadline": "60s" });
    let node = TestNode::with(json!({ "limits": limits, "client": { "queue_max_size": 10_000 } }));
    let node = node.await;
    let held = || node.number("sealcast_outbound_queue_bytes");
    let mut fits = Wire::connected(&node, "ada").await;
    fits.0.send_bytes(&unfinished(15_000)).await.unwrap();
    eventually("it is held", || held() >= 15_000.0).await;
    let mut over = Wire::connected(&node, "bob").await;
    over.0.send_bytes(&unfinished(25_000)).await.unwrap();
    assert_eq!(over.closed().await, 3008);
    drop(over);
    eventually("given back", || held() < 20_000.0).await;
    eventually("only ada stays", || node.number("sealcast_connections") == 1.0).await;
}

#[tokio::test]
async fn a_node_short_of_memory_refuses_newcomers_and_serves_who_is_there() {
    // No process is as small as that, so the first look finds it full.
    let node = TestNode::with(json!({ "limits": { "node_memory_max": 1 << 20 } })).await;
    let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
    // Between two looks it may let somebody in.
    hub.set_stage(Stage::Calm);
    let there = Connection::open(&node.options("ada", Encoding::Json)).await;
    eventually("it has looked", || hub.stage() == Stage::Closing).await;
    assert_eq!(node.number("sealcast_shedding_stage"), 3.0);
    let refused = Connection::open(&node.options("bob", Encoding::Json)).await.map(drop);
    let Err(Error::Refused { status: 503, retry_after: Some(wait) }) = refused else {
        panic!("{refused:?}")
    };
    assert!((6..=10).contains(&wait.as_secs()), "{wait:?}");
    let stream = format!(
        "POST /connection/uni_sse HTTP/1.1\r\nHost: it\r\nOrigin: {ORIGIN}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let answer = ask(node.public, &stream).await;
    assert!(matches!(answer.status, 404 | 503), "{answer:?}");
    assert!(node.number("sealcast_shed_total{what=\"connection\"}") >= 1.0);
    assert!(node.number("sealcast_rate_limited_total{scope=\"node_full\"}") >= 1.0);
    if let Ok(there) = there {
        let mut there = Wire(there);
        let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } });
        assert!(there.ask(&connect.to_string()).await["connect"].is_object());
        there.is_quiet().await;
    }
    assert_eq!(node.get("/health/live").await.status, 200);
    let answer = node.api("publish", &json!({ "channel": "room", "data": 1 })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn near_the_budget_of_the_node_the_largest_go_until_it_has_room() {
    let limits = json!({ "node_queue_bytes": 200_000, "message_deadline": "60s" });
    let node = TestNode::with(json!({
        "limits": limits, "client": { "queue_max_size": 100_000 },
    }))
    .await;
    let held = || node.number("sealcast_outbound_queue_bytes");
    let mut wires = Vec::new();
    for at in 0..5 {
        wires.push(Wire::connected(&node, &format!("user-{at}")).await);
    }
    // Together 96 % of the budget, which nobody is over: one is a little larger.
    for (wire, bytes) in wires.iter_mut().zip([60_000, 33_000, 33_000, 33_000, 33_000]) {
        wire.0.send_bytes(&unfinished(bytes)).await.unwrap();
    }
    assert_eq!(wires.remove(0).closed().await, 3008, "the largest");
    eventually("it has room again", || {
        held() < 170_000.0 && node.number("sealcast_shedding_stage") <= 1.0
    })
    .await;
    eventually("four stay", || node.number("sealcast_connections") == 4.0).await;
    assert_eq!(node.number("sealcast_shed_total{what=\"queue\"}"), 1.0);
}

/// Of cursors there is a newer position soon; of everything else nothing is given up.
#[tokio::test]
async fn near_the_budget_of_the_node_who_is_slow_gets_no_cursors() {
    const MOVES: usize = 3;
    let limits = json!({
        "node_queue_bytes": 200_000, "message_deadline": "60s", "write_timeout": "60s",
    });
    let cursors = json!({
        "name": "cursors", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
        "shaping": { "mode": "latest" },
    });
    let node = TestNode::with(json!({
        "limits": limits, "client": { "queue_max_size": 100_000 },
        "channel": { "namespaces": [cursors] },
    }))
    .await;
    let subscribe = r#"{"id":3,"subscribe":{"channel":"cursors:a"}}"#;
    let mut slow = reluctant(&node).await;
    assert!(slow.ask(subscribe).await["subscribe"].is_object());
    let mut fast = Wire::connected(&node, "bob").await;
    assert!(fast.ask(subscribe).await["subscribe"].is_object());
    let mut ada = Wire::connected(&node, "ada").await;
    let text = |text: &str| json!({ "channel": "room", "data": text });
    while held(&node) == 0 {
        node.api("publish", &text(&"x".repeat(1_000))).await;
    }
    // With what others have half said it is 92 % of the budget.
    let mut others = Vec::new();
    for at in 0..4 {
        let mut other = Wire::connected(&node, &format!("user-{at}")).await;
        other.0.send_bytes(&unfinished(46_000)).await.unwrap();
        others.push(other);
    }
    eventually("it drops", || node.number("sealcast_shedding_stage") == 2.0).await;
    for at in 0..MOVES {
        let publish = json!({ "id": 4, "publish": { "channel": "cursors:a", "data": at } });
        assert!(ada.ask(&publish.to_string()).await["publish"].is_object());
        assert_eq!(fast.hear_json().await["push"]["pub"]["data"], at);
    }
    assert_eq!(node.number("sealcast_shed_total{what=\"ephemeral\"}"), MOVES as f64);
    node.api("publish", &text("the last")).await;
    loop {
        // Several messages may stand in one frame.
        let heard = slow.hear().await;
        assert!(!heard.contains("cursors:a"), "{heard}");
        if heard.contains("the last") {
            break;
        }
    }
}
