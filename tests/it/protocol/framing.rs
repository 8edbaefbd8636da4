//! Commands in frames, in both encodings.

use sealcast_client::Frame;
use sealcast_wire::{Command, Encoding, Request};

use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::node::TestNode;

const ASK: &str = r#"{"id":9,"unsubscribe":{"channel":"x"}}"#;
const ANSWER: &str = r#"{"id":9,"unsubscribe":{}}"#;

#[tokio::test]
async fn lines_are_commands() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for (frame, answers) in [
        (ASK.to_owned(), 1),
        (format!("{ASK}\n"), 1),
        (format!("{ASK}\r\n{ASK}"), 2),
        (format!(" \t{ASK} "), 1),
        (ASK.replace(r#""unsub"#, r#""subscribe":null,"novelty":{"a":[1]},"unsub"#), 1),
        (format!("{{}}\n{ASK}\n{{}}"), 1),
    ] {
        ada.say(&frame).await;
        for _ in 0..answers {
            assert_eq!(ada.hear().await, ANSWER, "{frame:?}");
        }
        ada.is_quiet().await;
    }
}

#[tokio::test]
async fn what_is_no_command_ends_the_connection_after_the_replies_that_are_owed() {
    let node = TestNode::start().await;
    for bad in [
        "",
        "\n",
        "x",
        "[]",
        "1",
        "null",
        "\"a\"",
        "[{}]",
        "{",
        r#"{"id":1}"#,
        r#"{"id":9,"novelty":{}}"#,
        r#"{"unsubscribe":{"channel":"x"}}"#,
        r#"{"id":0,"unsubscribe":{"channel":"x"}}"#,
        r#"{"id":-1,"unsubscribe":{"channel":"x"}}"#,
        r#"{"id":1.0,"unsubscribe":{"channel":"x"}}"#,
        r#"{"id":"1","unsubscribe":{"channel":"x"}}"#,
        r#"{"id":4294967296,"unsubscribe":{"channel":"x"}}"#,
        r#"{"id":1,"unsubscribe":[]}"#,
        r#"{"id":1,"unsubscribe":{"channel":1}}"#,
        r#"{"id":1,"ping":{}}"#,
        "{\n\"id\":1,\"unsubscribe\":{\"channel\":\"x\"}}",
        r#"{"id":1,"unsubscribe":{"channel":"x"},"rpc":{}}"#,
    ] {
        let mut ada = Wire::connected(&node, "ada").await;
        assert_eq!(ada.closed_by(bad).await, 3501, "{bad:?}");
        if bad.is_empty() {
            continue;
        }
        let mut ada = Wire::connected(&node, "ada").await;
        ada.say(&format!("{ASK}\n{bad}\n{ASK}")).await;
        assert_eq!(ada.hear().await, ANSWER, "{bad:?}");
        assert_eq!(ada.closed().await, 3501, "{bad:?}");
    }
    assert!(node.number("sealcast_protocol_violations_total{kind=\"undecodable\"}") > 40.0);
}

#[tokio::test]
async fn blank_lines_end_the_connection() {
    let node = TestNode::start().await;
    for (frame, answers) in [
        (format!("\n{ASK}"), 0),
        (format!("{ASK}\n\n{ASK}"), 1),
        (format!("{ASK}\n\n"), 1),
        (format!("{ASK} {ASK}"), 0),
    ] {
        let mut ada = Wire::connected(&node, "ada").await;
        ada.say(&frame).await;
        for _ in 0..answers {
            assert_eq!(ada.hear().await, ANSWER, "{frame:?}");
        }
        assert_eq!(ada.closed().await, 3501, "{frame:?}");
    }
}

#[tokio::test]
async fn a_frame_holds_256_commands_and_no_more() {
    let node = TestNode::start().await;
    for (commands, passes) in [(256, true), (257, false), (1_500, false)] {
        let mut ada = Wire::connected(&node, "ada").await;
        ada.say(&vec![ASK; commands].join("\n")).await;
        for at in 0..256 {
            assert_eq!(ada.hear().await, ANSWER, "{at} of {commands}");
        }
        if passes {
            ada.is_quiet().await;
        } else {
            assert_eq!(ada.closed().await, 3501, "{commands}");
        }
    }
}

#[tokio::test]
async fn the_wrong_type_of_frame_ends_the_connection() {
    let node = TestNode::start().await;
    let mut json = Wire::connected(&node, "ada").await;
    json.say_bytes(ASK.as_bytes()).await;
    assert_eq!(json.closed().await, 3506);
    let mut protobuf = protobuf(&node).await;
    protobuf.say(ASK).await;
    assert_eq!(protobuf.closed().await, 3506);
}

#[tokio::test]
async fn protobuf_commands_are_length_prefixed() {
    let node = TestNode::start().await;
    let mut command = Vec::new();
    let request = Request::Unsubscribe { channel: "x".into() };
    Encoding::Protobuf.put_command(&mut command, &Command { id: 9, request });
    let answer = Frame::Binary(vec![4, 0x08, 9, 0x3a, 0]);
    let mut wire = protobuf(&node).await;
    wire.say_bytes(&[command.clone(), vec![0], command.clone()].concat()).await;
    for _ in 0..2 {
        assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), answer);
    }
    for bad in [
        &b"\x05\x08\x09"[..],                            // cut off
        b"\xff\xff\xff\xff\x0f",                         // four GiB
        b"\x80\x80\x80\x80\x08",                         // two GiB
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // no varint
        b"\x02\x08\x09",                                 // an id and no request
        b"\x05\x08\x09\x2a\x01\x00",                     // a subscribe of one byte that is no field
        b"\x04\x32\x02\x0a\x00",                         // a request without id
    ] {
        let mut wire = protobuf(&node).await;
        wire.say_bytes(&[&command, bad].concat()).await;
        assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), answer, "{bad:?}");
        assert_eq!(wire.closed().await, 3501, "{bad:?}");
    }
    let mut wire = protobuf(&node).await;
    wire.say_bytes(b"").await;
    assert_eq!(wire.closed().await, 3501);
}

async fn protobuf(node: &TestNode) -> Wire {
    let mut wire = Wire::open_protobuf(node).await;
    wire.0.connect(&node.options("ada", Encoding::Protobuf)).await.unwrap();
    wire
}
