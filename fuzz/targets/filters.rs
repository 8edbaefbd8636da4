//! What either decoder takes for a filter has an answer for any tags, and keeps it by way of the
//! other encoding.
//!
//! An input is tags as `key=value` lines, an empty line, and then a filter: JSON if it begins with
//! `{`, else Protobuf.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use sealcast_wire::command::Subscribe;
use sealcast_wire::{Command, Encoding, Filter, Request};

fuzz_target!(|input: &[u8]| {
    let Some(at) = input.windows(2).position(|two| two == b"\n\n") else {
        return;
    };
    let (tags, filter) = (tags(&input[..at]), &input[at + 2..]);
    let json = filter.first() == Some(&b'{');
    let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
    let frame = if json { in_json(filter) } else { in_protobuf(filter) };
    let Some(filter) = read(encoding, &frame) else {
        return;
    };

    let wanted = filter.matches(&tags);
    if let Ok(not) = filter.clone().negated() {
        assert_ne!(not.matches(&tags), wanted, "neither it nor its opposite");
    }
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut written = Vec::new();
        let filter = Some(Ok(Box::new(filter.clone())));
        let subscribe = Subscribe { channel: "c".into(), filter, ..Subscribe::default() };
        let request = Request::Subscribe(Box::new(subscribe));
        encoding.put_command(&mut written, &Command { id: 1, request });
        match read(encoding, &written) {
            Some(again) => assert_eq!(again.matches(&tags), wanted, "{encoding:?}"),
            // JSON cannot carry as many levels.
            None => assert_eq!(encoding, Encoding::Json),
        }
    }
});

fn tags(lines: &[u8]) -> BTreeMap<String, String> {
    let lines = String::from_utf8_lossy(lines);
    let tag = |line: &str| line.split_once('=').map(|(key, value)| (key.into(), value.into()));
    lines.lines().take(32).filter_map(tag).collect()
}

fn in_json(filter: &[u8]) -> Vec<u8> {
    [br#"{"id":1,"subscribe":{"channel":"c","tf":"#, filter, b"}}"].concat()
}

fn in_protobuf(filter: &[u8]) -> Vec<u8> {
    let subscribe = [b"\x0a\x01c\x6a", &length(filter)[..], filter].concat();
    let command = [b"\x08\x01\x2a", &length(&subscribe)[..], &subscribe].concat();
    [&length(&command)[..], &command].concat()
}

fn length(bytes: &[u8]) -> Vec<u8> {
    let mut left = bytes.len();
    let mut varint = Vec::new();
    while left >= 0x80 {
        varint.push(left as u8 | 0x80);
        left >>= 7;
    }
    varint.push(left as u8);
    varint
}

/// The filter of a frame that is one subscribe, if it keeps the rules.
fn read(encoding: Encoding, frame: &[u8]) -> Option<Filter> {
    match encoding.commands(frame).next()?.ok()?.request {
        Request::Subscribe(subscribe) => subscribe.filter?.ok().map(|filter| *filter),
        _ => None,
    }
}
