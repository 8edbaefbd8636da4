//! WebSocket framing, RFC 6455, without extensions: [`Receiver`] turns bytes
//! into messages, the `put_` functions turn messages into bytes, and
//! [`accept_key`] answers the handshake. Both ends of a connection are here;
//! [`Role`] says which.

mod handshake;
mod header;
mod mask;
mod receiver;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use crate::code::Disconnect;

pub use handshake::{accept_key, is_key};
pub use receiver::Receiver;
pub use write::{
    frame_end, header_length, put_close, put_close_body, put_frame, put_header, put_masked_frame,
};

/// Which end of the connection reads. RFC 6455, 5.1: only clients mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server: the frames it receives must be masked.
    Server,
    /// A client: the frames it receives must not be masked.
    Client,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in bytes of payload over all its fragments.
    pub message: usize,
    /// The most frames that one message may consist of; at least 1.
    pub fragments: u32,
}

/// The kinds of frames. RFC 6455, 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or the first fragment of one.
    Text = 0x1,
    /// A binary message, or the first fragment of one.
    Binary = 0x2,
    /// The sender ends the connection.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// A complete message or control frame, unmasked. `Debug` shows the payload's
/// size only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// Owes a pong with the same payload.
    Ping(&'a [u8]),
    /// An answer to a ping, or unasked for.
    Pong(&'a [u8]),
    /// The peer closes, with its code (valid to be sent, RFC 6455, 7.4) and
    /// reason where it gave them. Nothing comes after it.
    Close(Option<u16>, &'a str),
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incoming::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Incoming::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Incoming::Ping(bytes) => write!(f, "Ping({} bytes)", bytes.len()),
            Incoming::Pong(bytes) => write!(f, "Pong({} bytes)", bytes.len()),
            Incoming::Close(code, reason) => write!(f, "Close({code:?}, {reason:?})"),
        }
    }
}

/// How the peer broke the framing. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Against RFC 6455.
    Protocol,
    /// Text, or a close reason, that is not UTF-8.
    InvalidUtf8,
    /// More than [`Limits::fragments`] frames in one message.
    TooManyFragments,
    /// More than [`Limits::message`] bytes in one message.
    TooBig,
}

impl Violation {
    /// The code and text of the close frame that answers it.
    #[must_use]
    pub const fn disconnect(self) -> Disconnect {
        match self {
            Violation::Protocol => Disconnect::PROTOCOL_ERROR,
            Violation::InvalidUtf8 => Disconnect::INVALID_UTF8,
            Violation::TooManyFragments => Disconnect::POLICY,
            Violation::TooBig => Disconnect::TOO_BIG,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Protocol => "the WebSocket framing is broken",
            Violation::InvalidUtf8 => "text that is not UTF-8",
            Violation::TooManyFragments => "a message of too many fragments",
            Violation::TooBig => "a message that is too big",
        })
    }
}

impl std::error::Error for Violation {}
