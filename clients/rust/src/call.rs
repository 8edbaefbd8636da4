//! How calls of a client end.

use sealcast_wire::reply;

use crate::Cause;

/// Why a call did not succeed. Each variant says whether the command can have
/// taken effect. A client never sends the same call twice; whoever does it again
/// after [`CallError::Timeout`] or [`CallError::Unanswered`] risks that it is
/// done twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server refused. It has not taken effect.
    #[error("error {code}: {message}")]
    Refused {
        /// Its number; [`sealcast_wire::ErrorCode`] has the protocol's own.
        code: u32,
        /// Its text.
        message: String,
        /// Whether the same may work later.
        temporary: bool,
    },
    /// It was sent, and no answer came in time. It may have taken effect.
    #[error("no answer in time; it may have taken effect")]
    Timeout,
    /// It was sent, and the connection ended before the answer. It may have
    /// taken effect.
    #[error("the connection ended before the answer; it may have taken effect")]
    Unanswered,
    /// There was no connection, or no subscription, for too long. It was not
    /// sent.
    #[error("not connected in time; it was not sent")]
    NotConnected,
    /// Too many calls wait for a connection already. It was not sent.
    #[error("too many calls wait for a connection; it was not sent")]
    BufferFull,
    /// The client is disconnected and does not come back by itself. It was not
    /// sent.
    #[error("disconnected: {0}")]
    Disconnected(Cause),
    /// The subscription has ended and does not come back by itself. It was not
    /// sent.
    #[error("unsubscribed: {0}")]
    Unsubscribed(Cause),
    /// It cannot be sent. The text says why.
    #[error("{0}")]
    Invalid(&'static str),
    /// The server's answer is not one to this command.
    #[error("the answer is of another kind than the call")]
    Mismatch,
    /// The client was dropped, or the subscription removed.
    #[error("the client is gone, or the subscription was removed")]
    Gone,
}

impl From<reply::Error> for CallError {
    fn from(error: reply::Error) -> CallError {
        CallError::Refused {
            code: error.code,
            message: error.message.into_owned(),
            temporary: error.temporary,
        }
    }
}
