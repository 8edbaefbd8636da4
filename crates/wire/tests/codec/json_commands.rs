//! Commands in JSON: what SDKs send, and how they may spell it.

use std::borrow::Cow;

use sealcast_wire::command::{Connect, History, Publish, SubRefresh, Subscribe, Token};
use sealcast_wire::{BadFilter, Command, Data, Request, json};

fn one(line: &str) -> Command<'_> {
    let mut commands = json::commands(line.as_bytes());
    let command = commands.next().expect("a command").expect("valid");
    assert_eq!(commands.next(), None);
    command
}

fn data(json: &str) -> Option<Data<'_>> {
    Some(Data::Json(json.as_bytes()))
}

/// Reads as `request`, and is written from it the same.
#[track_caller]
fn both_ways(line: &str, id: u32, request: Request<'_>) {
    let command = Command { id, request };
    assert_eq!(one(line), command);
    let mut out = Vec::new();
    json::put_command(&mut out, &command);
    assert_eq!(std::str::from_utf8(&out), Ok(line));
    assert!(out.capacity() <= out.len().max(8));
}

#[test]
fn each_request_has_its_form() {
    both_ways("{}", 0, Request::Pong);
    both_ways(
        r##"{"id":1,"connect":{"token":"t","data":{"a":1},"subs":{"#42":{"recover":true,"epoch":"e","offset":7}},"name":"js","version":"5.7.1"}}"##,
        1,
        Request::Connect(Box::new(Connect {
            token: Token("t".into()),
            data: data(r#"{"a":1}"#),
            subs: vec![(
                "#42".into(),
                Subscribe { recover: true, epoch: "e".into(), offset: 7, ..Default::default() },
            )],
            name: "js".into(),
            version: "5.7.1".into(),
        })),
    );
    both_ways(
        r#"{"id":2,"subscribe":{"channel":"c","token":"t","recover":true,"epoch":"e","offset":18446744073709551615,"data":[],"positioned":true,"recoverable":true,"join_leave":true,"delta":"fossil","tf":{},"flag":-9223372036854775808,"type":-1}}"#,
        2,
        Request::Subscribe(Box::new(Subscribe {
            channel: "c".into(),
            token: Token("t".into()),
            recover: true,
            epoch: "e".into(),
            offset: u64::MAX,
            data: data("[]"),
            positioned: true,
            recoverable: true,
            join_leave: true,
            delta: "fossil".into(),
            filter: Some(Err(BadFilter)),
            flag: i64::MIN,
            kind: -1,
        })),
    );
    both_ways(
        r#"{"id":3,"unsubscribe":{"channel":"c"}}"#,
        3,
        Request::Unsubscribe { channel: "c".into() },
    );
    both_ways(
        r#"{"id":4,"publish":{"channel":"c","data":"x","type":1}}"#,
        4,
        Request::Publish(Publish { channel: "c".into(), data: data(r#""x""#), kind: 1 }),
    );
    both_ways(
        r#"{"id":5,"presence":{"channel":"c"}}"#,
        5,
        Request::Presence { channel: "c".into() },
    );
    both_ways(
        r#"{"id":6,"presence_stats":{"channel":"c"}}"#,
        6,
        Request::PresenceStats { channel: "c".into() },
    );
    both_ways(
        r#"{"id":7,"history":{"channel":"c","limit":-1,"since":{"offset":3,"epoch":"e"},"reverse":true}}"#,
        7,
        Request::History(History {
            channel: "c".into(),
            limit: -1,
            since: Some((3, "e".into())),
            reverse: true,
        }),
    );
    both_ways(
        r#"{"id":8,"rpc":{"method":"m","data":null}}"#,
        8,
        Request::Rpc { method: "m".into(), data: data("null") },
    );
    both_ways(
        r#"{"id":9,"refresh":{"token":"t"}}"#,
        9,
        Request::Refresh { token: Token("t".into()) },
    );
    both_ways(
        r#"{"id":10,"sub_refresh":{"channel":"c","token":"t"}}"#,
        10,
        Request::SubRefresh(SubRefresh { channel: "c".into(), token: Token("t".into()), kind: 0 }),
    );
    both_ways(r#"{"send":{"data":1}}"#, 0, Request::Send { data: data("1") });
    both_ways(r#"{"id":4294967295,"ping":{}}"#, u32::MAX, Request::Ping);
}

#[test]
fn commands_of_a_frame_come_in_order() {
    let two = [1, 2].map(|id| Command { id, request: Request::Ping });
    for frame in [
        "{\"id\":1,\"ping\":{}}\n{\"id\":2,\"ping\":{}}",
        "{\"id\":1,\"ping\":{}}\n{\"id\":2,\"ping\":{}}\n",
        "{\"id\":1,\"ping\":{}}\r\n{\"id\":2,\"ping\":{}}\r\n",
        " {\"id\" : 1, \"ping\" : {} }\t\n  {\"ping\":{},\"id\":2}",
    ] {
        let commands: Result<Vec<_>, _> = json::commands(frame.as_bytes()).collect();
        assert_eq!(commands.as_deref(), Ok(two.as_slice()), "{frame:?}");
    }
}

#[test]
fn unknown_members_are_skipped_and_null_is_absent() {
    assert_eq!(
        one(
            r#"{"method":9,"id":1,"future":{"deep":[[{}]]},"connect":null,"subscribe":{"channel":"c","profile":["x"],"token":null,"recover":null,"offset":null,"flag":1,"tf":null,"type":null,"cursor":""},"rpc":null}"#
        ),
        Command {
            id: 1,
            request: Request::Subscribe(Box::new(Subscribe {
                channel: "c".into(),
                flag: 1,
                ..Default::default()
            })),
        }
    );
    assert_eq!(one(r#"{"id":null,"future":1}"#), Command { id: 0, request: Request::Pong });
    assert_eq!(
        one(r#"{"id":1,"connect":{"subs":null,"headers":{"a":"b"}}}"#),
        Command { id: 1, request: Request::Connect(Box::default()) }
    );
}

#[test]
fn null_data_is_a_payload_and_absent_data_is_none() {
    let publish = |line| match one(line).request {
        Request::Publish(publish) => publish.data,
        other => panic!("{other:?}"),
    };
    assert_eq!(publish(r#"{"id":1,"publish":{"channel":"c","data":null}}"#), data("null"));
    assert_eq!(publish(r#"{"id":1,"publish":{"channel":"c"}}"#), None);
}

#[test]
fn payloads_keep_their_spelling() {
    for value in [
        "1.0",
        "1e3",
        "-0",
        "18446744073709551616",
        "9007199254740993",
        r#"{ "b" : 1 ,  "a":	[ ] }"#,
        r#""\u00e9\/é 😀""#,
        "\"\u{2028}\u{2029}\"",
        r#"{"a":1,"a":2}"#,
        "0",
        "false",
        r#""""#,
        "[]",
    ] {
        let line = format!(r#"{{"id":1,"publish":{{"channel":"c","data": {value} }}}}"#);
        let Request::Publish(publish) = one(&line).request else { panic!("publish") };
        assert_eq!(publish.data, data(value));
    }
}

#[test]
fn text_is_borrowed_unless_it_has_escapes() {
    let Request::Presence { channel } = one(r#"{"id":1,"presence":{"channel":"ü:1"}}"#).request
    else {
        panic!("presence")
    };
    assert!(matches!(channel, Cow::Borrowed("ü:1")));
    let line = r#"{"id":1,"pr\u0065sence":{"\u0063hannel":"\"\\\/\n\u00fc\ud83d\ude00"}}"#;
    let Request::Presence { channel } = one(line).request else { panic!("presence") };
    assert_eq!(channel, "\"\\/\nü😀");
    assert!(matches!(channel, Cow::Owned(_)));
}

#[test]
fn a_payload_with_line_ends_fits_a_frame() {
    let request = Request::Send { data: Some(Data::Opaque(b"{\r\n \"a\":\n1}\n")) };
    let mut out = Vec::new();
    json::put_command(&mut out, &Command { id: 0, request });
    assert_eq!(out, br#"{"send":{"data":{ "a":1}}}"#);
}

#[test]
fn values_are_told_from_what_is_none() {
    for value in ["0", " {} ", "\n[1,\r\n2]\t", r#""\ud800""#, "null", "1e999", "-0.0"] {
        assert!(json::is_value(value.as_bytes()), "{value:?}");
    }
    for none in
        ["", " ", "{} {}", "nul", "01", "1.", "[1,]", "{\"a\"}", "'a'", "\"\n\"", "\u{feff}1"]
    {
        assert!(!json::is_value(none.as_bytes()), "{none:?}");
    }
    assert!(!json::is_value(b"\"\xff\""));
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(json::is_value(nested(32).as_bytes()));
    assert!(!json::is_value(nested(33).as_bytes()));
    assert!(!json::is_value(nested(10_000).as_bytes()));
}
