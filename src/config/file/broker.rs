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
    /// May hold passwords.
    pub(in crate::config) sentinel_address: Option<Addresses>,
    pub(in crate::config) sentinel_master_name: Option<String>,
    pub(in crate::config) sentinel_user: Option<String>,
    pub(in crate::config) sentinel_password: Option<SecretText>,
    pub(in crate::config) sentinel_tls: RedisTls,
    /// May hold passwords.
    pub(in crate::config) cluster_address: Option<Addresses>,
}

/// One address, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum Addresses {
    One(SecretText),
    Several(Vec<SecretText>),
}

impl Addresses {
    pub(in crate::config) fn texts(&self) -> Vec<&str> {
        match self {
            Addresses::One(address) => vec![address.text()],
            Addresses::Several(list) => list.iter().map(SecretText::text).collect(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RedisTls {
    pub(in crate::config) enabled: bool,
    pub(in crate::config) server_ca_pem: Option<String>,
    pub(in crate::config) cert_pem: Option<String>,
    pub(in crate::config) key_pem: Option<SecretText>,
}
