//! `ws::Receiver` gives the same messages however the bytes are cut, and holds no more than it says.
//!
//! An input is one byte of settings, one byte `n`, `n` bytes that are the sizes of the cuts (used in
//! turn, over and over), and then what the peer sends.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use sealcast_wire::ws::{Incoming, Limits, Receiver, Role, Violation};

fuzz_target!(|input: &[u8]| {
    let Some((&settings, rest)) = input.split_first() else {
        return;
    };
    let Some((&cuts, rest)) = rest.split_first() else {
        return;
    };
    let Some((cuts, sent)) = rest.split_at_checked(cuts.into()) else {
        return;
    };

    let role = if settings & 1 == 0 { Role::Server } else { Role::Client };
    let limits = match settings >> 1 & 3 {
        0 => Limits { message: 0, fragments: 1 },
        1 => Limits { message: 125, fragments: 3 },
        2 => Limits { message: 1000, fragments: 64 },
        _ => Limits { message: 65536, fragments: 64 },
    };

    let whole = receive(role, limits, [sent]);
    let cut = receive(role, limits, Pieces { sizes: cuts.iter().cycle(), left: sent });
    assert_eq!(whole, cut, "cut to pieces");
    let bytes = receive(role, limits, sent.chunks(1));
    assert_eq!(whole, bytes, "cut to bytes");
});

/// What [`Receiver::held`] may count beside the message: its bookkeeping and one control frame.
const CONSTANT: usize = 512;

fn receive<'i>(
    role: Role,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'i [u8]>,
) -> (Vec<Event>, Result<(), Violation>) {
    let mut receiver = Receiver::new(role, limits);
    let mut events = Vec::new();
    let mut arrived = 0;
    for piece in pieces {
        arrived += piece.len();
        let outcome = receiver.feed(&mut piece.to_vec(), |incoming| {
            events.push(Event::from(incoming));
            ControlFlow::Continue(())
        });
        let held = receiver.held();
        assert!(held <= limits.message.min(2 * arrived) + CONSTANT, "{held} bytes held");
        assert!(receiver.mid_message() || held == 0, "{held} bytes held for nothing");
        if outcome.is_err() {
            return (events, outcome);
        }
    }
    (events, Ok(()))
}

#[derive(Debug, PartialEq)]
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
            Incoming::Text(text) => Event::Text(text.to_owned()),
            Incoming::Binary(bytes) => Event::Binary(bytes.to_vec()),
            Incoming::Ping(bytes) => Event::Ping(bytes.to_vec()),
            Incoming::Pong(bytes) => Event::Pong(bytes.to_vec()),
            Incoming::Close(code, reason) => Event::Close(code, reason.to_owned()),
        }
    }
}

struct Pieces<'i, S> {
    sizes: S,
    left: &'i [u8],
}

impl<'i, 's, S: Iterator<Item = &'s u8>> Iterator for Pieces<'i, S> {
    type Item = &'i [u8];

    fn next(&mut self) -> Option<&'i [u8]> {
        if self.left.is_empty() {
            return None;
        }
        let size = self.sizes.next().map_or(1, |&size| usize::from(size) + 1);
        let (piece, left) = self.left.split_at(size.min(self.left.len()));
        self.left = left;
        Some(piece)
    }
}
