//! Disconnect codes (protocol 3.6), and the codes of RFC 6455 7.4 that a server
//! closes with.

use serde_json::{Value, json};

use super::{Row, Told, close_of, never, provoked};
use crate::caps::panicking;
use crate::frames::{announced, frame};
use crate::slow;
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{eventually, token};

pub(super) fn rows() -> Vec<Row> {
    vec![
        provoked!(1000, "", client_closes),
        provoked!(1002, "protocol error", reserved_bit),
        provoked!(1007, "invalid utf-8", text_in_another_encoding),
        provoked!(1008, "message too slow or too fragmented", too_many_fragments),
        provoked!(1009, "", message_too_big),
        provoked!(3000, "connection closed", client_vanishes),
        provoked!(3001, "shutdown", node_stops),
        provoked!(3004, "internal server error", panicking::provoked),
        provoked!(3005, "connection expired", refreshed_with_an_expired_token),
        provoked!(3006, "subscription expired", subscription_of_the_server_that_ran_out),
        provoked!(3008, "slow", more_than_the_queue_holds),
        provoked!(3009, "write error", client_never_reads),
        provoked!(3010, "insufficient state", refreshed_for_other_channels),
        provoked!(3011, "force reconnect", sent_away_by_a_backend),
        provoked!(3012, "no pong", ping_without_answer),
        provoked!(3013, "too many requests", one_connection_too_many_for_now),
        never(
            3014,
            "state invalidated",
            "what a client holds is never declared void here; a backend may send it",
        ),
        provoked!(3500, "invalid token", token_of_nobody),
        provoked!(3501, "bad request", no_command),
        provoked!(3502, "stale", client_never_connects),
        provoked!(3503, "force disconnect", ended_by_a_backend),
        provoked!(3504, "connection limit", one_connection_too_many),
        provoked!(3505, "channel limit", token_of_too_many_channels),
        provoked!(3506, "inappropriate protocol", binary_on_a_json_connection),
        provoked!(3507, "permission denied", token_of_the_anonymous),
        provoked!(3508, "not available", message_for_nobody),
        never(3509, "too many errors", "errors are answered, and do not add up to anything"),
    ]
}

async fn client_closes() -> Told {
    after_bytes(&frame(0x88, &1000_u16.to_be_bytes())).await
}

async fn reserved_bit() -> Told {
    after_bytes(&frame(0xc1, b"{}")).await
}

async fn text_in_another_encoding() -> Told {
    after_bytes(&frame(0x81, b"\xff")).await
}

async fn too_many_fragments() -> Told {
    after_bytes(&[frame(0x01, b" "), frame(0x00, b" ").repeat(64)].concat()).await
}

async fn message_too_big() -> Told {
    // The header is enough.
    after_bytes(&announced(0x81, 65_537)).await
}

async fn client_vanishes() -> Told {
    let node = TestNode::start().await;
    drop(Wire::connected(&node, "ada").await);
    counted(&node, 3000).await
}

async fn node_stops() -> Told {
    let at_once = json!({ "lb_wait": "0s", "spread": "0s", "deadline": "5s" });
    let mut node = TestNode::with(json!({ "shutdown": at_once })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let leaving = tokio::spawn(node.node.take().unwrap().drain());
    let told = close_of(&mut ada).await;
    drop(ada);
    leaving.await.unwrap();
    told
}

async fn refreshed_with_an_expired_token() -> Told {
    let refresh = json!({ "id": 2, "refresh": { "token": token::expiring("ada", -60) } });
    after(&refresh.to_string()).await
}

async fn subscription_of_the_server_that_ran_out() -> Told {
    let node = TestNode::with(json!({ "client": { "expired_sub_close_delay": "100ms" } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let subscribe = json!({ "user": "ada", "channel": "room", "expire_at": token::now() + 4 });
    node.api("subscribe", &subscribe).await;
    ada.hear().await; // that it is subscribed
    close_of(&mut ada).await
}

async fn more_than_the_queue_holds() -> Told {
    let node = TestNode::with(json!({ "client": { "queue_max_size": 1_000 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    node.api("publish", &json!({ "channel": "room", "data": "x".repeat(2_000) })).await;
    close_of(&mut ada).await
}

async fn client_never_reads() -> Told {
    let options = json!({
        "client": { "queue_max_size": 16 << 20 },
        "limits": { "write_timeout": "300ms" },
    });
    let node = TestNode::with(options).await;
    let _frozen = slow::reluctant(&node).await;
    let publication = json!({ "channel": "room", "data": "x".repeat(60_000) });
    // Until the kernel keeps no more of it.
    while slow::held(&node) == 0 {
        node.api("publish", &publication).await;
    }
    counted(&node, 3009).await
}

async fn refreshed_for_other_channels() -> Told {
    let refresh = json!({ "id": 2, "refresh": { "token": token_for(&["room"]) } });
    after(&refresh.to_string()).await
}

async fn sent_away_by_a_backend() -> Told {
    after_call(json!({ "code": 3011, "reason": "force reconnect" })).await
}

async fn ping_without_answer() -> Told {
    let client = json!({ "ping_interval": "1s", "pong_timeout": "300ms" });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    assert_eq!(ada.hear().await, "{}");
    close_of(&mut ada).await
}

async fn token_of_nobody() -> Told {
    after_token(&TestNode::start().await, "nonsense".into()).await
}

async fn no_command() -> Told {
    after("nonsense").await
}

async fn client_never_connects() -> Told {
    let node = TestNode::with(json!({ "client": { "stale_close_delay": "100ms" } })).await;
    close_of(&mut Wire::open(&node).await).await
}

async fn ended_by_a_backend() -> Told {
    after_call(Value::Null).await
}

async fn one_connection_too_many_for_now() -> Told {
    let node = TestNode::with(json!({ "client": { "user_connection_limit": 1 } })).await;
    let _first = Wire::connected(&node, "ada").await;
    after_token(&node, token::of("ada")).await
}

async fn one_connection_too_many() -> Told {
    let client = json!({ "user_connection_limit": 1, "user_connection_limit_answer": "refuse" });
    let node = TestNode::with(json!({ "client": client })).await;
    let _first = Wire::connected(&node, "ada").await;
    after_token(&node, token::of("ada")).await
}

/// Where such tokens pass at all, they can be turned away (protocol 3.2).
async fn token_of_the_anonymous() -> Told {
    let node = TestNode::with(json!({
        "compat": { "centrifugo": true },
        "client": { "disallow_anonymous_connection_tokens": true },
    }))
    .await;
    after_token(&node, token::signed(json!({ "sub": "" }))).await
}

async fn token_of_too_many_channels() -> Told {
    let node = TestNode::with(json!({ "client": { "channel_limit": 1 } })).await;
    after_token(&node, token_for(&["room", "other"])).await
}

async fn binary_on_a_json_connection() -> Told {
    after_bytes(&frame(0x82, b"{}")).await
}

async fn message_for_nobody() -> Told {
    after(r#"{"send":{"data":1}}"#).await
}

fn token_for(channels: &[&str]) -> String {
    token::signed(json!({ "sub": "ada", "exp": token::now() + 600, "channels": channels }))
}

/// How a connection ends that says this.
async fn after(text: &str) -> Told {
    after_bytes(&frame(0x81, text.as_bytes())).await
}

async fn after_bytes(bytes: &[u8]) -> Told {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.0.send_bytes(bytes).await.unwrap();
    close_of(&mut ada).await
}

/// How a connection ends that brings this token.
async fn after_token(node: &TestNode, token: String) -> Told {
    let mut wire = Wire::open(node).await;
    wire.say(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    close_of(&mut wire).await
}

/// How a connection ends that a backend disconnects.
async fn after_call(disconnect: Value) -> Told {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    node.api("disconnect", &json!({ "user": "ada", "disconnect": disconnect })).await;
    close_of(&mut ada).await
}

async fn counted(node: &TestNode, code: u32) -> Told {
    let number = format!("sealcast_disconnects_total{{code=\"{code}\"}}");
    eventually("counted", || node.number(&number) == 1.0).await;
    assert_eq!(node.number("sealcast_disconnects_total"), 1.0, "and nothing else");
    Told::Counted(code)
}
