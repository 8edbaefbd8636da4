//! `client`: connections and what they may use.

use std::time::Duration;

use super::section;
use super::{SubscriptionToken, Token};

section! {
    Client {
        /// Origins of the pages that may connect, such as `https://app.example.com`; none unless
        /// given.
        allowed_origins: Vec<String>,
        /// Tokens of connections.
        token: Token,
        /// Tokens of subscriptions, where they have keys of their own.
        subscription_token: SubscriptionToken,
        /// Clients without a token may connect, as the anonymous user.
        allow_anonymous_connect_without_token: bool,
        /// Tokens of the anonymous user are refused.
        disallow_anonymous_connection_tokens: bool,
        /// Most connections of one user; with Redis, on all nodes together; any number with 0. The
        /// anonymous user's are not counted.
        user_connection_limit: usize => user_connections,
        /// What becomes of one more of them: with `retry` it is closed with 3013, after which SDKs
        /// try again later; with `refuse` with 3504, after which they do not; with `replace` it
        /// stays, and the oldest is closed with 3504. One more of a tenant never stays.
        user_connection_limit_answer: String = "retry".to_owned(),
        /// Clients are told the time when they connect.
        connect_include_server_time: bool,
        /// A channel for each user, to which every connection of that user is subscribed.
        subscribe_to_user_personal_channel: PersonalChannel,
        /// Time between pings, whole seconds.
        @restart ping_interval: Duration => ping_interval,
        /// The longest time until a ping is answered.
        @restart pong_timeout: Duration => pong_timeout,
        /// The longest time until a connection has authenticated.
        stale_close_delay: Duration => connect_deadline,
        /// How long a connection may outlive its token, to bring a new one.
        expired_close_delay: Duration => expired_close_delay,
        /// How long a subscription may outlive its token.
        expired_sub_close_delay: Duration => expired_sub_close_delay,
        /// Most subscriptions of one connection.
        channel_limit: usize => channels_per_connection,
        /// Most bytes waiting for one connection; beyond, it ends with 3008.
        @restart queue_max_size: usize => queue_bytes,
        /// Most publications of one page of history.
        history_max_publication_limit: usize => history_publications,
        /// Most publications that a recovery brings back.
        recovery_max_publication_limit: usize => recovery_publications,
        /// Most WebSocket connections of the node; streams are under `limits.sse_connections`.
        connection_limit: usize => websocket_connections,
    }
    unsupported {
        proxy: "there are no calls of a backend; decide by tokens",
        insecure: "connections always need a token, or allow_anonymous_connect_without_token",
        insecure_skip_token_signature_verify: "tokens are always verified",
        user_id_http_header: "users are known by their tokens",
        presence_update_interval: "remove it; presence ends with the connection",
        concurrency: "remove it; commands of different channels run side by side",
        channel_position_check_delay: "remove it; positions are always watched",
        channel_position_max_time_lag: "remove it; positions are always watched",
        connection_rate_limit: "its name here is limits.node_connects",
        connect_code_to_unidirectional_disconnect: "remove it; the codes are Centrifugo's",
    }
}

section! {
    /// `subscribe_to_user_personal_channel`.
    PersonalChannel {
        /// Every user is subscribed to a channel of their own, `#user`.
        enabled: bool,
        /// The namespace of these channels; none unless given.
        personal_channel_namespace: Option<String>,
        /// Of a user's connections only the latest stays.
        single_connection: bool,
    }
}
