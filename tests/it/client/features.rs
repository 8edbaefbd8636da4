//! What else a client can ask of a node, in both encodings.

use sealcast_client::filter::{Comparison, Condition};
use sealcast_client::{CallError, Filter, HistoryQuery, PresenceStats};

use super::*;

#[tokio::test]
async fn history_presence_and_refusals() {
    let world = World::new().await;
    for (encoding, channel) in [(Encoding::Json, "a"), (Encoding::Protobuf, "b")] {
        let (client, _events) = world.client(encoding).await;
        let (room, mut events) = subscribed(&client, channel, recoverable()).await;
        for data in [r#"{"x": 1.0}"#, "[2]", "3"] {
            room.publish(data).await.unwrap();
            let publication = publication(&mut events).await;
            assert_eq!(publication.data, data, "byte for byte");
            assert_eq!(publication.info.unwrap().user, "ada");
        }
        let query = HistoryQuery { limit: 2, since: None, reverse: true };
        let page = room.history(query).await.unwrap();
        assert_eq!(page.offset, 3);
        assert_eq!(page.publications.iter().map(|it| it.offset).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(room.presence().await.unwrap()[0].user, "ada");
        let stats = client.presence_stats(channel).await.unwrap();
        assert_eq!(stats, PresenceStats { clients: 1, users: 1 });
        let refused = |outcome: Result<(), CallError>| match outcome {
            Err(CallError::Refused { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(client.publish("closed:x", b"1").await), 103);
        assert_eq!(refused(client.rpc("method", b"1").await.map(drop)), 108);
        client.remove_subscription(&room).await.unwrap();
    }
}

#[tokio::test]
async fn joins_and_leaves_are_told() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Json).await;
    let mut config = recoverable();
    config.join_leave = true;
    let (_room, mut events) = subscribed(&client, "room", config).await;
    let (other, _other_events) = world.client(Encoding::Protobuf).await;
    let (_other_room, _other_room_events) = subscribed(&other, "room", recoverable()).await;
    let mut joined = Vec::new();
    while joined.len() < 2 {
        joined.push(
            event(&mut events, |event| match event {
                SubscriptionEvent::Join(info) => Some(info.client),
                _ => None,
            })
            .await,
        );
    }
    drop(other);
    let left = event(&mut events, |event| match event {
        SubscriptionEvent::Leave(info) => Some(info.client),
        _ => None,
    });
    assert_eq!(left.await, joined[1]);
}

#[tokio::test]
async fn tags_are_filtered() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Protobuf).await;
    let mut config = recoverable();
    let wanted = Condition::Is(Comparison::Equal, "yes".into());
    config.filter = Some(Filter::tag("wanted", wanted).unwrap());
    let (_room, mut events) = subscribed(&client, "room", config).await;
    for (number, wanted) in [(1, "yes"), (2, "no"), (3, "yes")] {
        let body = json!({ "channel": "room", "data": number, "tags": { "wanted": wanted } });
        assert!(world.node.api("publish", &body).await.json()["result"].is_object());
    }
    for expected in [1, 3] {
        let publication = publication(&mut events).await;
        assert_eq!(value(&publication), json!(expected));
        assert_eq!(publication.tags["wanted"], "yes");
    }
}

#[tokio::test]
async fn many_subscriptions_come_back_together() {
    let world = World::new().await;
    let (client, _events) = world.client(Encoding::Json).await;
    let mut all = Vec::new();
    for number in 0..100 {
        let channel = format!("c{number}");
        let (room, events) = client.new_subscription(&channel, recoverable()).unwrap();
        room.subscribe().await.unwrap();
        all.push((channel, room, events));
    }
    for (_, _, events) in &mut all {
        until_subscribed(events).await;
    }
    world.proxy.cut();
    for (channel, _, events) in &mut all {
        world.publish(channel, json!(channel)).await;
        assert_eq!(value(&publication(events).await), json!(channel));
    }
}

#[tokio::test]
async fn a_payload_as_deep_as_may_be_ends_no_connection() {
    let world = World::new().await;
    let (client, mut events) = world.client(Encoding::Json).await;
    let (_room, mut messages) = subscribed(&client, "room", recoverable()).await;
    let mut published = 0;
    for depth in 28..=34 {
        let data = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        match client.publish("room", &data).await {
            Ok(()) => {
                assert_eq!(publication(&mut messages).await.data, data);
                published = depth;
            }
            Err(CallError::Invalid(_)) => {}
            Err(other) => panic!("{depth}: {other}"),
        }
    }
    assert!(published >= 30, "{published}");
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::Disconnected(_)), "{event:?}");
    }
}
