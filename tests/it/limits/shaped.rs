//! Publications to channels that are shaped: a limit of their own.

use sealcast_wire::command::Publish;
use sealcast_wire::{Data, Request};
use serde_json::{Value, json};

use super::{ENCODINGS, PROFILES, batch, connected, limited, refused};
use crate::support::node::TestNode;

async fn node(limits: Value) -> TestNode {
    let shaped = |name: &str, shaping: Value| {
        json!({
            "name": name, "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "shaping": shaping,
        })
    };
    let options = json!({
        "limits": { "ip_connects": "none" },
        "channel": { "namespaces": [
            shaped("drawing", json!({ "mode": "batch" })),
            shaped("cursors", json!({ "mode": "latest" })),
            {
                "name": "members", "allow_subscribe_for_client": true,
                "allow_publish_for_subscriber": true, "shaping": { "mode": "batch" },
            },
            { "name": "plain", "allow_publish_for_client": true },
        ] },
    });
    let mut options = options;
    crate::support::node::lay_over(&mut options["limits"], limits);
    TestNode::with(options).await
}

fn publishes(channel: &'static str, count: usize) -> Vec<Request<'static>> {
    let publish = || {
        let data = Some(Data::Json(b"1"));
        Request::Publish(Publish { channel: channel.into(), data, kind: 0 })
    };
    (0..count).map(|_| publish()).collect()
}

#[tokio::test]
async fn sixty_pass_and_one_more_does_not() {
    for profile in PROFILES {
        let node = node(json!({ "profile": profile })).await;
        for encoding in ENCODINGS {
            let what = format!("{profile} {encoding:?}");
            let user = format!("{profile}{encoding:?}");
            let mut wire = connected(&node, &user, encoding).await;
            let before = limited(&node, "ephemeral");
            let answers = batch(&mut wire, encoding, publishes("drawing:a", 61)).await;
            assert_eq!((refused(&answers), answers[60]), (1, 111), "{what}: {answers:?}");
            assert_eq!(limited(&node, "ephemeral") - before, 1.0, "{what}");
            // Another channel has its own, and ordinary commands have all of theirs.
            let answers = batch(&mut wire, encoding, publishes("drawing:b", 60)).await;
            assert_eq!(refused(&answers), 0, "{what}: {answers:?}");
            let answers = batch(&mut wire, encoding, publishes("plain:a", 20)).await;
            assert_eq!(refused(&answers), 0, "{what}: {answers:?}");
            assert_eq!(limited(&node, "ephemeral") - before, 1.0, "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_merged_is_refused_at_ten_times_the_limit() {
    for profile in PROFILES {
        let node = node(json!({ "profile": profile, "ephemeral": "20/s" })).await;
        for encoding in ENCODINGS {
            let user = format!("{profile}{encoding:?}");
            let mut wire = connected(&node, &user, encoding).await;
            let answers = batch(&mut wire, encoding, publishes("cursors:a", 201)).await;
            assert_eq!((refused(&answers), answers[200]), (1, 111), "{answers:?}");
            let answers = batch(&mut wire, encoding, publishes("cursors:b", 200)).await;
            assert_eq!(refused(&answers), 0, "{answers:?}");
        }
    }
}

#[tokio::test]
async fn who_may_not_publish_there_has_the_usual_limits() {
    let node = node(json!({ "profile": "standard" })).await;
    for encoding in ENCODINGS {
        let mut wire = connected(&node, &format!("{encoding:?}"), encoding).await;
        let before = limited(&node, "connection");
        let answers = batch(&mut wire, encoding, publishes("members:a", 21)).await;
        assert_eq!(answers[..20], [103; 20]);
        assert_eq!(answers[20], 111);
        assert_eq!(limited(&node, "connection") - before, 1.0);
    }
}
