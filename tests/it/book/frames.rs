//! The conversations that pages show, held with a node that is configured as the page
//! says. In a block `frames` each line is one of:
//!
//! ```text
//! ada > {"id":1,"connect":{"token":"TOKEN"}}    what ada's client sends
//! ada < {"id":1,"connect":{"client":"…"}}       what it hears next; "…" is anything
//! ada closed 3500                               how its connection is closed
//! api publish {"channel":"chat:a","data":1}     what a backend calls
//! ```

use std::collections::HashMap;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::blocks;
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

#[tokio::test]
async fn the_conversations_of_the_concepts_are_held() {
    hold(include_str!("../../../docs/concepts.md"), 3).await;
}

#[tokio::test]
async fn the_conversations_of_the_protocol_notes_are_held() {
    hold(include_str!("../../../docs/protocol.md"), 6).await;
}

#[tokio::test]
async fn the_conversations_about_shaping_are_held() {
    hold(include_str!("../../../docs/shaping.md"), 2).await;
}

async fn hold(page: &str, least: usize) {
    let mut file: Value = serde_json::from_str(&blocks(page, "json")[0]).unwrap();
    for listener in ["http_server", "metrics"] {
        file[listener]["port"] = json!(0);
    }
    let conversations = blocks(page, "frames");
    assert!(conversations.len() >= least, "{}", conversations.len());
    for conversation in conversations {
        // A node for each: what one leaves in a channel is not what the next begins with.
        let node = TestNode::of(&file).await;
        let secret = file["client"]["token"]["hmac_secret_key"].as_str().unwrap();
        let key = file["http_api"]["key"].as_str().unwrap();
        let mut clients: HashMap<&str, Wire> = HashMap::new();
        for line in conversation.lines() {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let [who, what, text] = words[..] else { panic!("{line}") };
            if who == "api" {
                let answer = call(node.public, what, &[("X-API-Key", key)], text.as_bytes()).await;
                assert!(answer.json()["result"].is_object(), "{line}: {}", answer.json());
                continue;
            }
            if !clients.contains_key(who) {
                clients.insert(who, Wire::open(&node).await);
            }
            let client = clients.get_mut(who).unwrap();
            match what {
                ">" => client.say(&text.replace("TOKEN", &token_of(who, secret))).await,
                "<" => {
                    let heard = client.hear_json().await;
                    assert!(fits(&serde_json::from_str(text).unwrap(), &heard), "{line}\n{heard}");
                }
                "closed" => assert_eq!(client.closed().await.to_string(), text, "{line}"),
                _ => panic!("{line}"),
            }
        }
    }
}

fn token_of(user: &str, secret: &str) -> String {
    let claims = json!({ "sub": user, "exp": token::now() + 600 });
    token::signed_with(claims, secret, Algorithm::HS256)
}

/// Whether this is what the page shows, where `"…"` is any value.
fn fits(shown: &Value, heard: &Value) -> bool {
    match (shown, heard) {
        (Value::String(any), heard) if any == "…" => !heard.is_null(),
        (Value::Object(shown), Value::Object(heard)) => {
            shown.len() == heard.len()
                && shown
                    .iter()
                    .all(|(name, value)| heard.get(name).is_some_and(|heard| fits(value, heard)))
        }
        (Value::Array(shown), Value::Array(heard)) => {
            shown.len() == heard.len()
                && shown.iter().zip(heard).all(|(shown, heard)| fits(shown, heard))
        }
        (shown, heard) => shown == heard,
    }
}

#[test]
fn only_dots_fit_anything() {
    let shown = json!({ "a": "…", "b": [1, { "c": 2 }] });
    assert!(fits(&shown, &json!({ "a": 7, "b": [1, { "c": 2 }] })));
    for other in [
        json!({ "a": 7, "b": [1, { "c": 3 }] }),
        json!({ "a": 7, "b": [1, { "c": 2 }], "d": 1 }),
        json!({ "b": [1, { "c": 2 }] }),
        json!({ "a": 7, "b": [1] }),
    ] {
        assert!(!fits(&shown, &other), "{other}");
    }
}
