//! What both ends of a connection share: the commands, replies and pushes of the
//! Centrifuge client protocol, their JSON and Protobuf codecs, checked names,
//! the code tables, and the framing of WebSockets and HTTP streams.
//!
//! The crate is pure: bytes in, values out, and the other way round. It knows
//! no socket, no clock and no async runtime. Nothing here panics on any input,
//! and nothing allocates for a size that a peer merely claims.

pub mod chunk;
pub mod code;
mod codec;
pub mod command;
pub mod delta;
mod emulation;
pub mod filter;
pub mod joined;
pub mod json;
pub mod name;
pub mod payload;
mod position;
pub mod protobuf;
pub mod reply;
pub mod ws;

pub use code::{Disconnect, ErrorCode, Unsubscribed};
pub use codec::{Commands, Replies};
pub use command::{Command, Request};
pub use emulation::Emulation;
pub use filter::{BadFilter, Filter};
pub use joined::Joining;
pub use name::{Channel, Tenant, User};
pub use payload::{Data, Payload};
pub use position::{Epoch, Position};
pub use reply::{Body, Publication, Push, Reply};

/// How replies and commands are written on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON objects, one a line, in text frames.
    Json,
    /// Length-prefixed Protobuf messages in binary frames.
    Protobuf,
}

/// The most commands one frame may carry. Those before the one too many are
/// decoded; it and what follows are not.
pub const MAX_COMMANDS_PER_FRAME: usize = 256;

/// The most positions of server-side subscriptions in one connect command.
pub const MAX_SUBS_PER_CONNECT: usize = 128;

/// The deepest nesting of JSON (payloads included) and of Protobuf messages
/// that is accepted. A deeper payload would break other subscribers' parsers.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not a command or a reply. The peer only ever learns "bad
/// request" (3501); the variants are for tests, metrics and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not the syntax of the encoding, or a value of the wrong type.
    Syntax,
    /// A length that points past the end of the frame.
    Truncated,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_COMMANDS_PER_FRAME`] commands in one frame, or more
    /// than [`MAX_SUBS_PER_CONNECT`] positions in a connect.
    TooMany,
    /// No request, or more than one, in a command; or so with what a reply says.
    NotOneRequest,
    /// A request that expects a reply came without an id.
    MissingId,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Malformed::Syntax => "not valid in this encoding",
            Malformed::Truncated => "cut off",
            Malformed::TooDeep => "nested too deeply",
            Malformed::TooMany => "too many commands in a frame, or subscriptions in a connect",
            Malformed::NotOneRequest => "a command must carry exactly one request",
            Malformed::MissingId => "a request needs an id greater than 0",
        })
    }
}

impl std::error::Error for Malformed {}
