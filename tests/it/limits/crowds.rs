//! Two thousand at once, of a kind that costs a node something: senders of slow
//! headers (T-20), and clients that once said something large (T-24).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sealcast_client::Connection;
use sealcast_wire::Encoding;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::node_options;
use crate::frames::frame;
use crate::support::client::Wire;
use crate::support::node::{TestNode, number};
use crate::support::process::Process;
use crate::support::{PATIENCE, descriptors, eventually, http, token};

const CROWD: usize = 2_000;

/// A socket from one of a hundred addresses.
async fn socket(node: SocketAddr, at: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = u8::try_from(at % 100).unwrap() + 1;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 3, host), 0)))?;
    socket.connect(node).await
}

/// T-20: whoever sends a byte of a header from time to time takes places that others
/// get who ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_headers_keep_nobody_out() {
    descriptors::raise();
    let node = TestNode::with(node_options("standard", json!({ "ip_connects": "none" }))).await;
    let mut slow = JoinSet::new();
    for at in 0..CROWD {
        let public = node.public;
        slow.spawn(async move {
            sleep(Duration::from_millis(at as u64)).await;
            loop {
                if let Ok(mut stream) = socket(public, at).await {
                    for byte in b"GET /connection/websocket" {
                        if stream.write_all(&[*byte]).await.is_err() {
                            break;
                        }
                        sleep(Duration::from_secs(5)).await;
                    }
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
    eventually("every place is taken", || node.number("sealcast_sockets") >= 1_000.0).await;
    eventually("the slowest are displaced", || {
        node.number("sealcast_sockets_refused_total") >= 100.0
    })
    .await;
    let (mut refused, mut longest) = (0, Duration::ZERO);
    for at in 0..30 {
        let began = Instant::now();
        let options = node.options(&format!("honest-{at}"), Encoding::Json);
        match Connection::open(&options).await {
            Ok(mut connection) => {
                connection.connect(&options).await.unwrap();
                longest = longest.max(began.elapsed());
            }
            Err(_) => refused += 1,
        }
        sleep(Duration::from_millis(100)).await;
    }
    println!("2000 slow headers: 30 connects, {refused} refused, the slowest took {longest:?}");
    // A moment at which all are newer than that they could be displaced may happen.
    assert!(refused <= 3, "{refused} of 30");
    assert!(node.number("sealcast_sockets") <= 1_100.0);
    slow.shutdown().await;
    eventually("nothing stays", || node.number("sealcast_sockets") == 0.0).await;
}

/// T-24: what a large message took is given back, and a resting client takes little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_clients_that_said_something_large_take_little_afterwards() {
    descriptors::raise();
    let lifted = json!({ "ip_connects": "none", "ip_connections": 3_000, "user_messages": "none",
        "node_connects": "none", "node_commands": "none" });
    let process = Process::serve(node_options("standard", lifted));
    let text = format!("\"{}\"", "x".repeat(60_000));
    let publish = format!(r#"{{"id":2,"publish":{{"channel":"open:room","data":{text}}}}}"#);
    let mut all = Vec::new();
    let open = async |at: usize| {
        let mut options = sealcast_client::Options::new(process.url());
        options.timeout = PATIENCE;
        options.token = Some(token::of(&format!("user-{at}")));
        let mut connection = Connection::open(&options).await.unwrap();
        connection.connect(&options).await.unwrap();
        let mut wire = Wire(connection);
        // In two pieces, so that the node has to keep the first.
        let bytes = frame(0x81, publish.as_bytes());
        let (first, rest) = bytes.split_at(50_000);
        wire.0.send_bytes(first).await.unwrap();
        wire.0.send_bytes(rest).await.unwrap();
        assert!(wire.hear_json().await["publish"].is_object());
        wire
    };
    // What is made once is made for the first.
    for at in 0..50 {
        all.push(open(at).await);
    }
    let before = process.resident();
    for at in 50..CROWD {
        all.push(open(at).await);
    }
    let held = async || {
        let request = "GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
        let answer = http::ask(process.metrics, request).await;
        number(answer.text(), "sealcast_outbound_queue_bytes")
    };
    let deadline = Instant::now() + PATIENCE;
    while held().await > 0.0 {
        assert!(Instant::now() < deadline, "something is held");
        sleep(Duration::from_millis(50)).await;
    }
    let grown = process.resident().saturating_sub(before);
    let each = grown * 1_024 / (CROWD as u64 - 50);
    println!("2000 clients after 60 KB each: {each} bytes resident for each");
    assert!(each < 24 << 10, "{each} bytes for each");
}
