//! WebSocket framing.

use super::{Case, Close, Input};
use crate::frames::{announced, frame};

const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const FRAGMENTS: u16 = 1008;
const TOO_BIG: u16 = 1009;

pub(super) fn cases() -> Vec<Case> {
    let all = [first_bytes(), lengths(), masks(), fragments(), texts(), closes()];
    all.into_iter().flatten().collect()
}

fn case(name: impl Into<String>, bytes: Vec<u8>, code: u16, clause: &'static str) -> Case {
    Case::new(name, Input::Bytes(bytes), Close(code), clause)
}

fn first_bytes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, first) in [
        ("RSV1 and RSV2", 0xe1),
        ("all three RSV", 0xf1),
        ("RSV1 on a binary message", 0xc2),
        ("RSV1 on a ping", 0xc9),
        ("RSV2 on a pong", 0xaa),
        ("RSV3 on a close", 0x98),
        ("RSV1 on a first fragment", 0x41),
        ("opcode 4", 0x84),
        ("opcode 5", 0x85),
        ("opcode 6", 0x86),
        ("opcode 3 in fragments", 0x03),
    ] {
        cases.push(case(name, frame(first, b"{}"), PROTOCOL, "RFC 6455 5.2"));
    }
    for first in [0x8c, 0x8d, 0x8e] {
        let name = format!("control opcode {}", first & 0x0f);
        cases.push(case(name, frame(first, b""), PROTOCOL, "RFC 6455 5.2"));
    }
    cases.push(case("a pong in two frames", frame(0x0a, b""), PROTOCOL, "RFC 6455 5.5"));
    for (name, first) in [("ping", 0x89), ("pong", 0x8a), ("close", 0x88)] {
        let name = format!("a {name} of 200 bytes");
        cases.push(case(name, frame(first, &[3; 200]), PROTOCOL, "RFC 6455 5.5"));
    }
    cases.push(case("a pong of 4 GiB", announced(0x8a, 1 << 32), PROTOCOL, "RFC 6455 5.5"));
    cases
}

fn lengths() -> Vec<Case> {
    let short = |length: u16| [&[0x81, 0xfe][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
    let mut cases = Vec::new();
    for length in [1, 64, 124] {
        let name = format!("{length} bytes, written in two");
        cases.push(case(name, short(length), PROTOCOL, "RFC 6455 5.2"));
    }
    for length in [0, 126, 1_000, 65_000] {
        let name = format!("{length} bytes, written in eight");
        cases.push(case(name, announced(0x82, length), PROTOCOL, "RFC 6455 5.2"));
    }
    cases.push(case("2^63 + 2 bytes", announced(0x81, (1 << 63) + 2), PROTOCOL, "RFC 6455 5.2"));
    for length in [65_538, 1 << 20, 1 << 31, 1 << 40, 1 << 62] {
        let name = format!("a message of {length} bytes");
        cases.push(case(name, announced(0x81, length), TOO_BIG, "protocol 12.29"));
    }
    let too_big = [frame(0x02, &[0; 65_536]), frame(0x80, b" ")].concat();
    cases.push(case("one byte too many, in a fragment", too_big, TOO_BIG, "protocol 12.29"));
    cases
}

fn masks() -> Vec<Case> {
    let rows: [(&str, &[u8]); 6] = [
        ("an empty text", b"\x81\x00"),
        ("a binary message", b"\x82\x02{}"),
        ("a ping", b"\x89\x00"),
        ("a pong", b"\x8a\x01x"),
        ("a close", b"\x88\x02\x03\xe8"),
        ("a length in two bytes", b"\x81\x7e\x00\x80"),
    ];
    let unmasked = |(name, bytes): (&str, &[u8])| {
        case(format!("{name}, not masked"), bytes.to_vec(), PROTOCOL, "RFC 6455 5.1")
    };
    rows.into_iter().map(unmasked).collect()
}

fn fragments() -> Vec<Case> {
    let (text, end) = (frame(0x01, b"{"), frame(0x80, b"}"));
    let between = [frame(0x00, b" "), frame(0x8a, b"")].concat();
    let pongs = [text.clone(), between.repeat(64)].concat();
    vec![
        case("a middle of nothing", frame(0x00, b"{}"), PROTOCOL, "RFC 6455 5.4"),
        case(
            "a binary message within a text",
            [text.clone(), frame(0x82, b"")].concat(),
            PROTOCOL,
            "RFC 6455 5.4",
        ),
        case(
            "a second text begins within one",
            [text.clone(), frame(0x01, b"}")].concat(),
            PROTOCOL,
            "RFC 6455 5.4",
        ),
        case(
            "a text within a binary message",
            [frame(0x02, b""), frame(0x81, b"{}")].concat(),
            PROTOCOL,
            "RFC 6455 5.4",
        ),
        case(
            "RSV1 on an end",
            [text.clone(), frame(0xc0, b"}")].concat(),
            PROTOCOL,
            "RFC 6455 5.2",
        ),
        case("an end twice", [text.clone(), end.repeat(2)].concat(), PROTOCOL, "RFC 6455 5.4"),
        case(
            "too many fragments of nothing",
            [frame(0x01, b""), frame(0x00, b"").repeat(64)].concat(),
            FRAGMENTS,
            "R-64",
        ),
        case("too many binary fragments", frames_of(0x02, 65), FRAGMENTS, "R-64"),
        case(
            "an opcode unknown within a message",
            [text, frame(0x83, b"")].concat(),
            PROTOCOL,
            "RFC 6455 5.2",
        ),
        case("too many fragments, pongs between", pongs, FRAGMENTS, "R-64"),
    ]
}

fn frames_of(first: u8, count: usize) -> Vec<u8> {
    [frame(first, b" "), frame(0x00, b" ").repeat(count - 1)].concat()
}

fn texts() -> Vec<Case> {
    let mut cases = Vec::new();
    let rows: [(&str, &[u8]); 14] = [
        ("NUL in two bytes", b"\xc0\x80"),
        ("a slash in two bytes", b"\xc0\xaf"),
        ("a slash in three bytes", b"\xe0\x80\xaf"),
        ("a slash in four bytes", b"\xf0\x80\x80\xaf"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
        ("a middle without a beginning", b"\x80"),
        ("0xFE", b"{}\xfe"),
        ("a low surrogate", b"\xed\xb0\x80"),
        ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("two bytes of three", b"{}\xe2\x82"),
        ("three bytes of four", b"\xf0\x9f\x98"),
        ("two bytes of three, and ASCII", b"\xe2\x82{}"),
    ];
    for (name, bytes) in rows {
        cases.push(case(name, frame(0x81, bytes), NOT_UTF8, "RFC 6455 8.1"));
    }
    let split = [frame(0x01, b"\xf0\x9f"), frame(0x80, b"\x98")].concat();
    cases.push(case("three bytes of four, in fragments", split, NOT_UTF8, "RFC 6455 8.1"));
    let late = [frame(0x01, b"{\xe2"), frame(0x00, b"\x82"), frame(0x00, b"\xff")].concat();
    cases.push(case("wrong in the third fragment", late, NOT_UTF8, "RFC 6455 8.1"));
    cases
}

fn closes() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [0, 1, 500, 1004, 1015, 1016, 1100, 2000, 2999, 5001, 65_535_u16] {
        let name = format!("close code {code}");
        let bytes = frame(0x88, &code.to_be_bytes());
        cases.push(case(name, bytes, PROTOCOL, "RFC 6455 7.4"));
    }
    let rows: [(&str, &[u8]); 3] = [
        ("a reason cut within a character", b"\x03\xe8\xe2\x82"),
        ("a reason of overlong bytes", b"\x0b\xb8\xc0\x80"),
        ("a reason with a surrogate", b"\x03\xe8\xed\xa0\x80"),
    ];
    for (name, bytes) in rows {
        cases.push(case(name, frame(0x88, bytes), NOT_UTF8, "RFC 6455 5.5.1"));
    }
    cases
}
