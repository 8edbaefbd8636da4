//! Leaving by signal.

use std::time::Duration;

use rustix::process::Signal;
use sealcast_client::{Connection, Options};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::get;
use crate::support::client::Wire;
use crate::support::process::Process;
use crate::support::{PATIENCE, token};

fn shutdown(lb_wait: &str, spread: &str, deadline: &str) -> Value {
    json!({ "shutdown": { "lb_wait": lb_wait, "spread": spread, "deadline": deadline } })
}

async fn connect(process: &Process) -> Wire {
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    options.token = Some(token::of("ada"));
    let mut connection = Connection::open(&options).await.unwrap();
    connection.connect(&options).await.unwrap();
    Wire(connection)
}

/// Waits until the node says that it is not ready.
async fn leaving(process: &Process) {
    let asked = async {
        while get(process.public, "/health/ready").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("not ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_leaves_in_order() {
    let process = Process::serve(shutdown("1s", "1500ms", "20s"));
    let mut wires = Vec::new();
    for _ in 0..30 {
        wires.push(connect(&process).await);
    }
    process.signal(Signal::TERM);
    leaving(&process).await;
    // It is not ready, and serves whom it has all the same.
    assert_eq!(get(process.public, "/health/live").await.status, 200);
    for wire in &mut wires {
        wire.is_quiet().await;
    }
    let handshake = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let refused = crate::support::http::ask(process.public, handshake).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());

    let closing = wires.into_iter().map(|mut wire| {
        tokio::spawn(async move {
            let frame = wire.0.next(PATIENCE).await.unwrap();
            let closed = Instant::now();
            let text = format!("{frame:?}");
            assert_eq!(text, "Close(3001, \"shutdown\")");
            closed
        })
    });
    let mut times = Vec::new();
    for close in closing.collect::<Vec<_>>() {
        times.push(close.await.unwrap());
    }
    times.sort();
    let spread = times[29] - times[0];
    assert!(spread >= Duration::from_millis(700), "all within {spread:?}");
    let middle = times[15] - times[0];
    assert!(middle >= Duration::from_millis(250), "half of them within {middle:?}");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("drain_begins") && ended.stderr.contains("drain_ends"));
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn an_interrupt_is_as_good() {
    let process = Process::serve(shutdown("0s", "0s", "10s"));
    let mut wire = connect(&process).await;
    process.signal(Signal::INT);
    assert_eq!(wire.closed().await, 3001);
    drop(wire);
    assert_eq!(process.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let process = Process::serve(shutdown("60s", "60s", "120s"));
        let _wire = connect(&process).await;
        process.signal(Signal::TERM);
        leaving(&process).await;
        let began = Instant::now();
        process.signal(second);
        let ended = process.ended().await;
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn the_deadline_holds_against_who_does_not_go() {
    let process = Process::serve(shutdown("0s", "0s", "700ms"));
    // Never reads, so it never answers the close frame.
    let _deaf = connect(&process).await;
    let began = Instant::now();
    process.signal(Signal::TERM);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("drain_deadline"), "{}", ended.stderr);
    let lived = began.elapsed().as_secs_f64();
    assert!((0.6..4.0).contains(&lived), "{lived}");
}

#[tokio::test]
async fn nobody_to_wait_for_means_no_wait() {
    let process = Process::serve(shutdown("0s", "10s", "60s"));
    let began = Instant::now();
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
