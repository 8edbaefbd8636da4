//! What someone is told who develops against a node: in development mode which rule
//! refused them and what to do; elsewhere no more than a short word.

use rustix::process::Signal;
use sealcast_client::{Connection, Options};
use serde_json::{Value, json};

use super::get;
use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::process::Process;

const DEV: [&str; 7] = ["serve", "--dev", "--port", "0", "--metrics-port", "0", "--ready-json"];

async fn refused(process: &Process, headers: &str) -> (u16, String) {
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nConnection: close\r\n{headers}\r\n"
    );
    let answer = ask(process.public, request).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    (answer.status, answer.text().trim().to_owned())
}

fn patient(process: &Process) -> Options {
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    options
}

/// What the demo gets.
async fn token(dev: &Process) -> String {
    let own = format!("http://{}", dev.public);
    let body = r#"{"user":"ada"}"#;
    let request = format!(
        "POST /dev/token HTTP/1.1\r\nHost: it\r\nConnection: close\r\nOrigin: {own}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(dev.public, request).await.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refused_origin_is_named_in_development_only() {
    let dev = Process::start(&[], &DEV);
    let (status, body) = refused(&dev, "Origin: http://localhost:5173\r\n").await;
    assert_eq!(status, 403);
    assert!(body.contains("\"http://localhost:5173\"") && body.contains("client.allowed_origins"));
    let (_, body) = refused(&dev, "Origin: <b>\u{9b}31m\r\n").await;
    assert!(!body.contains(char::is_control), "{body:?}");
    let long = format!("Origin: https://{}\r\n", "x".repeat(8_000));
    assert!(refused(&dev, &long).await.1.len() < 600);
    let (status, body) = refused(&dev, "Cookie: a=b\r\n").await;
    assert!(status == 403 && body.contains("Origin header"), "{status} {body}");

    let strict = Process::serve(json!({}));
    for header in ["Origin: http://localhost:5173\r\n", "Cookie: a=b\r\n"] {
        assert_eq!(refused(&strict, header).await, (403, "origin not allowed".to_owned()));
    }
}

#[tokio::test]
async fn the_log_says_what_to_do_about_origin_token_and_permission() {
    let dev = Process::start(&[], &[&DEV[..], &["--log-format", "json"]].concat());
    refused(&dev, "Origin: http://localhost:5173\r\n").await;
    let options = patient(&dev);
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    assert_eq!(wire.closed_by(r#"{"id":1,"connect":{"token":"a.b"}}"#).await, 3500);
    drop(wire);
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    assert_eq!(wire.closed_by(r#"{"id":1,"connect":{}}"#).await, 3501);
    drop(wire);

    let token = token(&dev).await;
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    wire.ask(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    assert_eq!(wire.refused(r#"{"id":2,"subscribe":{"channel":"news:a"}}"#).await, 102);
    assert_eq!(wire.refused(r#"{"id":3,"subscribe":{"channel":"$a"}}"#).await, 103);
    drop(wire);

    dev.signal(Signal::TERM);
    let stderr = dev.ended().await.stderr;
    let lines: Vec<Value> =
        stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for (event, name, value, part) in [
        ("token_refused", "reason", json!("malformed"), "Bearer"),
        ("token_refused", "reason", json!("no_token"), "allow_anonymous"),
        ("disconnected", "code", json!(3500), "check-token"),
        ("command_refused", "code", json!(102), "channel.namespaces"),
        ("command_refused", "code", json!(103), "subscription token"),
    ] {
        let found = lines.iter().find(|line| line["event"] == event && line[name] == value);
        let hint = found.and_then(|line| line["hint"].as_str()).unwrap_or_default();
        assert!(hint.contains(part), "{event} {value}: {found:?}");
    }
    let origin = lines.iter().find(|line| line["event"] == "handshake_refused").unwrap();
    assert_eq!(origin["origin"], "http://localhost:5173");
}

#[tokio::test]
async fn the_hints_are_there_for_pages_of_development_mode_only() {
    let dev = Process::start(&[], &DEV);
    let hints = get(dev.public, "/dev/hints").await.json();
    assert!(hints["3500"].as_str().unwrap().contains("token"), "{hints}");
    let strict = Process::serve(json!({}));
    assert_eq!(get(strict.public, "/dev/hints").await.status, 404);
}

#[tokio::test]
async fn the_demo_finds_its_numbers_and_its_channels_in_development_mode_only() {
    let dev = Process::start(&[], &DEV);
    let numbers = get(dev.public, "/dev/metrics").await;
    assert_eq!(numbers.status, 200);
    assert!(numbers.text().contains("sealcast_insecure_mode 1"), "{}", numbers.text());
    let strict = Process::serve(json!({}));
    assert_eq!(get(strict.public, "/dev/metrics").await.status, 404);

    let mut wire = Wire(Connection::open(&patient(&dev)).await.unwrap());
    wire.ask(&json!({ "id": 1, "connect": { "token": token(&dev).await } }).to_string()).await;
    for (id, channel, history, presence) in
        [(2, "room-a", true, true), (5, "board:a", true, false), (8, "cursors:a", false, true)]
    {
        wire.ask(&json!({ "id": id, "subscribe": { "channel": channel } }).to_string()).await;
        for (id, method, granted) in [(id + 1, "history", history), (id + 2, "presence", presence)]
        {
            let asked = json!({ "id": id, method: { "channel": channel } }).to_string();
            if granted {
                let answer = wire.ask(&asked).await;
                assert!(answer[method].is_object(), "{channel}: {answer}");
            } else {
                assert_eq!(wire.refused(&asked).await, 108, "{channel}");
            }
        }
    }
}
