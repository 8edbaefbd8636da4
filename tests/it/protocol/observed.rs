//! Behaviour that is not in the protocol's text, and that clients met on the
//! server whose protocol it is.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

async fn node() -> TestNode {
    let kept = |more: Value| {
        let mut options = json!({
            "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "history_size": 10, "history_ttl": "60s", "allow_history_for_client": true,
        });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    TestNode::with(json!({ "channel": { "namespaces": [
        kept(json!({ "name": "asked", "allow_recovery": true })),
        kept(json!({ "name": "forced", "force_recovery": true })),
        kept(json!({
            "name": "cache", "force_recovery": true, "force_recovery_mode": "cache",
            "auto_cache_recover": true,
        })),
        {
            "name": "limited", "allow_user_limited_channels": true,
            "allow_publish_for_client": true,
        },
        {
            "name": "delta", "delta_publish": true, "allow_subscribe_for_client": true,
            "allow_publish_for_client": true,
        },
    ] } }))
    .await
}

fn subscribe(members: Value) -> String {
    json!({ "id": 2, "subscribe": members }).to_string()
}

#[tokio::test]
async fn to_recover_a_client_must_ask_to_be_recoverable_unless_all_are() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let since =
        |channel: &str| json!({ "channel": channel, "recover": true, "epoch": "e", "flag": 2 });
    let answer = ada.ask(&subscribe(since("asked:a"))).await;
    assert_eq!(answer, json!({ "id": 2, "subscribe": { "was_recovering": true } }));
    let mut asking = since("asked:b");
    asking["recoverable"] = true.into();
    assert_eq!(ada.refused(&subscribe(asking)).await, 112);
    assert_eq!(ada.refused(&subscribe(since("forced:a"))).await, 112);
}

#[tokio::test]
async fn a_cache_recovers_without_being_asked_and_never_refuses() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let empty = ada.ask(&subscribe(json!({ "channel": "cache:a" }))).await["subscribe"].clone();
    assert_eq!(empty["was_recovering"], true, "{empty}");
    assert!(empty.get("recovered").is_none() && empty.get("offset").is_none(), "{empty}");
    let lost =
        json!({ "channel": "cache:b", "recover": true, "epoch": "e", "offset": 3, "flag": 2 });
    let lost = ada.ask(&subscribe(lost)).await["subscribe"].clone();
    assert_eq!((&lost["was_recovering"], &lost["recoverable"]), (&json!(true), &json!(true)));
    for n in 1..=2 {
        node.api("publish", &json!({ "channel": "cache:c", "data": n })).await;
    }
    let full = ada.ask(&subscribe(json!({ "channel": "cache:c" }))).await["subscribe"].clone();
    assert_eq!((&full["recovered"], &full["publications"][0]["data"]), (&json!(true), &json!(2)));
    assert_eq!(full["publications"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whom_a_channel_is_limited_to_decides_who_listens_and_not_who_publishes() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut bob = Wire::connected(&node, "bob").await;
    ada.ask(&subscribe(json!({ "channel": "limited:#ada" }))).await;
    assert_eq!(bob.refused(&subscribe(json!({ "channel": "limited:#ada" }))).await, 103);
    let publish = r##"{"id":3,"publish":{"channel":"limited:#ada","data":1}}"##;
    assert_eq!(bob.ask(publish).await, json!({ "id": 3, "publish": {} }));
    assert_eq!(ada.hear_json().await["push"]["pub"]["info"]["user"], "bob");
}

#[tokio::test]
async fn the_publication_that_begins_a_stream_tells_its_epoch_everywhere_but_in_json_deltas() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let epoch =
        ada.ask(&subscribe(json!({ "channel": "forced:a" }))).await["subscribe"]["epoch"].clone();
    for n in 1..=2 {
        node.api("publish", &json!({ "channel": "forced:a", "data": n })).await;
    }
    assert_eq!(ada.hear_json().await["push"]["pub"]["epoch"], epoch);
    assert!(ada.hear_json().await["push"]["pub"].get("epoch").is_none());
    let page = ada.ask(r#"{"id":3,"history":{"channel":"forced:a","limit":-1}}"#).await;
    assert_eq!(page["history"]["publications"][0]["epoch"], epoch);
    assert!(page["history"]["publications"][1].get("epoch").is_none(), "{page}");
    let mut bob = Wire::connected(&node, "bob").await;
    let since = json!({ "channel": "forced:a", "recover": true, "epoch": epoch });
    let missed = bob.ask(&subscribe(since.clone())).await["subscribe"]["publications"].clone();
    assert_eq!((&missed[0]["epoch"], missed.as_array().unwrap().len()), (&epoch, 2));
    let mut cyd = Wire::connected(&node, "cyd").await;
    let mut delta = since;
    delta["delta"] = "fossil".into();
    let missed = cyd.ask(&subscribe(delta)).await["subscribe"]["publications"].clone();
    assert!(missed[0].get("epoch").is_none() && missed[0]["data"].is_string(), "{missed}");
    let page = node.api("history", &json!({ "channel": "forced:a", "limit": -1 })).await.json();
    assert!(page["result"]["publications"][0].get("epoch").is_none(), "{page}");
}

#[tokio::test]
async fn the_time_of_a_connection_is_capped_at_a_year_and_that_of_a_subscription_is_not() {
    let node = node().await;
    let (now, year) = (token::now(), 365 * 24 * 3_600);
    let claims = |more: Value| {
        let mut claims = json!({ "sub": "ada", "exp": now + 60, "expire_at": now + 2 * year });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token::signed(claims)
    };
    let (mut ada, result) = Wire::admitted(&node, json!({ "token": claims(json!({})) })).await;
    assert_eq!(result["ttl"], year);
    let own = json!({ "channel": "room", "token": claims(json!({ "channel": "room" })) });
    let ttl = ada.ask(&subscribe(own)).await["subscribe"]["ttl"].as_u64().unwrap();
    assert!((2 * year - 10..=2 * year).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn deltas_are_granted_also_where_nothing_is_kept() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let answer = ada.ask(&subscribe(json!({ "channel": "delta:a", "delta": "fossil" }))).await;
    assert_eq!(answer, json!({ "id": 2, "subscribe": { "delta": true } }));
    node.api("publish", &json!({ "channel": "delta:a", "data": { "a": 1 } })).await;
    assert_eq!(ada.hear_json().await["push"]["pub"], json!({ "data": "{\"a\":1}" }));
}
