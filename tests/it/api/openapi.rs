//! The description of the server API is true of a real node: its paths, what it
//! says of requests, and every member of every result.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::schema::{Checker, is, types};
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::{API_KEY, TestNode};
use crate::support::token;

fn document() -> Value {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap()
}

/// A node whose channels without namespace have everything, and `bytes:` keeps
/// what is no JSON.
async fn node() -> TestNode {
    let without = json!({
        "presence": true, "history_size": 100, "history_ttl": "60s",
        "allow_publish_for_client": true,
    });
    let bytes = json!({
        "name": "bytes", "publication_data_format": "binary",
        "history_size": 10, "history_ttl": "60s",
    });
    let news = json!({ "name": "news" });
    TestNode::with(json!({
        "channel": { "without_namespace": without, "namespaces": [bytes, news] },
        "sse": { "enabled": true },
        "http_stream": { "enabled": true },
        "uni_sse": { "enabled": true },
        "uni_http_stream": { "enabled": true },
        "uni_websocket": { "enabled": true },
    }))
    .await
}

/// The names of the methods, `batch` among them.
fn methods(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap();
    let posts = paths.iter().filter(|(_, verbs)| verbs.get("post").is_some());
    posts.filter_map(|(path, _)| Some(path.strip_prefix("/api/")?.to_owned())).collect()
}

/// Where the schema of a method's answer with status 200 stands.
fn answer_schema(method: &str) -> String {
    format!("/paths/~1api~1{method}/post/responses/200/content/application~1json/schema")
}

#[tokio::test]
async fn every_path_answers_to_the_verbs_that_are_described() {
    let node = node().await;
    let document = document();
    let metrics = node.node.as_ref().unwrap().metrics;
    for (path, verbs) in document["paths"].as_object().unwrap() {
        let address = if verbs.get("servers").is_some() { metrics } else { node.public };
        for verb in ["GET", "POST", "PUT", "DELETE"] {
            let request = format!(
                "{verb} {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let status = ask(address, &request).await.status;
            let described = verbs.get(verb.to_lowercase()).is_some();
            // As Centrifugo's, which no description of one verb could say.
            let any = path == "/health";
            assert_eq!(!matches!(status, 404 | 405), described || any, "{verb} {path}: {status}");
            if described {
                let statuses = &verbs[verb.to_lowercase()]["responses"];
                assert!(statuses.get(status.to_string()).is_some(), "{verb} {path}: {status}");
            }
        }
    }
}

#[test]
fn references_lead_somewhere_and_nothing_is_left_over() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(place)) = members.get("$ref") {
                    found.insert(place.clone());
                }
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut referred = BTreeSet::new();
    collect(&document, &mut referred);
    let mut there = BTreeSet::new();
    for kind in ["schemas", "responses", "parameters"] {
        let parts = document["components"][kind].as_object().unwrap();
        there.extend(parts.keys().map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(referred, there);
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes["ApiKey"]["name"], "X-API-Key");
    assert_eq!(schemes["Authorization"]["name"], "Authorization");
    assert_eq!(document["security"], json!([{ "ApiKey": [] }, { "Authorization": [] }]));
    for method in methods(&document) {
        let call = &document["paths"][format!("/api/{method}")]["post"];
        assert_eq!(call["operationId"], *method);
        assert!(call.get("security").is_none(), "{method} needs a key like all others");
    }
}

#[tokio::test]
async fn examples_work_and_are_answered_as_described() {
    let node = node().await;
    let document = document();
    let mut checker = Checker::new(&document);
    for method in methods(&document) {
        let content =
            &document["paths"][format!("/api/{method}")]["post"]["requestBody"]["content"];
        let content = &content["application/json"];
        let schema =
            format!("/paths/~1api~1{method}/post/requestBody/content/application~1json/schema");
        assert_eq!(checker.check(&schema, &content["example"]), Ok(()), "{method}");
        let answer = node.api(&method, &content["example"]).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(checker.check(&answer_schema(&method), &answer.json()), Ok(()), "{method}");
        let succeeds = document.pointer(&format!("{}/oneOf", answer_schema(&method))).is_some();
        assert_eq!(answer.json().get("result").is_some(), succeeds, "{method}");
    }
}

#[tokio::test]
async fn every_result_is_described_and_every_member_comes() {
    let node = node().await;
    let document = document();
    let mut checker = Checker::new(&document);
    let info = json!({ "sub": "ada", "exp": token::now() + 600, "info": { "name": "Ada" } });
    let mut ada = Wire::open(&node).await;
    ada.ask(&json!({ "id": 1, "connect": { "token": token::signed(info) } }).to_string()).await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    ada.say(r#"{"id":3,"publish":{"channel":"room","data":1}}"#).await;
    // The reply, and the publication.
    ada.hear_json().await;
    ada.hear_json().await;

    let read = json!({ "channel": "room", "limit": -1 });
    let commands = json!([
        { "publish": { "channel": "room", "data": 1 } },
        { "broadcast": { "channels": ["room", "nowhere:a"], "data": 1 } },
        { "subscribe": { "user": "ada", "channel": "other" } },
        { "unsubscribe": { "user": "ada", "channel": "other" } },
        { "disconnect": { "user": "nobody" } },
        { "refresh": { "user": "nobody" } },
        { "presence": { "channel": "room" } },
        { "presence_stats": { "channel": "room" } },
        { "history": read },
        { "history_remove": { "channel": "unused" } },
        { "channels": {} },
        { "info": {} },
        { "rpc": {} },
        { "limits_set": { "user": "eve", "block": true, "ttl": 60, "reason": "r" } },
        { "limits_list": {} },
        { "limits_remove": { "user": "eve" } },
    ]);
    let client = uuid::Uuid::from_u128(7).to_string();
    let queue = json!({
        "client": client, "queue_messages": 5, "queue_bytes": 9, "ttl": 60, "reason": "r",
    });
    for (method, body) in [
        ("publish", json!({ "channel": "room", "data": null, "tags": { "a": "b" } })),
        ("publish", json!({ "channel": "bytes:a", "b64data": "/w==" })),
        ("broadcast", json!({ "channels": ["room", "news:a", "nowhere:a"], "data": 1 })),
        ("history", json!({ "channel": "room", "limit": -1 })),
        ("history", json!({ "channel": "bytes:a", "limit": -1 })),
        ("history", json!({ "channel": "news:a" })),
        ("presence", json!({ "channel": "room" })),
        ("presence_stats", json!({ "channel": "room" })),
        ("channels", json!({})),
        ("info", json!({})),
        ("rpc", json!({})),
        ("limits_set", queue),
        ("limits_set", json!({ "user": "bob", "rate": "1/s", "ttl": 60, "reason": "r" })),
        ("limits_set", json!({ "tenant": "acme", "rate": "1/s", "ttl": 60, "reason": "r" })),
        ("limits_set", json!({ "address": "::1", "block": true, "ttl": 60, "reason": "r" })),
        ("limits_set", json!({ "key": "other", "block": true, "ttl": 60, "reason": "r" })),
        ("limits_list", json!({})),
        ("limits_remove", json!({ "user": "bob" })),
        ("batch", json!({ "commands": commands })),
        ("batch", json!({})),
        ("subscribe", json!({ "user": "ada", "channel": "other", "info": { "seat": 4 } })),
        ("presence", json!({ "channel": "other" })),
        ("unsubscribe", json!({ "user": "ada", "channel": "other" })),
        ("refresh", json!({ "user": "ada" })),
        ("history_remove", json!({ "channel": "room" })),
        ("disconnect", json!({ "user": "ada" })),
    ] {
        let answer = node.api(method, &body).await.json();
        assert_eq!(checker.check(&answer_schema(method), &answer), Ok(()), "{method} {answer}");
    }

    node.node.as_ref().unwrap().app().health.leave();
    let not_ready = node.get("/health/ready").await.json();
    let place = "/paths/~1health~1ready/get/responses/503/content/application~1json/schema";
    assert_eq!(checker.check(place, &not_ready), Ok(()), "{not_ready}");

    // What is described of answers, and what of it came.
    let mut described = BTreeSet::new();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        if name.ends_with("Request") || name == "BatchCommand" {
            continue;
        }
        let members = schema["properties"].as_object().into_iter().flatten();
        described.extend(
            members.map(|(member, _)| format!("/components/schemas/{name}/properties/{member}")),
        );
    }
    let missing: Vec<_> = described.difference(&checker.met).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn members_of_another_type_are_refused() {
    let node = node().await;
    let document = document();
    let mut asked = 0;
    for method in methods(&document) {
        let content =
            &document["paths"][format!("/api/{method}")]["post"]["requestBody"]["content"];
        let content = &content["application/json"];
        for (body, good) in variants(&document, &content["schema"]) {
            let mut whole = content["example"].clone();
            let members = whole.as_object_mut().unwrap();
            members.extend(body.as_object().unwrap().clone());
            let sent = whole.to_string();
            let headers = [("X-API-Key", API_KEY)];
            let status = call(node.public, &method, &headers, sent.as_bytes()).await.status;
            assert_eq!(status, if good { 200 } else { 400 }, "{method} {sent}");
            asked += 1;
        }
    }
    assert!(asked > 300, "only {asked} requests were tried");
}

/// Objects with one member each, of a type that is described or of one that is
/// not, and which of both.
fn variants(document: &Value, schema: &Value) -> Vec<(Value, bool)> {
    let mut found = Vec::new();
    let properties = resolve(document, schema)["properties"].as_object();
    for (name, member) in properties.into_iter().flatten() {
        let member = resolve(document, member);
        let mut add = |value: Value, good| found.push((json!({ name: value }), good));
        if member.get("type").is_none() {
            continue;
        }
        for value in [json!(null), json!(true), json!(3001), json!("a"), json!([]), json!({})] {
            let good = types(&member["type"]).any(|kind| is(kind, &value));
            // An object may lack what it must have, which is another matter.
            if !(good && member.get("required").is_some() && value.is_object()) {
                add(value, good);
            }
        }
        if types(&member["type"]).any(|kind| kind == "integer") {
            add(json!(1.5), false);
            add(json!("1"), false);
            add(json!(18_446_744_073_709_551_616.0), false);
            if member.get("minimum").is_some() {
                add(json!(-1), false);
            }
        }
        if let Some(items) = member.get("items") {
            let kind = types(&resolve(document, items)["type"]).next().map(str::to_owned);
            for value in [json!(null), json!(1), json!("a"), json!([]), json!({})] {
                let good = kind.as_deref().is_some_and(|kind| is(kind, &value));
                add(json!([value]), good);
            }
        }
        if let Some(values) = member.get("additionalProperties") {
            for value in [json!(null), json!(1), json!("a"), json!([])] {
                let good = types(&values["type"]).any(|kind| is(kind, &value));
                add(json!({ "a": value }), good);
            }
        }
        for (inner, good) in variants(document, member) {
            let mut inner = inner;
            if let Some(code) = member["properties"].get("code") {
                assert_eq!(code["type"], "integer");
                let members = inner.as_object_mut().unwrap();
                members.entry("code").or_insert(json!(3001));
            }
            add(inner, good);
        }
    }
    found
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(place) => document.pointer(place.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}
