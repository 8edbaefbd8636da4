//! `engine`, as it is written.

use serde::Deserialize;

use super::SecretText;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Engine {
    pub(in crate::config) r#type: Option<String>,
    pub(in crate::config) redis: Option<RedisEngine>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RedisEngine {
    /// May hold a password.
    pub(in crate::config) address: Option<Addresses>,
    pub(in crate::config) user: Option<String>,
    pub(in crate::config) password: Option<SecretText>,
    pub(in crate::config) db: Option<i64>,
    pub(in crate::config) prefix: Option<String>,
    pub(in crate::config) tls: RedisTls,
}

/// One address, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum Addresses {
    One(SecretText),
    Several(Vec<SecretText>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RedisTls {
    pub(in crate::config) enabled: bool,
    pub(in crate::config) server_ca_pem: Option<String>,
    pub(in crate::config) cert_pem: Option<String>,
    pub(in crate::config) key_pem: Option<SecretText>,
}
