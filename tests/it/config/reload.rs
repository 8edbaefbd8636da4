//! A node is configured anew while clients are connected.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::Algorithm;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::{API_KEY, ORIGIN, TestNode, config, number};
use crate::support::process::{Process, scratch};
use crate::support::{eventually, token};

const OTHER_SECRET: &str = "another-secret-of-32-bytes-or-more";
const OTHER_KEY: &str = "another-api-key-for-tests-0123";

fn reload(node: &TestNode, options: Value) -> Result<(), Vec<String>> {
    let loaded = sealcast::config::parse(&config(options).to_string());
    let done = node.node.as_ref().unwrap().reload(loaded);
    done.map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn subscribe(channel: &str) -> String {
    json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()
}

fn connect(token: &str) -> String {
    json!({ "id": 1, "connect": { "token": token } }).to_string()
}

async fn info(node: &TestNode, key: &str) -> u16 {
    call(node.public, "info", &[("X-API-Key", key)], b"{}").await.status
}

/// The status of a handshake from a page of this origin.
async fn handshake(node: &TestNode, origin: &str) -> u16 {
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: {origin}\r\n\r\n"
    );
    ask(node.public, &request).await.status
}

#[tokio::test]
async fn what_is_removed_is_refused_at_once() {
    let node = TestNode::start().await;
    let mut wire = Wire::connected(&node, "ada").await;
    assert!(wire.ask(&subscribe("talk:1")).await["subscribe"].is_object());
    let only = json!({ "channel": { "namespaces": [{ "name": "fresh" }] } });
    assert_eq!(reload(&node, only), Ok(()));
    assert_eq!(wire.refused(&subscribe("talk:2")).await, 102);
    assert_eq!(wire.refused(&subscribe("fresh:2")).await, 103);
    let publish = json!({ "id": 3, "publish": { "channel": "talk:1", "data": {} } }).to_string();
    assert_eq!(wire.refused(&publish).await, 102);
    let answer = node.api("publish", &json!({ "channel": "talk:1", "data": {} })).await.json();
    assert_eq!(answer["error"]["code"], 102, "{answer}");
    wire.is_quiet().await;
    assert_eq!(reload(&node, json!({})), Ok(()));
    assert!(wire.ask(&subscribe("talk:2")).await["subscribe"].is_object());
}

#[tokio::test]
async fn keys_and_origins_change_hands() {
    let node = TestNode::start().await;
    let mut before = Wire::connected(&node, "ada").await;
    let (mut late, mut later) = (Wire::open(&node).await, Wire::open(&node).await);
    assert_eq!(handshake(&node, ORIGIN).await, 101);
    let other = json!({
        "client": {
            "allowed_origins": ["https://other.example"],
            "token": { "hmac_secret_key": OTHER_SECRET },
        },
        "http_api": { "key": OTHER_KEY },
    });
    assert_eq!(reload(&node, other), Ok(()));
    assert_eq!(late.closed_by(&connect(&token::of("ada"))).await, 3500);
    let claims = json!({ "sub": "ada", "exp": token::now() + 60 });
    let fresh = token::signed_with(claims, OTHER_SECRET, Algorithm::HS256);
    let answer = later.ask(&connect(&fresh)).await;
    assert!(answer["connect"].is_object(), "{answer}");
    assert_eq!((info(&node, API_KEY).await, info(&node, OTHER_KEY).await), (401, 200));
    assert_eq!(handshake(&node, ORIGIN).await, 403);
    assert_eq!(handshake(&node, "https://other.example").await, 101);
    // Who was there stays, and a refresh needs the new key.
    before.is_quiet().await;
    let refresh = json!({ "id": 4, "refresh": { "token": token::of("ada") } });
    assert_eq!(before.closed_by(&refresh.to_string()).await, 3500);
}

#[tokio::test]
async fn numbers_change_for_what_comes() {
    let node = TestNode::start().await;
    let mut wire = Wire::connected(&node, "ada").await;
    assert_eq!(
        reload(&node, json!({ "client": { "channel_limit": 1, "connection_limit": 1 } })),
        Ok(())
    );
    assert!(wire.ask(&subscribe("one")).await["subscribe"].is_object());
    assert_eq!(wire.refused(&subscribe("two")).await, 106);
    assert_eq!(handshake(&node, ORIGIN).await, 503);
    let limit = "sealcast_connection_limit{transport=\"websocket\"}";
    assert_eq!(node.number(limit) as u64, 1);
    assert_eq!(reload(&node, json!({})), Ok(()));
    assert!(wire.ask(&subscribe("two")).await["subscribe"].is_object());
    assert_eq!(handshake(&node, ORIGIN).await, 101);
}

#[tokio::test]
async fn a_configuration_at_fault_changes_nothing() {
    let node = TestNode::start().await;
    let mut wire = Wire::connected(&node, "ada").await;
    let reloads = |result: &str| {
        node.number(&format!("sealcast_config_reloads_total{{result=\"{result}\"}}"))
    };
    for (options, faults) in [
        (
            json!({ "http_api": { "key": OTHER_KEY }, "channel": { "namespaces": [{}] } }),
            &["channel.namespaces[0].name: "][..],
        ),
        (
            json!({
                "http_api": { "key": OTHER_KEY },
                "http_server": { "port": 1 },
                "limits": { "queue_messages": 2 },
            }),
            &[
                "http_server.port: cannot change while the node runs",
                "limits.queue_messages: cannot change while the node runs",
            ][..],
        ),
    ] {
        let told = reload(&node, options).unwrap_err();
        assert_eq!(told.len(), faults.len(), "{told:?}");
        for (told, fault) in told.iter().zip(faults) {
            assert!(told.starts_with(fault), "{told}");
        }
        assert_eq!((info(&node, API_KEY).await, info(&node, OTHER_KEY).await), (200, 401));
    }
    assert!(wire.ask(&subscribe("talk:1")).await["subscribe"].is_object());
    assert_eq!((reloads("failure"), reloads("success")), (2.0, 0.0));
    assert_eq!(reload(&node, json!({})), Ok(()));
    assert_eq!((reloads("failure"), reloads("success")), (2.0, 1.0));
    let since = node.number("sealcast_config_last_reload_success_timestamp") as u64;
    assert!(since.abs_diff(token::now()) < 60, "{since}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_change_nothing_for_anyone() {
    const RELOADS: usize = 100;
    let node = Arc::new(TestNode::start().await);
    let mut listener = Wire::connected(&node, "ada").await;
    assert!(listener.ask(&subscribe("room")).await["subscribe"].is_object());
    let mut speaker = Wire::connected(&node, "bob").await;
    let over = Arc::new(AtomicBool::new(false));
    let reloading = {
        let (node, over) = (Arc::clone(&node), Arc::clone(&over));
        tokio::task::spawn_blocking(move || {
            for turn in 0..RELOADS {
                let options = match turn % 4 {
                    0 => json!({ "channel": { "namespaces": [{ "name": "fresh" }] } }),
                    2 => json!({ "client": { "channel_limit": 5 } }),
                    _ => json!({ "client": { "chanel_limit": 5 }, "http_api": { "key": "x" } }),
                };
                assert_eq!(reload(&node, options).is_ok(), turn % 2 == 0, "{turn}");
            }
            over.store(true, Ordering::Release);
        })
    };
    let mut sent = 0;
    while !over.load(Ordering::Acquire) {
        sent += 1;
        let data = json!({ "id": 5, "publish": { "channel": "room", "data": { "n": sent } } });
        let answer = speaker.ask(&data.to_string()).await;
        assert!(answer["publish"].is_object(), "{answer}");
        let heard = listener.hear_json().await;
        assert_eq!(heard["push"]["pub"]["data"]["n"], sent, "{heard}");
    }
    reloading.await.unwrap();
    assert!(sent > 100, "{sent}");
    listener.is_quiet().await;
    speaker.is_quiet().await;
    let reloads =
        |result| node.number(&format!("sealcast_config_reloads_total{{result=\"{result}\"}}"));
    assert_eq!((reloads("success"), reloads("failure")), (50.0, 50.0));
    assert_eq!(node.number("sealcast_disconnects_total"), 0.0);
    assert_eq!(node.number("sealcast_messages_total{dir=\"out\"}"), f64::from(sent));
}

#[tokio::test]
async fn a_hangup_reads_the_file_again() {
    let path = scratch("json");
    let write = |options: Value| fs::write(&path, config(options).to_string()).unwrap();
    write(json!({}));
    let name = path.to_str().unwrap();
    let process = Process::start(&[], &["serve", "--ready-json", "--config", name]);
    let key = |key: &'static str| {
        let public = process.public;
        async move { call(public, "info", &[("X-API-Key", key)], b"{}").await.status }
    };
    let reloads = |result: &'static str, count: f64| {
        let address = process.metrics;
        async move {
            let request = "GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
            let selector = format!("sealcast_config_reloads_total{{result=\"{result}\"}}");
            while number(ask(address, request).await.text(), &selector) < count {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    assert_eq!(key(API_KEY).await, 200);
    write(json!({ "http_api": { "key": OTHER_KEY } }));
    process.signal(Signal::HUP);
    reloads("success", 1.0).await;
    assert_eq!((key(API_KEY).await, key(OTHER_KEY).await), (401, 200));
    fs::write(&path, "{\"http_api\": {\"kee\": \"canary\"}, \"proxies\": []}").unwrap();
    process.signal(Signal::HUP);
    reloads("failure", 1.0).await;
    assert_eq!((key(API_KEY).await, key(OTHER_KEY).await), (401, 200));
    process.signal(Signal::TERM);
    let ended = process.ended().await;
    for told in ["config_reloaded", "http_api.kee: no such option; did you mean key?", "proxies: "]
    {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_node_for_development_has_nothing_to_read_again() {
    let dev = ["serve", "--dev", "--port", "0", "--metrics-port", "0", "--ready-json"];
    let process = Process::start(&[], &dev);
    process.signal(Signal::HUP);
    let mut told = false;
    eventually("it has said so", || {
        told = told || process.log().contains("no configuration to read again");
        told
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code, Some(0));
}
