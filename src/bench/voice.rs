//! How a connection of the generator speaks: in frames, or beside its event stream by
//! requests of their own.

use sealcast_wire::ws::{Opcode, put_masked_frame};
use sealcast_wire::{Command, Encoding};

use super::link::{Manner, Transport};

/// What is ready to be sent.
pub(super) struct Voice {
    manner: Manner,
    /// For the connection's own socket.
    pub(super) out: Vec<u8>,
    /// Bodies of requests to `/emulation`.
    pub(super) posts: Vec<String>,
    session: String,
    node: String,
}

impl Voice {
    /// With the request that opens the connection.
    pub(super) fn new(manner: Manner, request: Vec<u8>) -> Voice {
        let (posts, session, node) = Default::default();
        Voice { manner, out: request, posts, session, node }
    }

    /// What the connect reply told of a session that others must name.
    pub(super) fn name_session(&mut self, session: String, node: String) {
        (self.session, self.node) = (session, node);
    }

    /// Says this first, unless the request has.
    pub(super) fn open(&mut self, connect: Command<'_>) {
        if self.manner.transport == Transport::Websocket {
            self.say(&[connect]);
        }
    }

    /// Says these together.
    pub(super) fn say(&mut self, commands: &[Command<'_>]) {
        let bytes = encoded(self.manner.encoding(), commands);
        match (self.manner.transport, self.manner.encoding()) {
            (Transport::Websocket, Encoding::Json) => self.frame(Opcode::Text, &bytes),
            (Transport::Websocket, Encoding::Protobuf) => self.frame(Opcode::Binary, &bytes),
            (Transport::Sse, _) => self.post(&String::from_utf8_lossy(&bytes)),
        }
    }

    /// Answers the server's ping.
    pub(super) fn pong(&mut self) {
        match (self.manner.transport, self.manner.encoding()) {
            (Transport::Websocket, Encoding::Json) => self.frame(Opcode::Text, b"{}"),
            (Transport::Websocket, Encoding::Protobuf) => self.frame(Opcode::Binary, &[0]),
            (Transport::Sse, _) => self.post("{}"),
        }
    }

    pub(super) fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        put_masked_frame(&mut self.out, opcode, rand::random(), payload);
    }

    fn post(&mut self, data: &str) {
        let Voice { session, node, .. } = self;
        let body = serde_json::json!({ "session": session, "node": node, "data": data });
        self.posts.push(body.to_string());
    }
}

/// Commands as one frame.
pub(super) fn encoded(encoding: Encoding, commands: &[Command<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        if encoding == Encoding::Json && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        encoding.put_command(&mut bytes, command);
    }
    bytes
}
