//! How a connection of the generator hears its server: over a WebSocket, or as an event
//! stream. Bytes in, messages out.

mod events;

use std::fmt;
use std::ops::ControlFlow;

use sealcast_client::handshake::{self, Response};
use sealcast_wire::ws::{Incoming, Limits, Receiver, Role};
use sealcast_wire::{Encoding, Reply};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::member::Surprise;
use events::Events;

/// The largest message that is read, bytes.
const MESSAGE: usize = 4 << 20;

/// By which transport clients come, and what they speak.
#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Manner {
    /// By which transport clients listen. Over an event stream they speak by requests of their
    /// own (/emulation), here over a few sockets that stay, as behind a load balancer.
    #[arg(long, value_enum, default_value = "websocket")]
    pub(super) transport: Transport,
    #[command(flatten)]
    pub(super) tongue: Tongue,
}

/// What clients speak, where all of them come by WebSocket.
#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Tongue {
    /// What clients speak; an event stream has only JSON.
    #[arg(long, value_enum, default_value = "json")]
    encoding: Spoken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
pub(super) enum Transport {
    Websocket,
    Sse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
enum Spoken {
    Json,
    Protobuf,
}

impl Manner {
    /// JSON over a WebSocket.
    pub(super) const USUAL: Manner =
        Manner { transport: Transport::Websocket, tongue: Tongue { encoding: Spoken::Json } };
    /// JSON in an event stream.
    pub(super) const EVENTS: Manner = Manner { transport: Transport::Sse, ..Manner::USUAL };

    /// # Errors
    /// If there is no such way.
    pub(super) fn check(self) -> Result<(), Failure> {
        match (self.transport, self.tongue.encoding) {
            (Transport::Sse, Spoken::Protobuf) => Err(Failure::Options(
                "an event stream is text: --transport sse goes with --encoding json".into(),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn encoding(self) -> Encoding {
        self.tongue.encoding()
    }

    /// For tables.
    pub(super) fn name(self) -> &'static str {
        match (self.transport, self.tongue.encoding) {
            (Transport::Sse, _) => "SSE",
            (Transport::Websocket, Spoken::Json) => "WebSocket, JSON",
            (Transport::Websocket, Spoken::Protobuf) => "WebSocket, Protobuf",
        }
    }
}

impl Tongue {
    pub(super) fn encoding(self) -> Encoding {
        match self.encoding {
            Spoken::Json => Encoding::Json,
            Spoken::Protobuf => Encoding::Protobuf,
        }
    }

    /// The same over a WebSocket.
    pub(super) fn by_websocket(self) -> Manner {
        Manner { transport: Transport::Websocket, tongue: self }
    }
}

/// One message of a server: a line of JSON, or a Protobuf reply with its length before it.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) encoding: Encoding,
    pub(super) bytes: &'a [u8],
}

impl Line<'_> {
    /// What it says; `None` if it is no reply.
    pub(super) fn reply(self) -> Option<Reply> {
        self.encoding.replies(self.bytes).next().and_then(Result::ok)
    }

    pub(super) fn is_ping(self) -> bool {
        match self.encoding {
            Encoding::Json => self.bytes == b"{}",
            Encoding::Protobuf => self.bytes == [0],
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.bytes.get(..200).unwrap_or(self.bytes);
        match self.encoding {
            Encoding::Json => f.write_str(&String::from_utf8_lossy(short)),
            Encoding::Protobuf => write!(f, "{}", short.escape_ascii()),
        }
    }
}

/// What came.
pub(super) enum Said<'a> {
    /// The server takes the connection.
    Opened,
    Line(Line<'a>),
    /// A WebSocket ping.
    Ping(&'a [u8]),
}

/// See the module's text.
pub(super) struct Link {
    encoding: Encoding,
    stage: Stage,
}

enum Stage {
    Upgrading(Box<Response>),
    Frames(Receiver),
    Events(Events),
}

impl Link {
    /// A WebSocket, and the request for it.
    pub(super) fn websocket(host: &str, path: &str, encoding: Encoding) -> (Link, Vec<u8>) {
        let key = handshake::key();
        let offered = match encoding {
            Encoding::Json => None,
            Encoding::Protobuf => Some("centrifuge-protobuf"),
        };
        let stage = Stage::Upgrading(Box::new(Response::new(&key, offered)));
        (Link { encoding, stage }, handshake::request(host, path, &key, offered, &[]))
    }

    /// An event stream that begins with this command, and the request for it.
    pub(super) fn events(host: &str, connect: &str) -> (Link, Vec<u8>) {
        let length = connect.len();
        let request = format!(
            "POST /connection/sse HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{connect}"
        );
        let stage = Stage::Events(Events::default());
        (Link { encoding: Encoding::Json, stage }, request.into_bytes())
    }

    /// Takes the next bytes, and gives what they say.
    ///
    /// # Errors
    /// If they are none of such a server, or `say` wants no more.
    pub(super) fn feed(
        &mut self,
        bytes: &mut [u8],
        mut say: impl FnMut(Said<'_>) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        let encoding = self.encoding;
        match &mut self.stage {
            Stage::Upgrading(response) => {
                let accepted = response
                    .feed(bytes)
                    .map_err(|error| Surprise::new(format!("the upgrade failed: {error}")))?;
                let Some(mut accepted) = accepted else { return Ok(()) };
                let limits = Limits { message: MESSAGE, fragments: 64 };
                let mut receiver = Receiver::new(Role::Client, limits);
                say(Said::Opened)?;
                let fed = frames(&mut receiver, &mut accepted.leftover, encoding, &mut say);
                self.stage = Stage::Frames(receiver);
                fed
            }
            Stage::Frames(receiver) => frames(receiver, bytes, encoding, &mut say),
            Stage::Events(events) => events.feed(bytes, &mut say),
        }
    }
}

fn frames(
    receiver: &mut Receiver,
    bytes: &mut [u8],
    encoding: Encoding,
    say: &mut impl FnMut(Said<'_>) -> Result<(), Surprise>,
) -> Result<(), Surprise> {
    let mut outcome = Ok(());
    let fed = receiver.feed(bytes, |incoming| {
        outcome = match (incoming, encoding) {
            (Incoming::Text(text), Encoding::Json) => text
                .as_bytes()
                .split(|byte| *byte == b'\n')
                .try_for_each(|bytes| say(Said::Line(Line { encoding, bytes }))),
            (Incoming::Binary(payload), Encoding::Protobuf) => {
                Delimited(payload).try_for_each(|bytes| say(Said::Line(Line { encoding, bytes })))
            }
            (Incoming::Text(_) | Incoming::Binary(_), _) => {
                Err(Surprise::new("the server sent a frame of the other encoding"))
            }
            (Incoming::Ping(payload), _) => say(Said::Ping(payload)),
            (Incoming::Pong(_), _) => Ok(()),
            (Incoming::Close(code, reason), _) => {
                let code = code.unwrap_or(1005);
                Err(Surprise::new(format!("the server closed with {code} {reason}")))
            }
        };
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    fed.map_err(|violation| Surprise::new(violation.to_string()))?;
    outcome
}

/// The messages of a Protobuf frame, each with its length before it. What is cut short
/// comes as it is, and is no reply.
struct Delimited<'a>(&'a [u8]);

impl<'a> Iterator for Delimited<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let digits = self.0.iter().take(5).position(|byte| byte & 0x80 == 0);
        let length = digits.and_then(|last| {
            let digits = self.0.get(..=last)?.iter().rev();
            let length = digits.fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
            Some(last + 1 + length)
        });
        let (message, rest) =
            length.and_then(|length| self.0.split_at_checked(length)).unwrap_or((self.0, &[]));
        self.0 = rest;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn protobuf_messages_are_told_apart_by_their_lengths() {
        let long = [&[0x80, 0x01][..], &[7; 128]].concat();
        let frame = [&[0][..], &[2, 1, 1], &long, &[5, 1]].concat();
        let found: Vec<&[u8]> = Delimited(&frame).collect();
        assert_eq!(found, [&[0][..], &[2, 1, 1], &long, &[5, 1]]);
    }

    #[test]
    fn an_event_stream_speaks_json_only() {
        let protobuf = Tongue { encoding: Spoken::Protobuf };
        assert!(Manner { transport: Transport::Sse, tongue: protobuf }.check().is_err());
        assert!(protobuf.by_websocket().check().is_ok() && Manner::EVENTS.check().is_ok());
    }
}
