//! One connection's protocol state: messages in, replies on its outbox. No socket.

mod answer;
mod client;
mod connect;
mod connecting;
mod emulation;
mod ephemeral;
mod expiry;
mod form;
mod inflight;
mod listener;
mod meter;
mod operation;
mod places;
mod policies;
mod refusal;
mod server_side;
mod subscribe;

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use sealcast_wire::User;

use crate::auth::{Namespaces, PersonalChannels, Pseudonyms, Verifier};
use crate::limit::{Limits, Permit, Share, Usage};
use crate::relay::{Lease, Relay};

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

    /// What stands in the log for the user who speaks, once that is known.
    fn pseudonym(&self) -> Option<String> {
        None
    }
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
    /// Make what stands for users in the log.
    pub pseudonyms: Pseudonyms,
    /// What was used of them; the same whatever the numbers are.
    pub usage: Arc<Usage>,
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

    /// What stands for a user in the log.
    #[must_use]
    pub fn pseudonym(&self, user: &User) -> Option<String> {
        self.pseudonyms.of(user, self.unix_now())
    }
}

/// Who may connect, and what connecting brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Clients without a token may, as the anonymous user.
    pub anonymous: bool,
    /// Tokens of the anonymous user are turned away with 3507.
    pub no_anonymous_tokens: bool,
    /// What becomes of one connection too many of a user.
    pub one_too_many: OneTooMany,
    /// Every user is subscribed to a channel of their own.
    pub personal: Option<PersonalChannels>,
    /// The connect reply tells the time.
    pub tells_time: bool,
    /// Clients are told which rule a token breaks: for development.
    pub tells_why: bool,
}

/// What becomes of one connection too many of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OneTooMany {
    /// It is told to try again later: one of the others may be gone soon, or be
    /// gone and not be missed yet.
    #[default]
    Retry,
    /// It is told not to try again.
    Refuse,
    /// It stays, and the user's oldest goes and is told not to try again.
    Replace,
}

/// The places that a connection takes, given back when it has gone.
pub struct Places {
    /// Among all connections.
    pub connection: Permit,
    /// Among those that have not authenticated.
    pub waiting: Permit,
    /// Among those of its address; `None` if nobody counts them.
    pub address: Option<Box<AddressPlace>>,
}

/// A place among the connections of an address: on this node, and in the cluster if
/// there is one.
pub struct AddressPlace {
    /// On this node.
    pub here: Share,
    /// In the cluster, if there is one.
    pub lease: Option<Box<Lease>>,
}

#[cfg(test)]
mod tests;
