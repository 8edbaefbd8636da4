//! Unsubscribe codes (protocol 3.8).

use std::time::Duration;

use serde_json::{Value, json};

use super::{Row, Told, never, provoked};
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

/// What an SDK says of its own doing; the server has no name for it.
pub(super) const OF_THE_CLIENT: [(u32, &str); 2] = [(0, "unsubscribe called"), (1, "disconnect")];

pub(super) fn rows() -> Vec<Row> {
    vec![
        never(0, "unsubscribe called", "a client that unsubscribes is answered, and not told so"),
        never(1, "disconnect", "who has disconnected cannot be told of its subscriptions"),
        provoked!(2000, "server unsubscribe", unsubscribed_by_a_backend),
        provoked!(2500, "insufficient state", stream_that_began_anew),
        provoked!(2501, "subscription expired", token_that_ran_out),
        never(
            2502,
            "state invalidated",
            "what a client holds is never declared void here: positions are lost by 2500 alone",
        ),
    ]
}

async fn unsubscribed_by_a_backend() -> Told {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    node.api("unsubscribe", &json!({ "user": "ada", "channel": "room" })).await;
    push_in(&ada.hear_json().await)
}

/// A stream is forgotten a while after its last publication, and begins anew
/// with the next, in another epoch than its subscribers hold.
async fn stream_that_began_anew() -> Told {
    let short = json!({
        "name": "short", "allow_subscribe_for_client": true, "force_positioning": true,
        "history_size": 10, "history_ttl": "100ms", "history_meta_ttl": "100ms",
    });
    let node = TestNode::with(json!({ "channel": { "namespaces": [short] } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let answer = ada.ask(r#"{"id":2,"subscribe":{"channel":"short:a"}}"#).await;
    let epoch = answer["subscribe"]["epoch"].as_str().unwrap().to_owned();
    let query = json!({ "channel": "short:a" });
    while node.api("history", &query).await.json()["result"]["epoch"] == epoch {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.api("publish", &json!({ "channel": "short:a", "data": 1 })).await;
    push_in(&ada.hear_json().await)
}

async fn token_that_ran_out() -> Told {
    let node = TestNode::with(json!({ "client": { "expired_sub_close_delay": "100ms" } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let claims = json!({ "sub": "ada", "channel": "$room", "exp": token::now() + 4 });
    let request = json!({ "channel": "$room", "token": token::signed(claims) });
    let answer = ada.ask(&json!({ "id": 2, "subscribe": request }).to_string()).await;
    assert_eq!(answer["subscribe"]["expires"], true, "{answer}");
    push_in(&ada.hear_json().await)
}

#[track_caller]
fn push_in(push: &Value) -> Told {
    let told = &push["push"]["unsubscribe"];
    let code = told["code"].as_u64().unwrap_or_else(|| panic!("no unsubscribe: {push}"));
    let text = told["reason"].as_str().unwrap_or_else(|| panic!("no reason: {push}"));
    Told::Said { code: code.try_into().unwrap(), text: text.into(), temporary: false }
}
