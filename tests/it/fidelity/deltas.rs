//! What subscribers of deltas put together again.

use sealcast_wire::command::Subscribe;
use sealcast_wire::reply::Event;
use sealcast_wire::{Body, delta};
use serde_json::Value;

use super::{ask_raw, node, protobuf, publish, subscribe, texts};
use crate::support::client::Wire;

const CHANNEL: &str = "delta:a";

/// Small texts, and large ones of which each is much like the one before.
fn payloads() -> Vec<String> {
    let mut all = texts::plain();
    all.extend(texts::with_line_ends());
    let base =
        format!(r#"{{"n": 0, "text": "{}", "z": 1.0}}"#, "é😀 \\ud83d\\ude00 \\/ ".repeat(50));
    for n in 0..10 {
        let with_line_ends = if n % 3 == 0 { ",\r\n" } else { "," };
        all.push(base.replace("\"n\": 0,", &format!("\"n\": 1e{n}{with_line_ends}")));
        all.push(base.replace("1.0}", &format!("-0.{n}0, \"\\u0041\": \"\u{2028}\"}}")));
    }
    all
}

#[tokio::test]
async fn both_encodings_put_the_same_bytes_together() {
    let node = node().await;
    let mut json = Wire::connected(&node, "ada").await;
    let command = |more: &str| {
        format!(r#"{{"id":9,"subscribe":{{"channel":"{CHANNEL}","delta":"fossil"{more}}}}}"#)
    };
    let answer = ask_raw(&mut json, &command("")).await;
    assert!(answer.contains(r#""delta":true"#), "{answer}");
    let mut binary = protobuf(&node, "bob").await;
    assert!(subscribe(&mut binary, request()).await.delta);

    let mut publisher = protobuf(&node, "eve").await;
    let (mut of_json, mut of_binary) = (Reader::default(), Reader::default());
    for text in payloads() {
        assert_eq!(publish(&mut publisher, CHANNEL, text.as_bytes()).await, Body::Publish);
        let push: Value = json.hear_json().await;
        assert_eq!(of_json.take_json(&push["push"]["pub"]), texts::joined(&text).as_bytes());
        let Body::Push(push) = binary.reply().await.body else { panic!() };
        let Event::Publication(publication) = push.event else { panic!("{push:?}") };
        assert_eq!(of_binary.take(&publication.data, publication.delta), text.as_bytes());
    }
    assert!(of_json.patches >= 15 && of_binary.patches >= 15, "{of_json:?} {of_binary:?}");

    // The same from the stream.
    let mut json = Wire::connected(&node, "ada").await;
    let answer = ask_raw(&mut json, &command(r#","recover":true,"recoverable":true"#)).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let mut reader = Reader::default();
    let recovered = answer["subscribe"]["publications"].as_array().unwrap();
    assert_eq!(recovered.len(), payloads().len());
    for (publication, text) in recovered.iter().zip(payloads()) {
        assert_eq!(reader.take_json(publication), texts::joined(&text).as_bytes());
    }
    let mut binary = protobuf(&node, "bob").await;
    let asked = Subscribe { recover: true, recoverable: true, ..request() };
    let result = subscribe(&mut binary, asked).await;
    assert_eq!(result.publications.len(), payloads().len());
    let mut of_binary = Reader::default();
    for (publication, text) in result.publications.iter().zip(payloads()) {
        assert_eq!(of_binary.take(&publication.data, publication.delta), text.as_bytes());
    }
    assert!(reader.patches >= 15 && of_binary.patches >= 15, "{reader:?} {of_binary:?}");
}

fn request() -> Subscribe<'static> {
    Subscribe { channel: CHANNEL.into(), delta: "fossil".into(), ..Subscribe::default() }
}

/// What an SDK keeps of a subscription with deltas.
#[derive(Default)]
struct Reader {
    base: Vec<u8>,
    patches: usize,
}

impl Reader {
    fn take(&mut self, data: &[u8], patch: bool) -> &[u8] {
        self.base = if patch {
            self.patches += 1;
            delta::decode(&self.base, data, 1 << 20).unwrap()
        } else {
            data.to_vec()
        };
        &self.base
    }

    /// In JSON, data is a string, whole or patch.
    fn take_json(&mut self, publication: &Value) -> &[u8] {
        let data = publication["data"].as_str().unwrap_or_else(|| panic!("{publication}"));
        self.take(data.as_bytes(), publication["delta"] == true)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} patches", self.patches)
    }
}
