//! Whatever the body, `/emulation` answers it with one of the documented statuses, and no session
//! that was not opened takes it.
//!
//! The first byte of an input chooses the encoding, the rest is the body.
#![no_main]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use sealcast::http::{self, Live, Routes};
use sealcast::net::Peer;
use sealcast::server::Node;
use sealcast_wire::Encoding;
use serde_json::json;
use tokio::runtime::Runtime;

thread_local! {
    static BENCH: Bench = Bench::start();
}

fuzz_target!(|input: &[u8]| {
    let Some((&encoding, body)) = input.split_first() else {
        return;
    };
    let (encoding, kind) = match encoding % 2 {
        0 => (Encoding::Json, "application/json"),
        _ => (Encoding::Protobuf, "application/octet-stream"),
    };
    let read = encoding.emulation(body);
    if let Ok(read) = &read {
        assert!(read.data.len() <= body.len(), "nothing becomes longer");
    }
    let (status, answer) = BENCH.with(|bench| bench.call(kind, body));
    match status {
        StatusCode::NOT_FOUND => {
            assert!(read.is_ok());
            assert_eq!(answer, b"no such session\n");
        }
        StatusCode::BAD_REQUEST => assert!(read.is_err()),
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
        let config = json!({
            "http_server": { "port": 0 },
            "metrics": { "port": 0 },
            "client": { "allow_anonymous_connect_without_token": true },
            "http_stream": { "enabled": true },
            "sse": { "enabled": true },
            "limits": { "profile": "none" },
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

    fn call(&self, kind: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let request = Request::post("/emulation")
            .header("Host", "fuzz")
            .header("Content-Type", kind)
            .extension(Peer(SocketAddr::from(([127, 0, 0, 1], 1))))
            .body(Body::from(body.to_vec()))
            .expect("a request");
        self.runtime.block_on(async {
            let answer = self.routes.clone().answer(request).await;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("a body");
            (head.status, body.to_bytes().to_vec())
        })
    }
}
