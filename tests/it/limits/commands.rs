//! Commands: of a connection, of a user, of the node.

use sealcast_wire::command::{History, Publish, SubRefresh, Subscribe, Token};
use sealcast_wire::{Data, Encoding, Request};
use serde_json::json;
use std::borrow::Cow;
use tokio::time::Instant;

use super::{ENCODINGS, PROFILES, batch, connected, limited, node_under, refused, say_all};
use crate::support::client::Wire;
use crate::support::process::Process;
use crate::support::{eventually, token};

const CHANNEL: Cow<'static, str> = Cow::Borrowed("open:room");

fn publish() -> Request<'static> {
    let data = Some(Data::Json(b"1"));
    Request::Publish(Publish { channel: CHANNEL, data, kind: 0 })
}

fn presence() -> Request<'static> {
    Request::Presence { channel: CHANNEL }
}

fn subscribe(number: usize) -> Request<'static> {
    let channel = format!("open:room-{number}").into();
    Request::Subscribe(Box::new(Subscribe { channel, ..Subscribe::default() }))
}

/// What a kind of command is called, how many of it may come at once, whose limit
/// that is, and one of them.
type Row = (&'static str, usize, &'static str, fn(usize) -> Request<'static>);

const ROWS: [Row; 9] = [
    ("publish", 20, "connection", |_| publish()),
    ("rpc", 20, "connection", |_| Request::Rpc {
        method: "m".into(),
        data: Some(Data::Json(b"1")),
    }),
    ("presence", 20, "connection", |_| presence()),
    ("presence_stats", 20, "connection", |_| Request::PresenceStats { channel: CHANNEL }),
    ("history", 20, "connection", |_| {
        Request::History(History { channel: CHANNEL, limit: 1, since: None, reverse: false })
    }),
    ("subscribe", 128, "subscribe", subscribe),
    ("unsubscribe", 128, "subscribe", |_| Request::Unsubscribe { channel: CHANNEL }),
    ("sub_refresh", 128, "subscribe", |_| {
        let token = Token("x".into());
        Request::SubRefresh(SubRefresh { channel: CHANNEL, token, kind: 0 })
    }),
    // Four are free, and then they count like others.
    ("refresh", 24, "connection", |_| Request::Refresh { token: Token(token::of("ada").into()) }),
];

#[tokio::test]
async fn each_kind_of_command_at_its_number_and_one_past_it_in_a_batch() {
    for profile in PROFILES {
        // Only the connection's own limits are looked at here.
        let lifted = json!({ "node_commands": "none", "user_messages": "none",
            "ip_connects": "none", "ip_connections": 1_000 });
        let node = node_under(profile, lifted).await;
        for encoding in ENCODINGS {
            for (what, most, scope, request) in ROWS {
                let what = format!("{what} {profile} {encoding:?}");
                let mut wire = connected(&node, "ada", encoding).await;
                let before = limited(&node, scope);
                let answers = batch(&mut wire, encoding, (0..=most).map(request).collect()).await;
                assert_eq!(refused(&answers), 1, "{what}: {answers:?}");
                assert_eq!(answers[most], 111, "{what}: {answers:?}");
                assert_eq!(limited(&node, scope) - before, 1.0, "{what}");
                // At the number, in a connection of its own, none.
                let mut wire = connected(&node, "ada", encoding).await;
                let answers = batch(&mut wire, encoding, (0..most).map(request).collect()).await;
                assert_eq!(refused(&answers), 0, "{what}: {answers:?}");
            }
        }
    }
}

#[tokio::test]
async fn subscribes_and_other_commands_do_not_use_up_each_other() {
    for encoding in ENCODINGS {
        let node = node_under("standard", json!({ "user_messages": "none" })).await;
        let mut wire = connected(&node, "ada", encoding).await;
        let mut all: Vec<_> = (0..128).map(subscribe).collect();
        all.extend((0..20).map(|_| publish()));
        all.extend((0..100).map(|_| Request::Unsubscribe { channel: CHANNEL }));
        let answers = batch(&mut wire, encoding, all).await;
        assert_eq!(refused(&answers), 0, "{answers:?}");
    }
}

#[tokio::test]
async fn one_by_one_as_many_pass_as_time_has_brought() {
    let node = node_under("standard", json!({ "user_messages": "none" })).await;
    let mut wire = connected(&node, "ada", Encoding::Json).await;
    let began = Instant::now();
    let mut passed = 0;
    for _ in 0..60 {
        let answers = batch(&mut wire, Encoding::Json, vec![presence()]).await;
        passed += 1 - refused(&answers);
    }
    let brought = began.elapsed().as_millis() as usize / 100;
    assert!((20..=20 + brought + 1).contains(&passed), "{passed} with {brought}");
}

#[tokio::test]
async fn a_user_has_one_limit_over_all_connections_and_encodings() {
    for profile in PROFILES {
        let node =
            node_under(profile, json!({ "conn_commands": "none", "node_commands": "none" })).await;
        let began = Instant::now();
        let mut passed = 0;
        for encoding in ENCODINGS {
            let mut wire = connected(&node, "ada", encoding).await;
            let rpc = || Request::Rpc { method: "m".into(), data: Some(Data::Json(b"1")) };
            let all = (0..20).map(|at| if at % 2 == 0 { publish() } else { rpc() }).collect();
            let answers = batch(&mut wire, encoding, all).await;
            passed += 20 - refused(&answers);
            // What is no message is not counted.
            let answers = batch(&mut wire, encoding, (0..20).map(|_| presence()).collect()).await;
            assert_eq!(refused(&answers), 0, "{answers:?}");
        }
        let brought = began.elapsed().as_millis() as usize / 600;
        assert!((20..=20 + brought + 1).contains(&passed), "{passed} with {brought}");
        assert_eq!(limited(&node, "user") as usize, 40 - passed);
        // Nobody else is harmed.
        let mut wire = connected(&node, "bob", Encoding::Json).await;
        let answers = batch(&mut wire, Encoding::Json, (0..20).map(|_| publish()).collect()).await;
        assert_eq!(answers, [0; 20]);
    }
}

#[tokio::test]
async fn anonymous_connections_are_not_one_user() {
    let node = node_under("standard", json!({ "conn_commands": "none" })).await;
    for _ in 0..3 {
        let mut wire = Wire::connected(&node, "").await;
        let answers = batch(&mut wire, Encoding::Json, (0..21).map(|_| publish()).collect()).await;
        assert_eq!(&answers[..20], [0; 20]);
        assert_eq!(answers[20], 111);
    }
}

#[tokio::test]
async fn the_node_sheds_what_is_too_much_for_it() {
    for (profile, most) in [("strict", 100), ("standard", 5_000)] {
        let lifted = json!({ "conn_commands": "none", "user_messages": "none" });
        let node = node_under(profile, lifted).await;
        let began = Instant::now();
        let (mut passed, mut asked) = (0, 0);
        let mut wire = connected(&node, "ada", Encoding::Protobuf).await;
        while asked < most + 50 {
            let some = (most + 50 - asked).min(250);
            let all = (0..some).map(|_| presence()).collect();
            passed += some - refused(&batch(&mut wire, Encoding::Protobuf, all).await);
            asked += some;
        }
        let brought = began.elapsed().as_millis() as usize * most / 1_000;
        assert!((most..=most + brought + 1).contains(&passed), "{profile}: {passed}");
        assert_eq!(limited(&node, "node") as usize, asked - passed);
    }
}

#[tokio::test]
async fn whoever_goes_on_after_100_refusals_is_sent_away() {
    for profile in PROFILES {
        for encoding in ENCODINGS {
            let node = node_under(profile, json!({ "user_messages": "none" })).await;
            let mut wire = connected(&node, "ada", encoding).await;
            let all = (0..120).map(|_| publish()).collect();
            assert_eq!(refused(&batch(&mut wire, encoding, all).await), 100);
            // The time of one frame may have brought some back.
            let goes_on = (0..250).map(|_| publish()).collect();
            say_all(&mut wire, encoding, goes_on).await;
            let ended = loop {
                match wire.0.next_reply(crate::support::PATIENCE).await {
                    Ok(_) => {}
                    Err(ended) => break ended,
                }
            };
            assert!(
                matches!(ended, sealcast_client::Error::Disconnected { code: 3013, .. }),
                "{ended:?}"
            );
            let ended = "sealcast_disconnects_total{code=\"3013\"}";
            eventually("counted", || node.number(ended) == 1.0).await;
        }
    }
}

#[tokio::test]
async fn pongs_without_a_ping_are_free_only_up_to_a_point() {
    let node = node_under("standard", json!({})).await;
    let pongs = |count: usize| (0..count).map(|_| Request::Pong).collect();
    for encoding in ENCODINGS {
        let mut wire = connected(&node, "ada", encoding).await;
        // Four are free, twenty count, a hundred are refused: nothing is answered.
        say_all(&mut wire, encoding, pongs(124)).await;
        let unsubscribe = vec![Request::Unsubscribe { channel: CHANNEL }];
        assert_eq!(batch(&mut wire, encoding, unsubscribe).await, [0]);
        say_all(&mut wire, encoding, pongs(250)).await;
        let ended = wire.0.next_reply(crate::support::PATIENCE).await;
        assert!(
            matches!(ended, Err(sealcast_client::Error::Disconnected { code: 3013, .. })),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn a_node_without_limits_on_rates_says_so() {
    for (profile, told) in [("none", true), ("standard", false)] {
        let process = Process::serve(json!({ "limits": { "profile": profile } }));
        assert_eq!(process.log().contains("rates_unlimited"), told, "{profile}");
    }
}

#[tokio::test]
async fn under_none_nothing_is_too_fast() {
    let node = node_under("none", json!({})).await;
    let mut wire = connected(&node, "ada", Encoding::Json).await;
    for _ in 0..4 {
        let all = (0..200).map(|_| publish()).collect();
        assert_eq!(batch(&mut wire, Encoding::Json, all).await, [0; 200]);
    }
    assert_eq!(node.number("sealcast_rate_limited_total"), 0.0);
}
