//! The Rust client against real nodes, over a wire that is cut on purpose.

mod delta;
mod features;
mod offline;
mod proxy;
mod recovery;
mod server_side;
mod tokens;

use std::time::Duration;

use sealcast_client::{
    Backoff, Client, Config, Encoding, Event, Events, Publication, Subscribed, Subscription,
    SubscriptionConfig, SubscriptionEvent,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};
use proxy::Proxy;

/// A node, and a wire to it that can be cut.
struct World {
    node: TestNode,
    proxy: Proxy,
}

impl World {
    /// Everything is kept, and may be recovered and read.
    async fn new() -> World {
        World::with(json!({})).await
    }

    /// The same, changed by what `options` says of the channels.
    async fn with(options: Value) -> World {
        let node = node(options).await;
        let proxy = Proxy::to(node.public).await;
        World { node, proxy }
    }

    fn config(&self, encoding: Encoding) -> Config {
        let mut config = Config::new(self.proxy.url());
        config.encoding = encoding;
        config.token = Some(token::of("ada"));
        config.backoff = quick();
        config
    }

    /// A connected client.
    async fn client(&self, encoding: Encoding) -> (Client, Events<Event>) {
        connected(self.config(encoding)).await
    }

    /// Publishes by the server API.
    async fn publish(&self, channel: &str, data: Value) {
        let answer = self.node.api("publish", &json!({ "channel": channel, "data": data })).await;
        assert!(answer.json()["result"].is_object(), "{answer:?}");
    }
}

async fn node(options: Value) -> TestNode {
    let mut channel = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "allow_recovery": true,
        "allow_positioning": true,
        "allow_history_for_client": true,
        "presence": true,
        "join_leave": true,
        "allow_presence_for_client": true,
        "allow_tags_filter": true,
    });
    let members = options.as_object().cloned().unwrap_or_default();
    channel.as_object_mut().unwrap().extend(members);
    let shutdown = json!({ "lb_wait": "0s", "spread": "0s", "deadline": "5s" });
    let channel = json!({ "without_namespace": channel });
    TestNode::with(json!({ "channel": channel, "shutdown": shutdown })).await
}

fn quick() -> Backoff {
    Backoff { min: Duration::from_millis(5), max: Duration::from_millis(50) }
}

async fn connected(config: Config) -> (Client, Events<Event>) {
    let (client, events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    timeout(PATIENCE, client.ready()).await.unwrap().unwrap();
    (client, events)
}

fn recoverable() -> SubscriptionConfig {
    let mut config = SubscriptionConfig::default();
    config.recoverable = true;
    config.backoff = quick();
    config
}

/// A subscription that stands; its first two events are taken.
async fn subscribed(
    client: &Client,
    channel: &str,
    config: SubscriptionConfig,
) -> (Subscription, Events<SubscriptionEvent>) {
    let (subscription, mut events) = client.new_subscription(channel, config).unwrap();
    subscription.subscribe().await.unwrap();
    until_subscribed(&mut events).await;
    (subscription, events)
}

#[track_caller]
fn next<T>(events: &mut Events<T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match timeout(PATIENCE, events.next()).await {
            Ok(Some(event)) => event,
            Ok(None) => panic!("{place}: no more events"),
            Err(_) => panic!("{place}: no event"),
        }
    }
}

/// Skips to being subscribed.
#[track_caller]
fn until_subscribed(events: &mut Events<SubscriptionEvent>) -> impl Future<Output = Subscribed> {
    let place = std::panic::Location::caller();
    async move {
        loop {
            match next(events).await {
                SubscriptionEvent::Subscribed(subscribed) => return subscribed,
                SubscriptionEvent::Subscribing(_) | SubscriptionEvent::Error(_) => {}
                other => panic!("{place}: {other:?} before being subscribed"),
            }
        }
    }
}

/// Skips to the next publication; being subscribed again must bring back all.
#[track_caller]
fn publication(events: &mut Events<SubscriptionEvent>) -> impl Future<Output = Publication> {
    let place = std::panic::Location::caller();
    async move {
        loop {
            match next(events).await {
                SubscriptionEvent::Publication(publication) => return publication,
                SubscriptionEvent::Subscribed(it) => {
                    assert!(it.was_recovering && it.recovered, "{place}: {it:?}");
                }
                SubscriptionEvent::Subscribing(_) | SubscriptionEvent::Error(_) => {}
                other => panic!("{place}: {other:?} instead of a publication"),
            }
        }
    }
}

fn value(publication: &Publication) -> Value {
    serde_json::from_slice(&publication.data).expect("JSON")
}

/// Skips to the event that `wanted` picks.
#[track_caller]
fn event<T, W>(
    events: &mut Events<T>,
    mut wanted: impl FnMut(T) -> Option<W>,
) -> impl Future<Output = W> {
    let place = std::panic::Location::caller();
    async move {
        let picking = async {
            loop {
                let event = events.next().await;
                let event = event.unwrap_or_else(|| panic!("{place}: no more events"));
                if let Some(picked) = wanted(event) {
                    return picked;
                }
            }
        };
        let picked = timeout(PATIENCE, picking).await;
        picked.unwrap_or_else(|_| panic!("{place}: not the event that is wanted"))
    }
}
