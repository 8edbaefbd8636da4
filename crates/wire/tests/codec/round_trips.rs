//! Whatever is written reads back the same, and whatever is read does no harm.

use proptest::collection::vec;
use proptest::prelude::*;
use sealcast_wire::reply::Event;
use sealcast_wire::{Encoding, Reply, json};

use crate::strategy::{command, encoding, publication, reply};

proptest! {
    #[test]
    fn commands((encoding, commands) in encoding().prop_flat_map(|encoding| {
        (Just(encoding), vec(command(encoding), 1..4))
    })) {
        let frame = frame(encoding, &commands, |out, it| encoding.put_command(out, it));
        let read: Result<Vec<_>, _> = encoding.commands(&frame).collect();
        prop_assert_eq!(read, Ok(commands));
    }

    #[test]
    fn replies((encoding, replies) in encoding().prop_flat_map(|encoding| {
        (Just(encoding), vec(reply(encoding), 1..4))
    })) {
        let frame = frame(encoding, &replies, |out, it| encoding.put_reply(out, it));
        if encoding == Encoding::Json {
            prop_assert!(frame.split(|byte| *byte == b'\n').all(json_is_plain));
        }
        let read: Result<Vec<_>, _> = encoding.replies(&frame).collect();
        prop_assert_eq!(read, Ok(replies));
    }

    #[test]
    fn publications((encoding, channel, publication) in encoding().prop_flat_map(|encoding| {
        (Just(encoding), ".*", publication(encoding))
    })) {
        let mut written = Vec::new();
        encoding.put_publication(&mut written, &channel, &publication);
        prop_assert_eq!(written.len(), written.capacity());
        let mut pushed = Vec::new();
        let event = Event::Publication(publication);
        encoding.put_reply(&mut pushed, &Reply::push(channel.into(), event));
        prop_assert_eq!(written, pushed);
    }

    #[test]
    fn random_bytes(encoding in encoding(), frame in vec(any::<u8>(), 0..200)) {
        read_all(encoding, &frame);
    }

    #[test]
    fn random_json_tokens(tokens in vec(prop::sample::select(&TOKENS), 0..40)) {
        read_all(Encoding::Json, tokens.concat().as_bytes());
    }

    /// Frames that are valid but for a few bytes get further into the decoders.
    #[test]
    fn damaged_frames(
        (encoding, commands, replies) in encoding().prop_flat_map(|encoding| {
            (Just(encoding), vec(command(encoding), 1..3), vec(reply(encoding), 1..3))
        }),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let commands = frame(encoding, &commands, |out, it| encoding.put_command(out, it));
        let replies = frame(encoding, &replies, |out, it| encoding.put_reply(out, it));
        for mut frame in [commands, replies] {
            for (at, byte) in &damage {
                let at = at.index(frame.len());
                frame[at] = *byte;
            }
            read_all(encoding, &frame);
            read_all(encoding, &frame[..cut.index(frame.len())]);
        }
    }
}

const TOKENS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\"id\"",
    "1",
    "null",
    "\"publish\"",
    "\"data\"",
    "\"channel\"",
    "\"subs\"",
    "\"connect\"",
    "\"push\"",
    "\"",
    "\\",
    "\\u00",
    "-",
];

fn frame<T>(encoding: Encoding, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut frame = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 && encoding == Encoding::Json {
            frame.push(b'\n');
        }
        put(&mut frame, item);
    }
    frame
}

/// One JSON value without line ends; its nesting is not looked at.
fn json_is_plain(line: &[u8]) -> bool {
    !line.contains(&b'\r') && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// Reads as both, to the end; after an error there must be nothing.
fn read_all(encoding: Encoding, frame: &[u8]) {
    let mut commands = encoding.commands(frame);
    let failed = commands.by_ref().any(|command| command.is_err());
    assert!(!failed || commands.next().is_none());
    let mut replies = encoding.replies(frame);
    let failed = replies.by_ref().any(|reply| reply.is_err());
    assert!(!failed || replies.next().is_none());
    let _ = json::is_value(frame);
}
