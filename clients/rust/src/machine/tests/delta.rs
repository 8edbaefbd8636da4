//! Deltas: what is handed out is always whole.

use sealcast_wire::{Publication, delta, reply};

use super::*;

const CONNECTED: &str = r#"{"client":"x"}"#;
const GRANTED: &str = r#"{"recoverable":true,"epoch":"e","offset":0,"delta":true}"#;

fn terms() -> Terms {
    Terms { delta: true, ..recoverable() }
}

fn payload(number: u64) -> String {
    format!(r#"{{"name":"a payload of some length, mostly the same","number":{number}}}"#)
}

/// What the client never got.
fn stranger() -> String {
    format!("before it: {}", payload(1))
}

/// A publication as the server writes it: against `base`, or whole.
fn push(encoding: Encoding, offset: u64, base: Option<&str>) -> reply::Push {
    let data = payload(offset);
    let sent = match base {
        None => data,
        Some(base) => delta::encode_text(base, &data).expect("smaller"),
    };
    let data = match encoding {
        Encoding::Protobuf => sent.into_bytes(),
        Encoding::Json => serde_json::to_vec(&sent).expect("JSON"),
    };
    let publication =
        Publication { data: data.into(), offset, delta: base.is_some(), ..Publication::default() };
    reply::Push { channel: "c1".into(), event: reply::Event::Publication(publication) }
}

fn hear(rig: &mut Rig, push: reply::Push) {
    rig.machine
        .reply(rig.now, sealcast_wire::Reply { id: 0, body: sealcast_wire::Body::Push(push) });
}

fn subscribed(encoding: Encoding) -> Rig {
    let mut rig = Rig::connected(Settings { encoding, ..settings() }, CONNECTED);
    rig.subscribe(A, &terms());
    let sent = rig.sent();
    assert!(sent[0].1.contains(r#""delta":"fossil""#));
    rig.hear(&format!(r#"{{"id":{},"subscribe":{GRANTED}}}"#, sent[0].0));
    rig.forget();
    rig
}

#[test]
fn a_chain_of_patches_is_whole_publications() {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut rig = subscribed(encoding);
        hear(&mut rig, push(encoding, 1, None));
        for offset in 2..10 {
            // Now and then the server sends one whole.
            let base = payload(offset - 1);
            hear(&mut rig, push(encoding, offset, (offset != 6).then_some(&base)));
        }
        let expected: Vec<_> = (1..10).map(|number| format!("1: {}", payload(number))).collect();
        assert_eq!(rig.told(), expected);
    }
}

#[test]
fn the_base_outlives_a_connection_that_recovers() {
    let encoding = Encoding::Json;
    for (recovered, fits) in [(true, true), (false, false)] {
        let mut rig = subscribed(encoding);
        hear(&mut rig, push(encoding, 1, None));
        rig.close(3001);
        rig.wait();
        rig.forget();
        rig.machine.opened(rig.now, 2);
        let sent = rig.sent();
        rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
        let result = format!(
            r#"{{"recoverable":true,"epoch":"e","offset":1,"delta":true,"was_recovering":true,"recovered":{recovered}}}"#
        );
        rig.hear(&format!(r#"{{"id":{},"subscribe":{result}}}"#, sent[1].0));
        rig.forget();
        hear(&mut rig, push(encoding, 2, Some(&payload(1))));
        let told = rig.told();
        assert_eq!(told[0] == format!("1: {}", payload(2)), fits, "{told:?}");
    }
}

#[test]
fn what_does_not_fit_is_never_handed_out() {
    let spoilers: [fn() -> reply::Push; 4] = [
        || push(Encoding::Json, 2, Some(&stranger())),
        || {
            let mut bad = push(Encoding::Json, 2, None);
            if let reply::Event::Publication(publication) = &mut bad.event {
                publication.data = "{}".into();
            }
            bad
        },
        || {
            let mut bad = push(Encoding::Json, 2, None);
            if let reply::Event::Publication(publication) = &mut bad.event {
                publication.delta = true;
            }
            bad
        },
        || {
            // Larger than anyone may make it.
            let large = payload(1).repeat(50);
            let mut bad = push(Encoding::Json, 2, None);
            if let reply::Event::Publication(publication) = &mut bad.event {
                let patch = delta::encode_text(&payload(1), &large).expect("smaller");
                publication.data = serde_json::to_vec(&patch).unwrap().into();
                publication.delta = true;
            }
            bad
        },
    ];
    for spoil in spoilers {
        let mut rig = subscribed(Encoding::Json);
        hear(&mut rig, push(Encoding::Json, 1, None));
        rig.forget();
        hear(&mut rig, spoil());
        hear(&mut rig, push(Encoding::Json, 3, None));
        let told = rig.told();
        assert!(told[0].starts_with("1: error: a delta does not apply"), "{told:?}");
        assert_eq!(told[1..], ["1: subscribing 2"]);
        assert_eq!(rig.sent()[0].1, r#"{"unsubscribe":{"channel":"c1"}}"#);
    }
}

#[test]
fn after_a_bad_patch_it_recovers_from_the_last_good_one_and_then_from_nothing() {
    let mut rig = subscribed(Encoding::Json);
    hear(&mut rig, push(Encoding::Json, 1, None));
    let spoil = |rig: &mut Rig| {
        hear(rig, push(Encoding::Json, 2, Some(&stranger())));
        rig.answer("unsubscribe", "{}");
        rig.wait();
    };
    spoil(&mut rig);
    let sent = rig.sent();
    assert!(sent[0].1.contains(r#""recover":true,"epoch":"e","offset":1"#), "{sent:?}");
    let result = r#"{"recoverable":true,"epoch":"e","offset":1,"delta":true,"was_recovering":true,"recovered":true}"#;
    rig.hear(&format!(r#"{{"id":{},"subscribe":{result}}}"#, sent[0].0));
    spoil(&mut rig);
    let sent = rig.sent();
    assert!(!sent[0].1.contains("recover\":"), "from nothing: {sent:?}");
    rig.hear(&format!(r#"{{"id":{},"subscribe":{GRANTED}}}"#, sent[0].0));
    rig.forget();
    hear(&mut rig, push(Encoding::Json, 3, None));
    assert_eq!(rig.told(), [format!("1: {}", payload(3))]);
}

#[test]
fn deltas_that_were_not_agreed_on_are_not_guessed() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &terms(), r#"{"recoverable":true,"epoch":"e"}"#);
    rig.forget();
    // A payload that happens to be a string stays one.
    rig.hear(r#"{"push":{"channel":"c1","pub":{"data":"text","offset":1}}}"#);
    assert_eq!(rig.told(), ["1: \"text\""]);
    hear(&mut rig, push(Encoding::Json, 2, Some(&payload(1))));
    assert!(rig.told()[0].starts_with("1: error: a delta does not apply"));
}

#[test]
fn missed_ones_are_a_chain_too() {
    let mut rig = subscribed(Encoding::Json);
    hear(&mut rig, push(Encoding::Json, 1, None));
    rig.close(3001);
    rig.wait();
    rig.forget();
    rig.machine.opened(rig.now, 2);
    let sent = rig.sent();
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    rig.forget();
    let publications = [push(Encoding::Json, 2, None), push(Encoding::Json, 3, Some(&payload(2)))]
        .into_iter()
        .filter_map(|push| match push.event {
            reply::Event::Publication(publication) => Some(publication),
            _ => None,
        });
    let result = reply::SubscribeResult {
        recoverable: true,
        recovered: true,
        delta: true,
        offset: 1,
        publications: publications.collect(),
        ..reply::SubscribeResult::default()
    };
    let body = sealcast_wire::Body::Subscribe(Box::new(result));
    rig.machine.reply(rig.now, sealcast_wire::Reply { id: sent[1].0, body });
    while rig.machine.hand_out(rig.now) {}
    hear(&mut rig, push(Encoding::Json, 4, Some(&payload(3))));
    let told = rig.told();
    let expected: Vec<_> = (2..5).map(|number| format!("1: {}", payload(number))).collect();
    assert_eq!(told[1..], expected);
}
