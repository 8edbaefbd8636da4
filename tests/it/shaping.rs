//! Channels of cursors and drawing: what goes out of what came in, on one node and
//! on three.

mod cluster;

use std::collections::BTreeMap;

use sealcast_client::Session;
use sealcast_client::session::Event;
use sealcast_wire::{Data, Encoding, Publication, Request, command, joined};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::client::{Wire, client};
use crate::support::eventually;
use crate::support::node::TestNode;

/// Namespaces of each kind, under the limits of the open internet.
fn options() -> Value {
    let shaped = |name: &str, shaping: Value, more: Value| {
        let mut namespace = json!({
            "name": name,
            "allow_subscribe_for_client": true,
            "allow_publish_for_client": true,
            "shaping": shaping,
        });
        crate::support::node::lay_over(&mut namespace, more);
        namespace
    };
    json!({
        "limits": { "profile": "standard", "ip_connects": "none" },
        "channel": { "namespaces": [
            shaped("cursors", json!({ "mode": "latest", "rate": 10 }), json!({})),
            shaped("drawing", json!({ "mode": "batch" }), json!({})),
            shaped("slow", json!({ "mode": "batch", "interval": "1s" }), json!({})),
            shaped(
                "bytes",
                json!({ "mode": "batch" }),
                json!({ "publication_data_format": "binary" }),
            ),
            { "name": "plain", "allow_subscribe_for_client": true, "allow_publish_for_client": true },
        ] },
    })
}

/// Publishes of these payloads in one frame, with the ids from 10 on.
fn frame(channel: &str, payloads: impl IntoIterator<Item = String>) -> String {
    let publish = |(id, data): (usize, String)| {
        format!(r#"{{"id":{id},"publish":{{"channel":"{channel}","data":{data}}}}}"#)
    };
    (10..).zip(payloads).map(publish).collect::<Vec<_>>().join("\n")
}

async fn publication(session: &Session) -> Publication {
    match session.next_event().await {
        Event::Publication { publication, .. } => publication,
        other => panic!("{other:?}"),
    }
}

fn shaped(node: &TestNode, mode: &str, step: &str) -> f64 {
    node.number(&format!("sealcast_shaped_total{{mode=\"{mode}\",step=\"{step}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cursor_the_newest_goes_out_so_many_times_a_second() {
    let node = TestNode::with(options()).await;
    for (encoding, who) in [(Encoding::Json, "ada"), (Encoding::Protobuf, "eve")] {
        let channel = format!("cursors:{encoding:?}");
        let before = ["taken", "merged", "sent"].map(|step| shaped(&node, "latest", step));
        let bob = client(&node, "bob", encoding).await;
        bob.subscribe(&channel).await.unwrap();
        let mut ada = Wire::connected(&node, who).await;
        let began = Instant::now();
        ada.say(&frame(&channel, (0..200).map(|n| n.to_string()))).await;
        for id in 10..210 {
            assert_eq!(ada.hear_json().await, json!({ "id": id, "publish": {} }));
        }
        let mut got: Vec<u64> = Vec::new();
        while got.last() != Some(&199) {
            let publication = publication(&bob).await;
            let info = publication.info.as_ref().expect("who published it");
            assert_eq!((&*info.user, publication.offset), (who, 0));
            assert!(publication.tags.is_empty());
            got.push(serde_json::from_slice(&publication.data).unwrap());
        }
        assert!(got.is_sorted(), "{got:?}");
        let most = 2 + began.elapsed().as_millis() as usize / 100;
        assert!(got.len() <= most, "{got:?} of which {most} may be");
        let after = ["taken", "merged", "sent"].map(|step| shaped(&node, "latest", step));
        let [taken, merged, sent] = [0, 1, 2].map(|at| (after[at] - before[at]) as usize);
        assert_eq!((taken, merged, sent), (200, 200 - got.len(), got.len()));
        // Nothing of it is kept, and nothing of it was counted elsewhere: a connection's 20
        // commands and a user's 20 messages are still there.
        let history = json!({ "id": 3, "history": { "channel": channel, "limit": 1 } });
        assert_eq!(ada.refused(&history.to_string()).await, 108);
        ada.say(&frame("plain:a", (0..19).map(|n| n.to_string()))).await;
        for _ in 0..19 {
            let answer = ada.hear_json().await;
            assert!(answer["publish"].is_object(), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_drawing_everything_goes_out_joined_and_in_order() {
    let node = TestNode::with(options()).await;
    let mut wire = Wire::connected(&node, "bob").await;
    wire.ask(r#"{"id":2,"subscribe":{"channel":"drawing:a"}}"#).await;
    let session = client(&node, "bob", Encoding::Protobuf).await;
    session.subscribe("drawing:a").await.unwrap();
    let mut ada = Wire::connected(&node, "ada").await;
    let all: Vec<String> = (0..60).map(|n| format!("{{\"n\":{n}}}")).collect();
    ada.say(&frame("drawing:a", all.clone())).await;
    for _ in &all {
        let answer = ada.hear_json().await;
        assert!(answer["publish"].is_object(), "{answer}");
    }
    let (mut texts, mut publications) = (Vec::new(), 0);
    while texts.len() < all.len() {
        let publication = wire.hear_json().await["push"]["pub"].take();
        assert_eq!(publication["info"]["user"], "ada");
        publications += 1;
        // Alone it is as it came.
        if publication["tags"].is_null() {
            texts.push(publication["data"].to_string());
            continue;
        }
        assert_eq!(publication["tags"], json!({ "sealcast-batch": "json" }));
        let batch = publication["data"]["batch"].as_array().expect("a list").clone();
        assert!(batch.len() > 1);
        texts.extend(batch.iter().map(Value::to_string));
    }
    assert_eq!(texts, all);
    let mut parts = Vec::new();
    while parts.len() < all.len() {
        let apart = joined::split(publication(&session).await).into_iter();
        parts.extend(apart.map(|one| String::from_utf8(one.data.into()).unwrap()));
    }
    assert_eq!(parts, all);
    let [taken, joined, sent] = ["taken", "joined", "sent"].map(|it| shaped(&node, "batch", it));
    assert_eq!(
        (taken, sent, joined),
        (60.0, f64::from(publications), 60.0 - f64::from(publications))
    );
    assert!(publications < 60, "something was joined");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_can_be_joined_where_all_read_binary() {
    let node = TestNode::with(options()).await;
    let bob = client(&node, "bob", Encoding::Protobuf).await;
    bob.subscribe("bytes:a").await.unwrap();
    let mut ada = Wire::open_protobuf(&node).await;
    ada.0.connect(&node.options("ada", Encoding::Protobuf)).await.unwrap();
    let all: Vec<Vec<u8>> =
        (0..30_u8).map(|n| vec![n, 0xff, 0, b'{'][..usize::from(n % 5)].to_vec()).collect();
    let mut bytes = Vec::new();
    for (id, data) in (10..).zip(&all) {
        let channel = "bytes:a".into();
        let publish = command::Publish { channel, data: Some(Data::Opaque(data)), kind: 0 };
        let command = sealcast_wire::Command { id, request: Request::Publish(publish) };
        Encoding::Protobuf.put_command(&mut bytes, &command);
    }
    ada.say_bytes(&bytes).await;
    let (mut parts, mut tags) = (Vec::new(), BTreeMap::new());
    while parts.len() < all.len() {
        let publication = publication(&bob).await;
        tags.extend(publication.tags.clone());
        parts.extend(joined::split(publication).into_iter().map(|one| one.data.to_vec()));
    }
    assert_eq!(parts, all);
    assert_eq!(tags, [("sealcast-batch".to_owned(), "binary".to_owned())].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_of_who_has_gone_arrives() {
    let node = TestNode::with(options()).await;
    let bob = client(&node, "bob", Encoding::Json).await;
    for (channel, count) in [("cursors:a", 200), ("slow:a", 50)] {
        bob.subscribe(channel).await.unwrap();
        let mut ada = Wire::connected(&node, "ada").await;
        ada.say(&frame(channel, (0..=count).map(|n| n.to_string()))).await;
        let taken = if channel == "slow:a" { "batch" } else { "latest" };
        eventually("it is taken in", || shaped(&node, taken, "taken") > f64::from(count)).await;
        drop(ada);
        let mut last = Vec::new();
        while last != count.to_string().as_bytes() {
            let apart = joined::split(publication(&bob).await);
            last = apart.last().expect("one at least").data.to_vec();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_chooses_its_own_pace() {
    let node = TestNode::with(options()).await;
    let bob = client(&node, "bob", Encoding::Json).await;
    for channel in ["cursors:a", "drawing:a"] {
        bob.subscribe(channel).await.unwrap();
        for n in 0..5 {
            let tags = json!({ "n": n.to_string() });
            let wish = json!({ "channel": channel, "data": n, "tags": tags });
            let answer = node.api("publish", &wish).await.json();
            assert_eq!(answer["result"], json!({}), "{answer}");
        }
        for n in 0..5 {
            let publication = publication(&bob).await;
            assert_eq!((&*publication.data, publication.offset), (n.to_string().as_bytes(), 0));
            assert_eq!((publication.tags.len(), publication.info), (1, None));
        }
    }
    assert_eq!(node.number("sealcast_shaped_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_sends_what_waits() {
    let mut options = options();
    options["shutdown"] = json!({ "lb_wait": "0s", "spread": "0s", "deadline": "20s" });
    let mut node = TestNode::with(options).await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.say(&frame("slow:a", (0..20).map(|n| n.to_string()))).await;
    eventually("it is taken in", || shaped(&node, "batch", "taken") >= 20.0).await;
    let metrics =
        std::sync::Arc::clone(node.node.as_ref().unwrap().app().policy.relay.hub().metrics());
    node.node.take().unwrap().drain().await;
    let text = metrics.render();
    let number = |step: &str| {
        let selector = format!("sealcast_shaped_total{{mode=\"batch\",step=\"{step}\"}}");
        crate::support::node::number(&text, &selector)
    };
    assert_eq!(number("sent") + number("joined"), 20.0, "{text}");
}
