//! `http_api`, as it is written.

use serde::{Deserialize, Deserializer};

use super::SecretText;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HttpApi {
    pub(in crate::config) key: Option<SecretText>,
    pub(in crate::config) keys: Vec<ApiKey>,
    pub(in crate::config) error_mode: String,
}

/// An entry of `keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ApiKey {
    pub(in crate::config) name: String,
    pub(in crate::config) key: SecretText,
    #[serde(default, deserialize_with = "list")]
    pub(in crate::config) methods: Option<Vec<String>>,
    #[serde(default, deserialize_with = "list")]
    pub(in crate::config) channels: Option<Vec<String>>,
}

/// A list that is there. `null` is refused: left over from a template, it would
/// allow everything.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(from).map(Some)
}
