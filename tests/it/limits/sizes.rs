//! Sizes and counts that the profiles set.

use sealcast_wire::command::{Publish, Subscribe};
use sealcast_wire::ws::Opcode;
use sealcast_wire::{Command, Data, Encoding, Request};
use serde_json::json;

use super::{ENCODINGS, PROFILES, batch, connected, node_options, node_under};
use crate::frames::frame;
use crate::stream::reader::{Stream, connect, post};
use crate::support::client::Wire;
use crate::support::node::{API_KEY, TestNode, lay_over};
use crate::support::token;

/// A JSON text of so many bytes.
fn text_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

fn publish<'a>(channel: &'a str, data: &'a str) -> Request<'a> {
    let data = Some(Data::Json(data.as_bytes()));
    Request::Publish(Publish { channel: channel.into(), data, kind: 0 })
}

#[tokio::test]
async fn payloads_at_the_number_and_one_past_it_each_of_a_batch() {
    for (profile, most) in [("strict", 1_024), ("standard", 65_536)] {
        // By itself a frame holds no more than one of the largest with its command.
        let mut options = node_options(profile, json!({}));
        options["websocket"] = json!({ "message_size_limit": 256 << 10 });
        let node = TestNode::with(options).await;
        for encoding in ENCODINGS {
            let mut wire = connected(&node, &format!("{encoding:?}"), encoding).await;
            let (fits, over) = (text_of(most), text_of(most + 1));
            let all = [&fits, &over, &fits].map(|data| publish("open:a", data));
            let answers = batch(&mut wire, encoding, all.into()).await;
            assert_eq!(answers, [0, 107, 0], "{profile} {encoding:?}");
        }
        for (bytes, code) in [(most, json!(null)), (most + 1, json!(107))] {
            let data: serde_json::Value = serde_json::from_str(&text_of(bytes)).unwrap();
            let answer = node.api("publish", &json!({ "channel": "open:a", "data": data })).await;
            assert_eq!(answer.json()["error"]["code"], code, "{profile}: {bytes}");
        }
    }
}

/// 64 KiB as it comes over any transport, and four times as much by the server API.
#[tokio::test]
async fn all_of_a_message_at_the_number_and_one_past_it() {
    const MOST: usize = 65_536;
    let padded = |text: &str, bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    let command = r#"{"id":9,"unsubscribe":{"channel":"a"}}"#;
    for profile in PROFILES {
        let mut options = node_options(profile, json!({}));
        lay_over(
            &mut options,
            json!({ "sse": { "enabled": true }, "http_stream": { "enabled": true } }),
        );
        let node = TestNode::with(options).await;
        let mut wire = connected(&node, "ada", Encoding::Json).await;
        assert_eq!(wire.ask(&padded(command, MOST)).await["id"], 9, "{profile}");
        wire.say(&padded(command, MOST + 1)).await;
        assert_eq!(wire.closed().await, 1009, "{profile}");

        let mut wire = connected(&node, "ada", Encoding::Protobuf).await;
        let of = |payload: usize| {
            let (text, mut command) = (text_of(payload), Vec::new());
            let request = publish("open:a", &text);
            Encoding::Protobuf.put_command(&mut command, &Command { id: 9, request });
            command
        };
        // What stands beside a payload of about this size.
        let beside = of(60_000).len() - 60_000;
        wire.0.send_frame(&of(MOST - beside), Opcode::Binary).await.unwrap();
        assert_eq!(wire.reply().await.id, 9, "{profile}");
        assert_eq!(of(MOST + 1 - beside).len(), MOST + 1);
        wire.0.send_frame(&of(MOST + 1 - beside), Opcode::Binary).await.unwrap();
        assert_eq!(wire.closed().await, 1009, "{profile}");

        for path in ["/connection/http_stream", "/connection/sse"] {
            let connect = connect(&token::of("ada"));
            for (bytes, status) in [(MOST, 200), (MOST + 1, 413)] {
                let request = post(path, "", &padded(&connect, bytes));
                let answer = Stream::open(&node, request).await.head;
                assert_eq!(answer.status, status, "{profile} {path} {bytes}");
            }
        }
        for (bytes, status) in [(MOST, 404), (MOST + 1, 413)] {
            let nobody = r#"{"session":"none","node":"none","data":""}"#;
            let request = post("/emulation", "", &padded(nobody, bytes));
            let answer = Stream::open(&node, request).await.head;
            assert_eq!(answer.status, status, "{profile} /emulation {bytes}");
        }
        let key = format!("X-API-Key: {API_KEY}\r\n");
        for (bytes, status) in [(4 * MOST, 200), (4 * MOST + 1, 413)] {
            let request = post("/api/info", &key, &padded("{}", bytes));
            let answer = Stream::open(&node, request).await.head;
            assert_eq!(answer.status, status, "{profile} /api/info {bytes}");
        }
    }
}

#[tokio::test]
async fn bytes_of_one_connection() {
    let limits =
        json!({ "conn_bytes": "20000/h", "conn_commands": "none", "user_messages": "none" });
    let node = node_under("standard", limits).await;
    let text = text_of(1_000);
    for encoding in ENCODINGS {
        let mut wire = connected(&node, "ada", encoding).await;
        // Its own frame is a little more than its payload.
        let answers = batch(&mut wire, encoding, vec![publish("open:a", &text); 19]).await;
        assert_eq!(answers, [0; 19]);
        let over = vec![publish("open:a", &text), publish("open:a", "1")];
        assert_eq!(batch(&mut wire, encoding, over).await, [111, 111], "all of the frame");
        // What fits still passes.
        assert_eq!(batch(&mut wire, encoding, vec![publish("open:a", "1")]).await, [0]);
    }
    assert_eq!(super::limited(&node, "bytes"), 4.0);
}

/// A megabyte at once, and what the time brings: 256 KiB in each second.
#[tokio::test]
async fn bytes_of_one_connection_by_the_profiles() {
    const BURST: u128 = 1 << 20;
    const RATE: u128 = 262_144;
    // Of a frame, of which the command takes a little.
    const LEAST: u128 = 65_000;
    const MOST: u128 = 65_100;
    for profile in PROFILES {
        // So few commands hold much.
        let limits = json!({ "message_bytes": 65_536, "user_messages": "none" });
        let node = node_under(profile, limits).await;
        let text = text_of(65_000);
        let began = tokio::time::Instant::now();
        let mut wire = connected(&node, "ada", Encoding::Json).await;
        let mut passed = 0;
        while batch(&mut wire, Encoding::Json, vec![publish("open:a", &text)]).await == [0] {
            passed += 1;
        }
        let brought = RATE * began.elapsed().as_millis() / 1_000;
        assert_eq!(super::limited(&node, "bytes"), 1.0, "{profile}");
        assert!((passed + 1) * MOST > BURST, "{profile}: {passed} frames");
        assert!(passed * LEAST <= BURST + brought, "{profile}: {passed} frames");
    }
}

#[tokio::test]
async fn a_namespace_may_have_less_than_the_listener() {
    let namespaces = json!([
        { "name": "own", "message_bytes": 100, "allow_publish_for_client": true },
        { "name": "strict", "limit_profile": "strict", "allow_publish_for_client": true },
        { "name": "all", "allow_publish_for_client": true },
    ]);
    let node =
        crate::support::node::TestNode::with(json!({ "channel": { "namespaces": namespaces } }));
    let node = node.await;
    for encoding in ENCODINGS {
        let mut wire = connected(&node, "ada", encoding).await;
        let texts = [100, 101, 1_024, 1_025].map(text_of);
        let answers = batch(
            &mut wire,
            encoding,
            vec![
                publish("own:a", &texts[0]),
                publish("own:a", &texts[1]),
                publish("strict:a", &texts[2]),
                publish("strict:a", &texts[3]),
                publish("all:a", &texts[3]),
            ],
        );
        assert_eq!(answers.await, [0, 107, 0, 107, 0]);
    }
    let over: serde_json::Value = serde_json::from_str(&text_of(101)).unwrap();
    let answer = node.api("publish", &json!({ "channel": "own:a", "data": over })).await;
    assert_eq!(answer.json()["error"]["code"], 107, "the server API too");
}

#[tokio::test]
async fn channels_of_one_connection() {
    for (profile, most) in [("strict", 32), ("standard", 128)] {
        let node = node_under(profile, json!({ "subscribe": "none" })).await;
        for encoding in ENCODINGS {
            let mut wire = connected(&node, "ada", encoding).await;
            let subscribe = |at: usize| {
                let channel = format!("open:{at}").into();
                Request::Subscribe(Box::new(Subscribe { channel, ..Subscribe::default() }))
            };
            let answers = batch(&mut wire, encoding, (0..=most).map(subscribe).collect()).await;
            // They run side by side: any of them may be the one too many.
            let over: Vec<_> = answers.into_iter().filter(|code| *code != 0).collect();
            assert_eq!(over, [106], "{profile}");
        }
    }
}

#[tokio::test]
async fn fragments_of_one_frame() {
    for (profile, most) in [("strict", 16), ("standard", 64)] {
        let node = node_under(profile, json!({})).await;
        // A message that is whole with the last of so many fragments.
        let fragments = |count: usize| {
            let first = frame(0x01, br#"{"id":9,"unsubscribe":{"channel":"a"}}"#);
            let more = frame(0x00, b" ").repeat(count - 2);
            [first, more, frame(0x80, b" ")].concat()
        };
        let mut wire = connected(&node, "ada", Encoding::Json).await;
        wire.0.send_bytes(&fragments(most)).await.unwrap();
        assert_eq!(wire.hear_json().await["id"], 9, "{profile}");
        wire.0.send_bytes(&fragments(most + 1)).await.unwrap();
        assert_eq!(wire.closed().await, 1008, "{profile}");
    }
}

#[tokio::test]
async fn the_life_of_a_token() {
    for (profile, minutes) in [("strict", 15), ("standard", 60)] {
        let node = node_under(profile, json!({})).await;
        let connect = |seconds: u64| {
            let (now, user) = (token::now(), "ada");
            let claims = json!({ "sub": user, "iat": now, "exp": now + seconds });
            json!({ "id": 1, "connect": { "token": token::signed(claims) } }).to_string()
        };
        let answer = Wire::open(&node).await.ask(&connect(minutes * 60)).await;
        assert!(answer["connect"].is_object(), "{profile}: {answer}");
        // More than a stalled machine makes of it.
        let code = Wire::open(&node).await.closed_by(&connect(minutes * 60 + 60)).await;
        assert_eq!(code, 3500, "{profile}");
    }
}

#[tokio::test]
async fn the_age_of_a_connection() {
    let node = TestNode::with(json!({ "limits": { "connection_max_age": "1s" } })).await;
    let mut wire = Wire::connected(&node, "ada").await;
    assert_eq!(wire.closed().await, 3011);
}

#[tokio::test]
async fn connections_of_one_user() {
    for (profile, most) in [("strict", 3), ("standard", 10)] {
        let limits = json!({ "profile": profile });
        let options = json!({ "client": { "user_connection_limit": null }, "limits": limits });
        let node = TestNode::with(options).await;
        let mut wires = Vec::new();
        for _ in 0..most {
            wires.push(connected(&node, "ada", Encoding::Json).await);
        }
        let mut over = Wire::open(&node).await;
        let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } });
        assert_eq!(over.closed_by(&connect.to_string()).await, 3013, "{profile}");
        wires.push(connected(&node, "bob", Encoding::Json).await);
        for wire in &mut wires {
            wire.is_quiet().await;
        }
    }
}
