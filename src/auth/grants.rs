//! What an identity may do to a channel, decided at the moment of the command.
//!
//! `Authorized<T>` can only be made here and by a checked API key, so code that
//! asks for one cannot be reached without the decision.

use std::collections::BTreeMap;

use bytes::Bytes;
use sealcast_wire::name::BadName;
use sealcast_wire::{Channel, ErrorCode, Payload, Tenant, User, reply::ClientInfo};

use super::namespace::{Namespace, Namespaces, Readers};
use super::personal::PersonalChannels;
use super::token::{Claims, SubscriptionOptions};

/// Proof that `T` may be done.
#[derive(Debug)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    pub(super) fn granted(what: T) -> Authorized<T> {
        Authorized(what)
    }

    /// What was authorized.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Takes what was authorized.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Proof that a backend wants something: it holds a key of the server API, here or
/// at another node of the cluster that says so.
#[derive(Debug)]
pub struct Backend(());

impl Backend {
    /// A caller of the server API, or a message of another node, was checked.
    pub(super) fn believed() -> Backend {
        Backend(())
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Backend {
        Backend(())
    }

    /// A backend may subscribe anyone to anything; what its key may touch was
    /// looked at where it called.
    #[must_use]
    pub fn subscribe(&self, channel: Channel) -> Authorized<Subscribe> {
        Authorized(Subscribe { channel })
    }
}

/// The wish to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where.
    pub channel: Channel,
    /// What.
    pub payload: Payload,
    /// Who, if a client does.
    pub publisher: Option<ClientInfo>,
    /// Tags, if the server API gave any.
    pub tags: BTreeMap<String, String>,
}

/// The wish to subscribe.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// To what.
    pub channel: Channel,
}

/// Why a wish is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The namespace is not configured.
    UnknownChannel,
    /// The namespace does not admit the name.
    BadName,
    /// Not allowed.
    Permission,
}

impl From<Denied> for ErrorCode {
    fn from(denied: Denied) -> ErrorCode {
        match denied {
            Denied::UnknownChannel => ErrorCode::UnknownChannel,
            Denied::BadName => ErrorCode::BadRequest,
            Denied::Permission => ErrorCode::PermissionDenied,
        }
    }
}

impl Claims {
    /// The subscriptions that a verified connection token makes, each authorized
    /// by it; and the user's own, if there are such.
    ///
    /// # Errors
    /// If the user's own channel cannot be named.
    pub fn grants(
        &self,
        personal: Option<&PersonalChannels>,
    ) -> Result<BTreeMap<Channel, (Authorized<Subscribe>, SubscriptionOptions)>, BadName> {
        let own = personal.and_then(|personal| personal.of(&self.user)).transpose()?;
        let own = own.map(|channel| (channel, SubscriptionOptions::default()));
        let named = self.subscriptions.iter();
        let named = named.map(|(channel, options)| (channel.clone(), options.clone()));
        // What the token says of the user's own channel wins.
        let grant = |(channel, options): (Channel, SubscriptionOptions)| {
            (channel.clone(), (Authorized(Subscribe { channel }), options))
        };
        Ok(own.into_iter().chain(named).map(grant).collect())
    }
}

/// Who a connection speaks for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user; anonymous if there was no token.
    pub user: User,
    /// Whose user that is, if the token says so.
    pub tenant: Option<Tenant>,
    /// What the token says of the user; one JSON value, or empty.
    pub info: Bytes,
}

impl Identity {
    /// Whether this identity may subscribe (protocol: subscribe, decision order).
    ///
    /// # Errors
    /// Says why not.
    pub fn authorize_subscribe(
        &self,
        namespaces: &Namespaces,
        wish: Subscribe,
    ) -> Result<Authorized<Subscribe>, Denied> {
        let namespace = namespaces.of(&wish.channel)?;
        if wish.channel.is_private() {
            return Err(Denied::Permission);
        }
        let me = self.user.as_str();
        let named = wish.channel.users().map(|mut users| users.any(|user| user == me));
        if let (true, Some(named)) = (namespace.user_limited_channels, named) {
            let allowed = named && !self.user.is_anonymous();
            return if allowed { Ok(Authorized(wish)) } else { Err(Denied::Permission) };
        }
        let allowed = namespace.subscribe_for_client
            && (!self.user.is_anonymous() || namespace.subscribe_for_anonymous);
        if allowed { Ok(Authorized(wish)) } else { Err(Denied::Permission) }
    }

    /// Whether this identity may read what `readers` are named for; `subscribed`
    /// as in [`Identity::authorize_publish`].
    #[must_use]
    pub fn may_read(&self, readers: Readers, subscribed: bool) -> bool {
        let known = !self.user.is_anonymous() || readers.anonymous;
        known && (readers.client || (readers.subscriber && subscribed))
    }

    /// Whether this identity may publish; `subscribed` tells whether the
    /// connection is subscribed to the channel now.
    ///
    /// # Errors
    /// Says why not.
    pub fn authorize_publish(
        &self,
        namespaces: &Namespaces,
        wish: Publish,
        subscribed: bool,
    ) -> Result<Authorized<Publish>, Denied> {
        let allowed = self.may_publish(namespaces.of(&wish.channel)?, subscribed);
        if allowed { Ok(Authorized(wish)) } else { Err(Denied::Permission) }
    }

    /// Whether this identity may publish to channels of a namespace; `subscribed` as
    /// in [`Identity::authorize_publish`].
    #[must_use]
    pub fn may_publish(&self, namespace: &Namespace, subscribed: bool) -> bool {
        let known = !self.user.is_anonymous() || namespace.publish_for_anonymous;
        known && (namespace.publish_for_client || (namespace.publish_for_subscriber && subscribed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use sealcast_wire::Data;

    use super::*;

    fn identity(user: &str) -> Identity {
        Identity { user: User::parse(user).expect("valid"), tenant: None, info: Bytes::new() }
    }

    fn channel(name: &str) -> Channel {
        Channel::parse(name).expect("valid")
    }

    fn publish(name: &str) -> Publish {
        Publish {
            channel: channel(name),
            payload: Payload::json(Data::Json(b"1")).expect("json"),
            publisher: None,
            tags: BTreeMap::new(),
        }
    }

    fn subscribes(namespaces: &Namespaces, user: &str, name: &str) -> Result<(), Denied> {
        identity(user)
            .authorize_subscribe(namespaces, Subscribe { channel: channel(name) })
            .map(|_| ())
    }

    fn publishes(namespaces: &Namespaces, user: &str, name: &str, on: bool) -> Result<(), Denied> {
        identity(user).authorize_publish(namespaces, publish(name), on).map(|_| ())
    }

    #[test]
    fn everything_is_refused_unless_allowed() {
        let closed = Namespaces::new(Some(Namespace::default()), HashMap::new());
        assert_eq!(subscribes(&closed, "ada", "room"), Err(Denied::Permission));
        assert_eq!(publishes(&closed, "ada", "room", true), Err(Denied::Permission));
        assert_eq!(subscribes(&closed, "ada", "news:1"), Err(Denied::UnknownChannel));
        assert_eq!(publishes(&closed, "ada", "news:1", true), Err(Denied::UnknownChannel));
        let none = Namespaces::default();
        assert_eq!(subscribes(&none, "ada", "room"), Err(Denied::UnknownChannel));
    }

    #[test]
    fn each_option_opens_what_it_says_and_no_more() {
        let open = |namespace| Namespaces::new(Some(namespace), HashMap::new());
        let clients = open(Namespace { subscribe_for_client: true, ..Namespace::default() });
        assert_eq!(subscribes(&clients, "ada", "room"), Ok(()));
        assert_eq!(subscribes(&clients, "", "room"), Err(Denied::Permission));
        assert_eq!(subscribes(&clients, "ada", "$room"), Err(Denied::Permission));
        let anyone = open(Namespace {
            subscribe_for_client: true,
            subscribe_for_anonymous: true,
            ..Namespace::default()
        });
        assert_eq!(subscribes(&anyone, "", "room"), Ok(()));
        let subscribers = open(Namespace { publish_for_subscriber: true, ..Namespace::default() });
        assert_eq!(publishes(&subscribers, "ada", "room", true), Ok(()));
        assert_eq!(publishes(&subscribers, "ada", "room", false), Err(Denied::Permission));
        assert_eq!(publishes(&subscribers, "", "room", true), Err(Denied::Permission));
        let publishers = open(Namespace {
            publish_for_client: true,
            publish_for_anonymous: true,
            ..Namespace::default()
        });
        assert_eq!(publishes(&publishers, "", "room", false), Ok(()));
    }

    #[test]
    fn user_limited_channels_open_to_the_named_only() {
        let limited = Namespaces::new(
            Some(Namespace {
                user_limited_channels: true,
                subscribe_for_client: true,
                ..Namespace::default()
            }),
            HashMap::new(),
        );
        assert_eq!(subscribes(&limited, "42", "dialog#42,43"), Ok(()));
        assert_eq!(subscribes(&limited, "4", "dialog#42,43"), Err(Denied::Permission));
        assert_eq!(subscribes(&limited, "", "dialog#"), Err(Denied::Permission));
        assert_eq!(subscribes(&limited, "4", "dialog"), Ok(()));
    }
}
