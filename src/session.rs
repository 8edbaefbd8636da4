//! One connection's protocol state: messages in, replies on its outbox. No socket.

mod client;
mod connect;
mod inflight;
mod operation;
mod server_side;
mod subscribe;

use std::sync::Arc;
use std::task::Context;

use crate::auth::{Namespaces, Verifier};
use crate::limit::{Limits, Permit};
use crate::relay::Relay;

pub use client::Client;
pub use operation::Actor;

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

/// What all client sessions of a node share.
pub struct Policy {
    /// Where commands go.
    pub relay: Arc<Relay>,
    /// Verifies connection tokens; `None` if no key is configured.
    pub verifier: Option<Verifier>,
    /// Whether clients without a token may connect, as the anonymous user.
    pub allow_anonymous: bool,
    /// What is allowed where.
    pub namespaces: Namespaces,
    /// The numbers.
    pub limits: Limits,
    /// Seconds since 1970; passed in so that tests can choose the time.
    pub unix_now: fn() -> u64,
    /// What the connect reply says of the server.
    pub version: String,
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
