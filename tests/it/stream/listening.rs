//! Clients that only listen: what they are told, and how they come back.

use sealcast_client::{Connection, Frame};
use sealcast_wire::Encoding;
use serde_json::{Value, json};

use super::node;
use super::reader::{Stream, get, post};
use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};

/// A token whose bearer is subscribed to these channels.
fn listener(channels: &[&str]) -> String {
    let now = token::now();
    token::signed(json!({ "sub": "ada", "iat": now, "exp": now + 600, "channels": channels }))
}

async fn publish(node: &TestNode, channel: &str, data: &Value) {
    let answer = node.api("publish", &json!({ "channel": channel, "data": data })).await;
    assert!(answer.json()["result"].is_object(), "{answer:?}");
}

#[tokio::test]
async fn an_http_stream_is_bare_pushes() {
    let node = node(json!({})).await;
    let body = json!({ "token": listener(&["room"]) }).to_string();
    let mut stream = Stream::opened(&node, post("/connection/uni_http_stream", "", &body)).await;
    let connect = stream.json().await;
    assert_eq!(connect["connect"]["ping"], 25, "{connect}");
    assert!(connect["connect"]["subs"]["room"].is_object(), "{connect}");
    for absent in ["pong", "session", "node"] {
        assert_eq!(connect["connect"][absent], Value::Null, "{absent}");
    }
    publish(&node, "room", &json!({ "n": 1 })).await;
    let push = stream.json().await;
    assert_eq!((&push["channel"], &push["pub"]["data"]), (&json!("room"), &json!({ "n": 1 })));
    let body = json!({ "user": "ada", "channel": "room" });
    assert_eq!(node.api("unsubscribe", &body).await.status, 200);
    let push = stream.json().await;
    assert_eq!((&push["channel"], &push["unsubscribe"]["code"]), (&json!("room"), &json!(2000)));
    assert_eq!(node.api("subscribe", &body).await.status, 200);
    assert!(stream.json().await["subscribe"].is_object());
    let body = json!({ "user": "ada" });
    assert_eq!(node.api("disconnect", &body).await.status, 200);
    assert_eq!(
        stream.json().await,
        json!({ "disconnect": { "code": 3503, "reason": "force disconnect" } })
    );
    stream.ended().await;
}

#[tokio::test]
async fn who_only_listens_gets_pings_and_owes_nothing() {
    let node = node(json!({ "client": { "ping_interval": "1s", "pong_timeout": "600ms" } })).await;
    let body = json!({ "token": listener(&[]) }).to_string();
    let mut stream = Stream::opened(&node, post("/connection/uni_http_stream", "", &body)).await;
    assert!(stream.json().await["connect"].is_object());
    for _ in 0..4 {
        assert_eq!(stream.json().await, json!({}));
    }
}

#[tokio::test]
async fn an_event_source_comes_back_to_where_it_was() {
    let node = node(json!({})).await;
    let bearer = format!("Authorization: Bearer {}\r\n", listener(&["room", "other"]));
    let request = get("/connection/uni_sse", &bearer, "{}");
    let mut stream = Stream::opened(&node, &request).await;
    let mut retry = None;
    let connect: Value = loop {
        let block = stream.block().await.expect("not the end");
        retry = retry.or(block.retry);
        if let Some(data) = block.data {
            break serde_json::from_str(&data).unwrap();
        }
    };
    let retry: u32 = retry.expect("before anything else").parse().unwrap();
    assert!((1_000..=5_000).contains(&retry), "{retry}");
    assert_eq!(connect["connect"]["subs"]["room"]["recoverable"], true, "{connect}");
    publish(&node, "room", &json!(1)).await;
    publish(&node, "other", &json!("x")).await;
    publish(&node, "room", &json!(2)).await;
    let (mut id, mut came) = (None, Vec::new());
    let at_second = |mark: &str| mark.starts_with("2:") && mark.ends_with(":room");
    while came.len() < 3 || id.as_ref().is_none_or(|id: &String| !id.split(' ').any(at_second)) {
        let block = stream.block().await.expect("not the end");
        assert!(block.id.is_none() || block.data.is_some(), "some forget ids without data");
        came.extend(block.said().map(str::to_owned));
        id = block.id.or(id);
    }
    let id = id.expect("an id");
    assert!(id.contains(":room") && id.contains(":other"), "{id}");
    drop(stream);
    for n in 3..6 {
        publish(&node, "room", &json!(n)).await;
    }
    let again = get("/connection/uni_sse", &format!("{bearer}Last-Event-ID: {id}\r\n"), "{}");
    let mut stream = Stream::opened(&node, &again).await;
    let connect = stream.event().await;
    let room = &connect["connect"]["subs"]["room"];
    assert_eq!(room["recovered"], true, "{connect}");
    let missed: Vec<_> =
        room["publications"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!(missed, [json!(3), json!(4), json!(5)]);
    assert_eq!(connect["connect"]["subs"]["other"]["recovered"], true);
    // By positions in the request too, which its id overrules.
    let subs = json!({ "room": { "recover": true, "offset": 4, "epoch": room["epoch"] } });
    let request = get("/connection/uni_sse", &bearer, &json!({ "subs": subs }).to_string());
    let mut stream = Stream::opened(&node, &request).await;
    let connect = stream.event().await;
    let missed = connect["connect"]["subs"]["room"]["publications"].as_array().unwrap().len();
    assert_eq!(missed, 1, "{connect}");
}

#[tokio::test]
async fn an_event_source_that_was_sent_away_for_good_is_told_to_stay_away() {
    let node = node(json!({})).await;
    let bearer = format!("Authorization: Bearer {}\r\n", listener(&[]));
    let mut stream = Stream::opened(&node, get("/connection/uni_sse", &bearer, "{}")).await;
    assert!(stream.event().await["connect"].is_object());
    let body = json!({ "user": "ada" });
    assert_eq!(node.api("disconnect", &body).await.status, 200);
    let last = stream.block().await.expect("an event");
    assert!(last.data.expect("why").contains("3503"));
    let id = last.id.expect("an id");
    stream.ended().await;
    let again = format!("{bearer}Last-Event-ID: {id}\r\n");
    let stream = Stream::open(&node, get("/connection/uni_sse", &again, "{}")).await;
    assert_eq!(stream.head.status, 204);
    // Who may come back is not told so.
    let mut stream = Stream::opened(&node, get("/connection/uni_sse", &bearer, "{}")).await;
    assert!(stream.event().await["connect"].is_object());
    let body = json!({ "user": "ada", "disconnect": { "code": 3011, "reason": "go on" } });
    assert_eq!(node.api("disconnect", &body).await.status, 200);
    let last = stream.block().await.expect("an event");
    assert!(last.data.expect("why").contains("3011") && last.id.is_none());
}

#[tokio::test]
async fn why_a_connect_is_refused_is_a_disconnect() {
    let node = node(json!({})).await;
    for (token, code) in [
        (token::expiring("ada", -100), 3005),
        ("not.a.token".to_owned(), 3500),
        (String::new(), 3501),
    ] {
        let body = json!({ "token": token }).to_string();
        let mut stream =
            Stream::opened(&node, post("/connection/uni_http_stream", "", &body)).await;
        assert_eq!(stream.json().await["disconnect"]["code"], code, "{token}");
        stream.ended().await;
    }
}

#[tokio::test]
async fn a_websocket_is_bare_pushes_too() {
    let node = node(json!({ "client": { "ping_interval": "1s" } })).await;
    let mut options = node.options("ada", Encoding::Json);
    options.url = format!("ws://{}/connection/uni_websocket", node.public);
    let mut socket = Connection::open(&options).await.unwrap();
    let request = json!({ "token": listener(&["room"]) }).to_string();
    let opcode = sealcast_wire::ws::Opcode::Text;
    socket.send_frame(request.as_bytes(), opcode).await.unwrap();
    let mut hear = async || loop {
        match socket.next_frame(PATIENCE).await.unwrap() {
            Frame::Text(text) => return serde_json::from_str::<Value>(&text).unwrap(),
            Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(hear().await["connect"]["subs"]["room"].is_object());
    publish(&node, "room", &json!(1)).await;
    let push = hear().await;
    assert_eq!((&push["channel"], &push["pub"]["data"]), (&json!("room"), &json!(1)));
    assert_eq!(hear().await, json!({}), "a ping that a page can see");
    assert_eq!(node.api("disconnect", &json!({ "user": "ada" })).await.status, 200);
    let mut push = hear().await;
    if push == json!({}) {
        push = hear().await;
    }
    assert_eq!(push["disconnect"]["code"], 3503, "{push}");
    assert!(matches!(socket.next_frame(PATIENCE).await.unwrap(), Frame::Close(Some(3503), _)));
    // What is not a request ends it; what follows one is passed over.
    let mut socket = Connection::open(&options).await.unwrap();
    socket.send_frame(b"[]", opcode).await.unwrap();
    assert!(
        matches!(socket.next_frame(PATIENCE).await.unwrap(), Frame::Text(text) if text.contains("3501"))
    );
}
