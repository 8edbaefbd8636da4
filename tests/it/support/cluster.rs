//! A cluster of one's own: three masters, and replicas if wanted.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use sealcast::broker::{Endpoint, RedisConfig, Topology};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::redis::{DURABLE, RedisServer, as_node, config, credentials};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
/// How long two may take to know each other: a handshake is given up after ten seconds.
const HANDSHAKES: Duration = Duration::from_secs(30);

/// All of them run, until dropped.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<RedisServer>,
    /// Of the first masters, in order.
    pub(crate) replicas: Vec<RedisServer>,
}

impl Cluster {
    /// The one that other tests use at this time, or a new one: it takes seconds.
    pub(crate) async fn shared() -> Arc<Cluster> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Cluster::with_replicas(Duration::from_secs(10), MASTERS).await);
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// Three masters. One that is silent for so long has failed.
    pub(crate) async fn start(silent: Duration) -> Cluster {
        Cluster::of(silent, &[]).await
    }

    /// The same, with every write on disk before it is answered.
    pub(crate) async fn durable(silent: Duration) -> Cluster {
        Cluster::of(silent, DURABLE).await
    }

    async fn of(silent: Duration, options: &[&str]) -> Cluster {
        let masters = join_all((0..MASTERS).map(|_| member(silent, options))).await;
        for (n, master) in masters.iter().enumerate() {
            let (first, end) = (SLOTS * n / MASTERS, SLOTS * (n + 1) / MASTERS);
            let _: () = master.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1)).await;
            let _: () = master.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1)).await;
        }
        let cluster = Cluster { masters, replicas: Vec::new() };
        for master in &cluster.masters[1..] {
            cluster.meet(master).await;
        }
        cluster.stands().await;
        cluster
    }

    /// And a replica of each of the first masters, which has everything.
    pub(crate) async fn with_replicas(silent: Duration, count: usize) -> Cluster {
        let mut cluster = Cluster::start(silent).await;
        let add = async |of: usize| {
            let replica = member(silent, &[]).await;
            cluster.meet(&replica).await;
            let id = cluster.id(of).await;
            replica.says("CLUSTER NODES", &id).await;
            let _: () = cluster.masters[of].ask("CONFIG SET repl-diskless-sync-delay 0").await;
            let _: () = replica.ask(&format!("CLUSTER REPLICATE {id}")).await;
            replica.says("INFO replication", "master_link_status:up").await;
            for master in &cluster.masters {
                master.says("CLUSTER NODES", &format!("slave {id}")).await;
            }
            replica
        };
        cluster.replicas = join_all((0..count).map(add)).await;
        cluster
    }

    /// How the configuration of a node says where it is.
    pub(crate) fn as_node(&self) -> Value {
        as_node(json!({ "cluster_address": [self.masters[1].address()] }))
    }

    /// How a broker uses it, under names of its own. Of two seeds one is not there.
    pub(crate) fn config(&self) -> RedisConfig {
        let with = credentials();
        let seeds = ["127.0.0.1:1", &self.masters[1].address()]
            .map(|address| Endpoint::parse(address, &with).unwrap());
        let prefix = uuid::Uuid::new_v4().to_string();
        RedisConfig { prefix, ..config(Topology::Cluster(seeds.into())) }
    }

    pub(crate) async fn id(&self, master: usize) -> String {
        self.masters[master].ask("CLUSTER MYID").await
    }

    /// Hands a slot with all its keys from one master to another.
    pub(crate) async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.move_keys(slot, from, to).await;
        let target = self.id(to).await;
        for master in [to, from].map(|at| &self.masters[at]) {
            let _: () = master.ask(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
        }
    }

    /// The first half of it: the keys are there, the slot is still here.
    pub(crate) async fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.masters[from], &self.masters[to]);
        let (source_id, target_id) = (self.id(from).await, self.id(to).await);
        let _: () = target.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}")).await;
        let _: () = source.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}")).await;
        loop {
            let keys: Vec<String> = source.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
            if keys.is_empty() {
                break;
            }
            let port = target.port.to_string();
            let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let words: Vec<&str> = words.into_iter().chain(keys.iter().map(|key| &**key)).collect();
            let _: String = source.ask_words(&words).await;
        }
    }

    /// Makes one known to every master before it, and them to it. A handshake may come to
    /// nothing without a word, at one end or both (valkey#1251): it is begun until it holds.
    async fn meet(&self, other: &RedisServer) {
        let id: String = other.ask("CLUSTER MYID").await;
        let bus: Vec<String> = other.ask("CONFIG GET cluster-port").await;
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, bus[1]);
        for master in self.masters.iter().take_while(|master| master.port != other.port) {
            let own: String = master.ask("CLUSTER MYID").await;
            let mut nodes = [String::new(), String::new()];
            let meeting = async {
                for attempt in 0.. {
                    // What is under way is not begun again.
                    if attempt % 20 == 0 {
                        let _: () = master.ask(&meet).await;
                    }
                    nodes = [master.ask("CLUSTER NODES").await, other.ask("CLUSTER NODES").await];
                    if nodes[0].contains(&id) && nodes[1].contains(&own) {
                        break;
                    }
                    sleep(Duration::from_millis(25)).await;
                }
            };
            let met = timeout(HANDSHAKES, meeting).await;
            assert!(met.is_ok(), "{own} and {id} do not meet: {nodes:#?}");
        }
    }

    /// Waits until every master serves its slots, and knows the others'.
    pub(crate) async fn stands(&self) {
        for master in &self.masters {
            master.says("CLUSTER INFO", "cluster_state:ok").await;
            master.says("CLUSTER INFO", &format!("cluster_size:{MASTERS}")).await;
        }
    }
}

async fn member(silent: Duration, options: &[&str]) -> RedisServer {
    let silent = silent.as_millis().to_string();
    let cluster = [
        "--cluster-node-timeout",
        &silent,
        "--cluster-require-full-coverage",
        "no",
        "--cluster-replica-validity-factor",
        "0",
    ];
    RedisServer::member(&[&cluster, options].concat()).await
}
