//! The server API.

mod keys;
mod methods;
mod openapi;
mod pages;
mod schema;

use serde_json::{Value, json};

use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::{API_KEY, TestNode};

type Headers<'a> = Vec<(&'a str, &'a str)>;

/// A connection that is subscribed to these channels.
async fn subscribed(node: &TestNode, channels: &[&str]) -> Wire {
    let mut wire = Wire::connected(node, "ada").await;
    for channel in channels {
        let answer =
            wire.ask(&json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()).await;
        assert!(answer["subscribe"].is_object(), "{answer}");
    }
    wire
}

#[tokio::test]
async fn what_is_published_arrives_without_a_publisher() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room", "talk:a"]).await;
    let answer =
        node.api("publish", &json!({ "channel": "room", "data": { "a": [1, null] } })).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"result":{}}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let push = json!({ "push": { "channel": "room", "pub": { "data": { "a": [1, null] } } } });
    assert_eq!(ada.hear_json().await, push);
    let tags = json!({ "kind": "greeting", "é": "" });
    node.api("publish", &json!({ "channel": "talk:a", "data": 0, "tags": tags })).await;
    assert_eq!(ada.hear_json().await["push"]["pub"], json!({ "data": 0, "tags": tags }));
}

#[tokio::test]
async fn payload_bytes_stay_as_they_are() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room"]).await;
    for data in [r#"{"b":1.0,"a":1e3}"#, r#""\u003c<é""#, "null", "false", "[ 1 , 2 ]"] {
        let body = format!(r#"{{"data":{data},"channel":"room"}}"#);
        call(node.public, "publish", &[("X-API-Key", API_KEY)], body.as_bytes()).await;
        let expected = format!(r#"{{"push":{{"channel":"room","pub":{{"data":{data}}}}}}}"#);
        assert_eq!(ada.hear().await, expected);
    }
}

#[tokio::test]
async fn base64_wins_over_data() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room"]).await;
    let both = json!({ "channel": "room", "data": 1, "b64data": "eyJiIjoyfQ==" });
    assert_eq!(node.api("publish", &both).await.json(), json!({ "result": {} }));
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], json!({ "b": 2 }));
    for (bad, why) in
        [("!!", "no base64"), ("bm90IGpzb24=", "no JSON"), ("eyJiIjoyfQ", "no padding")]
    {
        let body = json!({ "channel": "room", "b64data": bad });
        assert_eq!(node.api("publish", &body).await.json()["error"]["code"], 107, "{why}");
    }
    let bytes = json!({ "channel": "bytes:a", "b64data": "AP8=" });
    assert_eq!(node.api("publish", &bytes).await.json(), json!({ "result": {} }));
}

#[tokio::test]
async fn a_broadcast_answers_for_each_channel_in_order() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room", "talk:a", "anyone:a"]).await;
    let channels =
        json!(["talk:a", "nowhere:a", "room", "", "closed:a", "a b", "anyone:a", "room"]);
    let answer = node.api("broadcast", &json!({ "channels": channels, "data": 7 })).await;
    let error = |code: u32, message: &str| json!({ "error": { "code": code, "message": message } });
    let (fine, unknown) = (json!({ "result": {} }), error(102, "unknown channel"));
    let bad = error(107, "bad request");
    let expected = json!([fine, unknown, fine, bad, fine, bad, fine, fine]);
    assert_eq!(answer.json(), json!({ "result": { "responses": expected } }));
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(ada.hear_json().await["push"]["channel"].as_str().unwrap().to_owned());
    }
    got.sort();
    assert_eq!(got, ["anyone:a", "room", "room", "talk:a"]);
    for none in [json!({ "data": 1 }), json!({ "channels": [], "data": 1 })] {
        assert_eq!(node.api("broadcast", &none).await.json()["error"]["code"], 107);
    }
    let most: Vec<String> = (0..1_001).map(|n| format!("c{n}")).collect();
    let all = node.api("broadcast", &json!({ "channels": most[..1_000], "data": 1 })).await;
    assert_eq!(all.json()["result"]["responses"].as_array().unwrap().len(), 1_000);
    let more = node.api("broadcast", &json!({ "channels": most, "data": 1 })).await;
    assert_eq!(more.json()["error"]["code"], 107);
}

#[tokio::test]
async fn broadcasts_of_one_caller_keep_their_order() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room"]).await;
    for n in 0..50 {
        let method = if n % 2 == 0 { "publish" } else { "broadcast" };
        node.api(method, &json!({ "channel": "room", "channels": ["room"], "data": n })).await;
    }
    for n in 0..50 {
        assert_eq!(ada.hear_json().await["push"]["pub"]["data"], n);
    }
}

#[tokio::test]
async fn errors_of_a_publish() {
    let node = TestNode::start().await;
    let mut ada = subscribed(&node, &["room"]).await;
    for (body, code) in [
        (json!({}), 107),
        (json!({ "channel": "", "data": 1 }), 107),
        (json!({ "channel": null, "data": 1 }), 107),
        (json!({ "channel": "room" }), 107),
        (json!({ "channel": "nowhere:a", "data": 1 }), 102),
        (json!({ "channel": "a".repeat(256), "data": 1 }), 107),
        (json!({ "channel": "object:a", "data": [] }), 107),
        (json!({ "channel": "room", "data": 1, "idempotency_key": "k".repeat(65) }), 107),
        (json!({ "channel": "room", "data": 1, "version": 1 }), 108),
        (json!({ "channel": "room", "data": 1, "tags": { "k": "v".repeat(256) } }), 107),
    ] {
        let answer = node.api("publish", &body).await;
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
        assert!(
            !answer["error"]["message"].as_str().unwrap().is_empty() && answer["result"].is_null()
        );
    }
    let lenient = json!({
        "channel": "room", "data": 1, "novelty": { "a": [] }, "skip_history": true,
        "delta": true, "tags": null, "b64data": "", "idempotency_key": "",
    });
    assert_eq!(node.api("publish", &lenient).await.json(), json!({ "result": {} }));
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 1);
    ada.is_quiet().await;
}

#[tokio::test]
async fn info_counts() {
    let node = TestNode::start().await;
    let _ada = subscribed(&node, &["room", "talk:a"]).await;
    let _again = subscribed(&node, &["room"]).await;
    let _bob = Wire::connected(&node, "bob").await;
    let _waiting = Wire::open(&node).await;
    let answer = node.api("info", &json!({})).await.json();
    let nodes = answer["result"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1);
    for (number, expected) in
        [("num_clients", 3), ("num_users", 2), ("num_subs", 3), ("num_channels", 2)]
    {
        assert_eq!(nodes[0][number], expected, "{number} in {answer}");
    }
    for text in ["uid", "name", "version"] {
        assert!(!nodes[0][text].as_str().unwrap().is_empty(), "{text} in {answer}");
    }
    assert!(nodes[0]["uptime"].is_u64() && nodes[0].get("metrics").is_none(), "{answer}");
}

#[tokio::test]
async fn only_the_key_opens() {
    let node = TestNode::start().await;
    let apikey = format!("apikey {API_KEY}");
    let other_case = format!("ApiKey {API_KEY}");
    let bearer = format!("Bearer {API_KEY}");
    let long = "x".repeat(4_000);
    let rows: Vec<(&str, Headers<'_>, u16)> = vec![
        ("X-API-Key", vec![("X-API-Key", API_KEY)], 200),
        ("Authorization", vec![("Authorization", &apikey)], 200),
        ("another case", vec![("Authorization", &other_case)], 200),
        ("nothing", vec![], 401),
        ("an empty key", vec![("X-API-Key", "")], 401),
        ("half the key", vec![("X-API-Key", &API_KEY[..16])], 401),
        ("a longer key", vec![("X-API-Key", &long)], 401),
        ("Bearer", vec![("Authorization", &bearer)], 401),
        ("the bare key", vec![("Authorization", API_KEY)], 401),
        ("two of one header", vec![("X-API-Key", API_KEY), ("X-API-Key", API_KEY)], 401),
        ("a wrong one goes first", vec![("X-API-Key", "wrong"), ("Authorization", &apikey)], 401),
    ];
    let mut refused = 0.0;
    for (name, headers, status) in rows {
        let answer = call(node.public, "info", &headers, b"{}").await;
        assert_eq!(answer.status, status, "{name}");
        if status == 401 {
            assert_eq!(answer.body, b"", "{name}");
            refused += 1.0;
        }
    }
    for query in ["api_key", "apikey", "key", "token"] {
        let answer = call(node.public, &format!("info?{query}={API_KEY}"), &[], b"{}").await;
        assert_eq!((answer.status, answer.body.as_slice()), (401, &b""[..]), "{query}");
        refused += 1.0;
    }
    assert_eq!(node.number("sealcast_api_unauthorized_total"), refused);
    let keyless = TestNode::with(json!({ "http_api": null })).await;
    for headers in [vec![], vec![("X-API-Key", "")]] {
        assert_eq!(call(keyless.public, "info", &headers, b"{}").await.status, 401);
    }
}

#[tokio::test]
async fn requests_that_are_none() {
    let node = TestNode::start().await;
    let key = ("X-API-Key", API_KEY);
    for method in ["", "nothing", "publish/", "Publish", "../api/publish", "connections"] {
        let answer = call(node.public, method, &[key], b"{}").await;
        assert_eq!(answer.status, 404, "{method:?}");
        assert_eq!(call(node.public, method, &[], b"{}").await.status, 404, "{method:?}, no key");
    }
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let request = format!(
            "{method} /api/publish HTTP/1.1\r\nHost: it\r\nConnection: close\r\nX-API-Key: {API_KEY}\r\n\r\n"
        );
        assert_eq!(ask(node.public, &request).await.status, 405, "{method}");
        let keyless = request.replace(API_KEY, "");
        assert_eq!(ask(node.public, &keyless).await.status, 405, "{method}, no key");
        let unknown = request.replace("publish", "nothing");
        assert_eq!(ask(node.public, &unknown).await.status, 404, "{method} of nothing");
    }
    let legacy = format!(
        "POST /api HTTP/1.1\r\nHost: it\r\nConnection: close\r\nX-API-Key: {API_KEY}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    assert_eq!(ask(node.public, &legacy).await.status, 404);
    for body in [
        "",
        " ",
        "{",
        "[]",
        "1",
        "\"a\"",
        "{}{}",
        "{} x",
        "not json",
        r#"["room",1]"#,
        r#"{"channel":1,"data":1}"#,
        r#"{"channel":"room","data":1,"tags":[]}"#,
        r#"{"channel":"room","data":1,"tags":{"a":1}}"#,
        r#"{"channel":"room","data":{}},"#,
        r#"{"channel":"room","data":1,"version":"1"}"#,
    ] {
        let answer = call(node.public, "publish", &[key], body.as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (400, "Bad Request"), "{body:?}");
    }
    let null = call(node.public, "publish", &[key], b"null").await;
    assert_eq!((null.status, null.json()["error"]["code"].clone()), (200, json!(107)));
    let null = call(node.public, "info", &[key], b"null").await;
    assert!(null.json()["result"]["nodes"].is_array());
}

#[tokio::test]
async fn bodies_are_bounded_and_never_unpacked() {
    let node = TestNode::start().await;
    let key = ("X-API-Key", API_KEY);
    for coding in ["gzip", "deflate", "br", "identity, gzip"] {
        let headers = [key, ("Content-Encoding", coding)];
        let answer = call(node.public, "publish", &headers, b"\x1f\x8b").await;
        assert_eq!(answer.status, 415, "{coding}");
    }
    let body = |bytes: usize| {
        let value = json!({ "channel": "room", "data": 1, "novelty": "x".repeat(bytes) });
        value.to_string().into_bytes()
    };
    assert_eq!(call(node.public, "publish", &[key], &body(200_000)).await.status, 200);
    assert_eq!(call(node.public, "publish", &[key], &body(300_000)).await.status, 413);
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_the_body_comes() {
    let node = TestNode::start().await;
    let claim = format!(
        "POST /api/publish HTTP/1.1\r\nHost: it\r\nX-API-Key: {API_KEY}\r\nContent-Length: 4000000000\r\n\r\n"
    );
    assert_eq!(ask(node.public, &claim).await.status, 413);
}

#[tokio::test]
async fn bodies_of_doubtful_length_are_refused() {
    let node = TestNode::start().await;
    let mut wrong = Vec::new();
    for framing in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nz\r\n{}\r\n0\r\n\r\n",
    ] {
        let request =
            format!("POST /api/info HTTP/1.1\r\nHost: it\r\nX-API-Key: {API_KEY}\r\n{framing}");
        let status = ask(node.public, &request).await.status;
        if status != 400 {
            wrong.push(format!("{status} for {framing:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let chunked = format!(
        "POST /api/info HTTP/1.1\r\nHost: it\r\nX-API-Key: {API_KEY}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
    );
    let answer: Value = ask(node.public, &chunked).await.json();
    assert!(answer["result"].is_object());
}
