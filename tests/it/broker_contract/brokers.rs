//! The brokers that keep the contract. On Redis they have no more rights than
//! `deploy/redis/users.acl` gives a node.

use std::sync::Arc;

use sealcast::broker::{Broker, Feed, Memory, Sharding};

use super::{Bench, SHARDS};
use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, spread};
use crate::support::sentinel::Watched;

/// The embedded broker.
pub(crate) async fn memory() -> Bench {
    let sharding = Sharding::new(SHARDS);
    let (feed, receivers) = Feed::new(sharding.clone(), 1 << 20);
    let memory = Arc::new(Memory::new(feed, 1 << 20));
    let broker = Arc::clone(&memory) as Arc<dyn Broker>;
    Bench { broker, sharding, feed: receivers, memory: Some(memory), _servers: None }
}

/// One node on a Redis of its own.
pub(crate) async fn redis() -> Bench {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    Bench { _servers: Some(Box::new(server)), ..bench }
}

/// The same, where sentinels say.
pub(crate) async fn sentinel() -> Bench {
    let watched = Watched::start().await;
    let bench = Bench::on(watched.config()).await;
    Bench { _servers: Some(Box::new(watched)), ..bench }
}

/// The same, with the channels spread over several primaries.
pub(crate) async fn several() -> Bench {
    let servers = [RedisServer::start().await, RedisServer::start().await];
    let bench = Bench::on(spread(&servers)).await;
    Bench { _servers: Some(Box::new(servers)), ..bench }
}

/// The same, on a cluster. Others may use it meanwhile, under other names.
pub(crate) async fn cluster() -> Bench {
    let cluster = Cluster::shared().await;
    let bench = Bench::on(cluster.config()).await;
    Bench { _servers: Some(Box::new(cluster)), ..bench }
}
