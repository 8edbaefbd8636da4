//! Subscribing and unsubscribing.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;

fn subscribe(id: u32, channel: &str) -> String {
    json!({ "id": id, "subscribe": { "channel": channel } }).to_string()
}

#[tokio::test]
async fn permissions_decide() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for channel in ["room", "talk:a", "limited:open", "limited:dialog#bob,ada", "anyone:a"] {
        let answer = ada.ask(&subscribe(2, channel)).await;
        assert_eq!(answer, json!({ "id": 2, "subscribe": {} }), "{channel}");
    }
    for (channel, code) in [
        ("closed:a", 103),
        ("nowhere:a", 102),
        ("$nowhere:a", 102),
        ("$room", 103),
        ("$talk:a", 103),
        ("limited:dialog#bob", 103),
        ("limited:dialog#ada,bob#bob", 103),
        ("limited:dialog#adam", 103),
        ("limited:#", 103),
        ("room", 105),
        ("bytes:a", 107),
    ] {
        assert_eq!(ada.refused(&subscribe(3, channel)).await, code, "{channel}");
    }
    assert!(node.number("sealcast_permission_denied_total{action=\"subscribe\"}") >= 6.0);
}

#[tokio::test]
async fn the_anonymous_may_what_says_so() {
    let client = json!({ "allow_anonymous_connect_without_token": true });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut nobody = Wire::connected(&node, "").await;
    assert_eq!(nobody.refused(&subscribe(2, "room")).await, 103);
    assert_eq!(nobody.refused(&subscribe(2, "limited:dialog#")).await, 103);
    assert!(nobody.ask(&subscribe(2, "anyone:a")).await["subscribe"].is_object());
}

#[tokio::test]
async fn bad_names_are_refused_and_an_empty_one_ends_the_connection() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let (longest, longer) = ("a".repeat(255), "a".repeat(256));
    assert!(ada.ask(&subscribe(2, &longest)).await["subscribe"].is_object());
    for bad in
        [&longer, "a b", "é", "a\u{0}b", "a\nb", "<b>", "a\"b", "a\\b", "a`b", "a'b", "\u{202e}a"]
    {
        assert_eq!(ada.refused(&subscribe(3, bad)).await, 107, "{bad:?}");
    }
    for empty in [subscribe(4, ""), r#"{"id":4,"subscribe":{}}"#.into()] {
        let mut ada = Wire::connected(&node, "ada").await;
        assert_eq!(ada.closed_by(&empty).await, 3501);
    }
}

#[tokio::test]
async fn a_second_subscription_of_a_channel_is_refused_even_while_the_first_is_made() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.say(&format!("{}\n{}", subscribe(2, "room"), subscribe(3, "room"))).await;
    assert_eq!(ada.hear_json().await, json!({ "id": 2, "subscribe": {} }));
    assert_eq!(ada.hear_json().await["error"]["code"], 105);
}

#[tokio::test]
async fn subscriptions_of_a_connection_are_bounded() {
    let node = TestNode::with(json!({ "client": { "channel_limit": 3 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    for n in 0..3 {
        assert!(ada.ask(&subscribe(2, &format!("room{n}"))).await["subscribe"].is_object());
    }
    assert_eq!(ada.refused(&subscribe(2, "room3")).await, 106);
    ada.ask(r#"{"id":3,"unsubscribe":{"channel":"room0"}}"#).await;
    assert!(ada.ask(&subscribe(2, "room3")).await["subscribe"].is_object());
}

/// So many in one frame that they are not all done at once.
#[tokio::test]
async fn the_bound_holds_also_for_subscribes_that_run_side_by_side() {
    let node = TestNode::with(json!({ "client": { "channel_limit": 140 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let frame: Vec<String> = (0..250).map(|n| subscribe(n + 2, &format!("room{n}"))).collect();
    ada.say(&frame.join("\n")).await;
    let mut granted = 0;
    for _ in 0..250 {
        let answer = ada.hear_json().await;
        match answer["error"]["code"].as_u64() {
            None => granted += 1,
            Some(code) => assert_eq!(code, 106),
        }
    }
    assert_eq!(granted, 140);
}

#[tokio::test]
async fn what_streams_do_not_have_is_refused_as_documented() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for (members, code) in [
        (json!({ "type": 1 }), 103),
        (json!({ "type": 2 }), 103),
        (json!({ "type": 3 }), 103),
        (json!({ "type": 4 }), 108),
        (json!({ "type": 5 }), 107),
        (json!({ "tf": { "op": "and" } }), 107),
        (json!({ "token": "nonsense" }), 103),
    ] {
        let mut request = json!({ "channel": "room" });
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let frame = json!({ "id": 2, "subscribe": request }).to_string();
        assert_eq!(ada.refused(&frame).await, code, "{members}");
    }
    let odd = r#"{"id":2,"subscribe":{"channel":"room","type":-1,"phase":2,"cursor":"x","limit":9,"flag":3,"delta":"fossil","recover":true,"offset":7,"epoch":"e","novelty":{}}}"#;
    let answer = ada.ask(odd).await;
    assert_eq!(answer, json!({ "id": 2, "subscribe": { "was_recovering": true, "delta": true } }));
    let delta = r#"{"id":2,"subscribe":{"channel":"other","delta":"xdelta"}}"#;
    assert_eq!(ada.closed_by(delta).await, 3501);
}

#[tokio::test]
async fn checks_come_in_the_documented_order() {
    let node = TestNode::with(json!({ "client": { "channel_limit": 1 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let ask = |channel: &str, members: Value| {
        let mut request = json!({ "channel": channel });
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json!({ "id": 2, "subscribe": request }).to_string()
    };
    let filter = || json!({ "tf": { "op": "and" } });
    assert_eq!(ada.refused(&ask("nowhere:a", json!({ "type": 1 }))).await, 102);
    assert_eq!(ada.refused(&ask("closed:a", filter())).await, 103);
    assert_eq!(ada.refused(&ask("room", filter())).await, 107);
    assert_eq!(ada.refused(&ask("room", json!({ "type": 1, "token": "x" }))).await, 103);
    ada.ask(&subscribe(2, "room")).await;
    assert_eq!(ada.refused(&ask("room", json!({ "type": 1 }))).await, 105);
    assert_eq!(ada.refused(&ask("nowhere:a", json!({}))).await, 106);
    assert_eq!(ada.refused(&ask(&"a".repeat(256), json!({}))).await, 107);
    assert_eq!(ada.refused(&ask("", json!({ "type": 4 }))).await, 108);
}

#[tokio::test]
async fn unsubscribing_always_works() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(&subscribe(2, "room")).await;
    for channel in ["room", "room", "never", "nowhere:a", "closed:a", "a b", &"a".repeat(300)] {
        let frame = json!({ "id": 3, "unsubscribe": { "channel": channel } }).to_string();
        assert_eq!(ada.ask(&frame).await, json!({ "id": 3, "unsubscribe": {} }), "{channel}");
    }
    assert_eq!(ada.closed_by(r#"{"id":4,"unsubscribe":{"channel":""}}"#).await, 3501);
}

#[tokio::test]
async fn after_unsubscribing_nothing_of_the_channel_comes() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut bob = Wire::connected(&node, "bob").await;
    ada.ask(&subscribe(2, "room")).await;
    bob.ask(r#"{"id":2,"publish":{"channel":"room","data":1}}"#).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 1);
    ada.ask(r#"{"id":3,"unsubscribe":{"channel":"room"}}"#).await;
    bob.ask(r#"{"id":3,"publish":{"channel":"room","data":2}}"#).await;
    ada.is_quiet().await;
    ada.ask(&subscribe(4, "room")).await;
    bob.ask(r#"{"id":4,"publish":{"channel":"room","data":3}}"#).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 3);
}
