//! Those who have said nothing yet, at the profiles' numbers and one past them, over
//! every transport: sockets that wait for a request, and connections that wait for a
//! connect.

use serde_json::json;
use tokio::net::TcpStream;

use super::transports::{TRANSPORTS, begin, is_open, is_told_to_wait, node};
use crate::support::node::TestNode;
use crate::support::{descriptors, eventually};

/// How many of either there may be in each profile.
const NUMBERS: [(&str, usize); 2] = [("strict", 100), ("standard", 1_000)];
const ADDRESS: &str = "198.51.100.1";

/// As nobody waits here for what must have come in time.
async fn patient(profile: &str) -> TestNode {
    descriptors::raise();
    let limits = json!({
        "ip_connects": "none", "node_connects": "none", "ip_connections": 10_000,
        "header_timeout": "1h",
    });
    node(profile, limits).await
}

#[tokio::test]
async fn sockets_without_a_request() {
    for (profile, most) in NUMBERS {
        let node = patient(profile).await;
        let mut silent = Vec::new();
        for _ in 1..most {
            silent.push(TcpStream::connect(node.public).await.unwrap());
        }
        for transport in TRANSPORTS {
            let what = format!("{profile} {transport}");
            sockets(&node, most - 1).await;
            let last = begin(&node, transport, "ada", ADDRESS).await;
            assert!(is_open(&last), "{what}: {:?}", last.head);
            drop(last);
            sockets(&node, most - 1).await;
            silent.push(TcpStream::connect(node.public).await.unwrap());
            sockets(&node, most).await;
            let over = begin(&node, transport, "ada", ADDRESS).await;
            is_told_to_wait(&over, 503, &what);
            silent.pop();
        }
        let refused = TRANSPORTS.len() as f64;
        assert_eq!(node.number("sealcast_sockets_refused_total"), refused, "{profile}");
    }
}

/// Streams bring their connect with the request, so they never wait.
#[tokio::test]
async fn connections_without_a_connect() {
    for (profile, most) in NUMBERS {
        let node = patient(profile).await;
        for transport in ["websocket", "uni_websocket"] {
            let what = format!("{profile} {transport}");
            let mut silent = Vec::new();
            for at in 0..most {
                let stream = begin(&node, transport, "ada", ADDRESS).await;
                assert!(is_open(&stream), "{what}: {at}: {:?}", stream.head);
                silent.push(stream);
            }
            assert_eq!(node.number("sealcast_connections_waiting"), most as f64, "{what}");
            for other in &TRANSPORTS[..2] {
                is_told_to_wait(&begin(&node, other, "ada", ADDRESS).await, 503, &what);
            }
            drop(silent);
            eventually("gone", || node.number("sealcast_connections_waiting") == 0.0).await;
        }
    }
}

/// Waits until there are so many.
async fn sockets(node: &TestNode, count: usize) {
    let what = format!("{count} sockets");
    eventually(&what, || node.number("sealcast_sockets") == count as f64).await;
}
