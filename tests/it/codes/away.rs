//! A node whose broker takes nothing: what it is given to deliver, nobody reads.

use std::sync::Arc;
use std::time::Duration;

use sealcast::broker::{Feed, Memory, Sharding};
use sealcast::http::{self, App, Health, NodeName};
use sealcast::hub::{Clock, Hub};
use sealcast::limit::Cap;
use sealcast::metrics::Metrics;
use sealcast::net::{self, Acceptor};
use sealcast::relay::Relay;
use sealcast::session::Policy;
use sealcast_client::{Connection, Options};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::client::Wire;
use crate::support::node::config;
use crate::support::token;

/// A client that has connected to it.
pub(super) async fn connected() -> Wire {
    let config = sealcast::config::parse(&config(json!({})).to_string());
    let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
    let metrics = Metrics::new("it");
    let sharding = Sharding::new(1);
    let hub = Hub::new(1, &config.limits, Clock::start(), Arc::clone(&metrics));
    let (feed, _nobody) = Feed::new(sharding.clone());
    let relay = Relay::new(hub, Arc::new(Memory::new(feed, 0)), sharding);
    let listener = net::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("ws://{}/connection/websocket", listener.local_addr().unwrap());
    let tasks = TaskTracker::new();
    let acceptor = Acceptor {
        sockets: Cap::new(10),
        header_timeout: config.limits.header_timeout,
        tasks: tasks.clone(),
        stop: CancellationToken::new(),
        metrics,
    };
    let app = App {
        origins: config.origins,
        proxies: config.proxies,
        api_keys: config.api_keys,
        health: Health::default(),
        connections: Cap::new(10),
        waiting: Cap::new(10),
        tasks,
        node: NodeName { uid: "it".into(), name: "it".into(), version: "it" },
        dev: None,
        policy: Arc::new(Policy {
            relay,
            verifier: config.verifier,
            admission: config.admission,
            namespaces: config.namespaces,
            limits: config.limits,
            unix_time: || Duration::from_secs(token::now()),
            version: "it".into(),
        }),
    };
    tokio::spawn(http::serve(acceptor, listener, http::public(Arc::new(app))));
    let mut options = Options::new(url);
    options.token = Some(token::of("ada"));
    let mut connection = Connection::open(&options).await.unwrap();
    connection.connect(&options).await.unwrap();
    Wire(connection)
}
