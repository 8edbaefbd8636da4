//! A node whose broker takes nothing: what it is given to deliver, nobody reads.

use std::sync::Arc;
use std::time::Duration;

use sealcast::broker::{Feed, Memory, Sharding};
use sealcast::hub::{Clock, Hub};
use sealcast::limit::{Cap, Usage};
use sealcast::metrics::Metrics;
use sealcast::relay::Relay;
use sealcast::session::{self, Places, Policies, Policy};
use serde_json::json;

use crate::support::client::Wire;
use crate::support::node::config;
use crate::support::{driven, token};

/// A client that has connected to it.
pub(super) async fn connected() -> Wire {
    let config = sealcast::config::parse(&config(json!({})).to_string());
    let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
    let sharding = Sharding::new(1);
    let hub = Hub::new(1, &config.limits, Clock::start(), Metrics::new("it"));
    let (feed, _nobody) = Feed::new(sharding.clone(), 0);
    let tails = Arc::clone(feed.tails());
    let broker = Arc::new(Memory::new(feed, 0));
    let policies = Policies::new(Arc::new(Policy {
        relay: Relay::new(Arc::clone(&hub), broker, tails, sharding),
        verifier: config.verifier,
        admission: config.admission,
        namespaces: config.namespaces,
        limits: config.limits,
        pseudonyms: sealcast::auth::Pseudonyms::random(),
        usage: Usage::new(),
        unix_time: || Duration::from_secs(token::now()),
        version: "it".into(),
    }));
    let cap = Cap::new(2);
    let address = driven::serve(&hub, move |connection, registration| {
        let places =
            Places { connection: cap.take().unwrap(), waiting: cap.take().unwrap(), address: None };
        session::Client::new(Arc::clone(&policies), connection, registration, places)
    });
    let mut wire = driven::open(address).await;
    let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } });
    let answer = wire.ask(&connect.to_string()).await;
    assert!(answer["connect"].is_object(), "{answer}");
    wire
}
