//! `http_api`.

use super::super::secret::SecretText;
use super::section;
use crate::limit::Rate;

section! {
    HttpApi {
        /// The key of the server API, which may do everything; 16 characters at least.
        key: Option<SecretText>,
        /// More keys, each with what it may do.
        keys: Vec<ApiKey>,
        /// How fast `key` may call, with Redis all nodes together, each command of a batch by itself;
        /// any rate unless given.
        rate: Rate = Rate::NONE,
        /// `transport` tells errors by the HTTP status; empty tells them in the body.
        error_mode: String,
        /// The server API is on the public listener too, where `http_server.internal_port` would
        /// have it on the internal one only.
        @restart external: bool,
    }
    unsupported {
        insecure: "the server API always asks for a key",
        disabled: "without a key nobody can use it; remove http_api",
        handler_prefix: "the server API is at /api",
    }
}

section! {
    /// An entry of `keys`.
    ApiKey {
        /// The key's name in metrics.
        name: String,
        /// The key; 16 characters at least.
        key: SecretText,
        /// The methods that it may call; all unless given.
        methods: Option<Vec<String>>,
        /// Patterns of the channels that it may reach, such as `news:*`; all unless given.
        channels: Option<Vec<String>>,
        /// How fast it may call, with Redis all nodes together, each command of a batch by itself; any
        /// rate unless given.
        rate: Rate = Rate::NONE,
    }
}
