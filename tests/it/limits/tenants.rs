//! Limits of a tenant: of all users together whose tokens name it.

use serde_json::{Value, json};

use super::{limited, node_under};
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{eventually, token};

const MANY: &str = r#"{"id":9,"publish":{"channel":"open:room","data":1}}"#;

async fn of(node: &TestNode, user: &str, tenant: &str) -> Wire {
    Wire::admitted(node, json!({ "token": token::of_tenant(user, tenant) })).await.0
}

fn connect(user: &str, tenant: &str) -> String {
    json!({ "id": 1, "connect": { "token": token::of_tenant(user, tenant) } }).to_string()
}

/// How many of so many publishes are refused with 111.
async fn refused(wire: &mut Wire, count: usize) -> usize {
    let mut refused = 0;
    for _ in 0..count {
        let answer = wire.ask(MANY).await;
        let code = answer["error"]["code"].as_u64();
        assert!(matches!(code, None | Some(111)), "{answer}");
        refused += usize::from(code.is_some());
    }
    refused
}

#[tokio::test]
async fn users_of_a_tenant_share_its_messages_at_the_number_and_one_past_it() {
    for profile in super::PROFILES {
        let node = node_under(profile, json!({ "tenant_messages": "12/h" })).await;
        let (mut ada, mut bob) = (of(&node, "ada", "acme").await, of(&node, "bob", "acme").await);
        assert_eq!((refused(&mut ada, 6).await, refused(&mut bob, 6).await), (0, 0), "{profile}");
        assert_eq!((refused(&mut ada, 1).await, refused(&mut bob, 1).await), (1, 1), "{profile}");
        assert_eq!(limited(&node, "tenant"), 2.0);
        // Those of another tenant, or of none, are not affected; not even the same user.
        let mut other = of(&node, "ada", "other").await;
        assert_eq!((refused(&mut other, 12).await, refused(&mut other, 1).await), (0, 1));
        let mut none = Wire::connected(&node, "eve").await;
        assert_eq!(refused(&mut none, 14).await, 0, "{profile}");
        // What counts as a command alone goes on.
        let presence = r#"{"id":8,"presence":{"channel":"open:room"}}"#;
        assert!(ada.ask(presence).await["presence"].is_object());
        assert_eq!(limited(&node, "tenant"), 3.0);
    }
}

#[tokio::test]
async fn what_a_tenant_is_refused_costs_the_node_nothing() {
    let limits =
        json!({ "tenant_messages": "2/h", "node_commands": "8/h", "conn_commands": "8/h" });
    let node = node_under("standard", limits).await;
    let (mut ada, mut bob) = (of(&node, "ada", "acme").await, of(&node, "bob", "other").await);
    assert_eq!(refused(&mut ada, 8).await, 6);
    assert_eq!((limited(&node, "tenant"), limited(&node, "node")), (6.0, 0.0));
    assert_eq!(refused(&mut bob, 2).await, 0);
}

#[tokio::test]
async fn without_a_number_the_claim_changes_nothing() {
    let node = node_under("none", json!({})).await;
    let mut ada = of(&node, "ada", "acme").await;
    assert_eq!(refused(&mut ada, 200).await, 0);
    for claim in [json!(""), json!("a\nb"), json!("a".repeat(256)), json!(7), Value::Null] {
        let (now, user) = (token::now(), "ada");
        let claims = json!({ "sub": user, "tenant": claim, "iat": now, "exp": now + 600 });
        let connect = json!({ "id": 1, "connect": { "token": token::signed(claims) } });
        let mut wire = Wire::open(&node).await;
        assert_eq!(wire.closed_by(&connect.to_string()).await, 3500, "{connect}");
    }
}

#[tokio::test]
async fn a_tenant_has_as_many_connections_as_there_may_be_and_gives_places_back() {
    for (answer, code) in [("retry", 3013), ("refuse", 3504), ("replace", 3013)] {
        let node = TestNode::with(json!({
            "client": { "user_connection_limit_answer": answer },
            "limits": { "tenant_connections": 2 },
        }))
        .await;
        let mut ada = of(&node, "ada", "acme").await;
        let bob = of(&node, "bob", "acme").await;
        for user in ["ada", "bob", "eve"] {
            let mut newest = Wire::open(&node).await;
            assert_eq!(newest.closed_by(&connect(user, "acme")).await, code, "{answer}");
        }
        assert_eq!(limited(&node, "tenant_connections"), 3.0);
        ada.is_quiet().await;
        let _others = [of(&node, "ada", "other").await, Wire::connected(&node, "ada").await];
        drop(bob);
        let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
        eventually("bob is gone", || hub.census().clients == 3).await;
        let _eve = of(&node, "eve", "acme").await;
        let mut newest = Wire::open(&node).await;
        assert_eq!(newest.closed_by(&connect("bob", "acme")).await, code);
    }
}

#[tokio::test]
async fn an_operator_limits_or_blocks_one_tenant() {
    let node = node_under("none", json!({})).await;
    let (mut ada, mut bob) = (of(&node, "ada", "acme").await, of(&node, "bob", "acme").await);
    let mut eve = of(&node, "eve", "other").await;
    let set = async |wish: Value| {
        let mut all = json!({ "tenant": "acme", "ttl": 60, "reason": "flood" });
        all.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        node.api("limits_set", &all).await.json()
    };
    let done = json!({ "result": {} });
    assert_eq!(set(json!({ "rate": "4/h" })).await, done);
    let listed = node.api("limits_list", &json!({})).await.json();
    assert_eq!(listed["result"]["limits"][0]["tenant"], "acme", "{listed}");
    assert_eq!((refused(&mut ada, 3).await, refused(&mut bob, 3).await), (0, 2));
    assert_eq!((refused(&mut eve, 10).await, limited(&node, "tenant")), (0, 2.0));

    assert_eq!(set(json!({ "queue_bytes": 200 })).await, done);
    for wire in [&mut bob, &mut eve] {
        wire.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    }
    node.api("publish", &json!({ "channel": "room", "data": "x".repeat(300) })).await;
    assert_eq!(bob.closed().await, 3008);
    assert!(eve.hear_json().await["push"]["pub"].is_object());

    assert_eq!(set(json!({ "block": true })).await, done);
    assert_eq!(ada.closed().await, 3503);
    assert_eq!(Wire::open(&node).await.closed_by(&connect("zoe", "acme")).await, 3503);
    let _same_name = Wire::connected(&node, "acme").await;
    let removed = node.api("limits_remove", &json!({ "tenant": "acme" })).await.json();
    assert_eq!(removed, json!({ "result": { "removed": true } }));
    of(&node, "ada", "acme").await.is_quiet().await;

    for name in ["", "a\nb", &"a".repeat(256)] {
        let refused = set(json!({ "tenant": name, "block": true })).await;
        assert_eq!(refused["error"]["code"], 107, "{refused}");
    }
}

#[tokio::test]
async fn a_token_of_another_tenant_makes_the_client_come_anew() {
    let node = TestNode::start().await;
    let refresh = |tenant| {
        let token = token::of_tenant("ada", tenant);
        json!({ "id": 2, "refresh": { "token": token } }).to_string()
    };
    let mut ada = of(&node, "ada", "acme").await;
    assert!(ada.ask(&refresh("acme")).await["refresh"].is_object());
    assert_eq!(ada.closed_by(&refresh("other")).await, 3010);
    assert_eq!(Wire::connected(&node, "ada").await.closed_by(&refresh("acme")).await, 3010);
}
