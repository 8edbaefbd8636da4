//! Which encoding a handshake chooses, by sub-protocol or query.

use sealcast_wire::ws::{self, Opcode};
use tokio::io::AsyncWriteExt as _;

use super::request::Request;
use super::{Row, check, row, upgraded};
use crate::support::http::read_to_end;
use crate::support::node::TestNode;

const HEADER: &str = "Sec-WebSocket-Protocol";

#[derive(Debug, PartialEq, Eq)]
enum Chosen {
    Json,
    Protobuf,
}

use Chosen::{Json, Protobuf};

#[tokio::test]
async fn the_first_known_subprotocol_counts() {
    let node = TestNode::start().await;
    for (offers, answer, chosen) in [
        (&[][..], None, Json),
        // As the Python SDK asks for JSON.
        (&[""], None, Json),
        (&[" , ,"], None, Json),
        (&["centrifuge-json"], Some("centrifuge-json"), Json),
        (&["centrifuge-protobuf"], Some("centrifuge-protobuf"), Protobuf),
        (&["centrifuge-json, centrifuge-protobuf"], Some("centrifuge-json"), Json),
        (&["centrifuge-protobuf,centrifuge-json"], Some("centrifuge-protobuf"), Protobuf),
        (&["other, centrifuge-protobuf"], Some("centrifuge-protobuf"), Protobuf),
        (&["centrifuge-protobuf", "centrifuge-json"], Some("centrifuge-protobuf"), Protobuf),
        (&["other", "centrifuge-json"], Some("centrifuge-json"), Json),
    ] {
        let request = offers.iter().fold(Request::good(), |it, offer| it.add(HEADER, offer));
        check_choice(&node, request, answer, chosen).await;
    }
}

#[tokio::test]
async fn the_query_can_ask_for_protobuf() {
    let node = TestNode::start().await;
    for (query, chosen) in [
        ("format=protobuf", Protobuf),
        ("cf_protocol=protobuf", Protobuf),
        ("a=b&format=protobuf&c", Protobuf),
        ("format=json", Json),
        ("format=Protobuf", Json),
        ("cf_protocol=PROTOBUF", Json),
        ("xformat=protobuf", Json),
        ("format=protobufx", Json),
        ("cf_protocol_version=v2", Json),
        ("", Json),
    ] {
        let request = Request::to(&format!("/connection/websocket?{query}"));
        check_choice(&node, request, None, chosen).await;
    }
    let both = Request::to("/connection/websocket?format=protobuf").add(HEADER, "centrifuge-json");
    check_choice(&node, both, Some("centrifuge-json"), Json).await;
}

#[tokio::test]
async fn unknown_subprotocols_are_refused() {
    let node = TestNode::start().await;
    let rows: Vec<Row> = ["graphql-ws", "Centrifuge-Protobuf", "centrifuge", "a, b"]
        .into_iter()
        .map(|offer| row(offer, Request::good().add(HEADER, offer), &[400]))
        .collect();
    check(&node, rows).await;
}

async fn check_choice(node: &TestNode, request: Request, answer: Option<&str>, chosen: Chosen) {
    let text = String::from_utf8(request.bytes()).unwrap();
    let (mut stream, head) = upgraded(node, request).await;
    assert_eq!(head.header("sec-websocket-protocol"), answer, "{text}");
    // A pong comes too early in either encoding; text is of the wrong type in one.
    let mut frame = Vec::new();
    ws::put_masked_frame(&mut frame, Opcode::Text, [1, 2, 3, 4], b"{}");
    stream.write_all(&frame).await.unwrap();
    let (bytes, _) = read_to_end(&mut stream).await;
    let code = u16::from_be_bytes([bytes[2], bytes[3]]);
    let found = match code {
        3501 => Json,
        3506 => Protobuf,
        other => panic!("{other}: {text}"),
    };
    assert_eq!(found, chosen, "{text}");
}
