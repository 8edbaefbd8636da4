//! What the JSON decoder accepts, it writes again without loss: in JSON, and by way of Protobuf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealcast_wire::{Command, MAX_COMMANDS_PER_FRAME, Request, json, protobuf};

fuzz_target!(|frame: &[u8]| {
    let mut commands = json::commands(frame);
    let one_line = !frame.contains(&b'\r');
    let mut count = 0;
    for command in &mut commands {
        let Ok(command) = command else { break };
        count += 1;
        check(&command, one_line);
    }
    assert!(count <= MAX_COMMANDS_PER_FRAME);
    assert!(commands.next().is_none(), "goes on after its end");
});

fn check(command: &Command<'_>, one_line: bool) {
    assert!(command.id > 0 || !command.request.wants_reply());
    if let Request::Publish(publish) = &command.request
        && let Some(data) = publish.data
    {
        assert!(json::is_value(data.bytes()));
    }

    let mut written = Vec::new();
    json::put_command(&mut written, command);
    assert!(!written.contains(&b'\n'), "more than a line");
    let again = only(json::commands(&written));
    let mut rewritten = Vec::new();
    json::put_command(&mut rewritten, &again);
    assert_eq!(rewritten, written);
    // White space between lines of a payload is the one thing that is not kept.
    if !one_line {
        return;
    }
    assert_eq!(&again, command);

    let mut binary = Vec::new();
    protobuf::put_command(&mut binary, command);
    let by_protobuf = only(protobuf::commands(&binary));
    rewritten.clear();
    json::put_command(&mut rewritten, &by_protobuf);
    assert_eq!(rewritten, written, "by way of Protobuf");
}

fn only<'a, E: std::fmt::Debug>(
    mut commands: impl Iterator<Item = Result<Command<'a>, E>>,
) -> Command<'a> {
    let command = commands.next().expect("a command").expect("well formed");
    assert!(commands.next().is_none(), "one command became more");
    command
}
