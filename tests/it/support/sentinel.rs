//! A primary that a sentinel watches, and a replica to take its place.

use sealcast::broker::{Credentials, Endpoint, RedisConfig, Sentinels, Topology};

use serde_json::{Value, json};

use super::redis::{RedisServer, as_node, config, credentials};

/// What the sentinel calls the primary.
const NAME: &str = "the-primary";
/// After how much silence, milliseconds, it gives up the primary. It connects anew once
/// a second at most, also to the one that it has just promoted: with less it sometimes
/// takes that for dead at once, and promotes the other.
const SILENCE: u32 = 1_500;

/// All of them run, until dropped.
pub(crate) struct Watched {
    pub(crate) primary: RedisServer,
    pub(crate) replica: Option<RedisServer>,
    sentinel: RedisServer,
}

impl Watched {
    /// A primary alone.
    pub(crate) async fn start() -> Watched {
        let primary = RedisServer::start().await;
        let sentinel = RedisServer::sentinel(&watching(&primary)).await;
        Watched { primary, replica: None, sentinel }
    }

    /// With a replica that has everything, and is known.
    pub(crate) async fn with_replica() -> Watched {
        let primary = RedisServer::start().await;
        // At once, not after some seconds in case others want a copy as well.
        let _: () = primary.ask("CONFIG SET repl-diskless-sync-delay 0").await;
        let of = primary.port.to_string();
        let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &of]).await;
        replica.says("INFO replication", "master_link_status:up").await;
        let sentinel = RedisServer::sentinel(&watching(&primary)).await;
        sentinel.says("INFO sentinel", "slaves=1").await;
        Watched { primary, replica: Some(replica), sentinel }
    }

    /// How a broker uses it. Of two sentinels one is not there.
    pub(crate) fn config(&self) -> RedisConfig {
        self.config_named(NAME)
    }

    pub(crate) fn config_named(&self, name: &str) -> RedisConfig {
        let sentinels = ["127.0.0.1:1", &self.sentinel.address()]
            .map(|address| Endpoint::parse(address, &Credentials::default()).unwrap());
        let watched = Sentinels::new(sentinels.into(), name, &credentials()).unwrap();
        config(Topology::Watched(watched))
    }

    /// How the configuration of a node says where it is.
    pub(crate) fn as_node(&self) -> Value {
        let (address, name) = (self.sentinel.address(), NAME);
        as_node(json!({ "sentinel_address": address, "sentinel_master_name": name }))
    }

    /// Makes the sentinel call another one so, of which the primary is not told.
    pub(crate) async fn watch_instead(&self, other: &RedisServer) {
        let _: () = self.sentinel.ask(&format!("SENTINEL REMOVE {NAME}")).await;
        let watch = format!("SENTINEL MONITOR {NAME} 127.0.0.1 {} 1", other.port);
        let _: () = self.sentinel.ask(&watch).await;
    }

    /// Waits until the replica is the primary.
    pub(crate) async fn is_promoted(&self) {
        let replica = self.replica.as_ref().expect("there is one");
        replica.says("INFO replication", "role:master").await;
    }
}

fn watching(primary: &RedisServer) -> String {
    let port = primary.port;
    format!(
        "sentinel monitor {NAME} 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds {NAME} {SILENCE}\n\
         sentinel failover-timeout {NAME} 5000\n"
    )
}
