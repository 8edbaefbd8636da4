//! `compat.centrifugo`: what an installation of Centrifugo needs to move over.

use jsonwebtoken::Algorithm;
use sealcast_wire::command::{History, Publish, Subscribe};
use sealcast_wire::{Body, Data, Encoding, ErrorCode, Request};
use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

/// A node that takes what Centrifugo takes, with these client options.
async fn lenient(client: Value) -> TestNode {
    TestNode::with(json!({
        "compat": { "centrifugo": true },
        "client": client,
        "channel": { "namespaces": [
            {
                "name": "kept", "allow_subscribe_for_client": true,
                "allow_publish_for_client": true, "allow_history_for_client": true,
                "history_size": 10, "history_ttl": "60s", "force_recovery": true,
            },
            {
                "name": "json", "publication_data_format": "json",
                "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            },
            {
                "name": "bytes", "publication_data_format": "binary",
                "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            },
        ] },
    }))
    .await
}

async fn protobuf(node: &TestNode) -> Wire {
    let mut wire = Wire::open_protobuf(node).await;
    wire.0.connect(&node.options("bob", Encoding::Protobuf)).await.unwrap();
    wire
}

async fn publish(wire: &mut Wire, channel: &str, data: &[u8]) -> Body {
    let data = Some(Data::Opaque(data));
    wire.command(3, Request::Publish(Publish { channel: channel.into(), data, kind: 0 })).await;
    wire.reply().await.body
}

fn connect(token: &str) -> String {
    json!({ "id": 1, "connect": { "token": token } }).to_string()
}

#[tokio::test]
async fn tokens_as_centrifugo_takes_them_pass() {
    let secret = "short";
    let node = lenient(json!({ "token": { "hmac_secret_key": secret } })).await;
    let day = 24 * 3_600;
    for claims in [
        json!({ "sub": "42" }),
        json!({ "sub": "" }),
        json!({}),
        json!({ "sub": "zo\u{eb} <zoe@example.org>", "exp": token::now() + 60 }),
        json!({ "sub": "42", "exp": token::now() + 400 * day }),
    ] {
        let token = token::signed_with(claims.clone(), secret, Algorithm::HS256);
        let answer = Wire::open(&node).await.ask(&connect(&token)).await;
        assert!(answer["connect"]["client"].is_string(), "{claims}: {answer}");
        let expires = claims.get("exp").is_some();
        assert_eq!(answer["connect"]["expires"].as_bool().unwrap_or(false), expires);
    }
    assert_eq!(node.number("sealcast_compat_mode"), 1.0);
    assert_eq!(node.number("sealcast_insecure_mode"), 0.0);
}

#[tokio::test]
async fn everything_else_of_tokens_is_as_strict_as_ever() {
    let node = lenient(json!({})).await;
    let exp = token::now() + 60;
    for token in [
        token::signed_with(json!({ "sub": "a", "exp": exp }), "another secret", Algorithm::HS256),
        token::signed_with(json!({ "sub": "a", "exp": exp }), token::SECRET, Algorithm::HS512),
        token::signed(json!({ "sub": "a", "exp": exp, "channel": "room" })),
        token::signed(json!({ "sub": "a", "exp": exp.to_string() })),
        token::signed(json!({ "sub": "a\nb" })),
        token::signed(json!({ "sub": 42 })),
    ] {
        assert_eq!(Wire::open(&node).await.closed_by(&connect(&token)).await, 3500);
    }
    assert_eq!(Wire::open(&node).await.refused(&connect(&token::expiring("a", -60))).await, 109);
}

#[tokio::test]
async fn tokens_of_nobody_can_be_turned_away() {
    let node = lenient(json!({ "disallow_anonymous_connection_tokens": true })).await;
    for claims in [json!({ "sub": "" }), json!({})] {
        let connect = connect(&token::signed(claims));
        assert_eq!(Wire::open(&node).await.closed_by(&connect).await, 3507);
    }
    assert!(Wire::open(&node).await.ask(&connect(&token::of("ada"))).await["connect"].is_object());
    // Without compat such a token is no good in the first place.
    let client = json!({ "disallow_anonymous_connection_tokens": true });
    let strict = TestNode::with(json!({ "client": client })).await;
    let claims = json!({ "sub": "", "exp": token::now() + 60 });
    let connect = connect(&token::signed(claims));
    assert_eq!(Wire::open(&strict).await.closed_by(&connect).await, 3500);
    assert_eq!(strict.number("sealcast_compat_mode"), 0.0);
}

#[tokio::test]
async fn a_refresh_without_an_end_stops_the_clock() {
    let node = lenient(json!({ "expired_close_delay": "200ms" })).await;
    let (mut ada, _) = Wire::admitted(&node, json!({ "token": token::expiring("ada", 4) })).await;
    let refresh =
        json!({ "id": 2, "refresh": { "token": token::signed(json!({ "sub": "ada" })) } });
    assert_eq!(ada.ask(&refresh.to_string()).await, json!({ "id": 2, "refresh": {} }));
    tokio::time::sleep(std::time::Duration::from_millis(4_800)).await;
    ada.is_quiet().await;
}

#[tokio::test]
async fn any_bytes_can_be_published_and_end_the_connections_that_read_json() {
    let node = lenient(json!({})).await;
    for channel in ["kept:a", "bytes:a", "room"] {
        let mut ada = Wire::connected(&node, "ada").await;
        let subscribe = json!({ "id": 2, "subscribe": { "channel": channel } }).to_string();
        assert!(ada.ask(&subscribe).await["subscribe"].is_object(), "{channel}");
        let mut reader = protobuf(&node).await;
        let wish = Subscribe { channel: channel.into(), ..Subscribe::default() };
        reader.command(2, Request::Subscribe(Box::new(wish))).await;
        assert!(matches!(reader.reply().await.body, Body::Subscribe(_)));
        let mut publisher = protobuf(&node).await;
        assert_eq!(publish(&mut publisher, channel, b"{\"a\": 1}").await, Body::Publish);
        assert_eq!(ada.hear_json().await["push"]["pub"]["data"], json!({ "a": 1 }));
        assert!(matches!(reader.reply().await.body, Body::Push(_)));
        assert_eq!(publish(&mut publisher, channel, b"\x00\xff").await, Body::Publish);
        assert_eq!(ada.closed().await, 3506, "{channel}");
        let Body::Push(push) = reader.reply().await.body else { panic!("no push") };
        let sealcast_wire::reply::Event::Publication(got) = push.event else { panic!("{push:?}") };
        assert_eq!(&got.data[..], b"\x00\xff");
    }
    // Where the format says so, it is as strict as ever.
    let mut publisher = protobuf(&node).await;
    let refused = publish(&mut publisher, "json:a", b"\x00\xff").await;
    assert!(matches!(refused, Body::Error(error) if error.code == ErrorCode::BadRequest.code()));
    let refused = publish(&mut publisher, "room", b"").await;
    assert!(matches!(refused, Body::Error(error) if error.code == ErrorCode::BadRequest.code()));
    assert_eq!(node.number("sealcast_panics_total"), 0.0);
}

#[tokio::test]
async fn kept_bytes_end_who_reads_json_when_they_are_met() {
    let node = lenient(json!({})).await;
    let mut publisher = protobuf(&node).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let answer = ada.ask(r#"{"id":2,"subscribe":{"channel":"kept:a"}}"#).await;
    let epoch = answer["subscribe"]["epoch"].clone();
    ada.ask(r#"{"id":3,"unsubscribe":{"channel":"kept:a"}}"#).await;
    assert_eq!(publish(&mut publisher, "kept:a", b"\xff").await, Body::Publish);
    let since = json!({ "channel": "kept:a", "recover": true, "offset": 0, "epoch": epoch });
    let again = json!({ "id": 4, "subscribe": since }).to_string();
    assert_eq!(ada.closed_by(&again).await, 3506);
    let mut ada = Wire::connected(&node, "ada").await;
    let page = r#"{"id":2,"history":{"channel":"kept:a","limit":10}}"#;
    assert_eq!(ada.closed_by(page).await, 3506);
    // Also as a server-side subscription that recovers while it connects.
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": ["kept:a"] });
    let position = json!({ "recover": true, "offset": 0, "epoch": epoch });
    let request = json!({ "token": token::signed(claims), "subs": { "kept:a": position } });
    let connect = json!({ "id": 1, "connect": request }).to_string();
    let mut ada = Wire::open(&node).await;
    assert_eq!(ada.closed_by(&connect).await, 3506);
    drop(ada);
    let wish = History { channel: "kept:a".into(), limit: 10, ..History::default() };
    publisher.command(4, Request::History(wish)).await;
    let Body::History(page) = publisher.reply().await.body else { panic!("no history") };
    assert_eq!(&page.publications[0].data[..], b"\xff");
    assert_eq!(node.number("sealcast_panics_total"), 0.0);
}

#[tokio::test]
async fn without_it_who_reads_json_gets_no_history_of_bytes() {
    let bytes = json!({
        "name": "bytes", "publication_data_format": "binary", "allow_history_for_client": true,
        "history_size": 10, "history_ttl": "60s",
    });
    let node = TestNode::with(json!({ "channel": { "namespaces": [bytes] } })).await;
    node.api("publish", &json!({ "channel": "bytes:a", "b64data": "/w==" })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let page = r#"{"id":2,"history":{"channel":"bytes:a","limit":10}}"#;
    assert_eq!(ada.refused(page).await, 107);
    ada.is_quiet().await;
}
