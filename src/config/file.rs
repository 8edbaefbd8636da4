//! The file as it is written: Centrifugo v6's structure and option names. An
//! option that is not listed here is refused, because ignoring one could open a
//! door.

mod api;
mod broker;
mod token;

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::duration;

pub(super) use api::{ApiKey, HttpApi};
pub(super) use broker::{Addresses, Engine, RedisEngine, RedisTls};
pub(super) use token::{SecretText, SubscriptionToken, Token, TokenIssuer};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) http_server: HttpServer,
    pub(super) metrics: Listener,
    pub(super) client: Client,
    pub(super) channel: Channels,
    pub(super) http_api: HttpApi,
    pub(super) websocket: WebSocket,
    pub(super) limits: LimitOptions,
    pub(super) shutdown: Shutdown,
    pub(super) engine: Engine,
    pub(super) node: Node,
    pub(super) compat: Compat,
    pub(super) cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cluster {
    /// What all nodes share, so that they believe each other.
    pub(super) key: Option<SecretText>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpServer {
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) trusted_proxies: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Client {
    pub(super) allowed_origins: Vec<String>,
    pub(super) token: Token,
    pub(super) subscription_token: SubscriptionToken,
    pub(super) allow_anonymous_connect_without_token: bool,
    pub(super) disallow_anonymous_connection_tokens: bool,
    pub(super) user_connection_limit: Option<usize>,
    pub(super) connect_include_server_time: bool,
    pub(super) subscribe_to_user_personal_channel: PersonalChannel,
    pub(super) ping_interval: Option<Time>,
    pub(super) pong_timeout: Option<Time>,
    pub(super) stale_close_delay: Option<Time>,
    pub(super) expired_close_delay: Option<Time>,
    pub(super) expired_sub_close_delay: Option<Time>,
    pub(super) channel_limit: Option<usize>,
    pub(super) queue_max_size: Option<usize>,
    pub(super) history_max_publication_limit: Option<usize>,
    pub(super) recovery_max_publication_limit: Option<usize>,
    pub(super) connection_limit: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PersonalChannel {
    pub(super) enabled: bool,
    pub(super) personal_channel_namespace: Option<String>,
    pub(super) single_connection: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Channels {
    pub(super) without_namespace: Option<Options>,
    pub(super) namespaces: Vec<Named>,
    pub(super) history_meta_ttl: Option<Time>,
}

/// The options of a namespace. Serde cannot both flatten and refuse unknown
/// members, so `Named` repeats them by way of the macro.
macro_rules! namespace_options {
    ($($option:ident: $kind:ty,)*) => {
        #[derive(Clone, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct Options { $(pub(super) $option: $kind,)* }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Named {
            pub(super) name: String,
            $(#[serde(default)] $option: $kind,)*
        }

        impl Named {
            pub(super) fn options(&self) -> Options {
                Options { $($option: self.$option.clone(),)* }
            }
        }
    };
}

namespace_options! {
    allow_subscribe_for_client: bool,
    allow_subscribe_for_anonymous: bool,
    allow_publish_for_client: bool,
    allow_publish_for_subscriber: bool,
    allow_publish_for_anonymous: bool,
    allow_user_limited_channels: bool,
    publication_data_format: String,
    presence: bool,
    join_leave: bool,
    force_push_join_leave: bool,
    history_size: usize,
    history_ttl: Option<Time>,
    history_meta_ttl: Option<Time>,
    force_positioning: bool,
    allow_positioning: bool,
    force_recovery: bool,
    allow_recovery: bool,
    force_recovery_mode: String,
    auto_cache_recover: bool,
    allowed_delta_types: Option<Vec<String>>,
    delta_publish: bool,
    allow_tags_filter: bool,
    allow_presence_for_client: bool,
    allow_presence_for_subscriber: bool,
    allow_presence_for_anonymous: bool,
    allow_history_for_client: bool,
    allow_history_for_subscriber: bool,
    allow_history_for_anonymous: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebSocket {
    pub(super) message_size_limit: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitOptions {
    pub(super) profile: Option<String>,
    pub(super) message_bytes: Option<usize>,
    pub(super) queue_messages: Option<usize>,
    pub(super) node_queue_bytes: Option<usize>,
    pub(super) history_bytes: Option<usize>,
    pub(super) node_history_bytes: Option<usize>,
    pub(super) node_tail_bytes: Option<usize>,
    pub(super) waiting_connections: Option<usize>,
    pub(super) http_sockets: Option<usize>,
    pub(super) message_deadline: Option<Time>,
    pub(super) header_timeout: Option<Time>,
    pub(super) body_timeout: Option<Time>,
    pub(super) write_timeout: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    pub(super) lb_wait: Option<Time>,
    pub(super) spread: Option<Time>,
    pub(super) deadline: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: Option<String>,
}

/// Where a node is less strict, for a while, to take the place of another server.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Compat {
    pub(super) centrifugo: bool,
}

/// A duration, written as text.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration like \"25s\", \"300ms\" or \"1m30s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                duration::parse(text)
                    .map(Time)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_str(Text)
    }
}
