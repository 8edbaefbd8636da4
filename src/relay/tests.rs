//! Subscribing and unsubscribing at the broker, over one that answers when told.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::poll;
use sealcast_wire::{Encoding, User};

use super::*;
use crate::auth::{Identity, Namespace, Namespaces};
use crate::broker::StandIn;
use crate::hub::tests::Script;
use crate::hub::{Clock, NotAdded, Noted};
use crate::limit::Profile;
use crate::metrics::Metrics;

fn relay(broker: &Arc<StandIn>) -> Arc<Relay> {
    let sharding = Sharding::new(1);
    let hub = Hub::new(1, &Profile::Standard.limits(), Clock::start(), Metrics::new("test"));
    let tails = Arc::new(Tails::new(&sharding, 0));
    Relay::new(hub, Arc::clone(broker) as Arc<dyn Broker>, tails, sharding)
}

fn wish() -> Authorized<Subscribe> {
    let open = Namespace { subscribe_for_client: true, ..Namespace::default() };
    let namespaces = Namespaces::new(Some(open), HashMap::new());
    let identity = Identity { user: User::parse("ada").unwrap(), tenant: None, info: Bytes::new() };
    let channel = Channel::parse("room").unwrap();
    identity.authorize_subscribe(&namespaces, Subscribe { channel }).expect("allowed")
}

fn connection() -> Arc<Connection> {
    Connection::scripted(Encoding::Json, Script::with_room(1 << 20))
}

fn noted(most: usize) -> Noted {
    Noted { most, ..Noted::default() }
}

fn positioned() -> Wants {
    Wants { positioned: true, ..Wants::default() }
}

fn later(relay: &Relay, millis: u64) -> Vec<(Channel, usize)> {
    relay.linger.due(relay.hub.clock().now().after(Millis(millis)))
}

#[tokio::test]
async fn the_first_subscriber_subscribes_and_the_others_join() {
    let broker = StandIn::new(0);
    let relay = relay(&broker);
    let (one, two) = (connection(), connection());
    let mut first = std::pin::pin!(relay.subscribe(wish(), &one, Wants::default()));
    let mut second = std::pin::pin!(relay.subscribe(wish(), &two, Wants::default()));
    assert!(poll!(first.as_mut()).is_pending());
    assert!(poll!(second.as_mut()).is_pending(), "waits for the first at the gate");
    broker.answer(1);
    let joined = first.await.expect("subscribed");
    let _second = second.await.expect("joined");
    let _third = relay
        .subscribe(wish(), &connection(), Wants::default())
        .await
        .expect("joined without a gate");
    assert_eq!(*broker.calls.lock(), ["subscribe room"]);
    let reply = Some(Bytes::from_static(b"\x81\x00"));
    assert_eq!(joined.go_live(&one, noted(1), None, reply), Ok(()));
    let again = relay.subscribe(wish(), &one, Wants::default()).await.expect("joined");
    assert_eq!(relay.hub.census().subscriptions, 4);
    assert_eq!(again.go_live(&one, noted(2), None, None), Err(NotAdded::Twice));
    assert_eq!(relay.hub.census().subscriptions, 3, "and nothing is left of the other");
}

#[tokio::test]
async fn a_failed_subscribe_leaves_no_subscriber_and_is_taken_back_later() {
    let broker = StandIn::new(usize::MAX >> 4);
    let relay = relay(&broker);
    *broker.fails.lock() = true;
    assert!(relay.subscribe(wish(), &connection(), positioned()).await.is_err());
    assert_eq!(relay.hub.census().subscriptions, 0);
    *broker.fails.lock() = false;
    assert_eq!(later(&relay, 1_000).len(), 1, "it may have worked all the same");
}

#[tokio::test]
async fn a_subscribe_that_is_given_up_is_taken_back_later() {
    let broker = StandIn::new(0);
    let relay = relay(&broker);
    {
        let one = connection();
        let mut first = std::pin::pin!(relay.subscribe(wish(), &one, Wants::default()));
        assert!(poll!(first.as_mut()).is_pending());
    }
    assert_eq!(later(&relay, 1_000).len(), 1);
    broker.answer(1);
    relay.subscribe(wish(), &connection(), Wants::default()).await.expect("the gate is free");
}

#[tokio::test]
async fn the_last_one_out_lingers_and_a_return_keeps_the_subscription() {
    let broker = StandIn::new(usize::MAX >> 4);
    let relay = relay(&broker);
    let one = connection();
    let channel = Channel::parse("room").unwrap();
    let subscribe = async || {
        let joined = relay.subscribe(wish(), &one, Wants::default()).await.expect("subscribed");
        let reply = Some(Bytes::from_static(b"\x81\x00"));
        assert_eq!(joined.go_live(&one, noted(1), None, reply), Ok(()));
    };
    subscribe().await;
    relay.unsubscribe(&channel, &one);
    assert!(later(&relay, 900).is_empty(), "not at once");
    subscribe().await;
    relay.unsubscribe(&channel, &one);
    assert_eq!(*broker.calls.lock(), ["subscribe room"], "it was still there");

    relay.end_lingering(relay.hub.clock().now().after(Millis(1_000))).await;
    assert_eq!(broker.calls.lock().last().unwrap(), "unsubscribe room");
    assert!(relay.hub.join(0, &channel, &one, Wants::default()).is_err(), "it is forgotten");
}

fn at(offset: u64) -> Position {
    Position { offset, epoch: "epoch".into() }
}

#[tokio::test]
async fn without_a_position_a_subscription_does_not_wait_for_the_broker() {
    let broker = StandIn::new(usize::MAX >> 4);
    let relay = relay(&broker);
    *broker.fails.lock() = true;
    let one = relay.subscribe(wish(), &connection(), Wants::default()).await;
    let refused = relay.subscribe(wish(), &connection(), positioned()).await;
    assert!(one.is_ok() && refused.is_err(), "where it stands cannot be said");
    relay.probes.came_back(0, relay.probes.begin(Millis(5)));
    relay.mend(Millis(10)).await;
    assert!(relay.unconfirmed.has(&Channel::parse("room").unwrap()), "the broker is away");
    *broker.fails.lock() = false;
    relay.mend(Millis(10)).await;
    let calls = broker.calls.lock().len();
    assert!(relay.subscribe(wish(), &connection(), positioned()).await.is_ok());
    assert_eq!(broker.calls.lock().len(), calls, "it is confirmed already");
}

#[tokio::test]
async fn positions_are_stale_after_thirty_seconds_without_the_broker_and_others_stay() {
    let broker = StandIn::new(usize::MAX >> 4);
    let relay = relay(&broker);
    let (script, plain) = (Script::with_room(1 << 20), connection());
    let one = Connection::scripted(Encoding::Json, script.clone());
    relay.probes.came_back(0, relay.probes.begin(Millis(1_000)));
    let joined = relay.subscribe(wish(), &one, positioned()).await.expect("subscribed");
    assert_eq!(joined.go_live(&one, noted(1), Some(at(3)), None), Ok(()));
    let other = relay.subscribe(wish(), &plain, Wants::default()).await.expect("subscribed");
    assert_eq!(other.go_live(&plain, noted(1), None, None), Ok(()));
    let told = || script.read().0.iter().filter(|text| text.contains(":2500")).count();
    relay.tell_stale(Millis(30_900));
    assert_eq!((told(), relay.hub.census().subscriptions), (0, 2), "not yet");
    relay.tell_stale(Millis(31_100));
    relay.tell_stale(Millis(32_100));
    assert_eq!((told(), relay.hub.census().subscriptions), (1, 1), "once, and only this one");
    // It comes back when the broker answers, before a mark does.
    let joined = relay.subscribe(wish(), &one, positioned()).await.expect("subscribed");
    assert_eq!(joined.go_live(&one, noted(1), Some(at(3)), None), Ok(()));
    relay.tell_stale(Millis(33_100));
    assert_eq!((told(), relay.hub.census().subscriptions), (1, 2), "its answer is new");
    relay.tell_stale(Millis(61_200));
    assert_eq!((told(), relay.hub.census().subscriptions), (2, 1), "and now as old");
}
