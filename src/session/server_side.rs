//! What the server does to a connection: subscriptions that it makes and takes,
//! and when the connection expires.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use sealcast_wire::reply::{Body, ConnectResult, Event, SubscribeResult};
use sealcast_wire::{Channel, Disconnect, ErrorCode, Reply, Unsubscribed};

use super::Policy;
use super::client::Refusal;
use super::connect::ServerSide;
use super::expiry::expire;
use super::operation::Actor;
use super::subscribe::{self, Grant, Request};
use crate::auth::{Authorized, Identity, Subscribe};
use crate::broker::Since;
use crate::hub::{self, Connection, Terms};

impl Actor {
    /// For a connection that has authenticated as `client`.
    #[must_use]
    pub fn new(policy: &Arc<Policy>, connection: Arc<Connection>, client: hub::Client) -> Actor {
        let hub::Client { user, tenant, info } = client;
        let identity = Arc::new(Identity { user, tenant, info });
        Actor { policy: Arc::clone(policy), connection, identity }
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Makes the server-side subscriptions, side by side, and then
    /// answers the connect command; what comes of them follows the answer.
    pub(super) async fn connect(
        self,
        id: u32,
        mut result: ConnectResult,
        subscriptions: Vec<ServerSide>,
    ) -> Result<(), Refusal> {
        let making = subscriptions.into_iter().map(|ServerSide { wish, request, grant }| {
            let channel = wish.get().channel.clone();
            let made = subscribe::make(&self, wish, request, grant, true);
            async move { Ok::<_, Refusal>((channel, made.await?)) }
        });
        let made = try_join_all(making).await?;
        for (channel, made) in &made {
            result.subs.insert(channel.as_str().to_owned(), made.result.clone());
        }
        self.reply(&Reply { id, body: Body::Connect(Box::new(result)) });
        for (_, made) in made {
            made.go_live(&self, None).await?;
        }
        Ok(())
    }

    /// Makes a subscription that the client did not ask for, and tells it. One
    /// that stands is told again with its stream's position; if the server made it,
    /// the grant takes the place of the one before.
    ///
    /// # Errors
    /// If the broker cannot be reached, the namespace is not configured, or the
    /// client could not read what is published there. Over the limit of
    /// subscriptions the connection is closed with 3505.
    pub async fn subscribe(
        &self,
        wish: Authorized<Subscribe>,
        grant: Grant,
        recover_since: Option<Since>,
    ) -> Result<(), ErrorCode> {
        let channel = wish.get().channel.clone();
        let most = self.policy.limits.channels_per_connection;
        let told = if self.connection.is_subscribed(&channel) {
            self.subscribe_again(channel, grant).await
        } else if self.connection.subscription_count() >= most {
            Err(ErrorCode::LimitExceeded.into())
        } else {
            let anew = self.subscribe_anew(wish, grant.clone(), recover_since).await;
            match anew {
                // The client came first.
                Err(Refusal::Reply(ErrorCode::AlreadySubscribed)) => {
                    self.subscribe_again(channel, grant).await
                }
                told => told,
            }
        };
        self.connection.flush(self.policy.relay.hub());
        match told {
            Ok(()) => {}
            Err(Refusal::Close(disconnect)) => self.close(disconnect),
            Err(Refusal::Reply(ErrorCode::LimitExceeded)) => self.close(Disconnect::CHANNEL_LIMIT),
            Err(Refusal::Reply(code) | Refusal::Explained(code, _)) => return Err(code),
        }
        Ok(())
    }

    /// Ends a subscription and tells the client; nothing if there is none.
    pub async fn unsubscribe_with(&self, channel: Channel, why: Unsubscribed) {
        if !self.connection.is_subscribed(&channel) {
            return;
        }
        self.leave(channel.clone()).await;
        self.reply(&Reply::push(channel.as_str().into(), why.into()));
        self.connection.flush(self.policy.relay.hub());
    }

    /// Sets when the connection expires, Unix seconds, `None` for never, and
    /// tells the client. In the past, the connection is closed with 3005.
    pub fn refresh(&self, at: Option<u64>) {
        let now = self.policy.unix_now();
        let hub = self.policy.relay.hub();
        if at.is_some_and(|at| at <= now) {
            self.connection.close(hub, Disconnect::EXPIRED);
            return;
        }
        let expiry = expire(&self.policy, &self.connection, at, now);
        self.reply(&Reply::push("".into(), Event::Refresh(expiry)));
        self.connection.flush(hub);
    }

    /// Sets what others are told of the user from now on: one JSON value, or empty.
    /// Who is present already stays as they came.
    pub fn set_info(&self, info: Bytes) {
        self.policy.relay.hub().set_info(&self.connection, &self.identity.user, info);
    }

    async fn subscribe_anew(
        &self,
        wish: Authorized<Subscribe>,
        grant: Grant,
        since: Option<Since>,
    ) -> Result<(), Refusal> {
        let channel = wish.get().channel.clone();
        let request =
            Request { recoverable: since.is_some(), recover: since, ..Request::default() };
        let made = subscribe::make(self, wish, request, Some(grant), true).await?;
        let publications = made.result.publications.clone();
        let told = self.frames(&channel, made.result.clone(), publications);
        made.go_live(self, Some(told)).await
    }

    async fn subscribe_again(&self, channel: Channel, grant: Grant) -> Result<(), Refusal> {
        let Grant { expires_at, options } = grant;
        let namespace = self.policy.namespaces.of(&channel)?;
        let namespace = &namespace.with(options.overrides);
        let (expires, _) = self.expiry(expires_at);
        self.connection.set_terms(&channel, Some(Terms { expires, info: options.info }));
        let data = options.data.filter(|data| data.is_json() || !self.reads_json());
        let mut result = SubscribeResult {
            data: data.map(|data| data.bytes().clone()).unwrap_or_default(),
            ..SubscribeResult::default()
        };
        if let Some(keep) = self.policy.retention(namespace) {
            let broker = self.policy.relay.broker();
            let page = broker.history(channel.clone(), Default::default(), keep.meta_ttl).await?;
            result.positioned = namespace.force_positioning || namespace.force_recovery;
            result.recoverable = namespace.force_recovery;
            result.epoch = page.position.epoch.to_string();
            result.offset = page.position.offset;
        }
        let event = Event::Subscribe(Box::new(result));
        self.reply(&Reply::push(channel.as_str().into(), event));
        Ok(())
    }

    /// The push that tells of the subscription, and what it recovered behind it.
    fn frames(
        &self,
        channel: &Channel,
        result: SubscribeResult,
        publications: Vec<sealcast_wire::Publication>,
    ) -> Bytes {
        let push = |event| self.connection.frame(&Reply::push(channel.as_str().into(), event));
        let mut frames = push(Event::Subscribe(Box::new(result))).to_vec();
        for publication in publications {
            frames.extend_from_slice(&push(Event::Publication(publication)));
        }
        frames.into()
    }
}
