//! `engine` and `cluster`: what nodes share.

use serde_json::{Value, json};

use super::super::kind::{Kind, Written, must_be};
use super::super::reader::Reader;
use super::super::secret::SecretText;
use super::section;

section! {
    Engine {
        /// `memory`, for one node, or `redis`, for any number.
        @restart r#type: String = "memory".to_owned(),
        /// Where Redis is.
        redis: Option<RedisEngine>,
    }
}

section! {
    RedisEngine {
        /// The address of a primary: `host:port`, or `redis://` and `rediss://` with all that these
        /// can say; redis://127.0.0.1:6379 unless given. Of several, as a list or behind commas,
        /// each has a part of the channels.
        @restart address: Option<Addresses>,
        /// The user that the node is to Redis.
        @restart user: Option<String>,
        /// The user's password.
        @restart password: Option<SecretText>,
        /// The number of the database.
        @restart db: Option<u64>,
        /// Tells several installations in one Redis apart.
        @restart prefix: String = "sealcast".to_owned(),
        /// When a publication counts as taken: `everysec`, when Redis has it; `always`, when it
        /// is on Redis' disk, which must be set up so; `wait:1`, when a replica has it too.
        @restart durability: String = "everysec".to_owned(),
        /// TLS to Redis.
        tls: RedisTls,
        /// Instead of `address`: the sentinels that know where the primary is.
        @restart sentinel_address: Option<Addresses>,
        /// What the sentinels call the primary.
        @restart sentinel_master_name: Option<String>,
        /// The user that the node is to the sentinels.
        @restart sentinel_user: Option<String>,
        /// That user's password.
        @restart sentinel_password: Option<SecretText>,
        /// TLS to the sentinels.
        sentinel_tls: RedisTls,
        /// Instead of `address`: some members of a Redis Cluster, by which the others are found.
        @restart cluster_address: Option<Addresses>,
    }
}

section! {
    RedisTls {
        /// Speak TLS.
        @restart enabled: bool,
        /// The authority that Redis' certificate must be of: PEM, or the path of a file.
        @restart server_ca_pem: Option<String>,
        /// The node's own certificate: PEM, or the path of a file.
        @restart cert_pem: Option<String>,
        /// Its key: PEM, or the path of a file.
        @restart key_pem: Option<SecretText>,
    }
}

section! {
    Cluster {
        /// What all nodes share, so that they believe each other: 32 random characters or more.
        /// Needed with the engine redis.
        @restart key: Option<SecretText>,
    }
}

/// One address or several; they may hold passwords.
#[derive(Clone)]
pub(in crate::config) struct Addresses(Vec<SecretText>);

impl Addresses {
    /// Each of them; a text may hold several, behind commas.
    pub(in crate::config) fn texts(&self) -> Vec<&str> {
        self.0.iter().flat_map(|text| text.text().split(',')).map(str::trim).collect()
    }
}

impl Kind for Addresses {
    const IS_SECRET: bool = true;
    const WRITTEN: Written = Written::Text;

    fn name() -> String {
        "secret".to_owned()
    }

    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<Addresses> {
        match written {
            Value::String(_) => {
                SecretText::read(reader, place, written).map(|one| Addresses(vec![one]))
            }
            Value::Array(_) => Vec::read(reader, place, written).map(Addresses),
            other => {
                reader.fault(place, must_be("a text or a list of texts", other));
                None
            }
        }
    }

    fn show(&self) -> Option<Value> {
        Some(json!("[redacted]"))
    }
}
