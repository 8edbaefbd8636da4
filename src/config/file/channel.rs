//! `channel`: what is allowed where.

use std::time::Duration;

use super::section;

section! {
    Channels {
        /// Options of channels without a namespace; unless given there are no such channels.
        without_namespace: Option<Options>,
        /// The namespaces: a channel `news:x` has the options of the entry `news`.
        namespaces: Vec<Named>,
        /// How long a channel's position outlives its last publication.
        history_meta_ttl: Duration = Duration::from_secs(30 * 24 * 3_600),
        /// The longest channel name, bytes; 255 at most.
        max_length: usize = 255,
    }
    unsupported {
        proxy: "there are no calls of a backend; decide by tokens and namespace options",
        private_prefix: "it is always $",
        namespace_boundary: "it is always :",
        user_boundary: "it is always #",
        user_separator: "it is always a comma",
        publication_data_format: "give it in each namespace",
    }
}

section! {
    /// An entry of `namespaces`.
    Named {
        /// The part of a channel's name before the `:`; two characters or more of letters, digits,
        /// `-`, `_` and `.`.
        name: String,
        ..options: Options,
    }
}

section! {
    /// The options of a namespace.
    Options {
        /// Clients may subscribe.
        allow_subscribe_for_client: bool,
        /// Anonymous clients may subscribe too, where clients may.
        allow_subscribe_for_anonymous: bool,
        /// Clients may publish.
        allow_publish_for_client: bool,
        /// Subscribers of the channel may publish.
        allow_publish_for_subscriber: bool,
        /// Anonymous clients may publish too, where clients or subscribers may.
        allow_publish_for_anonymous: bool,
        /// The part of a name after its last `#` lists the users who may subscribe.
        allow_user_limited_channels: bool,
        /// What the part of a channel's name behind the namespace must match, as a regular
        /// expression; any part unless given. It matches anywhere unless it begins with `^` and
        /// ends with `$`.
        channel_regex: String,
        /// What payloads are taken: `json`, `json_object` or `binary`; empty is `json`.
        publication_data_format: String,
        /// The limit profile of the namespace, `strict` or `standard`, for what it has numbers of
        /// its own of; `limits.profile` unless given.
        limit_profile: Option<String>,
        /// The largest payload of one publication, bytes, up to `limits.message_bytes`; as the
        /// profile says unless given.
        message_bytes: Option<usize>,
        /// What clients publish goes out more seldom than it comes, and is not kept: for cursors,
        /// and for drawing. Not with history, positions, recovery or `delta_publish`.
        shaping: Option<Shaping>,
        /// Who is subscribed is noted.
        presence: bool,
        /// Who comes and goes is told to subscribers who ask for it.
        join_leave: bool,
        /// It is told to every subscriber.
        force_push_join_leave: bool,
        /// Most publications that are kept; 0 keeps none.
        history_size: usize,
        /// The longest age of what is kept; 720h at most.
        history_ttl: Option<Duration>,
        /// How long a position outlives the last publication; `channel.history_meta_ttl` unless
        /// given.
        history_meta_ttl: Option<Duration>,
        /// Every subscription is positioned.
        force_positioning: bool,
        /// Subscriptions are positioned if they ask for it.
        allow_positioning: bool,
        /// Every subscription can recover what it missed.
        force_recovery: bool,
        /// Subscriptions can recover if they ask for it.
        allow_recovery: bool,
        /// What a recovery brings: `stream`, everything that was missed, or `cache`, the latest.
        force_recovery_mode: String = "stream".to_owned(),
        /// In cache mode every subscription gets the latest publication.
        auto_cache_recover: bool,
        /// Kinds of patches that subscribers may ask for.
        allowed_delta_types: Vec<String> = vec!["fossil".to_owned()],
        /// Every publication is also made into a patch for those who ask.
        delta_publish: bool,
        /// Subscribers may filter by tags.
        allow_tags_filter: bool,
        /// Clients may read the presence.
        allow_presence_for_client: bool,
        /// Subscribers of the channel may read the presence.
        allow_presence_for_subscriber: bool,
        /// Anonymous clients may read the presence too, where clients or subscribers may.
        allow_presence_for_anonymous: bool,
        /// Clients may read the history.
        allow_history_for_client: bool,
        /// Subscribers of the channel may read the history.
        allow_history_for_subscriber: bool,
        /// Anonymous clients may read the history too, where clients or subscribers may.
        allow_history_for_anonymous: bool,
    }
    unsupported {
        subscribe_proxy_enabled: "there are no calls of a backend; use subscription tokens",
        subscribe_proxy_name: "there are no calls of a backend; use subscription tokens",
        publish_proxy_enabled: "there are no calls of a backend; publish by the server API",
        publish_proxy_name: "there are no calls of a backend; publish by the server API",
        sub_refresh_proxy_enabled: "there are no calls of a backend; use subscription tokens",
        sub_refresh_proxy_name: "there are no calls of a backend; use subscription tokens",
        subscribe_stream_proxy_enabled: "there are no calls of a backend",
        subscribe_stream_proxy_name: "there are no calls of a backend",
        subscribe_stream_proxy_bidirectional: "there are no calls of a backend",
        subscription_type: "every subscription is of the type stream",
        map: "there are no map subscriptions",
        map_clients_presence_channel_prefix: "there are no map subscriptions",
        map_users_presence_channel_prefix: "there are no map subscriptions",
        shared_poll: "there are no shared poll subscriptions",
    }
}

section! {
    /// How a namespace is shaped.
    Shaping {
        /// `latest`: of each publisher only the newest goes out, `rate` times a second at most.
        /// `batch`: everything goes out, in order, what one client publishes within `interval`
        /// joined in one publication.
        mode: String,
        /// With `latest`: how many publications of one client go out in a second, 1 to 60; 60
        /// unless given.
        rate: Option<usize>,
        /// With `batch`: the time from one publication of a client to the next, 10ms to 1s; 50ms
        /// unless given.
        interval: Option<Duration>,
    }
}
