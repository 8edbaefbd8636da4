//! What someone is told who develops against a node: in development mode which rule
//! refused them and what to do; elsewhere no more than a short word.

use std::time::Duration;

use rustix::process::Signal;
use sealcast_client::{Connection, Frame, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::get;
use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::http::{ask, parse};
use crate::support::process::Process;

const DEV: [&str; 7] = ["serve", "--dev", "--port", "0", "--metrics-port", "0", "--ready-json"];

/// It must be there as soon as it is asked for. Of several starts the quickest counts:
/// a machine that stalls is not the program's fault, and one that is slow is so each time.
#[test]
fn it_starts_within_a_second() {
    let ticks_of = |process: &Process| {
        let path = format!("/proc/{}/stat", process.pid().as_raw_nonzero());
        let stat = std::fs::read_to_string(path).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // User and system time, in hundredths of a second.
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let starts = (0..3).map(|_| {
        let began = tokio::time::Instant::now();
        let process = Process::start(&[], &DEV);
        (began.elapsed(), ticks_of(&process))
    });
    let (quickest, ticks) = starts.min().unwrap();
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    assert!(ticks < 50, "{ticks} hundredths of a second of CPU");
}

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

async fn open(process: &Process) -> Wire {
    Wire(Connection::open(&patient(process)).await.unwrap())
}

/// Code and reason that this connect request is closed with.
async fn closed_with(process: &Process, connect: Value) -> (u16, String) {
    let mut wire = open(process).await;
    wire.say(&json!({ "id": 1, "connect": connect }).to_string()).await;
    match wire.0.next_frame(PATIENCE).await.unwrap() {
        Frame::Close(Some(code), reason) => (code, reason),
        other => panic!("{other:?}"),
    }
}

/// Connected with a token of the development mode.
async fn admitted(dev: &Process) -> Wire {
    let token = token(dev).await;
    let mut wire = open(dev).await;
    wire.ask(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    wire
}

/// What a page of this origin is answered with whose handshake is right otherwise,
/// and which says this without waiting: the status, and the bytes behind.
async fn page_of(process: &Process, origin: &str, says: &[u8]) -> (u16, Vec<u8>) {
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nOrigin: {origin}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = TcpStream::connect(process.public).await.unwrap();
    stream.write_all(&[request.as_bytes(), says].concat()).await.unwrap();
    let mut answer = Vec::new();
    // The end comes first: a reset would take from a browser what came before.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let head = parse(&answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (head.status, answer.split_off(end))
}

/// What a browser shows a page: the code and the reason of the end, and the message
/// of an error.
#[tokio::test]
async fn a_page_is_told_which_of_origin_token_and_permission_is_wrong() {
    let dev = Process::start(&[], &DEV);
    let long = format!("https://{}.example", "x".repeat(200));
    for (origin, told) in [
        ("http://localhost:5173", "\"http://localhost:5173\""),
        ("https://evil.example", "\"https://evil.example\""),
        (&long, "\"https://xxx"),
        ("null", "\"null\""),
    ] {
        let (status, frame) = page_of(&dev, origin, &[0x81, 0x82, 0, 0, 0, 0, b'{', b'}']).await;
        assert_eq!((status, frame[0]), (101, 0x88), "{origin}");
        assert_eq!(frame.len(), 2 + usize::from(frame[1]), "nothing else comes");
        assert_eq!(u16::from_be_bytes([frame[2], frame[3]]), 3507);
        let reason = std::str::from_utf8(&frame[4..]).unwrap();
        let start = "origin not allowed, see client.allowed_origins: ";
        assert!(reason.starts_with(start) && reason.contains(told), "{reason}");
    }
    for (token, reason) in [("a.b", "malformed"), ("a.b.c", "malformed")] {
        let told = closed_with(&dev, json!({ "token": token })).await;
        assert_eq!(told, (3500, format!("invalid token: {reason}")));
    }
    let forged = crate::support::token::of("ada");
    let told = closed_with(&dev, json!({ "token": forged })).await;
    assert_eq!(told, (3500, "invalid token: bad_signature".to_owned()));
    let told = closed_with(&dev, json!({})).await;
    assert_eq!(told, (3501, "bad request: connect came without a token".to_owned()));
    let mut wire = admitted(&dev).await;
    for (subscribe, code, message) in [
        (json!({ "channel": "$a" }), 103, "permission denied"),
        (json!({ "channel": "$a", "token": "a.b" }), 103, MALFORMED),
        (json!({ "channel": "news:a" }), 102, "unknown channel"),
    ] {
        let answer = wire.ask(&json!({ "id": 2, "subscribe": subscribe }).to_string()).await;
        let told = (&answer["error"]["code"], &answer["error"]["message"]);
        assert_eq!(told, (&json!(code), &json!(message)), "{answer}");
    }

    let strict = Process::serve(json!({}));
    assert_eq!(page_of(&strict, "http://localhost:5173", &[]).await.0, 403);
    let told = closed_with(&strict, json!({ "token": "a.b" })).await;
    assert_eq!(told, (3500, "invalid token".to_owned()));
    assert_eq!(closed_with(&strict, json!({})).await, (3501, "bad request".to_owned()));
    let mut wire = open(&strict).await;
    wire.ask(&json!({ "id": 1, "connect": { "token": forged } }).to_string()).await;
    let answer = wire.ask(r#"{"id":2,"subscribe":{"channel":"$a","token":"a.b"}}"#).await;
    assert_eq!(answer["error"]["message"], "permission denied", "{answer}");
}

const MALFORMED: &str = "permission denied: subscription token: malformed";

#[tokio::test]
async fn the_log_says_what_to_do_about_origin_token_and_permission() {
    let dev = Process::start(&[], &[&DEV[..], &["--log-format", "json"]].concat());
    refused(&dev, "Origin: http://localhost:5173\r\n").await;
    let closed = |connect: Value| closed_with(&dev, connect);
    closed(json!({ "token": "a.b" })).await;
    closed(json!({})).await;
    let mut wire = admitted(&dev).await;
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
