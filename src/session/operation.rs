//! A command that concerns one channel and may have to wait for the broker.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sealcast_wire::reply::{Body, ClientInfo, SubscribeResult};
use sealcast_wire::{Channel, ErrorCode, Payload, Reply};

use super::Policy;
use super::client::push;
use crate::auth::{Identity, Publish, Subscribe};
use crate::hub::Connection;

/// A command whose form is checked, and which is not authorized yet: that
/// happens when it begins.
pub(super) struct Operation {
    pub(super) id: u32,
    pub(super) channel: Channel,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// With what to answer if it works.
    Subscribe(Box<SubscribeResult>),
    Unsubscribe,
    Publish(Payload),
}

impl Kind {
    /// Whether it must have its channel alone: no other operation of this
    /// connection on the same channel runs beside it. Publishes run side by side,
    /// and keep their order because they begin in order.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self, Kind::Subscribe(_) | Kind::Unsubscribe)
    }

    fn method(&self) -> &'static str {
        match self {
            Kind::Subscribe(_) => "subscribe",
            Kind::Unsubscribe => "unsubscribe",
            Kind::Publish(_) => "publish",
        }
    }
}

impl Operation {
    /// Authorizes and carries out the operation, and replies.
    pub(super) fn begin(
        self,
        policy: &Arc<Policy>,
        connection: &Arc<Connection>,
        identity: &Arc<Identity>,
    ) -> BoxFuture<'static, ()> {
        let (policy, connection) = (Arc::clone(policy), Arc::clone(connection));
        let identity = Arc::clone(identity);
        Box::pin(async move {
            let Operation { id, channel, kind } = self;
            let method = kind.method();
            let done = match kind {
                Kind::Subscribe(result) => {
                    subscribe(&policy, &connection, &identity, id, channel, result).await
                }
                Kind::Unsubscribe => {
                    policy.relay.unsubscribe(&channel, &connection);
                    push(&policy, &connection, &Reply { id, body: Body::Unsubscribe });
                    Ok(())
                }
                Kind::Publish(payload) => {
                    publish(&policy, &connection, &identity, id, channel, payload).await
                }
            };
            if let Err(code) = done {
                let metrics = policy.relay.hub().metrics();
                metrics.command_error(method, code.code());
                if code == ErrorCode::PermissionDenied {
                    metrics.permission_denied(method);
                }
                push(&policy, &connection, &Reply::error(id, code));
            }
        })
    }
}

async fn subscribe(
    policy: &Policy,
    connection: &Arc<Connection>,
    identity: &Identity,
    id: u32,
    channel: Channel,
    result: Box<SubscribeResult>,
) -> Result<(), ErrorCode> {
    if connection.is_subscribed(&channel) {
        return Err(ErrorCode::AlreadySubscribed);
    }
    if connection.subscription_count() >= policy.limits.channels_per_connection {
        return Err(ErrorCode::LimitExceeded);
    }
    let wish = identity.authorize_subscribe(&policy.namespaces, Subscribe { channel })?;
    let joined = policy.relay.subscribe(wish, connection).await.map_err(|_| ErrorCode::Internal)?;
    let reply = connection.frame(&Reply { id, body: Body::Subscribe(result) });
    // Otherwise the connection is ending, and nobody waits for the reply.
    policy.relay.go_live(&joined, connection, reply);
    Ok(())
}

async fn publish(
    policy: &Policy,
    connection: &Connection,
    identity: &Identity,
    id: u32,
    channel: Channel,
    payload: Payload,
) -> Result<(), ErrorCode> {
    let subscribed = connection.is_subscribed(&channel);
    let publisher = ClientInfo {
        user: identity.user.as_str().to_owned(),
        client: connection.id().to_string(),
        conn_info: identity.info.clone(),
        chan_info: bytes::Bytes::new(),
    };
    let wish = Publish {
        channel,
        payload,
        publisher: Some(publisher),
        tags: std::collections::BTreeMap::new(),
    };
    let wish = identity.authorize_publish(&policy.namespaces, wish, subscribed)?;
    policy.relay.publish(wish).await.map_err(|_| ErrorCode::Internal)?;
    push(policy, connection, &Reply { id, body: Body::Publish });
    Ok(())
}
