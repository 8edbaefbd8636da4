//! Honest clients beside others that send as fast as they can (S4-43, T-34).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sealcast_client::{Connection, Options};
use sealcast_wire::Encoding;
use sealcast_wire::reply::{Body, Event};
use sealcast_wire::ws::Opcode;
use serde_json::json;
use tokio::time::sleep;

use super::node_under;
use crate::support::client::Wire;
use crate::support::eventually;

const ATTACKERS: usize = 4;
const HONEST: usize = 3;
/// Publishes of each honest client, one in 200 ms: as many as its user may send at once.
const MESSAGES: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_touch_those_who_keep_to_the_limits() {
    // All come from one address here, and an honest client is not of theirs.
    let lifted = json!({ "ip_connects": "none", "ip_connections": 1_000 });
    let node = node_under("standard", lifted).await;
    let over = Arc::new(AtomicBool::new(false));
    let frames = Arc::new(AtomicUsize::new(0));
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|at| {
            let options = node.options(&format!("mallory-{at}"), Encoding::Json);
            tokio::spawn(attack(options, Arc::clone(&over), Arc::clone(&frames)))
        })
        .collect();
    eventually("the flood has begun", || frames.load(Ordering::Relaxed) > 50).await;

    let mut listener = Wire::connected(&node, "listener").await;
    listener.ask(r#"{"id":2,"subscribe":{"channel":"open:honest"}}"#).await;
    let honest: Vec<_> = {
        let mut wires = Vec::new();
        for at in 0..HONEST {
            wires.push(Wire::connected(&node, &format!("honest-{at}")).await);
        }
        wires.into_iter().enumerate().map(|(at, wire)| tokio::spawn(speak(at, wire))).collect()
    };
    let mut heard = [0; HONEST];
    while heard.iter().sum::<usize>() < HONEST * MESSAGES {
        let reply = listener.reply().await;
        let Body::Push(push) = reply.body else { continue };
        let Event::Publication(publication) = push.event else { continue };
        let [at, number]: [usize; 2] = serde_json::from_slice(&publication.data).unwrap();
        let count = &mut heard[at];
        assert_eq!(number, *count, "in order, and none is missing");
        *count += 1;
    }
    for one in honest {
        one.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for one in attackers {
        one.await.unwrap();
    }

    let refused = node.number("sealcast_rate_limited_total");
    assert!(refused > 1_000.0, "{refused}");
    assert!(node.number("sealcast_disconnects_total{code=\"3013\"}") >= 4.0);
    // Nothing stays of those who came and went.
    drop(listener);
    eventually("all are gone", || node.number("sealcast_connections") == 0.0).await;
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
    assert_eq!(node.number("sealcast_outbound_queue_bytes"), 0.0);
}

/// Fills frames with commands, and comes again when it is sent away.
async fn attack(options: Options, over: Arc<AtomicBool>, frames: Arc<AtomicUsize>) {
    let publish =
        |id: usize| format!(r#"{{"id":{id},"publish":{{"channel":"open:evil","data":1}}}}"#);
    let frame = (2..202).map(publish).collect::<Vec<_>>().join("\n");
    while !over.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(&options).await else { continue };
        if connection.connect(&options).await.is_err() {
            continue;
        }
        while !over.load(Ordering::Relaxed) {
            frames.fetch_add(1, Ordering::Relaxed);
            if connection.send_frame(frame.as_bytes(), Opcode::Text).await.is_err() {
                break;
            }
            // Reads what comes, until it is sent away.
            if connection.next_frame(Duration::from_millis(5)).await.is_err_and(is_end) {
                break;
            }
        }
    }
}

fn is_end(error: sealcast_client::Error) -> bool {
    !matches!(error, sealcast_client::Error::Timeout)
}

async fn speak(at: usize, mut wire: Wire) {
    for number in 0..MESSAGES {
        let data = json!([at, number]);
        let publish = json!({ "channel": "open:honest", "data": data });
        let answer = wire.ask(&json!({ "id": number + 2, "publish": publish }).to_string()).await;
        assert!(answer["publish"].is_object(), "{answer}");
        sleep(Duration::from_millis(200)).await;
    }
}
