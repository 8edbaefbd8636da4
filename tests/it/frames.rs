//! Frames at the socket: what breaks RFC 6455 or a limit ends the connection with
//! the right code, at once, and costs no memory (T-21 to T-25, T-27).

mod http;
mod memory;
mod slow;

use sealcast_client::{Error, Frame};
use sealcast_wire::ws::{self, Opcode};

use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::node::TestNode;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A masked frame with any first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ws::put_masked_frame(&mut bytes, Opcode::Text, MASK, payload);
    bytes[0] = first;
    bytes
}

/// A header that announces a length in eight bytes, and a mask.
pub(crate) fn announced(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &MASK].concat()
}

#[tokio::test]
async fn each_violation_has_its_code() {
    let node = TestNode::start().await;
    let unmasked = b"\x81\x02{}".to_vec();
    let short = |length: u16| [&[0x81, 0xfe][..], &length.to_be_bytes(), &MASK].concat();
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("2^63 - 1 bytes", announced(0x81, i64::MAX as u64), 1009),
        ("2^64 - 1 bytes", announced(0x81, u64::MAX), 1002),
        ("2^63 bytes", announced(0x81, 1 << 63), 1002),
        ("4 GiB", announced(0x82, 1 << 32), 1009),
        ("65,537 bytes", announced(0x81, 65_537), 1009),
        ("65,535 bytes in eight", announced(0x81, 65_535), 1002),
        ("1 byte in eight", announced(0x81, 1), 1002),
        ("125 bytes in two", short(125), 1002),
        ("0 bytes in two", short(0), 1002),
        ("no mask", unmasked, 1002),
        ("RSV1, as compressed frames", frame(0xc1, b"{}"), 1002),
        ("RSV2", frame(0xa1, b"{}"), 1002),
        ("RSV3", frame(0x91, b"{}"), 1002),
        ("opcode 3", frame(0x83, b"{}"), 1002),
        ("opcode 7", frame(0x87, b""), 1002),
        ("opcode 11", frame(0x8b, b""), 1002),
        ("opcode 15", frame(0x8f, b""), 1002),
        ("a ping in two frames", frame(0x09, b""), 1002),
        ("a close in two frames", frame(0x08, b""), 1002),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
        ("a ping of 64 KiB", announced(0x89, 65_536), 1002),
        ("a continuation of nothing", frame(0x80, b"{}"), 1002),
        ("a message within a message", [frame(0x01, b"{"), frame(0x81, b"}")].concat(), 1002),
        ("text that is not UTF-8", frame(0x81, b"\"\xff\""), 1007),
        ("text cut within a character", frame(0x81, b"\"\xc3"), 1007),
        ("a surrogate", frame(0x81, b"\xed\xa0\x80"), 1007),
        ("not UTF-8 in a first fragment", frame(0x01, b"\xf5"), 1007),
        (
            "not UTF-8 in a second fragment",
            [frame(0x01, b"\xc3"), frame(0x00, b"(")].concat(),
            1007,
        ),
        ("a close code cut in half", frame(0x88, b"\x03"), 1002),
        ("a close code of 999", frame(0x88, &999_u16.to_be_bytes()), 1002),
        ("a close code of 1005", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("a close code of 1006", frame(0x88, &1006_u16.to_be_bytes()), 1002),
        ("a close code of 5000", frame(0x88, &5000_u16.to_be_bytes()), 1002),
        ("a close reason that is not UTF-8", frame(0x88, b"\x03\xe8\xff"), 1007),
        (
            "fragments beyond the message limit",
            [frame(0x01, &[b' '; 65_000]), announced(0x00, 65_536)].concat(),
            1009,
        ),
        ("65 fragments", [frame(0x01, b" "), frame(0x00, b" ").repeat(64)].concat(), 1008),
        (
            "131,000 fragments",
            [frame(0x01, b" "), frame(0x00, b" ").repeat(131_000)].concat(),
            1008,
        ),
        (
            "131,000 empty fragments",
            [frame(0x01, b""), frame(0x00, b"").repeat(131_000)].concat(),
            1008,
        ),
        ("close 1000", frame(0x88, &1000_u16.to_be_bytes()), 1000),
        ("close 4999", frame(0x88, &4999_u16.to_be_bytes()), 4999),
        ("close without a code", frame(0x88, b""), 0),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in rows {
        for connected in [false, true] {
            let mut wire = if connected {
                Wire::connected(&node, "ada").await
            } else {
                Wire::open(&node).await
            };
            // The server may have closed before all is sent.
            let _ = wire.0.send_bytes(&bytes).await;
            let end = wire.0.next_frame(PATIENCE).await;
            match &end {
                Ok(Frame::Close(code, _)) if code.unwrap_or(0) == expected => {}
                // Over what was unread when the socket was closed, the answer may be lost.
                Err(Error::Io(_)) if bytes.len() > 500_000 => {}
                other => wrong.push(format!(
                    "{name}, connected {connected}: {other:?} instead of {expected}"
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(node.number("sealcast_protocol_violations_total{kind=\"frame\"}") > 60.0);
}

#[tokio::test]
async fn a_message_may_be_of_64_kib_and_no_larger() {
    let node = TestNode::start().await;
    let command = |bytes: usize| {
        let (head, tail) = (r#"{"id":2,"publish":{"channel":"room","data":""#, r#""}}"#);
        format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
    };
    let mut wire = Wire::connected(&node, "ada").await;
    let answer = wire.ask(&command(65_536)).await;
    assert_eq!(answer, serde_json::json!({ "id": 2, "publish": {} }));
    // The same in fragments.
    let whole = command(65_536).into_bytes();
    let pieces = [
        frame(0x01, &whole[..60_000]),
        frame(0x00, &whole[60_000..65_530]),
        frame(0x80, &whole[65_530..]),
    ];
    wire.0.send_bytes(&pieces.concat()).await.unwrap();
    assert_eq!(wire.hear_json().await, answer);

    wire.say(&command(65_537)).await;
    match wire.0.next_frame(PATIENCE).await {
        Ok(Frame::Close(Some(1009), reason)) => assert_eq!(reason, ""),
        other => panic!("{other:?}"),
    }
    let mut wire = Wire::connected(&node, "ada").await;
    let whole = command(65_537).into_bytes();
    let pieces = [frame(0x01, &whole[..65_536]), frame(0x80, &whole[65_536..])];
    wire.0.send_bytes(&pieces.concat()).await.unwrap();
    assert_eq!(wire.closed().await, 1009);
}

#[tokio::test]
async fn a_message_may_come_in_64_fragments_with_pings_between() {
    let node = TestNode::start().await;
    let mut wire = Wire::connected(&node, "ada").await;
    let command = br#"{"id":2,"unsubscribe":{"channel":"room"}}"#;
    let mut bytes = frame(0x01, &command[..10]);
    for at in 10..40 {
        bytes.extend(frame(0x00, &command[at..=at]));
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x00, b""));
    }
    // 61 so far.
    bytes.extend([frame(0x00, b""), frame(0x00, b""), frame(0x80, &command[40..])].concat());
    wire.0.send_bytes(&bytes).await.unwrap();
    for _ in 0..30 {
        assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), Frame::Pong(b"p".to_vec()));
    }
    assert_eq!(wire.hear().await, r#"{"id":2,"unsubscribe":{}}"#);
}

#[tokio::test]
async fn frames_in_any_pieces_are_put_together() {
    let node = TestNode::start().await;
    let mut wire = Wire::connected(&node, "ada").await;
    let command = frame(0x81, br#"{"id":2,"unsubscribe":{"channel":"room"}}"#);
    let bytes = [command.clone(), frame(0x89, b"p"), command].concat();
    for size in [1, 2, 3, 7, 50] {
        for piece in bytes.chunks(size) {
            wire.0.send_bytes(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(wire.hear().await, r#"{"id":2,"unsubscribe":{}}"#, "{size}");
        assert_eq!(wire.0.next_frame(PATIENCE).await.unwrap(), Frame::Pong(b"p".to_vec()));
        assert_eq!(wire.hear().await, r#"{"id":2,"unsubscribe":{}}"#, "{size}");
    }
}

#[tokio::test]
async fn deep_commands_are_refused_in_either_encoding() {
    let node = TestNode::start().await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for place in ["unknown", "data"] {
            let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
            let command = format!(r#"{{"id":2,"publish":{{"channel":"room","{place}":{deep}}}}}"#);
            let mut wire = Wire::connected(&node, "ada").await;
            assert_eq!(wire.closed_by(&command).await, 3501);
        }
    }
    // A tags filter within a thousand others: field 13 of a subscribe, field 6 of itself.
    let mut filter = Vec::new();
    for depth in 0..1_000 {
        let tag = if depth == 999 { 13 } else { 6 };
        filter = [field(tag, filter.len()), filter].concat();
    }
    let subscribe = [&b"\x0a\x04room"[..], &filter].concat();
    let command = [&b"\x08\x02"[..], &field(5, subscribe.len()), &subscribe].concat();
    let mut wire = Wire::open_protobuf(&node).await;
    let options = node.options("ada", sealcast_wire::Encoding::Protobuf);
    wire.0.connect(&options).await.unwrap();
    wire.say_bytes(&[varint(command.len()), command].concat()).await;
    assert_eq!(wire.closed().await, 3501);
}

/// The head of a length-delimited Protobuf field.
pub(crate) fn field(number: usize, length: usize) -> Vec<u8> {
    [varint(number << 3 | 2), varint(length)].concat()
}

pub(crate) fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
