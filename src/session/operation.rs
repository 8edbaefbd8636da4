//! A command that concerns one channel and may have to wait for the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sealcast_wire::reply::{Body, ClientInfo, HistoryResult};
use sealcast_wire::{Channel, Disconnect, ErrorCode, Payload, Reply, Unsubscribed};

use super::Policy;
use super::answer::{About, push, refuse};
use super::client::Refusal;
use super::ephemeral;
use super::subscribe::{self, Request};
use crate::auth::{Denied, Identity, Namespace, Publish, Readers};
use crate::broker::{Charge, HistoryError, HistoryQuery, NotPublished, Retention, Unavailable};
use crate::hub::Connection;
use crate::limit::{Nanos, Scope, TooMany, nanos};
use crate::relay::{How, NoTurn, Shape};

/// A command whose form is checked, and which is not authorized yet: that
/// happens when it begins.
pub(super) struct Operation {
    pub(super) id: u32,
    pub(super) channel: Channel,
    pub(super) kind: Kind,
    /// When the client's command came, by the node's clock; `None` if the server does
    /// it by itself.
    pub(super) began: Option<Duration>,
}

pub(super) enum Kind {
    Subscribe(Box<Request>),
    Unsubscribe,
    /// The server ends a subscription whose time is over.
    Expire,
    Publish(Payload),
    Presence,
    PresenceStats,
    History(HistoryQuery),
}

impl Kind {
    /// Whether it must have its channel alone: no other operation of this
    /// connection on the same channel runs beside it. The others run side by
    /// side, and keep their order because they begin in order.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self, Kind::Subscribe(_) | Kind::Unsubscribe | Kind::Expire)
    }

    fn method(&self) -> &'static str {
        match self {
            Kind::Subscribe(_) => "subscribe",
            Kind::Unsubscribe | Kind::Expire => "unsubscribe",
            Kind::Publish(_) => "publish",
            Kind::Presence => "presence",
            Kind::PresenceStats => "presence_stats",
            Kind::History(_) => "history",
        }
    }
}

/// For whom something is done.
#[derive(Clone)]
pub struct Actor {
    pub(super) policy: Arc<Policy>,
    pub(super) connection: Arc<Connection>,
    pub(super) identity: Arc<Identity>,
}

impl Operation {
    /// Bytes of memory that it holds.
    pub(super) fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Publish(payload) => payload.bytes().len(),
            Kind::Subscribe(request) => size_of::<Request>() + request.bytes(),
            Kind::Unsubscribe
            | Kind::Expire
            | Kind::Presence
            | Kind::PresenceStats
            | Kind::History(_) => 0,
        };
        size_of::<Operation>() + self.channel.as_str().len() + kind
    }

    /// Authorizes and carries out the operation, and replies. For a publication this takes
    /// so little that the allocator has it at hand (glibc: up to 1,032 bytes).
    pub(super) fn begin(self, actor: &Actor) -> BoxFuture<'static, ()> {
        let actor = actor.clone();
        Box::pin(async move {
            let Operation { id, channel, kind, began } = self;
            let method = kind.method();
            let namespace = Some(channel.clone());
            let done = match kind {
                Kind::Publish(payload) => actor.publish(id, channel, payload).await,
                // What comes seldom has storage of its own: its state is large.
                Kind::Subscribe(request) => {
                    Box::pin(subscribe::subscribe(&actor, id, channel, *request)).await
                }
                Kind::Unsubscribe => Box::pin(actor.unsubscribe(id, channel)).await,
                Kind::Expire => Box::pin(actor.end_expired(channel)).await,
                Kind::Presence => Box::pin(actor.presence(id, channel)).await,
                Kind::PresenceStats => Box::pin(actor.presence_stats(id, channel)).await,
                Kind::History(query) => Box::pin(actor.history(id, channel, query)).await,
            };
            let why = match done {
                Err(Refusal::Explained(_, why)) => Some(why),
                _ => None,
            };
            match done {
                Ok(()) => {}
                Err(Refusal::Close(disconnect)) => actor.close(disconnect),
                Err(Refusal::Reply(code) | Refusal::Explained(code, _)) => {
                    if code == ErrorCode::PermissionDenied {
                        actor.policy.relay.hub().metrics().permission_denied(method);
                    }
                    let namespace = namespace.as_ref().and_then(Channel::namespace);
                    let about = About { user: Some(&actor.identity.user), namespace, why };
                    refuse(&actor.policy, &actor.connection, (id, method), code, about);
                }
            }
            if let Some(began) = began {
                actor.policy.relay.hub().observe_command(method, began);
            }
        })
    }
}

impl Actor {
    /// Cleans up after a connection that has gone.
    pub(super) async fn clean_up(self) {
        let who = Arc::new(self.info(Bytes::new()));
        for (channel, traces) in self.connection.take_all_traces() {
            // What the broker cannot take now expires there by itself.
            let _ = self.policy.relay.clean_up(channel, traces, &who).await;
        }
    }

    pub(super) fn reply(&self, reply: &Reply) {
        push(&self.policy, &self.connection, reply);
    }

    /// How the connection is shown to others.
    pub(super) fn info(&self, chan_info: Bytes) -> ClientInfo {
        ClientInfo {
            user: self.identity.user.as_str().to_owned(),
            client: self.connection.id().to_string(),
            conn_info: self.identity.info.clone(),
            chan_info,
        }
    }

    pub(super) fn close(&self, disconnect: Disconnect) {
        self.connection.close(self.policy.relay.hub(), disconnect);
    }

    fn namespace(&self, channel: &Channel) -> Result<&Namespace, Denied> {
        self.policy.namespaces.of(channel)
    }

    /// Ends a subscription, and cleans up after it.
    pub(super) async fn leave(&self, channel: Channel) {
        let info = self.connection.subscription_info(&channel);
        self.policy.relay.unsubscribe(&channel, &self.connection);
        if let Some(traces) = self.connection.take_traces(&channel) {
            let who = Arc::new(self.info(info));
            // An error would make an SDK reconnect; what is left expires.
            let _ = self.policy.relay.clean_up(channel, traces, &who).await;
        }
    }

    async fn unsubscribe(&self, id: u32, channel: Channel) -> Result<(), Refusal> {
        self.leave(channel).await;
        self.reply(&Reply { id, body: Body::Unsubscribe });
        Ok(())
    }

    /// What a client made it can make again; what the server made comes back with
    /// another connection.
    async fn end_expired(&self, channel: Channel) -> Result<(), Refusal> {
        if self.connection.is_server_side(&channel) {
            return Err(Disconnect::SUBSCRIPTION_EXPIRED.into());
        }
        self.unsubscribe_with(channel, Unsubscribed::Expired).await;
        Ok(())
    }

    async fn publish(&self, id: u32, channel: Channel, payload: Payload) -> Result<(), Refusal> {
        let namespace = self.namespace(&channel)?;
        let shape = self.policy.shape(namespace);
        // What is shaped has a limit of its own.
        let charges = if shape.is_some() { Vec::new() } else { self.charges() };
        let how = How {
            keep: self.policy.retention(namespace),
            delta: namespace.delta_publish,
            shape,
            charges,
            ..How::default()
        };
        let subscribed = self.connection.is_subscribed(&channel);
        let publisher = Some(self.info(self.connection.subscription_info(&channel)));
        let wish = Publish { channel, payload, publisher, tags: BTreeMap::new() };
        let wish = self
            .identity
            .authorize_publish(&self.policy.namespaces, wish, subscribed)
            .map_err(ErrorCode::from)?;
        let comes_back = subscribed && how.shape.is_none();
        let at_once = comes_back && self.policy.relay.comes_back_at_once();
        let echo = (comes_back && !at_once).then(|| self.connection.expect_echo());
        match self.policy.relay.publish(wish, how).await {
            Ok(_) => {
                if at_once {
                    self.connection.expect_own();
                }
                let confirm = || self.reply(&Reply { id, body: Body::Publish });
                match echo {
                    Some(echo) => self.policy.relay.hub().confirm(echo, confirm),
                    None => confirm(),
                }
                Ok(())
            }
            Err(NotPublished::Unavailable(unavailable)) => Err(unavailable.into()),
            Err(NotPublished::TooMany(TooMany { scope, wait })) => {
                let usage = &self.policy.usage;
                if let Some(Charge { subject, rate, .. }) = self.charge(scope) {
                    usage.exhaust((scope, &subject), &rate, wait, self.nanos());
                }
                Err(ErrorCode::TooManyRequests.into())
            }
        }
    }

    /// Where messages are counted over all nodes: the user's, if it is not the anonymous
    /// one, who is not one person, and the tenant's.
    fn charges(&self) -> Vec<Charge> {
        [Scope::User, Scope::Tenant].into_iter().filter_map(|scope| self.charge(scope)).collect()
    }

    fn charge(&self, scope: Scope) -> Option<Charge> {
        let Policy { usage, limits, relay, .. } = &*self.policy;
        let (subject, rate) = match (scope, &self.identity.tenant) {
            (Scope::User, _) if !self.identity.user.is_anonymous() => {
                let user = self.identity.user.as_str();
                (user, usage.user_rate(user, limits, self.nanos()))
            }
            (Scope::Tenant, Some(tenant)) => {
                let tenant = tenant.as_str();
                (tenant, usage.tenant_rate(tenant, limits, self.nanos()))
            }
            _ => return None,
        };
        relay.charge(scope, subject, rate)
    }

    fn nanos(&self) -> Nanos {
        nanos(self.policy.relay.hub().clock().precise())
    }

    async fn presence(&self, id: u32, channel: Channel) -> Result<(), Refusal> {
        let namespace = self.namespace(&channel)?;
        self.may_read(namespace.presence, namespace.read_presence, &channel)?;
        let turn = self.policy.relay.page_turn().await?;
        let present = self.policy.relay.broker().presence(channel).await?;
        drop(turn);
        let present = present.into_iter().map(|(id, who)| (id, ClientInfo::clone(&who))).collect();
        self.reply(&Reply { id, body: Body::Presence(present) });
        Ok(())
    }

    async fn presence_stats(&self, id: u32, channel: Channel) -> Result<(), Refusal> {
        let namespace = self.namespace(&channel)?;
        self.may_read(namespace.presence, namespace.read_presence, &channel)?;
        let stats = self.policy.relay.broker().presence_stats(channel).await?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (num_clients, num_users) = (count(stats.clients), count(stats.users));
        self.reply(&Reply { id, body: Body::PresenceStats { num_clients, num_users } });
        Ok(())
    }

    async fn history(&self, id: u32, channel: Channel, query: HistoryQuery) -> Result<(), Refusal> {
        let namespace = self.namespace(&channel)?;
        self.may_read(namespace.history.is_some(), namespace.read_history, &channel)?;
        if !self.may_get(namespace.data_format) {
            return Err(ErrorCode::BadRequest.into());
        }
        let keep = self.policy.retention(namespace).ok_or(ErrorCode::NotAvailable)?;
        let turn = self.policy.relay.page_turn().await?;
        let page = self.policy.relay.broker().history(channel, query, keep.meta_ttl).await?;
        drop(turn);
        self.can_read(namespace.data_format, page.publications.iter())?;
        let result = HistoryResult {
            publications: page.publications.iter().map(|one| (**one).clone()).collect(),
            epoch: page.position.epoch.to_string(),
            offset: page.position.offset,
        };
        self.reply(&Reply { id, body: Body::History(result) });
        Ok(())
    }

    /// Off is 108, and not allowed 103.
    fn may_read(&self, on: bool, readers: Readers, channel: &Channel) -> Result<(), ErrorCode> {
        let subscribed = self.connection.is_subscribed(channel);
        if !on {
            Err(ErrorCode::NotAvailable)
        } else if !self.identity.may_read(readers, subscribed) {
            Err(ErrorCode::PermissionDenied)
        } else {
            Ok(())
        }
    }
}

impl Policy {
    /// The largest payload of a namespace, bytes.
    #[must_use]
    pub fn message_bytes(&self, namespace: &Namespace) -> usize {
        let all = self.limits.message_bytes;
        namespace.message_bytes.map_or(all, |own| own.min(all))
    }

    /// How what clients publish to a namespace is shaped.
    #[must_use]
    pub fn shape(&self, namespace: &Namespace) -> Option<Shape> {
        let shaping = ephemeral::within(namespace.shaping?, &self.limits);
        Some(Shape { shaping, most_bytes: self.message_bytes(namespace) })
    }

    /// What is kept of a namespace's publications.
    #[must_use]
    pub fn retention(&self, namespace: &Namespace) -> Option<Retention> {
        namespace.history.map(|history| Retention {
            entries: history.size,
            bytes: self.limits.history_bytes,
            ttl: history.ttl,
            meta_ttl: history.meta_ttl,
        })
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Refusal {
        ErrorCode::Internal.into()
    }
}

impl From<NoTurn> for Refusal {
    fn from(_: NoTurn) -> Refusal {
        ErrorCode::TooManyRequests.into()
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Refusal {
        match error {
            HistoryError::Unavailable(_) => ErrorCode::Internal.into(),
            HistoryError::Unrecoverable(_) => ErrorCode::UnrecoverablePosition.into(),
        }
    }
}
