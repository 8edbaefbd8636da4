//! A channel that became deaf alone: everything else is well, nothing is
//! announced, and nothing comes behind what was lost.

use std::time::Duration;

use sealcast_client::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::nodes::{ask, node_at, subscribe};
use crate::support::client::Wire;
use crate::support::proxy::{NEEDLE, Passes, Proxy};
use crate::support::redis::RedisServer;

/// A check after twelve seconds at the latest, another two later, and some time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_was_lost_with_no_later_one_is_found_and_comes() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.address()).await;
    let here = node_at(&proxy.address.to_string()).await;
    let there = node_at(&server.address()).await;
    let mut ada = Wire::connected(&here, "ada").await;
    subscribe(&mut ada).await;
    proxy.set(Passes::NoNeedle);
    let mut publisher = Wire::connected(&there, "eve").await;
    let command = json!({ "id": 7, "publish": { "channel": "kept:a", "data": NEEDLE } });
    let answer = ask(&mut publisher, command).await;
    assert!(answer["publish"].is_object(), "{answer}");
    let lost = Instant::now();
    let found = async {
        loop {
            let Ok(Frame::Text(text)) = ada.0.next_frame(FOUND_WITHIN).await else {
                panic!("the connection stands, and nothing comes")
            };
            if text == "{}" {
                ada.say("{}").await;
                continue;
            }
            let push = serde_json::from_str::<Value>(&text).unwrap()["push"].take();
            if push["pub"]["data"] == NEEDLE {
                assert_eq!(push["pub"]["offset"], 1, "{push}");
                return;
            }
            assert!(push["join"].is_object(), "{push}");
        }
    };
    timeout(FOUND_WITHIN, found).await.expect("it is found");
    assert!(proxy.swallowed() > 0, "the fault did not bite");
    assert!(lost.elapsed() > Duration::from_secs(1), "it came by another way");
    assert_eq!(here.number("sealcast_pubsub_reconnects_total"), 0.0, "the link was well");
    assert_eq!(here.number("sealcast_gap_repairs_total{result=\"repaired\"}"), 1.0);
}
