//! Replies in JSON, letter by letter: SDKs read some members without asking
//! whether they are there.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bytes::Bytes;
use sealcast_wire::reply::{
    ClientInfo, ConnectResult, Event, Expiry, HistoryResult, SubscribeResult,
};
use sealcast_wire::{Body, ErrorCode, Malformed, Publication, Push, Reply, Unsubscribed, json};

fn text(reply: &Reply) -> String {
    let mut out = Vec::new();
    json::put_reply(&mut out, reply);
    assert!(out.capacity() <= out.len().max(8));
    String::from_utf8(out).expect("UTF-8")
}

/// Is written as `line`, and read from it the same.
#[track_caller]
fn both_ways(line: &str, id: u32, body: Body) {
    let reply = Reply { id, body };
    assert_eq!(text(&reply), line);
    let replies: Vec<_> = json::replies(line.as_bytes()).collect();
    assert_eq!(replies, [Ok(reply)]);
}

#[track_caller]
fn push(line: &str, channel: &str, event: Event) {
    both_ways(line, 0, Body::Push(Push { channel: channel.into(), event }));
}

fn minute() -> Expiry {
    Expiry { ttl: NonZeroU32::new(60) }
}

fn info() -> ClientInfo {
    ClientInfo { client: "id".into(), ..Default::default() }
}

#[test]
fn results_are_there_even_if_empty() {
    both_ways("{}", 0, Body::Ping);
    both_ways(r#"{"id":4,"ping":{}}"#, 4, Body::Ping);
    both_ways(r#"{"id":2,"subscribe":{}}"#, 2, Body::Subscribe(Box::default()));
    both_ways(r#"{"id":3,"unsubscribe":{}}"#, 3, Body::Unsubscribe);
    both_ways(r#"{"id":5,"publish":{}}"#, 5, Body::Publish);
    both_ways(r#"{"id":5,"presence":{"presence":{}}}"#, 5, Body::Presence(BTreeMap::new()));
    both_ways(
        r#"{"id":6,"presence_stats":{"num_clients":0,"num_users":0}}"#,
        6,
        Body::PresenceStats { num_clients: 0, num_users: 0 },
    );
    both_ways(
        r#"{"id":7,"history":{"publications":[],"epoch":"","offset":0}}"#,
        7,
        Body::History(HistoryResult::default()),
    );
    both_ways(r#"{"id":8,"rpc":{}}"#, 8, Body::Rpc(Bytes::new()));
    both_ways(r#"{"id":9,"refresh":{}}"#, 9, Body::Refresh(Expiry::default()));
    both_ways(r#"{"id":10,"sub_refresh":{}}"#, 10, Body::SubRefresh(Expiry::default()));
}

#[test]
fn results_with_content() {
    both_ways(
        r##"{"id":1,"connect":{"client":"6f0d","version":"0.1.0","expires":true,"ttl":60,"data":{"x":1},"subs":{"#42":{"recoverable":true,"epoch":"e","positioned":true}},"ping":25,"pong":true,"session":"s","node":"n","time":-1}}"##,
        1,
        Body::Connect(Box::new(connected())),
    );
    both_ways(
        r#"{"id":2,"subscribe":{"expires":true,"ttl":60,"recoverable":true,"epoch":"e","publications":[{"data":1,"offset":1},{"data":2,"offset":2}],"recovered":true,"offset":2,"positioned":true,"data":[],"was_recovering":true,"delta":true}}"#,
        2,
        Body::Subscribe(Box::new(SubscribeResult {
            expiry: minute(),
            recoverable: true,
            epoch: "e".into(),
            publications: vec![publication("1", 1), publication("2", 2)],
            recovered: true,
            offset: 2,
            positioned: true,
            data: "[]".into(),
            was_recovering: true,
            delta: true,
        })),
    );
    both_ways(
        r#"{"id":5,"presence":{"presence":{"id":{"user":"","client":"id"}}}}"#,
        5,
        Body::Presence([("id".to_owned(), info())].into()),
    );
    both_ways(
        r#"{"id":7,"history":{"publications":[{"data":null,"offset":18446744073709551615}],"epoch":"e","offset":3}}"#,
        7,
        Body::History(HistoryResult {
            publications: vec![publication("null", u64::MAX)],
            epoch: "e".into(),
            offset: 3,
        }),
    );
    both_ways(r#"{"id":8,"rpc":{"data":1.0}}"#, 8, Body::Rpc("1.0".into()));
    both_ways(r#"{"id":9,"refresh":{"expires":true,"ttl":60}}"#, 9, Body::Refresh(minute()));
    both_ways(
        r#"{"id":10,"sub_refresh":{"expires":true,"ttl":60}}"#,
        10,
        Body::SubRefresh(minute()),
    );
}

#[test]
fn errors_have_a_text_and_are_permanent_unless_said() {
    both_ways(
        r#"{"id":4,"error":{"code":103,"message":"permission denied"}}"#,
        4,
        Body::Error(ErrorCode::PermissionDenied.into()),
    );
    both_ways(
        r#"{"id":4,"error":{"code":100,"message":"internal server error","temporary":true}}"#,
        4,
        Body::Error(ErrorCode::Internal.into()),
    );
}

#[test]
fn pushes_have_no_id() {
    push(
        r#"{"push":{"channel":"room","pub":{"data":{"a":1},"offset":1}}}"#,
        "room",
        Event::Publication(publication(r#"{"a":1}"#, 1)),
    );
    push(
        r#"{"push":{"channel":"c","pub":{"data":"","info":{"user":"u","client":"id","conn_info":{"n":1},"chan_info":"x"},"offset":9,"tags":{"a\"":"b\\","k":""},"delta":true,"epoch":"e"}}}"#,
        "c",
        Event::Publication(Publication {
            data: "\"\"".into(),
            info: Some(ClientInfo {
                user: "u".into(),
                client: "id".into(),
                conn_info: r#"{"n":1}"#.into(),
                chan_info: r#""x""#.into(),
            }),
            offset: 9,
            tags: [("a\"".to_owned(), "b\\".to_owned()), ("k".to_owned(), String::new())].into(),
            delta: true,
            epoch: "e".into(),
        }),
    );
    push(
        r#"{"push":{"channel":"c","join":{"info":{"user":"","client":"id"}}}}"#,
        "c",
        Event::Join(info()),
    );
    push(
        r#"{"push":{"channel":"c","leave":{"info":{"user":"","client":"id"}}}}"#,
        "c",
        Event::Leave(info()),
    );
    push(
        r#"{"push":{"channel":"c","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#,
        "c",
        Unsubscribed::InsufficientState.into(),
    );
    push(
        r#"{"push":{"channel":"c","subscribe":{"recoverable":true,"epoch":"e","offset":3,"positioned":true,"data":{}}}}"#,
        "c",
        Event::Subscribe(Box::new(SubscribeResult {
            recoverable: true,
            epoch: "e".into(),
            offset: 3,
            positioned: true,
            data: "{}".into(),
            ..Default::default()
        })),
    );
    push(r#"{"push":{"message":{"data":[]}}}"#, "", Event::Message("[]".into()));
    push(
        r##"{"push":{"connect":{"client":"6f0d","version":"0.1.0","expires":true,"ttl":60,"data":{"x":1},"subs":{"#42":{"recoverable":true,"epoch":"e","positioned":true}},"ping":25,"pong":true,"session":"s","node":"n","time":-1}}}"##,
        "",
        Event::Connect(Box::new(connected())),
    );
    push(
        r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#,
        "",
        Event::Disconnect { code: 3001, reason: "shutdown".into() },
    );
    push(r#"{"push":{"refresh":{}}}"#, "", Event::Refresh(Expiry::default()));
}

#[test]
fn a_publication_is_written_as_its_push_would_be() {
    for data in ["1", "{\n\t\"a\": \"\\n\"\r\n}\n"] {
        let publication = publication(data, 7);
        let mut out = Vec::new();
        json::put_publication(&mut out, "c", &publication);
        assert_eq!(out.len(), out.capacity());
        let event = Event::Publication(publication);
        assert_eq!(out, text(&Reply::push("c".into(), event)).into_bytes());
    }
}

#[test]
fn raw_line_ends_are_dropped_and_nothing_else_is_changed() {
    let written = |data: &'static str| text(&Reply { id: 1, body: Body::Rpc(data.into()) });
    assert_eq!(
        written("\n{\r\n  \"a\": [1.0,\n\n1e3],\t\"b\":\"\\n\\r\"\n}\r"),
        r#"{"id":1,"rpc":{"data":{  "a": [1.0,1e3],	"b":"\n\r"}}}"#
    );
    // Raw in a payload, these are the application's own affair.
    assert_eq!(written("\"\u{2028}\""), "{\"id\":1,\"rpc\":{\"data\":\"\u{2028}\"}}");
}

#[test]
fn strings_are_escaped() {
    let message = "\"\\/\n\r\t\u{8}\u{0}\u{1f}\u{7f}é\u{2027}\u{2028}\u{2029}\u{202a}😀".into();
    both_ways(
        concat!(
            r#"{"id":1,"error":{"code":0,"message":"\"\\/\n\r\t\u0008\u0000\u001f"#,
            "\u{7f}é\u{2027}",
            r"\u2028\u2029",
            "\u{202a}😀",
            r#""}}"#
        ),
        1,
        Body::Error(sealcast_wire::reply::Error { code: 0, message, temporary: false }),
    );
}

#[test]
fn clients_skip_what_they_do_not_know() {
    let frame = concat!(
        r#"{"id":1,"publish":{"later":[1]},"extra":{"a":{}}}"#,
        "\n",
        r#"{"push":{"channel":"c","later":{}}}"#,
        "\n",
        r#"{"later":{}}"#,
        "\n",
        r#"{"error":null,"push":null}"#,
        "\n",
        r#"{"push":{"id":3,"channel":"c","pub":{"data":1,"time":5,"info":null,"tags":null}}}"#,
        "\n",
    );
    let replies: Vec<_> = json::replies(frame.as_bytes()).collect();
    assert_eq!(
        replies,
        [
            Ok(Reply { id: 1, body: Body::Publish }),
            Ok(Reply { id: 0, body: Body::Ping }),
            Ok(Reply::push("c".into(), Event::Publication(publication("1", 0)))),
        ]
    );
}

#[test]
fn replies_end_at_the_first_that_is_malformed() {
    for (frame, malformed) in [
        ("{}\n\n{}", Malformed::Syntax),
        ("{}\n{\"id\":1}\n{}", Malformed::NotOneRequest),
        ("{}\n{\"id\":1,\"publish\":{},\"rpc\":{}}", Malformed::NotOneRequest),
        ("{}\n{\"id\":1,\"publish\":[]}", Malformed::Syntax),
    ] {
        let replies: Vec<_> = json::replies(frame.as_bytes()).collect();
        assert_eq!(replies, [Ok(Reply { id: 0, body: Body::Ping }), Err(malformed)], "{frame}");
    }
    let deep = format!(r#"{{"id":1,"rpc":{{"data":{}}}}}"#, "[".repeat(10_000));
    assert_eq!(json::replies(deep.as_bytes()).next(), Some(Err(Malformed::TooDeep)));
}

fn publication(data: &'static str, offset: u64) -> Publication {
    Publication { data: data.into(), offset, ..Default::default() }
}

fn connected() -> ConnectResult {
    let result = SubscribeResult {
        recoverable: true,
        epoch: "e".into(),
        positioned: true,
        ..Default::default()
    };
    ConnectResult {
        client: "6f0d".into(),
        version: "0.1.0".into(),
        expiry: minute(),
        data: r#"{"x":1}"#.into(),
        subs: [("#42".to_owned(), result)].into(),
        ping: 25,
        pong: true,
        session: "s".into(),
        node: "n".into(),
        time: -1,
    }
}
