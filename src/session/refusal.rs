//! Why a command is not carried out, and how that is told.

use sealcast_wire::{Disconnect, ErrorCode};

use crate::auth::Denied;

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is answered with an error.
    Reply(ErrorCode),
    /// The same, with the rule that the subscription token breaks.
    Explained(ErrorCode, &'static str),
    /// It ends the whole connection.
    Close(Disconnect),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Reply(code)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        Refusal::Reply(denied.into())
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Refusal {
        Refusal::Close(disconnect)
    }
}
