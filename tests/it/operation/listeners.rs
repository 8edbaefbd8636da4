//! Which listener serves what, and that nothing else answers there.

use std::net::SocketAddr;

use rustix::process::Signal;
use sealcast_client::{Connection, Options};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::get;
use crate::support::api::call;
use crate::support::node::{API_KEY, config};
use crate::support::process::{Process, run, scratch};
use crate::support::{PATIENCE, token};

fn internal(process: &Process) -> SocketAddr {
    process.ready["internal"].as_str().expect("an internal listener").parse().unwrap()
}

/// What a call of the server API is answered with, with a key and without.
async fn api(address: SocketAddr) -> (u16, u16) {
    let with = call(address, "info", &[("X-API-Key", API_KEY)], b"{}").await.status;
    (with, call(address, "info", &[], b"{}").await.status)
}

#[tokio::test]
async fn without_an_internal_listener_the_public_one_has_the_api() {
    let process = Process::serve(json!({}));
    assert!(process.ready.get("internal").is_none(), "{}", process.ready);
    assert_eq!(api(process.public).await, (200, 401));
    assert_eq!(api(process.metrics).await, (404, 404));
}

#[tokio::test]
async fn an_internal_listener_takes_the_api_and_the_metrics() {
    // Centrifugo writes this port as a text.
    let process = Process::serve(json!({
        "http_server": { "internal_port": "0" },
        "metrics": null,
    }));
    let internal = internal(&process);
    assert_eq!(process.metrics, internal);
    assert!(internal.ip().is_loopback() && internal != process.public);
    assert_eq!(api(internal).await, (200, 401));
    for path in ["/metrics", "/api/openapi.json", "/health", "/health/ready", "/health/startup"] {
        assert_eq!(get(internal, path).await.status, 200, "{path}");
    }
    assert_eq!(api(process.public).await, (404, 404));
    for path in ["/metrics", "/api/openapi.json", "/api/info", "/api%2finfo", "//api/info"] {
        assert_eq!(get(process.public, path).await.status, 404, "{path}");
    }
    for path in ["/connection/websocket", "/", "/dev/token"] {
        assert_eq!(get(internal, path).await.status, 404, "{path}");
    }
    assert_eq!(get(process.public, "/health/ready").await.status, 200);
}

#[tokio::test]
async fn metrics_can_be_apart_and_the_api_on_both() {
    let process = Process::serve(json!({
        "http_server": { "internal_port": 0 },
        "http_api": { "external": true },
    }));
    let internal = internal(&process);
    assert_ne!(process.metrics, internal);
    for address in [process.public, internal] {
        assert_eq!(api(address).await, (200, 401), "{address}");
        assert_eq!(get(address, "/metrics").await.status, 404, "{address}");
    }
    assert_eq!(api(process.metrics).await, (404, 404));
    assert_eq!(get(process.metrics, "/metrics").await.status, 200);
}

#[tokio::test]
async fn an_open_internal_address_needs_a_proxy() {
    let serve = |options: Value| async move {
        let path = scratch("json");
        std::fs::write(&path, config(options).to_string()).unwrap();
        let ended = run(&["serve", "--config", path.to_str().unwrap()]).await;
        std::fs::remove_file(path).unwrap();
        ended
    };
    let open = json!({ "internal_port": 0, "internal_address": "0.0.0.0", "port": 0 });
    let ended = serve(json!({ "http_server": open })).await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    let told = "http_server.internal_address: refusing to listen on 0.0.0.0:0";
    assert!(ended.stderr.contains(told), "{ended:?}");
    let mut behind = open.clone();
    behind["trusted_proxies"] = json!(["127.0.0.1"]);
    let process = Process::serve(json!({ "http_server": behind }));
    assert!(internal(&process).ip().is_unspecified());
}

/// Whoever looks after a node that leaves still finds it.
#[tokio::test]
async fn the_internal_listener_serves_until_the_node_has_left() {
    let process = Process::serve(json!({
        "http_server": { "internal_port": 0 },
        "shutdown": { "lb_wait": "0s", "spread": "0s", "deadline": "60s" },
    }));
    let internal = internal(&process);
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    options.token = Some(token::of("ada"));
    let mut stays = Connection::open(&options).await.unwrap();
    stays.connect(&options).await.unwrap();
    // It reads nothing, so that its connection does not end before the node's patience does.
    process.signal(Signal::TERM);
    let refused = async {
        while TcpStream::connect(process.public).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the public one is shut");
    let answer = get(internal, "/health/ready").await;
    assert_eq!((answer.status, answer.text().trim()), (503, r#"{"reason":"leaving"}"#));
    assert_eq!(api(internal).await, (200, 401));
    drop(stays);
    assert_eq!(process.ended().await.code, Some(0));
}
