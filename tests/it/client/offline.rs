//! Calls without a connection.

use sealcast_client::CallError;

use super::*;

#[tokio::test]
async fn publishes_wait_and_arrive_once_and_in_order() {
    const MANY: usize = 50;
    let world = World::new().await;
    let mut config = world.config(Encoding::Json);
    config.offline.calls = MANY;
    let (listener, _listener_events) = world.client(Encoding::Json).await;
    let (_room, mut events) = subscribed(&listener, "room", recoverable()).await;
    world.proxy.refuse(true);
    let (client, mut told) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let mut publishes = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let client = client.clone();
        publishes.spawn(async move { client.publish("room", number.to_string()).await });
        // In this order.
        tokio::task::yield_now().await;
    }
    // The connection fails at least once, and the buffer is full.
    event(&mut told, |event| matches!(event, Event::Error(_)).then_some(())).await;
    assert_eq!(client.publish("room", b"-1").await, Err(CallError::BufferFull));
    world.proxy.refuse(false);
    while let Some(published) = publishes.join_next().await {
        published.unwrap().unwrap();
    }
    for expected in 0..MANY {
        assert_eq!(value(&publication(&mut events).await), json!(expected));
    }
    client.publish("room", b"\"end\"").await.unwrap();
    assert_eq!(value(&publication(&mut events).await), json!("end"));
}

#[tokio::test]
async fn what_waits_too_long_was_not_sent() {
    let world = World::new().await;
    world.proxy.refuse(true);
    let mut config = world.config(Encoding::Json);
    config.offline.timeout = Duration::from_millis(50);
    let (client, events) = Client::new(config).unwrap();
    drop(events);
    client.connect().await.unwrap();
    assert_eq!(client.publish("room", b"1").await, Err(CallError::NotConnected));
    world.proxy.refuse(false);
    client.ready().await.unwrap();
    let all = sealcast_client::HistoryQuery { limit: -1, ..Default::default() };
    assert_eq!(client.history("room", all).await.unwrap().publications, []);
}

#[tokio::test]
async fn nothing_acknowledged_is_published_twice_over_a_wire_that_is_cut() {
    let world = World::new().await;
    let (client, events) = world.client(Encoding::Protobuf).await;
    drop(events);
    let mut acknowledged = Vec::new();
    let mut unknown = Vec::new();
    for number in 0..200 {
        let publishing = client.publish("room", number.to_string());
        tokio::pin!(publishing);
        let outcome = tokio::select! {
            biased;
            outcome = &mut publishing => outcome,
            () = tokio::task::yield_now(), if number % 17 == 3 => {
                world.proxy.cut();
                publishing.await
            }
        };
        match outcome {
            Ok(()) => acknowledged.push(number),
            Err(CallError::Unanswered) => unknown.push(number),
            Err(other) => panic!("{other}"),
        }
    }
    let all = sealcast_client::HistoryQuery { limit: -1, ..Default::default() };
    let stored = client.history("room", all).await.unwrap().publications;
    let stored: Vec<u64> = stored.iter().map(|it| value(it).as_u64().unwrap()).collect();
    assert!(stored.is_sorted_by(|one, next| one < next), "none twice: {stored:?}");
    for number in acknowledged {
        assert!(stored.contains(&number), "{number} was acknowledged");
    }
    assert!(!unknown.is_empty(), "some were cut off");
}
