//! A client that has authenticated, while its server-side subscriptions are made.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::operation::Actor;
use super::places::Held;
use super::refusal::Refusal;
use crate::hub::{Connection, Hub, UserPlace};
use crate::limit::Permit;

/// See the module's text.
pub(super) struct Connecting {
    pub(super) id: u32,
    pub(super) began: Duration,
    pub(super) actor: Actor,
    pub(super) future: BoxFuture<'static, Result<Option<Box<Held>>, Refusal>>,
    /// Frames that came behind the connect command, in order.
    pub(super) waiting: VecDeque<Vec<u8>>,
    pub(super) user_place: Option<UserPlace>,
    /// Among those who have not authenticated.
    pub(super) _place: Permit,
}

impl Connecting {
    /// Keeps what came behind the connect command; it counts for the connection.
    pub(super) fn wait(&mut self, frame: &[u8], connection: &Connection, hub: &Hub) {
        self.waiting.push_back(frame.to_vec());
        connection.set_running(hub, self.waiting.iter().map(Vec::len).sum());
    }
}
