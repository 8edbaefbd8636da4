//! The receiver against RFC 6455 and against hostile peers.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { message: 65_536, fragments: 64 };

/// What is held beside payload: headers, flags, an unfinished control frame.
const SMALL: usize = 512;

/// An [`Incoming`] that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Incoming<'_>> for Event {
    fn from(incoming: Incoming<'_>) -> Event {
        match incoming {
            Incoming::Text(text) => Event::Text(text.into()),
            Incoming::Binary(bytes) => Event::Binary(bytes.into()),
            Incoming::Ping(bytes) => Event::Ping(bytes.into()),
            Incoming::Pong(bytes) => Event::Pong(bytes.into()),
            Incoming::Close(code, reason) => Event::Close(code, reason.into()),
        }
    }
}

/// A masked frame with any flags and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_masked_frame(&mut out, Opcode::Text, [0x5a, 0x01, 0xfe, 0x33], payload);
    out[0] = first;
    out
}

fn text(payload: &str) -> Event {
    Event::Text(payload.into())
}

/// Feeds `bytes` in pieces of the given sizes, in turn, and checks the promises
/// about memory after each.
fn feed_in(
    receiver: &mut Receiver,
    bytes: &[u8],
    sizes: &[usize],
) -> (Vec<Event>, Result<(), Violation>) {
    let mut events = Vec::new();
    let mut rest = bytes;
    let mut since_idle = 0;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).clamp(1, rest.len()));
        rest = later;
        let outcome = receiver.feed(&mut piece.to_vec(), |incoming| {
            events.push(incoming.into());
            ControlFlow::Continue(())
        });
        since_idle += piece.len();
        let held = receiver.held();
        assert!(held <= 2 * since_idle + SMALL, "{held} held of {since_idle} bytes");
        assert!(held <= receiver.limits().message + SMALL);
        assert_eq!(held == 0, !receiver.mid_message());
        if held == 0 {
            since_idle = 0;
        }
        if outcome.is_err() {
            assert_eq!(held, 0);
            return (events, outcome);
        }
    }
    (events, Ok(()))
}

fn server(bytes: &[u8], sizes: &[usize]) -> (Vec<Event>, Result<(), Violation>) {
    feed_in(&mut Receiver::new(Role::Server, LIMITS), bytes, sizes)
}

/// All at once and byte by byte, which must agree.
fn both(bytes: &[u8]) -> (Vec<Event>, Result<(), Violation>) {
    let whole = server(bytes, &[usize::MAX]);
    assert_eq!(whole, server(bytes, &[1]));
    whole
}

fn violation(bytes: &[u8]) -> Option<Violation> {
    both(bytes).1.err()
}

#[test]
fn an_idle_receiver_is_small() {
    assert!(size_of::<Receiver>() <= 48);
    assert_eq!(Receiver::new(Role::Server, LIMITS).held(), 0);
}

#[test]
fn messages_and_control_frames_in_order() {
    let bytes = [
        frame(0x81, b"one"),
        frame(0x01, b"tw"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"o"),
        frame(0x82, &[0xff]),
        frame(0x81, b""),
    ]
    .concat();
    let expected = [
        text("one"),
        Event::Ping(b"ping".into()),
        Event::Pong(b"".into()),
        text("two"),
        Event::Binary(vec![0xff]),
        text(""),
    ];
    assert_eq!(both(&bytes), (expected.into(), Ok(())));
}

#[test]
fn a_whole_frame_is_lent_from_the_input() {
    let mut bytes = frame(0x81, b"lent");
    let range = bytes.as_ptr_range();
    let mut receiver = Receiver::new(Role::Server, LIMITS);
    receiver
        .feed(&mut bytes, |incoming| {
            let Incoming::Text(text) = incoming else { panic!("{incoming:?}") };
            assert!(range.contains(&text.as_ptr()));
            ControlFlow::Continue(())
        })
        .unwrap();
}

#[test]
fn a_client_reads_unmasked_frames_only() {
    let mut unmasked = Vec::new();
    put_frame(&mut unmasked, Opcode::Text, b"hello");
    let read = |role, bytes: &[u8]| feed_in(&mut Receiver::new(role, LIMITS), bytes, &[1]);
    assert_eq!(read(Role::Client, &unmasked), (vec![text("hello")], Ok(())));
    assert_eq!(read(Role::Server, &unmasked).1, Err(Violation::Protocol));
    assert_eq!(read(Role::Client, &frame(0x81, b"hello")).1, Err(Violation::Protocol));
}

#[test]
fn broken_framing_is_refused() {
    let start = frame(0x01, b"a");
    let cases: &[(&str, Vec<u8>)] = &[
        ("RSV1", frame(0xc1, b"")),
        ("RSV2", frame(0xa1, b"")),
        ("RSV3", frame(0x91, b"")),
        ("opcode 3", frame(0x83, b"")),
        ("opcode 7", frame(0x87, b"")),
        ("opcode 11", frame(0x8b, b"")),
        ("opcode 15", frame(0x8f, b"")),
        ("fragmented ping", frame(0x09, b"")),
        ("fragmented close", frame(0x08, b"")),
        ("ping of 126 bytes", frame(0x89, &[0; 126])),
        ("continuation without a start", frame(0x80, b"")),
        (
            "continuation after the end",
            [start.clone(), frame(0x80, b""), frame(0x80, b"")].concat(),
        ),
        ("text within a message", [start.clone(), frame(0x81, b"")].concat()),
        ("binary within a message", [start, frame(0x02, b"")].concat()),
        ("7 as 16 bits", vec![0x82, 0xfe, 0, 7]),
        ("125 as 16 bits", vec![0x82, 0xfe, 0, 125]),
        ("65535 as 64 bits", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
    ];
    for (name, bytes) in cases {
        assert_eq!(violation(bytes), Some(Violation::Protocol), "{name}");
    }
}

#[test]
fn a_violation_comes_with_the_byte_that_makes_it() {
    assert_eq!(violation(&[0xc1]), Some(Violation::Protocol));
    assert_eq!(violation(&[0x81, 0x00]), Some(Violation::Protocol));
    assert_eq!(violation(&[0x89, 0xfe]), Some(Violation::Protocol));
}

#[test]
fn close_frames_carry_checked_codes_and_reasons() {
    let close = |payload: &[u8]| both(&frame(0x88, payload));
    assert_eq!(close(b""), (vec![Event::Close(None, String::new())], Ok(())));
    let with = |code: u16, reason: &[u8]| close(&[&code.to_be_bytes(), reason].concat());
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(with(code, "bye ü".as_bytes()).0, [Event::Close(Some(code), "bye ü".into())]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(with(code, b""), (vec![], Err(Violation::Protocol)), "{code}");
    }
    assert_eq!(close(&[3]).1, Err(Violation::Protocol));
    assert_eq!(with(1000, &[0xce, 0xba, 0xe1]).1, Err(Violation::InvalidUtf8));
    assert!(with(1000, &[b'r'; 123]).1.is_ok());
}

#[test]
fn nothing_is_read_after_a_close_or_a_break_or_a_violation() {
    let after_close = [frame(0x88, &[]), frame(0x89, b""), vec![0xff; 9]].concat();
    assert_eq!(both(&after_close), (vec![Event::Close(None, String::new())], Ok(())));

    let mut receiver = Receiver::new(Role::Server, LIMITS);
    let mut input = [frame(0x81, b"1"), frame(0x81, b"2"), frame(0x01, b"3")].concat();
    let mut seen = 0;
    let mut stop = |_: Incoming<'_>| {
        seen += 1;
        ControlFlow::Break(())
    };
    receiver.feed(&mut input, &mut stop).unwrap();
    receiver.feed(&mut frame(0x81, b"4"), &mut stop).unwrap();
    assert_eq!((seen, receiver.held()), (1, 0));

    let mut receiver = Receiver::new(Role::Server, LIMITS);
    assert!(feed_in(&mut receiver, &[0xff], &[1]).1.is_err());
    assert_eq!(feed_in(&mut receiver, &frame(0x81, b"x"), &[1]), (vec![], Ok(())));
}

#[test]
fn invalid_text_fails_as_soon_as_it_is_seen() {
    // Each is a text without FIN, or a frame that is not all there: only the
    // bytes given can be the reason. The last byte of each is the first wrong one.
    for invalid in [
        &[0xff][..],
        &[0xc0],
        &[b'a', 0x80],
        &[0xed, 0xa0],
        &[0xf4, 0x90],
        &[0xe0, 0x9f],
        &[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xf4, 0x90],
    ] {
        let (last, valid) = invalid.split_last().unwrap();
        assert_eq!(violation(&frame(0x01, valid)), None, "{valid:x?}");
        assert_eq!(violation(&frame(0x01, invalid)), Some(Violation::InvalidUtf8));
        let across = [frame(0x01, valid), frame(0x00, &[*last])].concat();
        assert_eq!(violation(&across), Some(Violation::InvalidUtf8));

        let longer = [invalid, b"and more"].concat();
        let mut cut = frame(0x81, &longer);
        cut.truncate(cut.len() - b"and more".len());
        assert_eq!(violation(&cut), Some(Violation::InvalidUtf8));
    }
    // Binary messages are not looked at.
    assert_eq!(violation(&frame(0x02, &[0xff])), None);
}

#[test]
fn a_character_may_be_cut_anywhere_but_at_the_end() {
    let euro = "€".as_bytes();
    let bytes = [frame(0x01, &euro[..1]), frame(0x00, &euro[1..2]), frame(0x80, &euro[2..])];
    assert_eq!(both(&bytes.concat()), (vec![text("€")], Ok(())));
    let bytes = [frame(0x01, &euro[..1]), frame(0x80, &euro[1..2])];
    assert_eq!(violation(&bytes.concat()), Some(Violation::InvalidUtf8));
    assert_eq!(violation(&frame(0x81, &euro[..2])), Some(Violation::InvalidUtf8));
}

#[test]
fn the_limit_passes_and_one_more_byte_does_not() {
    let payload = vec![b'x'; LIMITS.message];
    let (events, outcome) = server(&frame(0x82, &payload), &[4096]);
    assert_eq!((events, outcome), (vec![Event::Binary(payload.clone())], Ok(())));
    let header = &frame(0x82, &[payload.clone(), vec![b'x']].concat())[..10];
    assert_eq!(violation(header), Some(Violation::TooBig));

    let (start, end) = payload.split_at(40_000);
    let fits = [frame(0x02, start), frame(0x80, end)].concat();
    assert_eq!(server(&fits, &[4096]), (vec![Event::Binary(payload.clone())], Ok(())));
    let longer = [frame(0x02, start), frame(0x80, &payload[39_999..])[..4].to_vec()].concat();
    assert_eq!(server(&longer, &[4096]), (vec![], Err(Violation::TooBig)));
}

/// T-22: lengths that overflow, or are written in more bytes than they need.
#[test]
fn t22_monstrous_lengths_are_refused_at_once() {
    for (length, expected) in [
        (u64::MAX, Violation::Protocol),
        (1 << 63, Violation::Protocol),
        ((1 << 63) - 1, Violation::TooBig),
        (1 << 32, Violation::TooBig),
        (65_537, Violation::TooBig),
        (65_535, Violation::Protocol),
        (0, Violation::Protocol),
    ] {
        for first in [0x81, 0x82, 0x01] {
            let header = [&[first, 0xff], &length.to_be_bytes()[..]].concat();
            let mut receiver = Receiver::new(Role::Server, LIMITS);
            let (events, outcome) = feed_in(&mut receiver, &header, &[usize::MAX]);
            assert_eq!((events, outcome), (vec![], Err(expected)), "{length}");
            assert_eq!(receiver.held(), 0);
        }
        let header = [&[0x89, 0xff], &length.to_be_bytes()[..]].concat();
        assert_eq!(violation(&header), Some(Violation::Protocol), "ping of {length}");
    }
}

/// T-23: memory follows the bytes that came, not the length that is claimed.
#[test]
fn t23_a_claimed_length_reserves_nothing() {
    let mut receiver = Receiver::new(Role::Server, LIMITS);
    let mut messages = 0;
    let mut held_after = |bytes: &[u8]| {
        for piece in bytes.chunks(100) {
            let count = |_: Incoming<'_>| {
                messages += 1;
                ControlFlow::Continue(())
            };
            receiver.feed(&mut piece.to_vec(), count).unwrap();
        }
        (receiver.held(), messages)
    };
    let bytes = frame(0x82, &[1; 65_536]);
    let (header, payload) = bytes.split_at(14);
    assert!(held_after(header).0 <= SMALL);
    assert!(held_after(&payload[..100]).0 <= 200 + SMALL);
    assert!(held_after(&payload[100..40_000]).0 <= 65_536 + SMALL, "at most the whole frame");
    assert_eq!(held_after(&payload[40_000..]), (0, 1));
}

/// T-25: a message in endlessly many fragments.
#[test]
fn t25_tiny_fragments_are_counted() {
    let within = |frames: usize| {
        let mut bytes = frame(0x01, b"a");
        bytes.extend(frame(0x00, b"a").repeat(frames - 2));
        bytes.extend(frame(0x80, b"a"));
        bytes
    };
    assert_eq!(both(&within(64)), (vec![text(&"a".repeat(64))], Ok(())));
    assert_eq!(both(&within(65)), (vec![], Err(Violation::TooManyFragments)));
    // Empty fragments count, control frames between do not, nor does an earlier message.
    let mut bytes = [within(64), frame(0x02, b"")].concat();
    bytes.extend([frame(0x00, b""), frame(0x89, b"")].concat().repeat(63));
    let (events, outcome) = both(&bytes);
    assert_eq!((events.len(), outcome), (64, Ok(())));
    bytes.extend(frame(0x80, b""));
    assert_eq!(violation(&bytes), Some(Violation::TooManyFragments));

    let mut receiver = Receiver::new(Role::Server, LIMITS);
    let flood = [frame(0x02, b"a"), frame(0x00, b"a").repeat(131_000)].concat();
    assert!(feed_in(&mut receiver, &flood, &[65_536]).1.is_err());
    assert_eq!(receiver.held(), 0);
}

#[test]
fn violations_have_their_close_codes() {
    let codes = [
        (Violation::Protocol, 1002),
        (Violation::InvalidUtf8, 1007),
        (Violation::TooManyFragments, 1008),
        (Violation::TooBig, 1009),
    ];
    for (violation, code) in codes {
        assert_eq!(violation.disconnect().code, code);
    }
}

/// A message with its fragments' lengths, and control frames to put between.
fn message() -> impl Strategy<Value = (Event, Vec<Vec<u8>>)> {
    let payload = prop_oneof![
        3 => "\\PC{0,80}".prop_map(|text| (true, text.into_bytes())),
        2 => prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (false, bytes)),
        1 => prop::collection::vec(Just(b'x'), 65_000..66_000).prop_map(|bytes| (true, bytes)),
    ];
    (payload, prop::collection::vec(any::<prop::sample::Index>(), 0..5)).prop_map(
        |((is_text, mut payload), cuts)| {
            payload.truncate(LIMITS.message);
            let mut cuts: Vec<usize> =
                cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.extend([0, payload.len()]);
            cuts.sort_unstable();
            let last = cuts.len() - 2;
            let frames = cuts.windows(2).enumerate().map(|(index, cut)| {
                let opcode = match index {
                    0 if is_text => 0x1,
                    0 => 0x2,
                    _ => 0x0,
                };
                let fin = if index == last { 0x80 } else { 0 };
                frame(fin | opcode, &payload[cut[0]..cut[1]])
            });
            let frames = frames.collect();
            let event = match String::from_utf8(payload) {
                Ok(text) if is_text => Event::Text(text),
                Ok(text) => Event::Binary(text.into_bytes()),
                Err(error) => Event::Binary(error.into_bytes()),
            };
            (event, frames)
        },
    )
}

fn control() -> impl Strategy<Value = (Event, Vec<u8>)> {
    (any::<bool>(), prop::collection::vec(any::<u8>(), 0..126)).prop_map(|(ping, payload)| {
        let frame = frame(if ping { 0x89 } else { 0x8a }, &payload);
        (if ping { Event::Ping(payload) } else { Event::Pong(payload) }, frame)
    })
}

/// A valid stream, and what it says.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<Event>)> {
    let part = (message(), prop::option::of((control(), any::<prop::sample::Index>())));
    prop::collection::vec(part, 0..6).prop_map(|parts| {
        let mut bytes = Vec::new();
        let mut events = Vec::new();
        for ((event, mut frames), control) in parts {
            if let Some(((said, frame), at)) = control {
                frames.insert(at.index(frames.len()), frame);
                events.push(said);
            }
            events.push(event);
            bytes.extend(frames.concat());
        }
        (bytes, events)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_of_a_valid_stream_says_the_same(
        (bytes, events) in stream(),
        sizes in prop::collection::vec(prop_oneof![1..20_usize, 1..5_000_usize], 1..8),
    ) {
        prop_assert_eq!(&server(&bytes, &[usize::MAX]), &(events.clone(), Ok(())));
        prop_assert_eq!(&server(&bytes, &sizes), &(events, Ok(())));
    }

    #[test]
    fn random_bytes_never_panic_and_any_split_says_the_same(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        sizes in prop::collection::vec(1..40_usize, 1..8),
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
    ) {
        let limits = Limits { message: 200, fragments: 3 };
        let read = |sizes: &[usize]| feed_in(&mut Receiver::new(role, limits), &bytes, sizes);
        prop_assert_eq!(read(&[usize::MAX]), read(&sizes));
    }

    /// Random bytes seldom get past the first header; these often do.
    #[test]
    fn a_damaged_stream_says_the_same_in_any_split(
        (mut bytes, _) in stream(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in prop::collection::vec(1..3_000_usize, 1..8),
    ) {
        for (at, value) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        prop_assert_eq!(server(&bytes, &[usize::MAX]), server(&bytes, &sizes));
    }
}
