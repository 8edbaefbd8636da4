//! One connection's protocol state: messages in, replies on its outbox. No socket.

mod client;
mod connect;
mod emulation;
mod expiry;
mod form;
mod inflight;
mod listener;
mod operation;
mod policies;
mod server_side;
mod subscribe;

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use crate::auth::{Namespaces, PersonalChannels, Verifier};
use crate::limit::{Limits, Permit};
use crate::relay::Relay;

pub use client::Client;
pub use emulation::{Binding, Emulated, Frame, SessionKey, Sessions, Undelivered};
pub use listener::{Listener, connect_command};
pub use operation::Actor;
pub use policies::Policies;
pub use subscribe::Grant;

/// What `net` drives over a connection: it reads and frames, the session answers
/// by pushing onto the connection's outbox.
///
/// All methods are called from the connection's own task.
pub trait Session: Send + Unpin + 'static {
    /// A whole message has come. `context` wakes the connection's task.
    fn message(&mut self, message: Message<'_>, context: &mut Context<'_>);

    /// Goes on with commands that had to wait; called whenever the task wakes.
    fn resume(&mut self, context: &mut Context<'_>);

    /// Whether more messages may be handed in now.
    fn wants_input(&self) -> bool;
}

/// A whole WebSocket message.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// What all client sessions of a node share; see [`Policies`] for how it changes.
pub struct Policy {
    /// Where commands go.
    pub relay: Arc<Relay>,
    /// Verifies connection tokens; `None` if no key is configured.
    pub verifier: Option<Verifier>,
    /// Who may connect, and what connecting brings.
    pub admission: Admission,
    /// What is allowed where.
    pub namespaces: Namespaces,
    /// The numbers.
    pub limits: Limits,
    /// The time since 1970; passed in so that tests can choose it.
    pub unix_time: fn() -> Duration,
    /// What the connect reply says of the server.
    pub version: String,
}

impl Policy {
    /// Seconds since 1970.
    #[must_use]
    pub fn unix_now(&self) -> u64 {
        (self.unix_time)().as_secs()
    }
}

/// Who may connect, and what connecting brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Clients without a token may, as the anonymous user.
    pub anonymous: bool,
    /// Tokens of the anonymous user are turned away with 3507.
    pub no_anonymous_tokens: bool,
    /// Most connections of one user on this node; `None` for any number. The
    /// anonymous user's are not counted: they are not one person's.
    pub connections_per_user: Option<usize>,
    /// Every user is subscribed to a channel of their own.
    pub personal: Option<PersonalChannels>,
    /// The connect reply tells the time.
    pub tells_time: bool,
}

/// The places that a connection takes, given back when it has gone.
pub struct Places {
    /// Among all connections.
    pub connection: Permit,
    /// Among those that have not authenticated.
    pub waiting: Permit,
}

#[cfg(test)]
mod tests;
