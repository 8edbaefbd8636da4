//! What a node does not start with, in whatever way its Redis hangs together: it says
//! what is wrong and where, and nothing secret.

use futures_util::future::join_all;
use sealcast::broker::{
    Credentials, Endpoint, Feed, Redis, RedisConfig, Sentinels, Sharding, Topology,
};
use sealcast::metrics::Metrics;
use sealcast::server::unix_time;

use super::start::refusal;
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, config, credentials};

/// What the sentinel calls the primary.
const NAME: &str = "the-primary";

/// A Redis behind a proxy, used in one of the ways.
struct Used {
    way: Way,
    server: RedisServer,
    proxy: Proxy,
    /// A second primary, or a sentinel.
    other: Option<RedisServer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Alone,
    OneOfSeveral,
    Watched,
    Cluster,
}

const WAYS: [Way; 4] = [Way::Alone, Way::OneOfSeveral, Way::Watched, Way::Cluster];

impl Used {
    async fn with(way: Way, options: &[&str]) -> Used {
        let server = match way {
            Way::Cluster => RedisServer::member(options).await,
            _ => RedisServer::with(options).await,
        };
        let proxy = Proxy::start(server.address()).await;
        let port = proxy.address.port();
        let other = match way {
            Way::Alone => None,
            Way::OneOfSeveral => Some(RedisServer::start().await),
            Way::Watched => {
                let watch = format!("sentinel monitor {NAME} 127.0.0.1 {port} 1\n");
                Some(RedisServer::sentinel(&watch).await)
            }
            Way::Cluster => {
                let _: () = server.ask(&format!("CONFIG SET cluster-announce-port {port}")).await;
                let _: () = server.ask("CLUSTER ADDSLOTSRANGE 0 16383").await;
                server.says("CLUSTER INFO", "cluster_state:ok").await;
                None
            }
        };
        Used { way, server, proxy, other }
    }

    fn config(&self, with: &Credentials) -> RedisConfig {
        let at = |address: &str, with| Endpoint::parse(address, with).unwrap();
        let here = at(&self.proxy.address.to_string(), with);
        let other = |with| at(&self.other.as_ref().unwrap().address(), with);
        let topology = match self.way {
            Way::Alone => Topology::Primaries(vec![here]),
            Way::OneOfSeveral => Topology::Primaries(vec![other(&credentials()), here]),
            Way::Watched => {
                let sentinel = other(&Credentials::default());
                Topology::Watched(Sentinels::new(vec![sentinel], NAME, with).unwrap())
            }
            Way::Cluster => Topology::Cluster(vec![here]),
        };
        config(topology)
    }

    async fn refusal(&self, with: &Credentials) -> String {
        refusal(self.config(with)).await
    }
}

/// Each way in which Redis is used, all at the same time.
async fn each(options: &[&str], told: impl AsyncFn(Used)) {
    join_all(WAYS.map(async |way| told(Used::with(way, options).await).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_not_shown() {
    each(&[], async |used| {
        let with = Credentials { password: Some("hunter2".into()), ..credentials() };
        let told = used.refusal(&with).await;
        assert!(told.contains("refuses the user or the password"), "{:?}: {told}", used.way);
        assert!(!told.contains("hunter2"), "{told}");
        let _: () = used.server.ask("ACL LOG RESET").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_redis_is_none_is_found() {
    each(&[], async |mut used| {
        used.server.kill();
        let told = used.refusal(&credentials()).await;
        assert!(told.contains("cannot reach Redis at"), "{:?}: {told}", used.way);
    })
    .await;
}

/// At a wrong port somebody else may answer, in another language.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_like_redis_is_told() {
    each(&[], async |used| {
        used.proxy.set(Passes::Half);
        let told = used.refusal(&credentials()).await;
        assert!(told.contains("cannot reach Redis at"), "{:?}: {told}", used.way);
        assert!(used.proxy.swallowed() > 0, "the fault did not bite");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_too_old_is_told() {
    each(&[], async |used| {
        used.proxy.set(Passes::OldVersion);
        let told = used.refusal(&credentials()).await;
        let oldest = if used.way == Way::Cluster { "7.0" } else { "6.2" };
        let text = format!("{oldest} is the oldest that will do");
        assert!(told.contains("is version 5.") && told.contains(&text), "{:?}: {told}", used.way);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_evicts_is_told() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        each(&["--maxmemory-policy", policy], async |used| {
            let told = used.refusal(&credentials()).await;
            let way = used.way;
            assert!(told.contains(policy) && told.contains("noeviction"), "{way:?}: {told}");
        })
        .await;
    }
}

/// In one that is used already nodes find what they agree on, and count by.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_values_under_the_keys_of_nodes_are_told() {
    each(&[], async |used| {
        let (feed, _receivers) = Feed::new(Sharding::new(1), 0);
        let started =
            Redis::start(used.config(&credentials()), feed, (unix_time, &Metrics::new("test")))
                .await;
        drop(started.unwrap_or_else(|unfit| panic!("{unfit}")));
        let mut foreign = 0;
        for kind in ["l", "a"] {
            for key in used.server.ask::<Vec<String>>(&format!("KEYS *:{kind}")).await {
                let _: () = used.server.ask(&format!("RENAME {key} {key}:kept")).await;
                let _: i64 = used.server.ask(&format!("SADD {key} foreign")).await;
                let told = used.refusal(&credentials()).await;
                assert!(told.contains("what no node has put there"), "{:?}: {told}", used.way);
                let _: () = used.server.ask(&format!("RENAME {key}:kept {key}")).await;
                foreign += 1;
            }
        }
        // A cluster agrees by itself.
        assert_eq!(foreign, if used.way == Way::Cluster { 1 } else { 2 }, "{:?}", used.way);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_not_taken_for_a_primary() {
    let primary = RedisServer::start().await;
    let of = primary.port.to_string();
    for way in [Way::Alone, Way::OneOfSeveral] {
        let used = Used::with(way, &["--replicaof", "127.0.0.1", &of]).await;
        let told = used.refusal(&credentials()).await;
        assert!(told.contains("is a replica; give the address of its primary"), "{told}");
    }
}
