//! The program as operators run it: start, health, signals, refusals to start, and
//! what must never be in its log.

mod canary;
mod develop;
mod drain;
mod listeners;
mod log;
mod metrics;
mod refusal;

use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::json;

use crate::support::api::call;
use crate::support::http::{Answer, ask};
use crate::support::process::Process;

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn a_node_says_where_it_is_and_that_it_is_well() {
    let process = Process::serve(json!({}));
    assert_eq!(process.ready["event"], "ready");
    assert!(process.ready.get("api_key").is_none(), "the configured key is not printed");
    assert!(process.public.ip().is_loopback() && process.metrics.ip().is_loopback());
    for path in ["/health", "/health/live", "/health/ready", "/health/startup"] {
        let answer = get(process.public, path).await;
        assert_eq!((answer.status, answer.text().trim()), (200, "{}"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn metrics_are_on_their_own_port_only() {
    let process = Process::serve(json!({}));
    let answer = get(process.metrics, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for name in ["sealcast_connections", "sealcast_build_info", "process_resident_memory_bytes"] {
        assert!(answer.text().contains(&format!("# TYPE {name} gauge")), "{name}");
    }
    assert!(answer.text().lines().all(|line| !line.starts_with("sealcast_insecure_mode 1")));
    assert_eq!(get(process.metrics, "/health/ready").await.status, 200);
    for path in [
        "/metrics",
        "/metrics/",
        "/METRICS",
        "//metrics",
        "/./metrics",
        "/health/../metrics",
        "/%6detrics",
        "/%2fmetrics",
        "/metrics%2f",
        "/metrics%00",
        "/metrics;x",
        "/metrics?x=/health",
        "/api/%2e%2e/metrics",
        "/debug",
        "/debug/pprof/",
        "/admin",
        "/admin/api",
        "/dev/token",
        "/",
    ] {
        let status = get(process.public, path).await.status;
        assert!(matches!(status, 404 | 400), "{path}: {status}");
    }
    for path in ["/connection/websocket", "/"] {
        assert_eq!(get(process.metrics, path).await.status, 404, "{path}");
    }
    assert_eq!(call(process.metrics, "info", &[], b"{}").await.status, 404);
}

#[tokio::test]
async fn development_mode_serves_its_page_and_its_key() {
    let process = Process::start(
        &[],
        &["serve", "--dev", "--port", "0", "--metrics-port", "0", "--ready-json"],
    );
    let key = process.ready["api_key"].as_str().unwrap();
    let answer = call(process.public, "info", &[("X-API-Key", key)], b"{}").await;
    assert_eq!(answer.status, 200);
    let page = get(process.public, "/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(get(process.metrics, "/metrics").await.text().contains("sealcast_insecure_mode 1"));
    let token = |origin: &str, kind: &str| {
        format!(
            "POST /dev/token HTTP/1.1\r\nHost: it\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Content-Type: {kind}\r\nContent-Length: 14\r\n\r\n{{\"user\":\"ada\"}}"
        )
    };
    let own = format!("http://{}", process.public);
    for (origin, kind, status) in [
        (own.as_str(), "application/json", 200),
        ("https://evil.example", "application/json", 403),
        ("null", "application/json", 403),
        (&own, "text/plain", 415),
    ] {
        let answer = ask(process.public, token(origin, kind)).await;
        assert_eq!(answer.status, status, "{origin} {kind}");
    }
}

/// T-09 and `compat.centrifugo`: a mode that is less strict tells so at once.
#[tokio::test]
async fn modes_that_are_less_strict_tell_so() {
    let dev = ["serve", "--dev", "--port", "0", "--metrics-port", "0", "--ready-json"];
    let short = json!({ "client": { "token": { "hmac_secret_key": "short" } } });
    let mut lenient = short.clone();
    lenient["compat"] = json!({ "centrifugo": true });
    for (process, insecure, compat) in [
        (Process::serve(json!({})), 0, 0),
        (Process::start(&[], &dev), 1, 0),
        (Process::serve(lenient), 0, 1),
    ] {
        let text = get(process.metrics, "/metrics").await.text().to_owned();
        for (name, on) in [("sealcast_insecure_mode", insecure), ("sealcast_compat_mode", compat)] {
            assert!(text.lines().any(|line| line == format!("{name} {on}")), "{name} {on}: {text}");
        }
        process.signal(Signal::TERM);
        let log = process.ended().await.stderr;
        assert_eq!(log.contains("development mode"), insecure == 1, "{log}");
        assert_eq!(log.contains("compat.centrifugo is on"), compat == 1, "{log}");
        assert!(!log.contains("short\""), "{log}");
    }
}

/// a crash must not write keys to disk.
#[tokio::test]
async fn there_are_no_core_dumps() {
    let process = Process::serve(json!({}));
    let path = format!("/proc/{}/limits", process.pid().as_raw_nonzero());
    let limits = std::fs::read_to_string(path).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let size = line.split_whitespace().nth(4);
    assert_eq!(size, Some("0"), "{line}");
}
