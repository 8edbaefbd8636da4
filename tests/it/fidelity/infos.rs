//! What tokens say of people: to others in the channel, to a backend, and beside
//! what they publish; and what they say to the subscriber.

use sealcast_wire::command::Subscribe;
use sealcast_wire::reply::{ClientInfo, Event};
use sealcast_wire::{Body, Push, Request};
use serde_json::json;

use super::{ask, ask_raw, node, protobuf, subscribe, texts};
use crate::support::client::Wire;
use crate::support::token;

/// Small enough for a token, and not nothing.
fn infos() -> Vec<String> {
    let mut all = texts::plain();
    all.extend(texts::with_line_ends());
    all.retain(|text| text.len() < 200 && text.matches(['[', '{']).count() < 10 && text != "null");
    all
}

#[tokio::test]
async fn infos_stay_as_the_token_wrote_them() {
    let node = node().await;
    for (number, text) in infos().into_iter().enumerate() {
        let channel = format!("here:{number}");
        let joined = texts::joined(&text);
        let mut json = Wire::connected(&node, "watcher").await;
        let command = format!(r#"{{"id":9,"subscribe":{{"channel":"{channel}"}}}}"#);
        ask_raw(&mut json, &command).await;
        json.hear().await; // its own join
        let mut binary = protobuf(&node, "watcher").await;
        let request = Subscribe { channel: channel.as_str().into(), ..Subscribe::default() };
        subscribe(&mut binary, request).await;
        binary.reply().await;
        json.hear().await;

        let (mut ada, client) = arrive(&node, &channel, &text, &joined).await;
        // As it is written over JSON, and to a backend, which reads lines too.
        let shown = |info: &str| {
            format!(r#"{{"user":"ada","client":"{client}","conn_info":{info},"chan_info":{info}}}"#)
        };
        let over_json = shown(&joined);
        let over_protobuf = ClientInfo {
            user: "ada".into(),
            client: client.clone(),
            conn_info: text.clone().into(),
            chan_info: text.clone().into(),
        };
        let push = |event: &str| {
            format!(r#"{{"push":{{"channel":"{channel}","{event}":{{"info":{over_json}}}}}}}"#)
        };
        assert_eq!(json.hear().await, push("join"));
        assert_eq!(event(&mut binary).await, Event::Join(over_protobuf.clone()));

        let presence = format!(r#"{{"id":9,"presence":{{"channel":"{channel}"}}}}"#);
        let answer = ask_raw(&mut json, &presence).await;
        assert!(answer.contains(&format!(r#""{client}":{over_json}"#)), "{answer}");
        let request = Request::Presence { channel: channel.as_str().into() };
        let Body::Presence(present) = ask(&mut binary, request).await else { panic!() };
        assert_eq!(present[&client], over_protobuf);
        let answer = node.api("presence", &json!({ "channel": channel })).await;
        let expected = format!(r#""{client}":{}"#, shown(&text));
        assert!(answer.text().contains(&expected), "{expected} in {}", answer.text());

        let command = format!(r#"{{"id":9,"publish":{{"channel":"{channel}","data":1}}}}"#);
        ask_raw(&mut ada, &command).await;
        let expected = format!(r#""pub":{{"data":1,"info":{over_json},"#);
        let heard = json.hear().await;
        assert!(heard.contains(&expected), "{expected} in {heard}");
        let Event::Publication(publication) = event(&mut binary).await else { panic!() };
        assert_eq!(publication.info.as_ref(), Some(&over_protobuf));
        let history = format!(r#"{{"id":9,"history":{{"channel":"{channel}","limit":1}}}}"#);
        let answer = ask_raw(&mut json, &history).await;
        assert!(answer.contains(&format!(r#""info":{over_json},"#)), "{answer}");
        let answer = node.api("history", &json!({ "channel": channel, "limit": 1 })).await;
        assert!(answer.text().contains(&format!(r#""info":{},"#, shown(&text))), "{answer:?}");

        let unsubscribe = format!(r#"{{"id":9,"unsubscribe":{{"channel":"{channel}"}}}}"#);
        ask_raw(&mut ada, &unsubscribe).await;
        assert_eq!(json.hear().await, push("leave"));
        assert_eq!(event(&mut binary).await, Event::Leave(over_protobuf));
    }
}

/// Connects and subscribes with tokens that say `text`; the connection's id too.
async fn arrive(
    node: &crate::support::node::TestNode,
    channel: &str,
    text: &str,
    joined: &str,
) -> (Wire, String) {
    let exp = token::now() + 600;
    let claims = format!(r#"{{"sub":"ada","exp":{exp},"info":{text}}}"#);
    let connection = token::signed_text(token::HEADER, &claims);
    let claims =
        format!(r#"{{"sub":"ada","exp":{exp},"channel":"{channel}","info":{text},"data":{text}}}"#);
    let subscription = token::signed_text(token::HEADER, &claims);
    let mut wire = Wire::open(node).await;
    let connect = json!({ "id": 1, "connect": { "token": connection } });
    let answer = wire.ask(&connect.to_string()).await;
    let client = answer["connect"]["client"].as_str().unwrap().to_owned();
    let members = format!(r#""channel":"{channel}","token":"{subscription}""#);
    let answer = ask_raw(&mut wire, &format!(r#"{{"id":9,"subscribe":{{{members}}}}}"#)).await;
    assert!(answer.contains(&format!(r#""data":{joined}"#)), "{joined} in {answer}");
    (wire, client)
}

async fn event(wire: &mut Wire) -> Event {
    match wire.reply().await.body {
        Body::Push(Push { event, .. }) => event,
        other => panic!("{other:?}"),
    }
}
