//! What a benched node is configured with.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::failure::{Failure, While};
use super::super::token::Tokens;

/// Channels of this namespace have a history.
const KEPT: &str = "kept:";
/// How many publications that has.
pub(in super::super) const HISTORY: usize = 200;

/// What the names of channels begin with, which have a history or not.
pub(in super::super) fn namespace(kept: bool) -> &'static str {
    if kept { KEPT } else { "" }
}

/// A configuration file, which is removed with it: it holds a secret.
pub(super) struct Config(PathBuf);

impl Config {
    /// For so many connections, and with the broker in the node itself or at these
    /// addresses.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(
        tokens: &Tokens,
        connections: usize,
        redis: &[String],
    ) -> Result<Config, Failure> {
        let connections = (connections + 100).max(20_000);
        let mut config = json!({
            "client": {
                "token": { "hmac_secret_key": tokens.secret() },
                "connection_limit": connections,
                "user_connection_limit": 0,
            },
            "channel": {
                "without_namespace": {
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_client": true,
                },
                "namespaces": [{
                    "name": KEPT.trim_end_matches(':'),
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_client": true,
                    "history_size": HISTORY,
                    "history_ttl": "300s",
                    "force_recovery": true,
                }],
            },
            "sse": { "enabled": true },
            "http_api": { "key": tokens.secret() },
            // All come from one address, and as fast as they can.
            "limits": {
                "profile": "none",
                "ip_connections": connections,
                "sse_connections": connections,
                "waiting_connections": connections,
                "http_sockets": 4_000,
            },
        });
        if let ([_, ..], Value::Object(sections)) = (redis, &mut config) {
            let engine = json!({ "type": "redis", "redis": { "address": redis } });
            sections.insert("engine".to_owned(), engine);
            sections.insert("cluster".to_owned(), json!({ "key": tokens.secret() }));
        }
        let name = format!("sealcast-bench-{:032x}.json", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        write_private(&path, &config.to_string()).during("write a configuration file")?;
        Ok(Config(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
