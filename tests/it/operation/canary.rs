//! Secrets, tokens, payloads and users, none of which may be in the log even where
//! it says the most.

use rustix::process::Signal;
use sealcast_client::{Connection, Options, Session};
use sealcast_wire::Encoding;
use serde_json::json;

use super::get;
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::process::Process;
use crate::support::{PATIENCE, token};

const SECRET: &str = "canary-secret-of-at-least-32-bytes-xyz";
const KEY: &str = "canary-api-key-0123456789";
const WRONG_KEY: &str = "canary-wrong-key-0123456789";
const USER: &str = "canary-user";
const PAYLOAD: &str = "canary-payload";
const COOKIE: &str = "canary-cookie";
const ADDRESS: &str = "198.51.100.77";

#[tokio::test]
async fn nothing_secret_is_logged_at_any_level() {
    let options = json!({
        "client": { "token": { "hmac_secret_key": SECRET } },
        "http_api": { "key": KEY },
        "http_server": { "trusted_proxies": ["127.0.0.1"] },
        "shutdown": { "lb_wait": "0s", "spread": "0s", "deadline": "10s" },
    });
    let process = Process::serve_by(&[], options, &["--log-level", "trace"]);
    let claims = json!({ "sub": USER, "exp": token::now() + 60, "info": { "name": PAYLOAD } });
    let good = token::signed_with(claims.clone(), SECRET, jsonwebtoken::Algorithm::HS256);
    let forged = token::signed(claims);

    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut options = Options::new(format!("{}?token={good}", process.url()));
        options.timeout = PATIENCE;
        options.encoding = encoding;
        options.token = Some(good.clone());
        let client = Session::connect(options.clone()).await.unwrap();
        client.subscribe("room").await.unwrap();
        client.publish("room", format!("\"{PAYLOAD}\"").as_bytes()).await.unwrap();
        client.publish("closed:a", format!("\"{PAYLOAD}\"").as_bytes()).await.unwrap_err();
        client.refresh(&good).await.unwrap();
        client.refresh(&forged).await.unwrap_err();
        options.token = Some(forged.clone());
        Session::connect(options).await.unwrap_err();
    }
    let body = json!({ "channel": "room", "data": PAYLOAD, "tags": { "t": PAYLOAD } }).to_string();
    for (key, status) in [(KEY, 200), (WRONG_KEY, 401)] {
        for (name, value) in
            [("X-API-Key", key.to_owned()), ("Authorization", format!("apikey {key}"))]
        {
            let answer = call(process.public, "publish", &[(name, &value)], body.as_bytes()).await;
            assert_eq!(answer.status, status);
        }
    }
    let query = format!("publish?api_key={KEY}");
    assert_eq!(call(process.public, &query, &[], body.as_bytes()).await.status, 401);
    let handshake = format!(
        "GET /connection/websocket?token={good} HTTP/1.1\r\nHost: it\r\nCookie: {COOKIE}\r\n\
         X-Forwarded-For: {ADDRESS}\r\nAuthorization: Bearer {good}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(ask(process.public, &handshake).await.status, 403);
    // A line that is not escaped could pass for another.
    let origin = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
        Origin: https://evil.example\x1b[31m\r\n\r\n";
    assert!(matches!(ask(process.public, origin).await.status, 400 | 403));

    let private = token::signed(json!({ "sub": USER, "exp": 1, "channel": "$room" }));
    for text in [
        json!({ "id": 2, "subscribe": { "channel": "$room", "token": private } }),
        json!({ "id": 2, "subscribe": { "channel": format!("limited:a#{USER}") } }),
        json!({ "id": 2, "rpc": { "method": PAYLOAD, "data": PAYLOAD } }),
        json!({ "id": 2, "history": { "channel": format!("unknown:{PAYLOAD}") } }),
    ] {
        let mut options = Options::new(process.url());
        options.timeout = PATIENCE;
        let mut wire = Wire(Connection::open(&options).await.unwrap());
        wire.ask(&json!({ "id": 1, "connect": { "token": good } }).to_string()).await;
        wire.ask(&text.to_string()).await;
    }
    let metrics = get(process.metrics, "/metrics").await.text().to_owned();

    process.signal(Signal::TERM);
    let ended = process.ended().await;
    for event in ["handshake_refused", "token_refused", "command_refused", "198.51.100.0/24"] {
        assert!(ended.stderr.contains(event), "the log says much: {}", ended.stderr);
    }
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let claims = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    for secret in [
        SECRET,
        KEY,
        WRONG_KEY,
        USER,
        PAYLOAD,
        COOKIE,
        ADDRESS,
        &private,
        &signature(&good),
        &signature(&forged),
        &claims(&good),
        "\u{1b}[31m",
    ] {
        for text in [&ended.stderr, &ended.stdout, &metrics] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret:?} is logged");
        }
    }
}
