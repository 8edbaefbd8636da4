//! Starts that are refused, with an exit code and a word on what to do.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::node::config;
use crate::support::process::{Ended, Process, run, scratch};

/// The configuration is at fault (sysexits.h).
const CONFIG: Option<i32> = Some(78);

async fn serve(config: &str, arguments: &[&str]) -> Ended {
    let path = scratch("json");
    fs::write(&path, config).unwrap();
    let mut all = vec!["serve", "--config", path.to_str().unwrap()];
    all.extend(arguments);
    let ended = run(&all).await;
    fs::remove_file(path).unwrap();
    ended
}

async fn serve_with(options: Value, arguments: &[&str]) -> Ended {
    serve(&config(options).to_string(), arguments).await
}

#[tokio::test]
async fn an_open_address_needs_a_proxy() {
    for address in ["0.0.0.0", "::", "192.0.2.1"] {
        let ended = serve_with(json!({}), &["--address", address]).await;
        assert_eq!(ended.code, CONFIG, "{ended:?}");
        assert!(ended.stderr.contains("refusing to listen on"), "{ended:?}");
        assert!(ended.stderr.contains("trusted_proxies"), "{ended:?}");
        let ended = serve_with(json!({ "http_server": { "address": address } }), &[]).await;
        assert_eq!(ended.code, CONFIG, "{ended:?}");
        let ended = serve_with(json!({ "metrics": { "address": address } }), &[]).await;
        assert_eq!(ended.code, CONFIG, "{ended:?}");
        assert!(ended.stderr.contains("metrics"), "{ended:?}");
    }
    let behind = json!({ "http_server": { "trusted_proxies": ["127.0.0.1"] } });
    let process = Process::serve_by(&[], behind, &["--address", "0.0.0.0"]);
    assert!(process.public.ip().is_unspecified());
}

#[tokio::test]
async fn development_mode_stays_on_loopback() {
    let ended =
        run(&["serve", "--dev", "--port", "0", "--metrics-port", "0", "--address", "0.0.0.0"])
            .await;
    assert_eq!(ended.code, CONFIG, "{ended:?}");
    assert!(ended.stderr.contains("--dev"), "{ended:?}");
    let both = serve_with(json!({}), &["--dev"]).await;
    assert_eq!(both.code, Some(2), "{both:?}");
}

/// T-09: there is no switch that makes a node less safe than it is.
#[tokio::test]
async fn insecure_switches_are_refused() {
    let with = |path: &str| {
        let mut option = json!(true);
        for name in path.rsplit('.') {
            option = json!({ (name): option });
        }
        option
    };
    for path in [
        "client.insecure",
        "client.insecure_skip_token_signature_verify",
        "client.token.insecure_skip_token_signature_verify",
        "client.token.insecure_skip_jwks_endpoint_https",
        "client.subscription_token.insecure_skip_token_signature_verify",
        "http_api.insecure",
        "admin.insecure",
        "admin.enabled",
        "http_server.tls.insecure_skip_verify",
        "compat.insecure",
        "insecure",
        "dev",
    ] {
        let ended = serve_with(with(path), &[]).await;
        assert_eq!(ended.code, CONFIG, "{path}: {ended:?}");
        let names: Vec<&str> = path.split('.').collect();
        // The whole section may be what is not there.
        let named = (1..=names.len())
            .map(|length| format!("configuration: {}: ", names[..length].join(".")))
            .any(|place| ended.stderr.contains(&place));
        assert!(named, "{path}: {ended:?}");
    }
    for flag in ["--client.insecure", "--http_api.insecure", "--admin.insecure", "--insecure"] {
        for mode in [&["serve", "--dev"][..], &["serve", "--config", "/nonexistent"]] {
            assert_eq!(run(&[mode, &[flag]].concat()).await.code, Some(2), "{mode:?} {flag}");
        }
    }
}

#[tokio::test]
async fn every_fault_of_a_configuration_is_told_at_once() {
    let faulty = json!({
        "http_server": { "address": "nowhere", "trusted_proxies": ["10.0.0.0/40"] },
        "client": {
            "allowed_origins": ["*", "https://*.example"],
            "token": { "hmac_secret_key": "much-too-short" },
            "ping_interval": "1500ms",
        },
        "http_api": { "key": "short-key" },
        "limits": { "profile": "loose" },
        "channel": { "namespaces": [{ "name": "a" }, { "name": "talk" }, { "name": "talk" }] },
    });
    let ended = serve_with(faulty, &[]).await;
    assert_eq!(ended.code, CONFIG, "{ended:?}");
    for place in [
        "http_server.address",
        "http_server.trusted_proxies",
        "client.allowed_origins",
        "client.token.hmac_secret_key",
        "client.ping_interval",
        "http_api.key",
        "limits.profile",
        "channel.namespaces[0].name",
        "channel.namespaces[2].name",
    ] {
        assert!(ended.stderr.contains(place), "{place}: {}", ended.stderr);
    }
    for secret in ["much-too-short", "short-key"] {
        assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    for (text, hint) in [
        ("", "EOF"),
        ("{", "line 1"),
        (r#"{"client":{"insecure":true}}"#, "insecure"),
        (r#"{"client":{"allow_anonymous_connect_without_token":"yes"}}"#, "true or false"),
        (r#"{"shutdown":{"spread":"10 seconds"}}"#, "duration"),
        ("{}", "hmac_secret_key"),
    ] {
        let ended = serve(text, &[]).await;
        assert_eq!(ended.code, CONFIG, "{text}: {ended:?}");
        assert!(ended.stderr.contains(hint), "{text}: {ended:?}");
    }
    let ended = run(&["serve", "--config", "/nonexistent/sealcast.json"]).await;
    assert_eq!(ended.code, CONFIG, "{ended:?}");
    assert!(ended.stderr.contains("/nonexistent/sealcast.json"), "{ended:?}");
    for arguments in [&["serve"][..], &["serve", "--nonsense"], &["nonsense"], &[]] {
        assert_eq!(run(arguments).await.code, Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for which in ["--port", "--metrics-port"] {
        let ended = serve_with(json!({}), &[which, &port]).await;
        assert_eq!(ended.code, Some(1), "{which}: {ended:?}");
        assert!(ended.stderr.contains(&port), "{which}: {ended:?}");
        assert!(ended.stderr.contains("another process"), "{which}: {ended:?}");
    }
}
