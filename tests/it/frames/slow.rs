//! Messages that do not come to an end.

use std::time::Duration;

use futures_util::future::join_all;
use sealcast_client::{Error, Frame};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{announced, frame};
use crate::support::client::Wire;
use crate::support::node::TestNode;

async fn node() -> TestNode {
    TestNode::with(json!({ "limits": { "message_deadline": "400ms" } })).await
}

#[tokio::test]
async fn half_a_message_ends_the_connection() {
    let node = node().await;
    let begun = [
        b"\x81".to_vec(),
        announced(0x81, 65_536)[..8].to_vec(),
        announced(0x81, 65_536),
        frame(0x81, b"{}")[..7].to_vec(),
        frame(0x01, b"{"),
        [frame(0x01, b"{"), frame(0x89, b"")[..3].to_vec()].concat(),
    ];
    let ends = begun.iter().flat_map(|begun| [(begun, false), (begun, true)]);
    join_all(ends.map(async |(begun, connected)| {
        let mut wire =
            if connected { Wire::connected(&node, "ada").await } else { Wire::open(&node).await };
        let began = Instant::now();
        wire.0.send_bytes(begun).await.unwrap();
        assert_eq!(wire.closed().await, 1008, "{begun:?}, connected {connected}");
        let lived = began.elapsed();
        assert!(lived >= Duration::from_millis(390), "{lived:?}");
    }))
    .await;
}

#[tokio::test]
async fn neither_trickle_nor_pings_put_the_deadline_off() {
    let node = node().await;
    for trickle in [frame(0x00, b" "), frame(0x89, b"")] {
        let mut wire = Wire::connected(&node, "ada").await;
        let began = Instant::now();
        wire.0.send_bytes(&frame(0x01, b"{")).await.unwrap();
        let code = loop {
            wire.0.send_bytes(&trickle).await.unwrap();
            match wire.0.next_frame(Duration::from_millis(60)).await {
                Ok(Frame::Close(code, _)) => break code,
                Ok(Frame::Pong(_)) | Err(Error::Timeout) => {}
                other => panic!("{other:?}"),
            }
            assert!(began.elapsed() < Duration::from_secs(3), "{trickle:?}");
        };
        assert_eq!(code, Some(1008));
        let lived = began.elapsed();
        assert!(lived >= Duration::from_millis(390), "{lived:?}");
    }
}

#[tokio::test]
async fn whole_messages_may_come_as_slowly_as_they_like() {
    let node = node().await;
    let mut wire = Wire::connected(&node, "ada").await;
    for _ in 0..4 {
        wire.0.send_bytes(&frame(0x01, b"{\"id\":2,\"unsubscribe\":")).await.unwrap();
        sleep(Duration::from_millis(200)).await;
        wire.0.send_bytes(&frame(0x80, b"{\"channel\":\"room\"}}")).await.unwrap();
        assert_eq!(wire.hear().await, r#"{"id":2,"unsubscribe":{}}"#);
    }
}
