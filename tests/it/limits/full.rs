//! A node that has as many connections as its profile says: one more is told at once to
//! come back later, and those who are there are served as before (S4-49, S4-50).

use std::time::Duration;

use futures_util::future::join_all;
use sealcast_client::{Connection, Options};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::node_options;
use crate::stream::reader::{Stream, post};
use crate::support::client::Wire;
use crate::support::http::{Answer, ask};
use crate::support::node::{API_KEY, lay_over};
use crate::support::process::Process;
use crate::support::{PATIENCE, api, descriptors, token};

/// Opened at the same time.
const TOGETHER: usize = 50;

/// Of WebSockets and of streams: how many there may be in each profile.
const NUMBERS: [(&str, usize, usize); 2] = [("strict", 500, 250), ("standard", 10_000, 5_000)];

/// Somebody who is there, and listens.
enum There {
    Socket(Wire),
    Stream(Stream),
}

impl There {
    async fn open(node: &Process, streams: bool, user: usize) -> There {
        let now = token::now();
        let claims = json!({
            "sub": format!("user-{user}"), "iat": now, "exp": now + 600, "channels": ["room"],
        });
        let token = token::signed(claims);
        if streams {
            let socket = TcpStream::connect(node.public).await.unwrap();
            let mut stream = Stream::over(socket, uni_sse(&token)).await;
            assert_eq!(stream.head.status, 200, "{user}: {:?}", stream.head);
            assert!(stream.event().await["connect"]["subs"]["room"].is_object());
            return There::Stream(stream);
        }
        let mut options = Options::new(node.url());
        options.timeout = PATIENCE;
        options.token = Some(token);
        let mut connection = Connection::open(&options).await.unwrap();
        connection.connect(&options).await.unwrap();
        There::Socket(Wire(connection))
    }

    /// The payload of the next publication.
    async fn hear(&mut self) -> u64 {
        let publication = match self {
            There::Socket(wire) => wire.hear_json().await["push"]["pub"].take(),
            There::Stream(stream) => stream.event().await["pub"].take(),
        };
        publication["data"].as_u64().unwrap()
    }
}

fn uni_sse(token: &str) -> String {
    post("/connection/uni_sse", "", &json!({ "token": token }).to_string())
}

/// One too many.
async fn newcomer(node: &Process, streams: bool) -> Answer {
    let request = if streams {
        uni_sse(&token::of("ada"))
    } else {
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_owned()
    };
    ask(node.public, request).await
}

async fn at_its_number_and_one_past_it(profile: &str, most: usize, streams: bool) {
    descriptors::raise();
    let lifted =
        json!({ "ip_connects": "none", "ip_connections": 20_000, "node_connects": "none" });
    let mut options = node_options(profile, lifted);
    // Nobody answers pings here.
    let more = json!({ "uni_sse": { "enabled": true }, "client": { "ping_interval": "10m" } });
    lay_over(&mut options, more);
    let node = Process::serve(options);
    let mut there = Vec::new();
    for at in (0..most).step_by(TOGETHER) {
        let opening = (at..most.min(at + TOGETHER)).map(|at| There::open(&node, streams, at));
        there.extend(join_all(opening).await);
    }
    let mut fastest = Duration::MAX;
    for n in 0..5 {
        let began = Instant::now();
        let answer = newcomer(&node, streams).await;
        fastest = fastest.min(began.elapsed());
        assert_eq!(answer.status, 503, "{profile}: {answer:?}");
        let retry: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!((5..=10).contains(&retry), "{retry}");
        let body = json!({ "channel": "room", "data": n }).to_string();
        let answer =
            api::call(node.public, "publish", &[("X-API-Key", API_KEY)], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        for one in &mut there {
            assert_eq!(one.hear().await, n);
        }
    }
    println!("full: {profile}, {most} connections, one more is refused in {fastest:?}");
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    // The place of one that goes is the next one's.
    drop(there.pop());
    let began = Instant::now();
    while !matches!(newcomer(&node, streams).await.status, 101 | 200) {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_strict_node_is_full_at_500_sockets_and_250_streams() {
    let (profile, sockets, streams) = NUMBERS[0];
    at_its_number_and_one_past_it(profile, sockets, false).await;
    at_its_number_and_one_past_it(profile, streams, true).await;
}

#[tokio::test]
#[ignore = "takes 20,000 descriptors; see scripts/long"]
async fn a_standard_node_is_full_at_10000_sockets_and_5000_streams() {
    let (profile, sockets, streams) = NUMBERS[1];
    at_its_number_and_one_past_it(profile, sockets, false).await;
    at_its_number_and_one_past_it(profile, streams, true).await;
}
