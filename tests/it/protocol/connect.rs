//! The first command.

use std::time::Duration;

use sealcast_client::Error;
use serde_json::json;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};

#[tokio::test]
async fn a_good_token_connects() {
    let node = TestNode::start().await;
    let mut wire = Wire::open(&node).await;
    let connect = json!({ "id": 7, "connect": { "token": token::of("ada"), "name": "it", "flag": 1, "novelty": [] } });
    let answer = wire.ask(&connect.to_string()).await;
    assert_eq!(answer["id"], 7);
    let result = &answer["connect"];
    assert_eq!(result["client"].as_str().unwrap().len(), 36);
    assert!(!result["version"].as_str().unwrap().is_empty());
    assert_eq!((&result["ping"], &result["pong"]), (&json!(25), &json!(true)));
    assert_eq!(result["expires"], true);
    assert!((1..=600).contains(&result["ttl"].as_u64().unwrap()), "{result}");
    for absent in ["session", "node", "subs", "data", "time"] {
        assert!(result.get(absent).is_none(), "{result}");
    }
    assert_eq!(node.number("sealcast_connections"), 1.0);
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
    assert_eq!(
        node.number("sealcast_connect_attempts_total{transport=\"websocket\",result=\"ok\"}"),
        1.0
    );
}

#[tokio::test]
async fn clients_without_a_token_are_anonymous_or_refused() {
    let node = TestNode::start().await;
    for connect in [r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":{"token":""}}"#] {
        assert_eq!(Wire::open(&node).await.closed_by(connect).await, 3501);
    }
    let client = json!({ "allow_anonymous_connect_without_token": true });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut wire = Wire::open(&node).await;
    let answer = wire.ask(r#"{"id":1,"connect":{}}"#).await;
    assert!(answer["connect"]["client"].is_string());
    assert!(answer["connect"].get("expires").is_none(), "{answer}");
}

#[tokio::test]
async fn the_first_command_is_connect_and_comes_once() {
    let node = TestNode::start().await;
    for other in [
        r#"{"id":1,"subscribe":{"channel":"room"}}"#,
        r#"{"id":1,"publish":{"channel":"room","data":1}}"#,
        r#"{"id":1,"unsubscribe":{"channel":"room"}}"#,
        r#"{"id":1,"refresh":{"token":"x"}}"#,
        r#"{"id":1,"rpc":{"method":"x"}}"#,
        r#"{"send":{"data":1}}"#,
        "{}",
    ] {
        assert_eq!(Wire::open(&node).await.closed_by(other).await, 3501, "{other}");
    }
    let mut wire = Wire::connected(&node, "ada").await;
    let again = json!({ "id": 2, "connect": { "token": token::of("ada") } });
    assert_eq!(wire.closed_by(&again.to_string()).await, 3501);
}

#[tokio::test]
async fn a_connect_needs_an_id() {
    let node = TestNode::start().await;
    for id in [
        "",
        r#""id":0,"#,
        r#""id":null,"#,
        r#""id":-1,"#,
        r#""id":1.5,"#,
        r#""id":"1","#,
        r#""id":4294967296,"#,
    ] {
        let connect = format!(r#"{{{id}"connect":{{"token":"{}"}}}}"#, token::of("ada"));
        assert_eq!(Wire::open(&node).await.closed_by(&connect).await, 3501, "{id}");
    }
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_stale() {
    let node = TestNode::with(json!({ "client": { "stale_close_delay": "300ms" } })).await;
    let mut wire = Wire::open(&node).await;
    let began = tokio::time::Instant::now();
    assert_eq!(wire.closed().await, 3502);
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    let mut connected = Wire::connected(&node, "ada").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    connected.is_quiet().await;
}

#[tokio::test]
async fn commands_behind_connect_in_its_frame_run_in_order() {
    let node = TestNode::start().await;
    let mut wire = Wire::open(&node).await;
    let token = token::of("ada");
    let frame = format!(
        "{{\"id\":1,\"connect\":{{\"token\":\"{token}\"}}}}\n\
         {{\"id\":2,\"subscribe\":{{\"channel\":\"talk:a\",\"flag\":1}}}}\n\
         {{\"id\":3,\"publish\":{{\"channel\":\"talk:a\",\"data\":1}}}}\n\
         {{\"id\":4,\"unsubscribe\":{{\"channel\":\"talk:a\"}}}}\n\
         {{\"id\":5,\"publish\":{{\"channel\":\"talk:a\",\"data\":2}}}}"
    );
    let answer = wire.ask(&frame).await;
    assert!(answer["connect"].is_object(), "{answer}");
    assert_eq!(wire.hear().await, r#"{"id":2,"subscribe":{}}"#);
    let mut replies = Vec::new();
    while replies.len() < 3 {
        let reply = wire.hear_json().await;
        // The own publication may come, or be too late.
        if reply.get("push").is_none() {
            replies.push(reply.to_string());
        }
    }
    let expected = [
        r#"{"id":3,"publish":{}}"#,
        r#"{"id":4,"unsubscribe":{}}"#,
        r#"{"error":{"code":103,"message":"permission denied"},"id":5}"#,
    ];
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn after_a_refused_connect_nothing_is_answered_and_the_socket_is_dropped() {
    let node = TestNode::start().await;
    let mut wire = Wire::open(&node).await;
    let expired = token::expiring("ada", -60);
    let frame = format!(
        "{{\"id\":1,\"connect\":{{\"token\":\"{expired}\"}}}}\n\
         {{\"id\":2,\"subscribe\":{{\"channel\":\"room\"}}}}"
    );
    assert_eq!(wire.refused(&frame).await, 109);
    let good = json!({ "id": 3, "connect": { "token": token::of("ada") } });
    wire.say(&good.to_string()).await;
    let began = tokio::time::Instant::now();
    let end = wire.0.next_frame(PATIENCE).await;
    assert!(matches!(end, Err(Error::Io(_))), "{end:?} instead of the end without a close frame");
    let waited = began.elapsed();
    assert!((4..9).contains(&waited.as_secs()), "time to close by itself: {waited:?}");
}

#[tokio::test]
async fn after_a_refused_connect_the_stale_delay_still_holds() {
    let node = TestNode::with(json!({ "client": { "stale_close_delay": "400ms" } })).await;
    let mut wire = Wire::open(&node).await;
    let connect = json!({ "id": 1, "connect": { "token": token::expiring("ada", -60) } });
    assert_eq!(wire.refused(&connect.to_string()).await, 109);
    assert_eq!(wire.closed().await, 3502);
}

#[tokio::test]
async fn a_connect_that_its_subscriptions_refuse_is_refused_like_any_other() {
    let client = json!({ "stale_close_delay": "1500ms", "ping_interval": "1s" });
    let node = TestNode::with(json!({ "client": client })).await;
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": ["nowhere:a"] });
    let connect = json!({ "id": 1, "connect": { "token": token::signed(claims) } });
    let mut wire = Wire::open(&node).await;
    assert_eq!(wire.refused(&connect.to_string()).await, 102);
    // It is not pinged meanwhile.
    assert_eq!(wire.closed().await, 3502);
    assert_eq!(node.number("sealcast_panics_total"), 0.0);
}

#[tokio::test]
async fn positions_in_a_connect_are_bounded() {
    let node = TestNode::start().await;
    for (count, passes) in [(128, true), (129, false), (10_000, false)] {
        // Short names, so that ten thousand fit into a frame.
        let subs: Vec<String> = (0..count).map(|n| format!("\"{n:x}\":{{}}")).collect();
        let subs = subs.join(",");
        let connect =
            format!(r#"{{"id":1,"connect":{{"token":"{}","subs":{{{subs}}}}}}}"#, token::of("ada"));
        let mut wire = Wire::open(&node).await;
        if passes {
            assert!(wire.ask(&connect).await["connect"].is_object());
        } else {
            let code = wire.closed_by(&connect).await;
            // A frame that is too large altogether is refused as such.
            let expected = if connect.len() > 65_536 { 1009 } else { 3501 };
            assert_eq!(code, expected, "{count}");
        }
    }
}
