//! Subscriptions that the server makes, over a wire that is cut.

use super::*;

async fn with_grants(world: &World) -> (Client, Events<Event>) {
    let mut config = world.config(Encoding::Json);
    let grants = json!({ "mine": { "override": { "force_recovery": { "value": true } } } });
    let claims = json!({ "sub": "ada", "exp": token::now() + 600, "subs": grants });
    config.token = Some(token::signed(claims));
    connected(config).await
}

fn subscribed(event: Event) -> Option<Subscribed> {
    match event {
        Event::ServerSubscribed { channel, subscribed } if &*channel == "mine" => Some(subscribed),
        _ => None,
    }
}

fn published(event: Event) -> Option<Value> {
    match event {
        Event::ServerPublication { publication, .. } => Some(value(&publication)),
        _ => None,
    }
}

#[tokio::test]
async fn what_was_missed_is_brought_back() {
    const MANY: u64 = 100;
    let world = World::new().await;
    let (_client, mut events) = with_grants(&world).await;
    assert!(event(&mut events, subscribed).await.recoverable);
    let publishing = async {
        for number in 0..MANY {
            world.publish("mine", json!(number)).await;
            if number % 19 == 5 {
                world.proxy.cut();
            }
        }
    };
    let listening = async {
        for expected in 0..MANY {
            let number = event(&mut events, |event| {
                if let Some(again) = subscribed(event.clone()) {
                    assert!(again.was_recovering && again.recovered, "{again:?}");
                }
                published(event)
            });
            assert_eq!(number.await, json!(expected));
        }
    };
    tokio::join!(publishing, listening);
}

#[tokio::test]
async fn the_api_makes_and_ends_them() {
    let world = World::new().await;
    let (_client, mut events) = world.client(Encoding::Protobuf).await;
    let wish = json!({ "user": "ada", "channel": "mine" });
    assert!(world.node.api("subscribe", &wish).await.json()["result"].is_object());
    event(&mut events, subscribed).await;
    world.publish("mine", json!("hello")).await;
    assert_eq!(event(&mut events, published).await, json!("hello"));
    assert!(world.node.api("unsubscribe", &wish).await.json()["result"].is_object());
    let ended = event(&mut events, |event| match event {
        Event::ServerUnsubscribed { channel } => Some(channel),
        _ => None,
    });
    assert_eq!(&*ended.await, "mine");
}

#[tokio::test]
async fn a_disconnect_by_the_api_is_for_good() {
    let world = World::new().await;
    let (client, mut events) = world.client(Encoding::Json).await;
    let answer = world.node.api("disconnect", &json!({ "user": "ada" })).await;
    assert!(answer.json()["result"].is_object());
    let cause = event(&mut events, |event| match event {
        Event::Disconnected(cause) => Some(cause),
        _ => None,
    });
    assert_eq!(cause.await.code, 3503);
    assert!(client.ready().await.is_err());
}
