//! What one connection has used of its limits, and what each command costs.
//!
//! A command is refused before anything of it begins. What the connection itself is
//! refused costs the user, the tenant and the node nothing, and what the tenant is
//! refused costs the node nothing.

use sealcast_wire::{Disconnect, ErrorCode, Request};

use super::client::Refusal;
use super::ephemeral::Ephemeral;
use super::operation::Actor;
use crate::limit::{Bucket, Limits, Nanos, Rate, Scope};

/// Answers to the server's pings, and what keeps a connection alive: free up to
/// here, and beyond like any other command.
const FREE: Rate = Rate::each_second(2, 4);
/// Refusals that a client may go on asking for; then it is sent away.
const REFUSALS: Rate = Rate::of(100, std::time::Duration::from_secs(10), 100);

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Meter {
    commands: Bucket,
    bytes: Bucket,
    /// The frame at hand was too much of them.
    too_many_bytes: bool,
    subscribes: Bucket,
    /// Unsubscribes and refreshes of subscriptions: as many as subscribes.
    follow_ups: Bucket,
    free: Bucket,
    /// Messages of the anonymous user, who is not one person.
    messages: Bucket,
    /// Publications to shaped channels.
    ephemeral: Ephemeral,
    refusals: Bucket,
}

/// What a command costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Free,
    Subscribe,
    FollowUp,
    Command,
    /// A command that is also a message of its user and tenant.
    Message,
}

impl Cost {
    fn of(request: &Request<'_>) -> Cost {
        match request {
            Request::Pong | Request::Ping | Request::Refresh { .. } => Cost::Free,
            Request::Subscribe(_) => Cost::Subscribe,
            Request::Unsubscribe { .. } | Request::SubRefresh(_) => Cost::FollowUp,
            Request::Publish(_) | Request::Rpc { .. } | Request::Send { .. } => Cost::Message,
            Request::Connect(_)
            | Request::Presence { .. }
            | Request::PresenceStats { .. }
            | Request::History(_) => Cost::Command,
        }
    }
}

impl Meter {
    /// A frame of so many bytes has come; its commands are next.
    pub(super) fn frame(&mut self, bytes: usize, limits: &Limits, now: Nanos) {
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.too_many_bytes = self.bytes.take(&limits.conn_bytes, cost, now).is_err();
    }

    /// Lets a command of an authenticated connection begin, or refuses it with
    /// 111; and the connection with 3013, if it goes on all the same.
    pub(super) fn admit(
        &mut self,
        request: &Request<'_>,
        actor: &Actor,
        now: Nanos,
    ) -> Result<(), Refusal> {
        let shaped = match request {
            Request::Publish(publish) => actor.ephemeral(&publish.channel),
            _ => None,
        };
        let taken = match shaped {
            Some(_) if self.too_many_bytes => Err(Scope::Bytes),
            Some((channel, rate)) => {
                self.ephemeral.take(&channel, &rate, now).map_err(|_| Scope::Ephemeral)
            }
            None => self.take(Cost::of(request), actor, now),
        };
        let Err(scope) = taken else { return Ok(()) };
        actor.policy.relay.hub().metrics().rate_limited(scope.name());
        match self.refusals.take(&REFUSALS, 1, now) {
            Ok(()) => Err(ErrorCode::TooManyRequests.into()),
            Err(_) => Err(Disconnect::TOO_MANY_REQUESTS.into()),
        }
    }

    fn take(&mut self, cost: Cost, actor: &Actor, now: Nanos) -> Result<(), Scope> {
        let limits = &actor.policy.limits;
        let own = actor.policy.usage.overrides().client(actor.connection.id(), now);
        let commands = own.and_then(|terms| terms.rate).unwrap_or(limits.conn_commands);
        if self.too_many_bytes {
            return Err(Scope::Bytes);
        }
        if cost == Cost::Free && self.free.take(&FREE, 1, now).is_ok() {
            return Ok(());
        }
        let (bucket, rate, scope) = match cost {
            Cost::Subscribe => (&mut self.subscribes, &limits.subscribes, Scope::Subscribe),
            Cost::FollowUp => (&mut self.follow_ups, &limits.subscribes, Scope::Subscribe),
            _ => (&mut self.commands, &commands, Scope::Connection),
        };
        bucket.take(rate, 1, now).map_err(|_| scope)?;
        if cost == Cost::Message {
            let user = &actor.identity.user;
            if user.is_anonymous() {
                self.messages.take(&limits.user_messages, 1, now)
            } else {
                actor.policy.usage.message(user.as_str(), limits, now)
            }
            .map_err(|_| Scope::User)?;
            if let Some(tenant) = &actor.identity.tenant {
                let taken = actor.policy.usage.tenant_message(tenant.as_str(), limits, now);
                taken.map_err(|_| Scope::Tenant)?;
            }
        }
        if scope == Scope::Connection {
            actor.policy.usage.command(limits, now).map_err(|_| Scope::Node)?;
        }
        Ok(())
    }
}
