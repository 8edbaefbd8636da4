//! Cut, and come back: nothing lost, nothing twice, and told where that cannot be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealcast_client::{Position, TokenError};

use super::*;

const MANY: u64 = 300;

/// Cuts the wire again and again while someone publishes.
async fn nothing_is_lost(encoding: Encoding) {
    let world = World::new().await;
    let (client, _events) = world.client(encoding).await;
    let (_room, mut events) = subscribed(&client, "room", recoverable()).await;
    let publishing = async {
        for number in 0..MANY {
            world.publish("room", json!(number)).await;
            if number % 23 == 7 {
                world.proxy.cut();
            }
        }
    };
    let listening = async {
        for expected in 0..MANY {
            assert_eq!(value(&publication(&mut events).await), json!(expected));
        }
    };
    tokio::join!(publishing, listening);
    // And nothing after the last.
    world.publish("room", json!("end")).await;
    assert_eq!(value(&publication(&mut events).await), json!("end"));
}

#[tokio::test]
async fn nothing_is_lost_or_twice_when_the_wire_is_cut_in_json() {
    nothing_is_lost(Encoding::Json).await;
}

#[tokio::test]
async fn nothing_is_lost_or_twice_when_the_wire_is_cut_in_protobuf() {
    nothing_is_lost(Encoding::Protobuf).await;
}

#[tokio::test]
async fn what_was_published_while_unsubscribed_comes_too() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Json).await;
    let (room, mut events) = subscribed(&client, "room", recoverable()).await;
    world.publish("room", json!(1)).await;
    assert_eq!(value(&publication(&mut events).await), json!(1));
    room.unsubscribe().await.unwrap();
    event(&mut events, |event| matches!(event, SubscriptionEvent::Unsubscribed(_)).then_some(()))
        .await;
    world.publish("room", json!(2)).await;
    room.subscribe().await.unwrap();
    assert_eq!(value(&publication(&mut events).await), json!(2));
}

#[tokio::test]
async fn since_brings_what_another_process_missed() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Json).await;
    for number in 1..=5 {
        world.publish("room", json!(number)).await;
    }
    let top = client.history("room", Default::default()).await.unwrap();
    let mut config = recoverable();
    config.since = Some(Position { offset: 3, epoch: top.epoch.into() });
    let (room, mut events) = client.new_subscription("room", config).unwrap();
    room.subscribe().await.unwrap();
    let subscribed = until_subscribed(&mut events).await;
    assert!(subscribed.was_recovering && subscribed.recovered && subscribed.missed == 2);
    for expected in [4, 5] {
        assert_eq!(value(&publication(&mut events).await), json!(expected));
    }
}

#[tokio::test]
async fn it_is_told_when_what_was_missed_is_gone() {
    let world = World::with(json!({ "history_size": 5 })).await;
    let (client, _events) = world.client(Encoding::Json).await;
    let (room, mut events) = subscribed(&client, "room", recoverable()).await;
    world.proxy.refuse(true);
    world.proxy.cut();
    for number in 0..20 {
        world.publish("room", json!(number)).await;
    }
    world.proxy.refuse(false);
    let subscribed = until_subscribed(&mut events).await;
    assert!(subscribed.was_recovering && !subscribed.recovered, "{subscribed:?}");
    assert_eq!(subscribed.position.unwrap().offset, 20);
    room.ready().await.unwrap();
    world.publish("room", json!("next")).await;
    assert_eq!(value(&publication(&mut events).await), json!("next"));
}

#[tokio::test]
async fn a_state_is_loaded_anew_when_what_came_after_is_gone() {
    let world = World::with(json!({ "history_size": 5 })).await;
    let (client, _events) = world.client(Encoding::Json).await;
    world.publish("room", json!("before")).await;
    let loaded = Arc::new(AtomicUsize::new(0));
    let config = recoverable().with_state_source({
        let (client, loaded) = (client.clone(), Arc::clone(&loaded));
        move |channel| {
            let (client, channel) = (client.clone(), channel.to_owned());
            loaded.fetch_add(1, Ordering::SeqCst);
            async move {
                let top = client.history(&channel, Default::default()).await;
                let top = top.map_err(TokenError::other)?;
                Ok(Position { offset: top.offset, epoch: top.epoch.into() })
            }
        }
    });
    let (_room, mut events) = subscribed(&client, "room", config).await;
    assert_eq!(loaded.load(Ordering::SeqCst), 1);
    world.proxy.refuse(true);
    world.proxy.cut();
    for number in 0..20 {
        world.publish("room", json!(number)).await;
    }
    world.proxy.refuse(false);
    let subscribed = until_subscribed(&mut events).await;
    assert!(subscribed.recovered, "from the new state: {subscribed:?}");
    assert_eq!(loaded.load(Ordering::SeqCst), 2);
    world.publish("room", json!("next")).await;
    assert_eq!(value(&publication(&mut events).await), json!("next"));
}

#[tokio::test]
async fn it_outlives_the_server() {
    let mut world = World::new().await;
    let (client, mut told) = world.client(Encoding::Json).await;
    let (_room, mut events) = subscribed(&client, "room", recoverable()).await;
    world.publish("room", json!(1)).await;
    assert_eq!(value(&publication(&mut events).await), json!(1));
    let next = node(json!({})).await;
    world.proxy.lead_to(next.public);
    let gone = world.node.node.take().unwrap();
    gone.drain().await;
    let code = event(&mut told, |event| match event {
        Event::Connecting(cause) if cause.code != 0 => Some(cause.code),
        _ => None,
    });
    assert_eq!(code.await, 3001);
    // The other node has another stream, and the application is told.
    let subscribed = until_subscribed(&mut events).await;
    assert!(subscribed.was_recovering && !subscribed.recovered, "{subscribed:?}");
    let answer = next.api("publish", &json!({ "channel": "room", "data": 2 })).await;
    assert!(answer.json()["result"].is_object());
    assert_eq!(value(&publication(&mut events).await), json!(2));
}
