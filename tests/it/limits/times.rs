//! Lengths of time: a little before each and a little past it, in both profiles. The
//! hub's deadlines are looked at with times that are passed in; what hyper's timers do
//! is waited for.

use std::time::Duration;

use futures_util::future::join_all;
use sealcast::hub::{Hub, Millis};
use sealcast_wire::Encoding;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{PROFILES, connected, node_options};
use crate::frames::frame;
use crate::slow::{held, reluctant};
use crate::stream::reader::{Stream, connect, post};
use crate::support::client::Wire;
use crate::support::node::{TestNode, lay_over};
use crate::support::{eventually, token};

async fn node(profile: &str) -> TestNode {
    let mut options = node_options(profile, json!({ "user_messages": "none" }));
    lay_over(
        &mut options,
        json!({
            "sse": { "enabled": true }, "http_stream": { "enabled": true },
            "channel": { "without_namespace": { "allow_subscribe_for_client": true } },
        }),
    );
    TestNode::with(options).await
}

fn hub(node: &TestNode) -> &Hub {
    node.node.as_ref().unwrap().app().policy.relay.hub()
}

fn open(node: &TestNode) -> usize {
    hub(node).connections().iter().filter(|connection| connection.is_open()).count()
}

/// Between what two points of the node's clock something began.
struct Began(Millis, Millis);

impl Began {
    /// One millisecond before `length` everyone is still there, and at it nobody.
    fn ends_after(&self, node: &TestNode, length: Duration, what: &str) {
        let connections = open(node);
        assert!(connections > 0, "{what}");
        hub(node).sweep(Millis(self.0.0 + Millis::from(length).0 - 1));
        assert_eq!(open(node), connections, "{what}: before its time");
        hub(node).sweep(self.1.after(length.into()));
        assert_eq!(open(node), 0, "{what}: past its time");
    }
}

async fn begun<T>(node: &TestNode, doing: impl Future<Output = T>) -> (T, Began) {
    let before = hub(node).clock().now();
    let done = doing.await;
    (done, Began(before, hub(node).clock().now()))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn until_a_client_must_have_connected() {
    for (profile, length) in [("strict", seconds(5)), ("standard", seconds(10))] {
        let node = node(profile).await;
        let (mut wire, began) = begun(&node, async {
            let wire = Wire::open(&node).await;
            eventually("it is there", || open(&node) == 1).await;
            wire
        })
        .await;
        began.ends_after(&node, length, profile);
        assert_eq!(wire.closed().await, 3502, "{profile}");
    }
}

#[tokio::test]
async fn until_a_message_must_have_come() {
    for (profile, length) in [("strict", seconds(5)), ("standard", seconds(10))] {
        let node = node(profile).await;
        let mut wire = connected(&node, "ada", Encoding::Json).await;
        let (_, began) = begun(&node, async {
            wire.0.send_bytes(&frame(0x01, b"{")).await.unwrap();
            eventually("a part has come", || held(&node) > 0).await;
        })
        .await;
        began.ends_after(&node, length, profile);
        assert_eq!(wire.closed().await, 1008, "{profile}");
    }
}

#[tokio::test]
async fn until_a_ping_must_be_answered_over_every_transport() {
    for profile in PROFILES {
        for transport in ["websocket", "http_stream", "sse"] {
            let node = node(profile).await;
            let what = format!("{profile} {transport}");
            let (_client, began) = begun(&node, client(&node, transport)).await;
            // The first ping varies, so that not all are sent at once.
            hub(&node).sweep(began.1.after(seconds(25).into()));
            assert_eq!(open(&node), 1, "{what}: pinged");
            let pinged = began.1.after(seconds(25).into());
            Began(pinged, pinged).ends_after(&node, seconds(8), &what);
            let code = "sealcast_disconnects_total{code=\"3012\"}";
            eventually("it is told", || node.number(code) == 1.0).await;
        }
    }
}

#[tokio::test]
async fn until_a_connection_is_too_old_over_every_transport() {
    for (profile, hours) in [("strict", 8), ("standard", 24)] {
        for transport in ["websocket", "http_stream", "sse"] {
            let node = node(profile).await;
            let (_client, began) = begun(&node, client(&node, transport)).await;
            let age = seconds(hours * 3_600);
            // A tenth more or less. Pings would end it before.
            for connection in hub(&node).connections() {
                connection.set_deadline(sealcast::hub::Deadline::Ping, Millis::NEVER);
                connection.set_deadline(sealcast::hub::Deadline::Expiry, Millis::NEVER);
            }
            hub(&node).sweep(Millis(began.0.0 + Millis::from(age * 9 / 10).0 - 1));
            assert_eq!(open(&node), 1, "{profile} {transport}: too young");
            hub(&node).sweep(began.1.after((age * 11 / 10).into()));
            assert_eq!(open(&node), 0, "{profile} {transport}: too old");
            let code = "sealcast_disconnects_total{code=\"3011\"}";
            eventually("it is told", || node.number(code) == 1.0).await;
        }
    }
}

#[tokio::test]
async fn until_another_token_must_have_come() {
    for profile in PROFILES {
        let node = node(profile).await;
        let connect = json!({ "token": token::expiring("ada", 600) });
        let ((mut wire, result), began) = begun(&node, Wire::admitted(&node, connect)).await;
        for connection in hub(&node).connections() {
            connection.set_deadline(sealcast::hub::Deadline::Ping, Millis::NEVER);
        }
        let left = seconds(result["ttl"].as_u64().unwrap());
        began.ends_after(&node, left + seconds(25), profile);
        assert_eq!(wire.closed().await, 3005, "{profile}");
    }
}

#[tokio::test]
async fn until_a_subscription_must_have_another_token() {
    for profile in PROFILES {
        let node = node(profile).await;
        let mut wire = connected(&node, "ada", Encoding::Json).await;
        let claims = json!({ "sub": "ada", "channel": "room", "exp": token::now() + 600 });
        let subscribe = json!({ "channel": "room", "token": token::signed(claims) });
        let asked = json!({ "id": 2, "subscribe": subscribe }).to_string();
        let (answer, began) = begun(&node, wire.ask(&asked)).await;
        let left = seconds(answer["subscribe"]["ttl"].as_u64().unwrap());
        let connections = hub(&node).connections();
        let connection = connections.first().unwrap();
        // No task runs in between that would take the notes itself.
        let ended = |at: Millis| {
            connection.set_deadline(sealcast::hub::Deadline::Ping, Millis::NEVER);
            connection.set_deadline(sealcast::hub::Deadline::Expiry, Millis::NEVER);
            hub(&node).sweep(at);
            connection.take_notes(at).expired.len()
        };
        let length = Millis::from(left + seconds(25));
        assert_eq!(ended(Millis(began.0.after(length).0 - 1)), 0, "{profile}: before its time");
        assert_eq!(ended(began.1.after(length)), 1, "{profile}: past its time");
    }
}

#[tokio::test]
async fn until_a_write_must_make_progress() {
    for profile in PROFILES {
        let node = node(profile).await;
        let deaf = reluctant(&node).await;
        let data = json!({ "channel": "room", "data": "x".repeat(1_000) });
        let (_, began) = begun(&node, async {
            while held(&node) == 0 {
                node.api("publish", &data).await;
            }
        })
        .await;
        began.ends_after(&node, seconds(5), profile);
        let code = "sealcast_disconnects_total{code=\"3009\"}";
        eventually("it is told", || node.number(code) == 1.0).await;
        drop(deaf);
    }
}

/// Real time: five seconds for a header, ten for a body, in either profile.
#[tokio::test]
async fn until_a_request_must_have_come() {
    let strict = node("strict").await;
    let standard = node("standard").await;
    let header = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\n".to_owned();
    let body = post("/connection/http_stream", "", "{}").replace("Length: 2", "Length: 9");
    let each = [&strict, &standard].into_iter().flat_map(|node| {
        [(node, header.clone(), seconds(5), ""), (node, body.clone(), seconds(10), "408")]
    });
    join_all(each.map(async |(node, request, length, status)| {
        let mut stream = TcpStream::connect(node.public).await.unwrap();
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let lived = began.elapsed();
        assert!(lived >= length - Duration::from_millis(10), "{request:?}: {lived:?}");
        assert!(lived < length * 3, "{request:?}: {lived:?}");
        assert_eq!(answer.get(9..12).unwrap_or(""), status, "{answer}");
    }))
    .await;
}

/// A connected client that answers nothing.
async fn client(node: &TestNode, transport: &str) -> Box<dyn std::any::Any> {
    let connect = connect(&token::of("ada"));
    match transport {
        "websocket" => Box::new(connected(node, "ada", Encoding::Json).await),
        transport => {
            let request = post(&format!("/connection/{transport}"), "", &connect);
            let mut stream = Stream::opened(node, &request).await;
            let events = transport == "sse";
            let reply = if events { stream.event().await } else { stream.json().await };
            assert!(reply["connect"].is_object(), "{reply}");
            Box::new(stream)
        }
    }
}
