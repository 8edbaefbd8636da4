//! What is refused, by which reason, and that it costs nothing.

use sealcast_wire::{
    Command, Encoding, MAX_COMMANDS_PER_FRAME, MAX_SUBS_PER_CONNECT, Malformed, Request, json,
    protobuf,
};

/// Of the frame, `before` pongs come out, then the error, then nothing more.
#[track_caller]
fn refused(encoding: Encoding, frame: &[u8], before: usize, malformed: Malformed) {
    let mut commands = encoding.commands(frame);
    for _ in 0..before {
        assert_eq!(commands.next(), Some(Ok(Command { id: 0, request: Request::Pong })));
    }
    assert_eq!(commands.next(), Some(Err(malformed)));
    assert_eq!(commands.next(), None);
    assert_eq!(commands.next(), None);
}

#[track_caller]
fn json(frame: &str, before: usize, malformed: Malformed) {
    refused(Encoding::Json, frame.as_bytes(), before, malformed);
}

#[track_caller]
fn protobuf(frame: &[u8], before: usize, malformed: Malformed) {
    refused(Encoding::Protobuf, frame, before, malformed);
}

#[test]
fn json_frames_that_are_not_lines_of_objects() {
    for (frame, before) in [
        ("", 0),
        ("\n", 0),
        ("\n{}", 0),
        ("{}\n\n", 1),
        ("{}\n\n{}", 1),
        ("{}\n{}\n \n{}", 2),
        ("{}\r\n\r\n{}", 1),
        ("{\n}", 0),
        ("{}\n{\"id\":1,\n\"ping\":{}}", 1),
        ("{} {}", 0),
        ("{}{}", 0),
        ("{},", 0),
        ("[{}]", 0),
        ("[]", 0),
        ("null", 0),
        ("1", 0),
        ("\"{}\"", 0),
        ("{", 0),
        ("\u{feff}{}", 0),
        ("\0", 0),
    ] {
        json(frame, before, Malformed::Syntax);
    }
    refused(Encoding::Json, b"{}\n{\"a\":\"\xff\"}", 1, Malformed::Syntax);
}

#[test]
fn json_values_of_the_wrong_type() {
    for line in [
        r#"{"id":-1,"ping":{}}"#,
        r#"{"id":4294967296,"ping":{}}"#,
        r#"{"id":1.0,"ping":{}}"#,
        r#"{"id":"1","ping":{}}"#,
        r#"{"id":1,"ping":[]}"#,
        r#"{"id":1,"ping":true}"#,
        r#"{"id":1,"publish":["c",1]}"#,
        r#"{"id":1,"publish":{"channel":1}}"#,
        r#"{"id":1,"publish":{"channel":"\ud800"}}"#,
        r#"{"id":1,"publish":{"channel":"c","data":}}"#,
        r#"{"id":1,"publish":{"channel":"c","data":tru}}"#,
        r#"{"id":1,"publish":{"channel":"c","type":2147483648}}"#,
        r#"{"id":1,"subscribe":{"offset":-1}}"#,
        r#"{"id":1,"subscribe":{"recover":1}}"#,
        r#"{"id":1,"connect":{"subs":[]}}"#,
        r#"{"id":1,"connect":{"subs":{"a":1}}}"#,
        r#"{"id":1,"history":{"since":5}}"#,
        r#"{"id":1,"future":[,],"ping":{}}"#,
    ] {
        json(line, 0, Malformed::Syntax);
    }
}

#[test]
fn one_request_and_an_id() {
    json(r#"{"id":5}"#, 0, Malformed::NotOneRequest);
    json(r#"{"id":5,"future":{}}"#, 0, Malformed::NotOneRequest);
    json(r#"{"id":5,"publish":null}"#, 0, Malformed::NotOneRequest);
    json(r#"{"id":5,"ping":{},"publish":{}}"#, 0, Malformed::NotOneRequest);
    json(r#"{"id":5,"ping":{},"ping":{}}"#, 0, Malformed::NotOneRequest);
    json(r#"{"ping":{}}"#, 0, Malformed::MissingId);
    json(r#"{"id":0,"publish":{"channel":"c","data":1}}"#, 0, Malformed::MissingId);

    protobuf(&[2, 0x08, 5], 0, Malformed::NotOneRequest);
    protobuf(&[4, 0x08, 5, 0x60, 0], 0, Malformed::Syntax);
    protobuf(&[6, 0x08, 5, 0x5a, 0, 0x62, 0], 0, Malformed::NotOneRequest);
    protobuf(&[6, 0x08, 5, 0x5a, 0, 0x5a, 0], 0, Malformed::NotOneRequest);
    protobuf(&[2, 0x5a, 0], 0, Malformed::MissingId);
    protobuf(&[0, 0, 2, 0x3a, 0], 2, Malformed::MissingId);
}

#[test]
fn too_many_commands() {
    let most = "{}\n".repeat(MAX_COMMANDS_PER_FRAME);
    assert_eq!(json::commands(most.as_bytes()).flatten().count(), MAX_COMMANDS_PER_FRAME);
    json(&(most.clone() + "{}"), MAX_COMMANDS_PER_FRAME, Malformed::TooMany);
    json(&(most + "nonsense"), MAX_COMMANDS_PER_FRAME, Malformed::TooMany);

    let mut most = vec![0; MAX_COMMANDS_PER_FRAME];
    assert_eq!(protobuf::commands(&most).flatten().count(), MAX_COMMANDS_PER_FRAME);
    most.push(0);
    protobuf(&most, MAX_COMMANDS_PER_FRAME, Malformed::TooMany);
}

#[test]
fn too_many_positions_in_a_connect() {
    let json_with = |subs: usize| {
        let subs: Vec<_> = (0..subs).map(|n| format!(r#""{n}":{{}}"#)).collect();
        format!(r#"{{"id":1,"connect":{{"subs":{{{}}}}}}}"#, subs.join(","))
    };
    assert!(json::commands(json_with(MAX_SUBS_PER_CONNECT).as_bytes()).all(|it| it.is_ok()));
    json(&json_with(MAX_SUBS_PER_CONNECT + 1), 0, Malformed::TooMany);
    json(&json_with(10_000), 0, Malformed::TooMany);

    let protobuf_with = |subs: usize| {
        let connect = nest(0x22, &[0x1a, 0].repeat(subs));
        delimited(&[&[0x08, 1], connect.as_slice()].concat())
    };
    assert!(protobuf::commands(&protobuf_with(MAX_SUBS_PER_CONNECT)).all(|it| it.is_ok()));
    protobuf(&protobuf_with(MAX_SUBS_PER_CONNECT + 1), 0, Malformed::TooMany);
    protobuf(&protobuf_with(30_000), 0, Malformed::TooMany);
}

#[test]
fn json_nested_too_deeply() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    type Line = fn(&str) -> String;
    let places: [Line; 5] = [
        |data| format!(r#"{{"send":{{"data":{data}}}}}"#),
        |data| format!(r#"{{"id":1,"publish":{{"channel":"c","data":{data}}}}}"#),
        |data| format!(r#"{{"id":1,"subscribe":{{"channel":"c","data":{data}}}}}"#),
        |data| format!(r#"{{"id":1,"connect":{{"data":{data}}}}}"#),
        |data| format!(r#"{{"id":1,"connect":{{"subs":{{"c":{{"data":{data}}}}}}}}}"#),
    ];
    for line in places {
        assert!(json::commands(line(&nested(32)).as_bytes()).all(|it| it.is_ok()));
        json(&line(&nested(33)), 0, Malformed::TooDeep);
        json(&line(&nested(10_000)), 0, Malformed::TooDeep);
        json(&line(&"[".repeat(10_000)), 0, Malformed::TooDeep);
        json(&line(&"{\"a\":".repeat(10_000)), 0, Malformed::TooDeep);
        // Many brackets, but none deep.
        let wide = format!("[{}\"[[[[\"]", "[[]],{},".repeat(1_000));
        assert!(json::commands(line(&wide).as_bytes()).all(|it| it.is_ok()));
    }
    json(&"[".repeat(10_000), 0, Malformed::TooDeep);
    json(&format!("{{\"future\":{}}}", nested(10_000)), 0, Malformed::TooDeep);
    json(&format!(r#"{{"id":1,"subscribe":{{"tf":{}}}}}"#, nested(1_000)), 0, Malformed::TooDeep);
}

#[test]
fn protobuf_nested_too_deeply() {
    let filtered = |levels: usize| {
        let mut node = Vec::new();
        for _ in 1..levels {
            node = nest(0x32, &node);
        }
        let subscribe = nest(0x2a, &nest(0x6a, &node));
        delimited(&[&[0x08, 1], subscribe.as_slice()].concat())
    };
    assert!(protobuf::commands(&filtered(32)).all(|it| it.is_ok()));
    protobuf(&filtered(33), 0, Malformed::TooDeep);
    protobuf(&filtered(1_000), 0, Malformed::TooDeep);
}

#[test]
fn protobuf_lengths_past_the_end() {
    protobuf(&[], 0, Malformed::Syntax);
    protobuf(&[1], 0, Malformed::Truncated);
    protobuf(&[0, 0x80], 1, Malformed::Truncated);
    // 2^31, 2^32 - 1, 2^63 and 2^64 - 1.
    let huge: [&[u8]; 4] = [
        &[0x80, 0x80, 0x80, 0x80, 0x08],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    for length in huge {
        protobuf(&[length, &[0x5a]].concat(), 0, Malformed::Truncated);
        // The same inside of a message, for a message, a string and an unknown field.
        for key in [&[0x2a][..], &[0x3a, 0x0b, 0x0a], &[0xa2, 0x06]] {
            let message = [&[0x08, 1], key, length].concat();
            protobuf(&delimited(&message), 0, Malformed::Truncated);
        }
    }
    // Longer than ten bytes, or than 64 bits.
    protobuf(&[0x80; 11], 0, Malformed::Syntax);
    protobuf(&[[0xff; 9].as_slice(), &[0x7f]].concat(), 0, Malformed::Syntax);
}

#[test]
fn protobuf_fields_that_are_not() {
    let bad: [(&[u8], Malformed); 13] = [
        // Field number 0, and one above 2^29.
        (&[0x00, 0x00], Malformed::Syntax),
        (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x00], Malformed::Syntax),
        // Start and end of a group, and the types that are none.
        (&[0xa3, 0x06, 0xa4, 0x06], Malformed::Syntax),
        (&[0xa4, 0x06], Malformed::Syntax),
        (&[0xa6, 0x06], Malformed::Syntax),
        (&[0xa7, 0x06], Malformed::Syntax),
        // Cut off fixed fields.
        (&[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7], Malformed::Truncated),
        (&[0xa5, 0x06, 1, 2, 3], Malformed::Truncated),
        // A command id that is a string, fixed, or of 33 bits.
        (&[0x0a, 1, 1], Malformed::Syntax),
        (&[0x0d, 1, 0, 0, 0], Malformed::Syntax),
        (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x10], Malformed::Syntax),
        // A request that is a number, and a channel that is not UTF-8.
        (&[0x08, 1, 0x58, 1], Malformed::Syntax),
        (&[0x08, 1, 0x3a, 3, 0x0a, 1, 0xff], Malformed::Syntax),
    ];
    for (message, malformed) in bad {
        protobuf(&delimited(message), 0, malformed);
    }
}

fn delimited(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = message.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(message);
    out
}

fn nest(key: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    out.extend(delimited(message));
    out
}
