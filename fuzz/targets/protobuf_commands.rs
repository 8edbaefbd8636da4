//! What the Protobuf decoder accepts, it writes again without loss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealcast_wire::{Command, MAX_COMMANDS_PER_FRAME, protobuf};

fuzz_target!(|frame: &[u8]| {
    let mut commands = protobuf::commands(frame);
    let mut count = 0;
    for command in &mut commands {
        let Ok(command) = command else { break };
        count += 1;
        check(&command);
    }
    assert!(count <= MAX_COMMANDS_PER_FRAME);
    assert!(commands.next().is_none(), "goes on after its end");
});

fn check(command: &Command<'_>) {
    assert!(command.id > 0 || !command.request.wants_reply());
    let mut written = Vec::new();
    protobuf::put_command(&mut written, command);
    let mut again = protobuf::commands(&written);
    assert_eq!(again.next().as_ref(), Some(&Ok(command.clone())));
    assert!(again.next().is_none(), "one command became more");
}
