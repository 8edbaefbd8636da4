//! Whatever the body, a call of the server API has an answer of the form that the protocol says, and
//! never error 100.
//!
//! The first byte of an input chooses the method, the rest is the body.
#![no_main]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use sealcast::http::{self, Live, Routes};
use sealcast::server::Node;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const METHODS: [&str; 14] = [
    "publish",
    "broadcast",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "channels",
    "rpc",
    "info",
    "batch",
];
const KEY: &str = "a-key-of-the-fuzz-targets-0123456789";

thread_local! {
    static BENCH: Bench = Bench::start();
}

fuzz_target!(|input: &[u8]| {
    let Some((&method, body)) = input.split_first() else {
        return;
    };
    let method = METHODS[usize::from(method) % METHODS.len()];
    let (status, answer) = BENCH.with(|bench| bench.call(method, body));
    match status {
        StatusCode::OK => check(method, &answer),
        StatusCode::BAD_REQUEST => assert_eq!(answer, b"Bad Request"),
        StatusCode::PAYLOAD_TOO_LARGE => assert!(body.len() > 65_536),
        other => panic!("{other}"),
    }
});

/// A node, of which only the routes are used.
struct Bench {
    runtime: Runtime,
    routes: Routes,
    _node: Node,
}

impl Bench {
    fn start() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let kept = json!({
            "presence": true, "history_size": 10, "history_ttl": "1s", "history_meta_ttl": "1s",
        });
        let config = json!({
            "http_server": { "port": 0 },
            "metrics": { "port": 0 },
            "client": { "allow_anonymous_connect_without_token": true },
            "http_api": { "key": KEY },
            "channel": {
                "without_namespace": kept,
                "namespaces": [
                    { "name": "bytes", "publication_data_format": "binary" },
                    { "name": "object", "publication_data_format": "json_object" },
                ],
            },
            "limits": { "node_history_bytes": 1 << 20 },
        });
        let config = sealcast::config::parse(&config.to_string());
        let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
        let fatal = Arc::new(|part: &'static str| panic!("{part} died"));
        let node = runtime.block_on(Node::start(config, fatal));
        let node = node.unwrap_or_else(|error| panic!("{error}"));
        Bench {
            routes: http::public(Live::new(Arc::clone(node.app())), true),
            runtime,
            _node: node,
        }
    }

    fn call(&self, method: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let request = Request::post(format!("/api/{method}"))
            .header("Host", "fuzz")
            .header("X-API-Key", KEY)
            .body(Body::from(body.to_vec()))
            .expect("a request");
        self.runtime.block_on(async {
            // So that what the node does by itself has its turn: it forgets history, for one.
            tokio::task::yield_now().await;
            let answer = self.routes.clone().answer(request).await;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("a body");
            (head.status, body.to_bytes().to_vec())
        })
    }
}

fn check(method: &str, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).expect("JSON");
    if method == "batch" {
        let replies = answer.get("replies").map(|replies| replies.as_array().expect("a list"));
        for reply in replies.into_iter().flatten() {
            let (name, told) = only(reply);
            if name == "error" {
                check_error(told);
            } else {
                check_result(name, told);
            }
        }
        return;
    }
    match only(&answer) {
        ("result", result) => check_result(method, result),
        ("error", error) => check_error(error),
        (other, _) => panic!("{other}"),
    }
}

fn check_result(method: &str, result: &Value) {
    assert!(result.is_object(), "{result}");
    if method == "broadcast" {
        for response in result["responses"].as_array().expect("a list") {
            if let ("error", error) = only(response) {
                check_error(error);
            }
        }
    }
}

fn check_error(error: &Value) {
    let code = error["code"].as_u64().expect("a code");
    assert!((102..=113).contains(&code), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
}

/// The one member of an object.
fn only(value: &Value) -> (&str, &Value) {
    let object = value.as_object().expect("an object");
    assert_eq!(object.len(), 1, "{value}");
    object.iter().next().map(|(name, value)| (name.as_str(), value)).expect("a member")
}
