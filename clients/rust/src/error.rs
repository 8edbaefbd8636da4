//! What can go wrong, and how a connection ends.

use std::io;
use std::time::Duration;

use sealcast_wire::reply;
use sealcast_wire::ws::Violation;

use crate::session::Event;

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server did not upgrade the connection.
    #[error("the server refused to upgrade, with HTTP status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait before the next attempt (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The server refused a command.
    #[error("error {code}: {message}")]
    Error {
        /// Its number; [`sealcast_wire::ErrorCode`] has the protocol's own.
        code: u32,
        /// Its text.
        message: String,
        /// Whether the same may work later.
        temporary: bool,
    },
    /// The server has closed the connection.
    #[error("disconnected with code {code}: {reason}")]
    Disconnected {
        /// The close code; 1005 if there was none.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// The connection failed, or ended without a close frame; or an argument
    /// cannot be sent ([`io::ErrorKind::InvalidInput`]).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No answer in time; see [`crate::Options::timeout`].
    #[error("no answer in time")]
    Timeout,
    /// The server sent a message of more than [`crate::Options::message_limit`].
    #[error("the server sent a message that is too large")]
    TooLarge,
    /// The server broke the protocol.
    #[error("{0}")]
    Protocol(&'static str),
}

impl Error {
    pub(crate) fn invalid(what: &'static str) -> Error {
        Error::Io(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

impl From<reply::Error> for Error {
    fn from(error: reply::Error) -> Error {
        Error::Error {
            code: error.code,
            message: error.message.into_owned(),
            temporary: error.temporary,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Error {
        Error::Protocol(match violation {
            Violation::Protocol => "the server broke the WebSocket framing",
            Violation::InvalidUtf8 => "the server sent text that is not UTF-8",
            Violation::TooManyFragments => "the server sent a message of too many fragments",
            Violation::TooBig => return Error::TooLarge,
        })
    }
}

/// How a connection ended. Unlike an [`Error`] it can be told more than once.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Closed { code: u16, reason: String },
    Lost(io::ErrorKind),
    Broken(&'static str),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        match error {
            Error::Disconnected { code, reason } => End::Closed { code, reason },
            Error::Io(error) => End::Lost(error.kind()),
            Error::Protocol(what) => End::Broken(what),
            Error::Timeout => End::Lost(io::ErrorKind::TimedOut),
            Error::TooLarge => End::Broken("the server sent a message that is too large"),
            Error::Refused { .. } | Error::Error { .. } => End::Lost(io::ErrorKind::Other),
        }
    }
}

impl From<End> for Error {
    fn from(end: End) -> Error {
        match end {
            End::Closed { code, reason } => Error::Disconnected { code, reason },
            End::Lost(kind) => Error::Io(kind.into()),
            End::Broken(what) => Error::Protocol(what),
        }
    }
}

impl From<End> for Event {
    fn from(end: End) -> Event {
        match end {
            End::Closed { code, reason } => Event::Disconnected { code, reason },
            End::Lost(kind) => Event::Lost { reason: kind.to_string() },
            End::Broken(what) => Event::Lost { reason: what.into() },
        }
    }
}
