//! Commands to bytes and bytes to replies, without I/O: for any runtime, or none.

use std::fmt;
use std::ops::ControlFlow;

use sealcast_wire::ws::{self, Incoming, Limits, Opcode, Receiver, Role};
use sealcast_wire::{Body, Command, Encoding, MAX_COMMANDS_PER_FRAME, Reply, Request};

use crate::Error;

/// The most frames a message of the server may consist of.
const MAX_FRAGMENTS: u32 = 4096;

/// Both directions of one upgraded connection. Pings are answered and the
/// server's close frame is returned; the bytes to send for that are appended
/// to the `out` of [`Codec::feed`].
#[derive(Debug)]
pub struct Codec {
    pub(crate) receiver: Receiver,
    pub(crate) dialogue: Dialogue,
}

/// What the server says.
#[derive(Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are replies, and none is kept for long")]
pub enum Event {
    /// A reply or a push.
    Reply(Reply),
    /// The protocol's ping; answered already, if the server wants that.
    Ping,
    /// A ping frame; answered already.
    FramePing,
    /// A pong frame, with its payload.
    FramePong(Vec<u8>),
    /// The close frame: its code, 1005 if it had none, and its reason. Nothing
    /// comes after it.
    Close(u16, String),
}

impl Codec {
    /// For a connection that was just upgraded; accepts messages of up to
    /// `message_limit` bytes.
    #[must_use]
    pub fn new(encoding: Encoding, message_limit: usize) -> Codec {
        let limits = Limits { message: message_limit, fragments: MAX_FRAGMENTS };
        let dialogue = Dialogue { encoding, pong: false, answer_pings: true, closing: false };
        Codec { receiver: Receiver::new(Role::Client, limits), dialogue }
    }

    /// How commands and replies are written.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.dialogue.encoding
    }

    /// Whether the protocol's pings are answered. They are, unless a test wants
    /// to see what happens then.
    pub fn answer_pings(&mut self, answer: bool) {
        self.dialogue.answer_pings = answer;
    }

    /// Appends these commands, in order; in one frame, if a server takes so
    /// many in one ([`MAX_COMMANDS_PER_FRAME`]).
    pub fn put_commands(&self, out: &mut Vec<u8>, commands: &[Command<'_>]) {
        put_commands(self.dialogue.encoding, out, commands);
    }

    /// Appends a close frame; see [`ws::put_close_body`].
    pub fn put_close(&mut self, out: &mut Vec<u8>, code: u16, reason: &str) {
        self.dialogue.put_close(out, code, reason);
    }

    /// Takes the next bytes from the server, unmasked as they are, and hands out
    /// what they complete. Answers are appended to `out`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the server breaks the framing, or sends what is
    /// not a reply. The connection cannot go on then.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        mut on: impl FnMut(Event),
    ) -> Result<(), Error> {
        let Codec { receiver, dialogue } = self;
        let mut outcome = Ok(());
        receiver.feed(input, |incoming| {
            outcome = dialogue.take(incoming, out, &mut on);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome
    }
}

pub(crate) fn put_commands(encoding: Encoding, out: &mut Vec<u8>, commands: &[Command<'_>]) {
    let opcode = match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    };
    for commands in commands.chunks(MAX_COMMANDS_PER_FRAME) {
        let mut payload = Vec::new();
        for command in commands {
            if encoding == Encoding::Json && !payload.is_empty() {
                payload.push(b'\n');
            }
            encoding.put_command(&mut payload, command);
        }
        put_frame(out, opcode, &payload);
    }
}

/// Appends one frame with a fresh mask.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    ws::put_masked_frame(out, opcode, rand::random(), payload);
}

/// What is known of the conversation above the frames.
#[derive(Debug)]
pub(crate) struct Dialogue {
    encoding: Encoding,
    /// The server said at connect that it wants its pings answered.
    pong: bool,
    answer_pings: bool,
    /// Our close frame is sent.
    closing: bool,
}

impl Dialogue {
    pub(crate) fn take(
        &mut self,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
        on: &mut impl FnMut(Event),
    ) -> Result<(), Error> {
        match incoming {
            Incoming::Text(text) => self.replies(text.as_bytes(), out, on)?,
            Incoming::Binary(bytes) => self.replies(bytes, out, on)?,
            Incoming::Ping(payload) => {
                put_frame(out, Opcode::Pong, payload);
                on(Event::FramePing);
            }
            Incoming::Pong(payload) => on(Event::FramePong(payload.to_vec())),
            Incoming::Close(code, reason) => {
                self.put_close(out, code.unwrap_or(0), "");
                on(Event::Close(code.unwrap_or(1005), reason.to_owned()));
            }
        }
        Ok(())
    }

    /// Appends the close frame, which is sent once only. RFC 6455, 5.5.1.
    pub(crate) fn put_close(&mut self, out: &mut Vec<u8>, code: u16, reason: &str) {
        if !self.closing {
            self.closing = true;
            let mut body = Vec::new();
            ws::put_close_body(&mut body, code, reason);
            put_frame(out, Opcode::Close, &body);
        }
    }

    fn replies(
        &mut self,
        message: &[u8],
        out: &mut Vec<u8>,
        on: &mut impl FnMut(Event),
    ) -> Result<(), Error> {
        for reply in self.encoding.replies(message) {
            let reply =
                reply.map_err(|_| Error::Protocol("the server sent what is not a reply"))?;
            match &reply.body {
                Body::Ping => {
                    if self.pong && self.answer_pings {
                        let pong = Command { id: 0, request: Request::Pong };
                        put_commands(self.encoding, out, &[pong]);
                    }
                    on(Event::Ping);
                    continue;
                }
                Body::Connect(result) => self.pong = result.pong,
                _ => {}
            }
            on(Event::Reply(reply));
        }
        Ok(())
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Reply(reply) => fmt::Debug::fmt(reply, f),
            Event::Ping => f.write_str("Ping"),
            Event::FramePing => f.write_str("FramePing"),
            Event::FramePong(payload) => write!(f, "FramePong({} bytes)", payload.len()),
            Event::Close(code, reason) => write!(f, "Close({code}, {reason:?})"),
        }
    }
}
