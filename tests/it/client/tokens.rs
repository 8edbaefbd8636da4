//! Tokens that the application gives, and that expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealcast_client::{SubscriptionState, TokenError};

use super::*;

/// Counts, and tells how often it has.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_connection_outlives_its_tokens() {
    let world = World::new().await;
    let asked = Count::default();
    let mut config = world.config(Encoding::Json).with_token_source({
        let asked = asked.clone();
        move || {
            asked.add();
            async { Ok(token::expiring("ada", 3)) }
        }
    });
    // The first one has expired already: error 109.
    config.token = Some(token::expiring("ada", -60));
    let (client, mut events) = connected(config).await;
    assert_eq!(asked.get(), 1);
    crate::support::eventually("refreshed twice", || asked.get() >= 3).await;
    client.publish("room", b"1").await.unwrap();
    let mut connections = 0;
    while let Some(event) = events.try_next() {
        connections += usize::from(matches!(event, Event::Connected(_)));
        assert!(!matches!(event, Event::Disconnected(_)), "{event:?}");
    }
    assert_eq!(connections, 1, "one connection all the time");
}

#[tokio::test]
async fn a_private_subscription_outlives_its_tokens() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Protobuf).await;
    let asked = Count::default();
    let config =
        recoverable().with_token_source({
            let asked = asked.clone();
            move |channel| {
                let first = asked.add() == 1;
                let expires = token::now() + 3;
                let claims = json!({ "sub": "ada", "channel": channel, "exp": expires });
                async move {
                    if first { Err(TokenError::other("away")) } else { Ok(token::signed(claims)) }
                }
            }
        });
    let (room, mut events) = subscribed(&client, "$secret", config).await;
    crate::support::eventually("refreshed twice", || asked.get() >= 4).await;
    world.publish("$secret", json!(1)).await;
    assert_eq!(value(&publication(&mut events).await), json!(1));
    assert_eq!(room.state(), SubscriptionState::Subscribed);
}

#[tokio::test]
async fn bad_tokens_end_it_with_the_servers_code() {
    let world = World::new().await;
    let mut config = world.config(Encoding::Json);
    config.token = Some("not.a.token".into());
    let (client, mut events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let code = event(&mut events, |event| match event {
        Event::Disconnected(cause) => Some(cause.code),
        _ => None,
    });
    assert_eq!(code.await, 3500);

    let (client, _events) = world.client(Encoding::Json).await;
    let mut config = recoverable();
    config.token = Some("not.a.token".into());
    let (room, mut events) = client.new_subscription("$secret", config).unwrap();
    room.subscribe().await.unwrap();
    let code = event(&mut events, |event| match event {
        SubscriptionEvent::Unsubscribed(cause) => Some(cause.code),
        _ => None,
    });
    assert_eq!(code.await, 103);
}

#[tokio::test]
async fn an_expired_token_without_another_ends_it() {
    let world = World::new().await;
    let mut config = world.config(Encoding::Json);
    config.token = Some(token::expiring("ada", -60));
    let (client, mut events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let code = event(&mut events, |event| match event {
        Event::Disconnected(cause) => Some(cause.code),
        _ => None,
    });
    assert_eq!(code.await, 1);
}
