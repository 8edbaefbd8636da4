//! Protobuf that is no command, or none that may come now (protocol 1.3, 2.2 to
//! 2.6). Field numbers are the protocol's.

use super::{BAD, Case, Close, Error, Expected, Input};
use crate::frames::{field, varint};

pub(super) fn cases() -> Vec<Case> {
    let all = [framing(), wire_types(), texts(), ids(), nested(), refused()];
    all.into_iter().flatten().collect()
}

/// The requests of a command by their fields.
const REQUESTS: [usize; 12] = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn case(name: impl Into<String>, frame: Vec<u8>, expected: Expected, clause: &'static str) -> Case {
    Case::new(name, Input::Binary(frame), expected, clause)
}

/// One command behind its length.
fn command(parts: &[&[u8]]) -> Vec<u8> {
    let command = parts.concat();
    [varint(command.len()), command].concat()
}

fn key(number: usize, kind: usize) -> Vec<u8> {
    varint(number << 3 | kind)
}

/// A length-delimited field.
fn put(number: usize, bytes: &[u8]) -> Vec<u8> {
    [&field(number, bytes.len()), bytes].concat()
}

const ID: &[u8] = &[0x08, 2];

fn framing() -> Vec<Case> {
    let rows: [(&str, &[u8]); 10] = [
        ("a length alone", b"\x05"),
        ("one byte less than the length", b"\x06\x08\x02\x32\x02\x0a"),
        ("a second command cut off", b"\x00\x00\x09\x08"),
        ("a length cut off", b"\x00\x80"),
        ("a length of 2^35", b"\x80\x80\x80\x80\x80\x01\x08\x02"),
        ("a length of 2^64 - 2", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x08\x02"),
        ("a length of eleven bytes", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        ("JSON", br#"{"id":2,"unsubscribe":{"channel":"x"}}"#),
        ("a command without its length", b"\x08\x02\x32\x03\x0a\x01x"),
        ("zeros and then ones", b"\x00\x00\x00\x01\x01"),
    ];
    let framing = |(name, bytes): (&str, &[u8])| case(name, bytes.to_vec(), BAD, "protocol 1.3");
    rows.into_iter().map(framing).collect()
}

/// Each request as a number, as fixed bytes, and as types that there are not.
fn wire_types() -> Vec<Case> {
    let mut cases = Vec::new();
    for request in REQUESTS {
        for (kind, value, name) in [
            (0, &b"\x01"[..], "a varint"),
            (1, &[0; 8], "eight bytes"),
            (5, &[0; 4], "four bytes"),
            (3, b"", "a group"),
        ] {
            let frame = command(&[ID, &key(request, kind), value]);
            cases.push(case(format!("request {request} as {name}"), frame, BAD, "protocol 2.1"));
        }
    }
    for (number, kind) in [(100, 4), (100, 6), (100, 7), (0, 2)] {
        let frame = command(&[ID, &key(number, kind), b"\x00"]);
        cases.push(case(format!("field {number} of type {kind}"), frame, BAD, "protocol 2.1"));
    }
    // Members: request, field, and what it is not.
    for (request, number, name) in [
        (5, 1, "channel"),
        (5, 2, "token"),
        (5, 6, "epoch"),
        (5, 8, "data"),
        (5, 12, "delta"),
        (5, 13, "tf"),
        (7, 2, "data"),
        (10, 8, "since"),
        (13, 2, "method"),
        (15, 2, "token"),
    ] {
        let inner = [key(number, 0), vec![1]].concat();
        let frame = command(&[ID, &put(request, &inner)]);
        cases.push(case(format!("{name} of {request} as a varint"), frame, BAD, "protocol 2.1"));
    }
    for (request, number, name) in [
        (5, 3, "recover"),
        (5, 7, "offset"),
        (5, 14, "flag"),
        (5, 15, "type"),
        (7, 3, "type"),
        (10, 7, "limit"),
        (10, 9, "reverse"),
        (15, 3, "type"),
    ] {
        let frame = command(&[ID, &put(request, &put(number, b"1"))]);
        cases.push(case(format!("{name} of {request} as text"), frame, BAD, "protocol 2.1"));
    }
    cases
}

/// Strings that are not UTF-8.
fn texts() -> Vec<Case> {
    let mut cases = Vec::new();
    for (request, number) in [
        (5, 1),
        (5, 2),
        (5, 6),
        (5, 12),
        (6, 1),
        (7, 1),
        (8, 1),
        (9, 1),
        (10, 1),
        (13, 2),
        (14, 1),
        (15, 1),
        (15, 2),
    ] {
        let frame = command(&[ID, &put(request, &put(number, b"x\xff"))]);
        let name = format!("string {number} of {request} that is not UTF-8");
        cases.push(case(name, frame, BAD, "protocol 2.1"));
    }
    cases
}

fn ids() -> Vec<Case> {
    let mut cases = Vec::new();
    let channel = put(1, b"x");
    for request in REQUESTS.into_iter().filter(|request| *request != 12) {
        let frame = command(&[&put(request, &channel)]);
        cases.push(case(format!("request {request} without id"), frame, BAD, "protocol 3.1"));
    }
    let rows: [(&str, Vec<u8>); 5] = [
        ("an id of 33 bits", b"\x08\x81\x80\x80\x80\x10".to_vec()),
        ("an id of 64 bits", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()),
        ("a negative id", b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()),
        ("an id of text", put(1, b"2")),
        ("an id of four bytes", b"\x0d\x02\x00\x00\x00".to_vec()),
    ];
    for (name, id) in rows {
        let frame = command(&[&id, &put(6, &channel)]);
        cases.push(case(name, frame, BAD, "protocol 2.2"));
    }
    for (name, rest) in [
        ("an id alone, and what is unknown", put(100, b"x")),
        ("two requests", [put(6, &channel), put(7, &channel)].concat()),
        ("one request twice", [put(6, &channel), put(6, &channel)].concat()),
        ("fields of the first version", [put(2, b"\x01"), put(3, b"x")].concat()),
    ] {
        cases.push(case(name, command(&[ID, &rest]), BAD, "protocol 2.2"));
    }
    cases
}

/// Lengths within that reach beyond what holds them.
fn nested() -> Vec<Case> {
    let mut cases = Vec::new();
    for request in REQUESTS {
        let inner = field(1, 100);
        let frame = command(&[ID, &put(request, &inner)]);
        cases.push(case(format!("a field of {request} cut off"), frame, BAD, "protocol 1.3"));
        let frame = command(&[ID, &field(request, 100)]);
        cases.push(case(format!("request {request} cut off"), frame, BAD, "protocol 1.3"));
    }
    let since = put(8, &put(2, b"\xff"));
    cases.push(case(
        "an epoch that is no text",
        command(&[ID, &put(10, &since)]),
        BAD,
        "protocol 2.1",
    ));
    cases
}

fn refused() -> Vec<Case> {
    let publish = |channel: &[u8], data: &[u8]| {
        command(&[ID, &put(7, &[put(1, channel), put(2, data)].concat())])
    };
    let deep = [b"[".repeat(33), b"]".repeat(33)].concat();
    let mut cases = vec![
        case("no data", command(&[ID, &put(7, &put(1, b"x"))]), Error(107), "protocol 12.1"),
        case("nothing to send to", command(&[&put(12, b"")]), Close(3508), "protocol 3.9"),
        case("a second connect", command(&[ID, &put(4, b"")]), BAD, "protocol 3.1"),
        case("a ping request", command(&[ID, &put(11, b"")]), BAD, "protocol 3.3"),
        case("a refresh of nothing", command(&[ID, &put(14, b"")]), BAD, "protocol 3.4"),
        case("an rpc", command(&[ID, &put(13, b"")]), Error(108), "protocol 3.9"),
    ];
    for (name, data) in [
        ("empty data", &b""[..]),
        ("half a value", b"{\"a\":"),
        ("two values", b"1,2"),
        ("a number that is none", b"01"),
        ("a string that is not UTF-8", b"\"\x80\""),
        ("a raw control character", b"\"\x07\""),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("NUL behind a value", b"{}\0"),
        ("Protobuf", b"\x08\x02"),
        ("data that is nested too deeply", &deep),
    ] {
        cases.push(case(name, publish(b"x", data), Error(107), "protocol 2.1, 4.6"));
    }
    for request in [5, 6, 7, 8, 9, 10, 15] {
        let frame = command(&[ID, &put(request, b"")]);
        let name = format!("request {request} without a channel");
        cases.push(case(name, frame, BAD, "protocol 3.4, 4.1, 4.6 to 4.8"));
    }
    for name in [&b"a b"[..], b"\xc3\xa9", b"a\x00", &[b'n'; 256]] {
        let frame = command(&[ID, &put(5, &put(1, name))]);
        cases.push(case(format!("channel {name:?}"), frame, Error(107), "protocol 4.1, R-32"));
    }
    cases
}
