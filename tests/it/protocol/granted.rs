//! Subscriptions that a backend makes: what it can say of them.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

async fn node() -> TestNode {
    TestNode::with(json!({ "channel": { "namespaces": [
        {
            "name": "seen", "presence": true, "join_leave": true, "force_push_join_leave": true,
            "allow_publish_for_subscriber": true,
        },
        {
            "name": "kept", "history_size": 10, "history_ttl": "60s", "allow_recovery": true,
            "allow_history_for_client": true,
        },
        { "name": "bytes", "publication_data_format": "binary" },
        { "name": "plain" },
    ] } }))
    .await
}

async fn subscribe(node: &TestNode, body: Value) -> Value {
    node.api("subscribe", &body).await.json()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn its_info_is_told_to_others_and_its_data_to_the_client() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let body = json!({
        "user": "ada", "channel": "seen:a", "info": { "seat": 4 }, "data": { "welcome": true },
    });
    assert_eq!(subscribe(&node, body).await, json!({ "result": {} }));
    let push = ada.hear_json().await;
    assert_eq!(push["push"]["subscribe"], json!({ "data": { "welcome": true } }));
    let join = ada.hear_json().await;
    assert_eq!(join["push"]["join"]["info"]["chan_info"], json!({ "seat": 4 }), "{join}");
    let present = node.api("presence", &json!({ "channel": "seen:a" })).await.json();
    let present = present["result"]["presence"].as_object().unwrap().clone();
    assert!(present.values().all(|who| who["chan_info"] == json!({ "seat": 4 })), "{present:?}");
    ada.say(r#"{"id":2,"publish":{"channel":"seen:a","data":1}}"#).await;
    let own = loop {
        let heard = ada.hear_json().await;
        if heard.get("push").is_some() {
            break heard;
        }
    };
    assert_eq!(own["push"]["pub"]["info"]["chan_info"], json!({ "seat": 4 }), "{own}");
}

#[tokio::test]
async fn base64_wins_and_what_is_no_option_is_refused() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let body = json!({
        "user": "ada", "channel": "seen:a", "info": 1, "b64info": base64("2"),
        "data": 3, "b64data": base64("4"), "override": null,
    });
    subscribe(&node, body).await;
    assert_eq!(ada.hear_json().await["push"]["subscribe"]["data"], 4);
    assert_eq!(ada.hear_json().await["push"]["join"]["info"]["chan_info"], 2);
    for bad in [
        json!({ "b64info": "!" }),
        json!({ "b64info": base64("no json") }),
        json!({ "b64data": "!" }),
        json!({ "info": "x".repeat(2_100) }),
        json!({ "data": "x".repeat(70_000) }),
        json!({ "override": 1 }),
        json!({ "override": { "presence": true } }),
        json!({ "override": { "presence": { "value": 1 } } }),
    ] {
        let mut body = json!({ "user": "ada", "channel": "plain:a" });
        body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        assert_eq!(subscribe(&node, body).await["error"]["code"], 107, "{bad:.80}");
    }
    ada.is_quiet().await;
}

#[tokio::test]
async fn its_overrides_count() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let off = json!({ "presence": { "value": false }, "join_leave": { "value": false } });
    subscribe(&node, json!({ "user": "ada", "channel": "seen:a", "override": off })).await;
    assert!(ada.hear_json().await["push"]["subscribe"].is_object());
    ada.is_quiet().await;
    let present = node.api("presence", &json!({ "channel": "seen:a" })).await.json();
    assert_eq!(present["result"]["presence"], json!({}));
    let on = json!({ "force_recovery": { "value": true } });
    subscribe(&node, json!({ "user": "ada", "channel": "kept:a", "override": on })).await;
    let told = ada.hear_json().await["push"]["subscribe"].clone();
    assert_eq!((&told["recoverable"], &told["positioned"]), (&json!(true), &json!(true)), "{told}");
}

#[tokio::test]
async fn what_was_missed_since_a_position_follows() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for n in 1..=3 {
        node.api("publish", &json!({ "channel": "kept:a", "data": n })).await;
    }
    let epoch = node.api("history", &json!({ "channel": "kept:a" })).await.json();
    let epoch = epoch["result"]["epoch"].clone();
    let since = json!({ "offset": 1, "epoch": epoch });
    subscribe(&node, json!({ "user": "ada", "channel": "kept:a", "recover_since": since })).await;
    let told = ada.hear_json().await["push"]["subscribe"].clone();
    assert_eq!((&told["offset"], &told["recoverable"]), (&json!(1), &json!(true)), "{told}");
    for n in [2, 3] {
        let publication = ada.hear_json().await["push"]["pub"].clone();
        assert_eq!((&publication["data"], &publication["offset"]), (&json!(n), &json!(n)));
    }
    node.api("publish", &json!({ "channel": "kept:a", "data": 4 })).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["offset"], 4);
    // A position that is not of this stream brings nothing but the top.
    let since = json!({ "offset": 1, "epoch": "another" });
    let mut bob = Wire::connected(&node, "bob").await;
    subscribe(&node, json!({ "user": "bob", "channel": "kept:a", "recover_since": since })).await;
    assert_eq!(bob.hear_json().await["push"]["subscribe"]["offset"], 4);
    bob.is_quiet().await;
}

#[tokio::test]
async fn a_connection_that_could_not_read_it_does_not_keep_it_from_the_others() {
    let node = node().await;
    let mut json = Wire::connected(&node, "ada").await;
    let options = node.options("ada", sealcast_wire::Encoding::Protobuf);
    let mut protobuf = Wire::open_protobuf(&node).await;
    protobuf.0.connect(&options).await.unwrap();
    let answer = subscribe(&node, json!({ "user": "ada", "channel": "bytes:a" })).await;
    assert_eq!(answer["error"]["code"], 107, "one of them could not: {answer}");
    assert!(matches!(protobuf.reply().await.body, sealcast_wire::Body::Push(_)));
    json.is_quiet().await;
}

#[tokio::test]
async fn a_subscription_of_the_client_itself_stays_its_own() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let claims = json!({ "sub": "ada", "channel": "seen:a", "exp": token::now() + 60, "info": 1 });
    let own = json!({ "channel": "seen:a", "token": token::signed(claims) });
    ada.ask(&json!({ "id": 2, "subscribe": own }).to_string()).await;
    assert_eq!(ada.hear_json().await["push"]["join"]["info"]["chan_info"], 1);
    subscribe(&node, json!({ "user": "ada", "channel": "seen:a", "info": 2 })).await;
    assert!(ada.hear_json().await["push"]["subscribe"].is_object());
    ada.say(r#"{"id":3,"publish":{"channel":"seen:a","data":1}}"#).await;
    let heard = [ada.hear_json().await, ada.hear_json().await];
    let own = heard.iter().find(|heard| heard.get("push").is_some()).unwrap();
    assert_eq!(own["push"]["pub"]["info"]["chan_info"], 1, "{own}");
}

#[tokio::test]
async fn a_refresh_changes_what_is_told_of_the_user_from_then_on() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut bob = Wire::connected(&node, "bob").await;
    subscribe(&node, json!({ "user": "ada", "channel": "seen:a" })).await;
    ada.hear().await;
    assert!(ada.hear_json().await["push"]["join"]["info"].get("conn_info").is_none());
    let expire_at = token::now() + 60;
    let body = json!({ "user": "ada", "info": { "role": "judge" }, "expire_at": expire_at });
    assert_eq!(node.api("refresh", &body).await.json(), json!({ "result": {} }));
    assert_eq!(ada.hear_json().await["push"]["refresh"]["expires"], true);
    // Who is present stays as they came; what comes later is told anew.
    let presence = async |channel: &str| {
        let answer = node.api("presence", &json!({ "channel": channel })).await.json();
        let present = answer["result"]["presence"].as_object().unwrap().clone();
        present.values().map(|who| who["conn_info"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(presence("seen:a").await, [Value::Null]);
    let claims = json!({ "sub": "ada", "channel": "seen:b", "exp": token::now() + 60 });
    let own = json!({ "channel": "seen:b", "token": token::signed(claims) });
    ada.ask(&json!({ "id": 2, "subscribe": own }).to_string()).await;
    let join = ada.hear_json().await;
    assert_eq!(join["push"]["join"]["info"]["conn_info"], json!({ "role": "judge" }), "{join}");
    assert_eq!(presence("seen:b").await, [json!({ "role": "judge" })]);
    subscribe(&node, json!({ "user": "ada", "channel": "seen:c" })).await;
    ada.hear().await;
    let join = ada.hear_json().await;
    assert_eq!(join["push"]["join"]["info"]["conn_info"], json!({ "role": "judge" }), "{join}");
    bob.is_quiet().await;
    let long = json!({ "user": "ada", "info": "x".repeat(2_100) });
    assert_eq!(node.api("refresh", &long).await.json()["error"]["code"], 107);
}
