//! Clients against a scripted server on a socket: what only the task can do.

#[cfg(feature = "tls")]
mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::scripted::{END, Server};
use crate::{Backoff, Failure, SubscriptionState, TokenError};

const PATIENCE: Duration = Duration::from_secs(10);
const CONNECTED: &str = r#"{"client":"c"}"#;

struct Peer(TcpListener);

impl Peer {
    async fn new() -> (Peer, Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::new(format!("ws://{}/", listener.local_addr().unwrap()));
        let ms = Duration::from_millis;
        config.backoff = Backoff { min: ms(1), max: ms(20) };
        (Peer(listener), config)
    }

    /// The next connection, greeted.
    async fn greeted(&self) -> Server<TcpStream> {
        let mut server = self.accepted().await;
        let connect = server.hear().await;
        answer(&mut server, &connect, "connect", CONNECTED).await;
        server
    }

    async fn accepted(&self) -> Server<TcpStream> {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut server = Server::new(stream).await;
        server.accept(b"").await;
        server
    }
}

/// A connected client and its server.
async fn pair(
    change: impl FnOnce(&mut Config),
) -> (Client, Events<Event>, Server<TcpStream>, Peer) {
    let (peer, mut config) = Peer::new().await;
    change(&mut config);
    let (client, events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let (ready, server) = tokio::join!(client.ready(), peer.greeted());
    ready.unwrap();
    (client, events, server, peer)
}

async fn answer(server: &mut Server<TcpStream>, command: &str, kind: &str, result: &str) {
    let id = id(command);
    server.say(&format!(r#"{{"id":{id},"{kind}":{result}}}"#)).await;
}

fn id(command: &str) -> u64 {
    let command: serde_json::Value = serde_json::from_str(command).expect(command);
    command["id"].as_u64().unwrap()
}

async fn next<T>(events: &mut Events<T>) -> Option<T> {
    timeout(PATIENCE, events.next()).await.expect("an event")
}

async fn subscribed(
    client: &Client,
    server: &mut Server<TcpStream>,
    config: SubscriptionConfig,
) -> (Subscription, Events<SubscriptionEvent>) {
    let (subscription, events) = client.new_subscription("room", config).unwrap();
    subscription.subscribe().await.unwrap();
    let command = server.hear().await;
    answer(server, &command, "subscribe", "{}").await;
    subscription.ready().await.unwrap();
    (subscription, events)
}

fn publication(number: usize) -> String {
    format!(r#"{{"push":{{"channel":"room","pub":{{"data":{number}}}}}}}"#)
}

#[track_caller]
fn number(event: Option<SubscriptionEvent>) -> usize {
    match event {
        Some(SubscriptionEvent::Publication(publication)) => {
            std::str::from_utf8(&publication.data).unwrap().parse().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn states_and_events() {
    let (client, mut events, mut server, _peer) = pair(|_| {}).await;
    assert!(matches!(next(&mut events).await, Some(Event::Connecting(cause)) if cause.code == 0));
    assert!(matches!(next(&mut events).await, Some(Event::Connected(it)) if it.client == "c"));
    let (room, mut messages) =
        subscribed(&client, &mut server, SubscriptionConfig::default()).await;
    assert_eq!(room.state(), SubscriptionState::Subscribed);
    assert_eq!(client.subscription("room").unwrap().channel(), "room");
    assert_eq!(client.subscriptions().len(), 1);
    let again = client.new_subscription("room", SubscriptionConfig::default());
    assert!(matches!(again, Err(CallError::Invalid(_))));
    server.say(&publication(7)).await;
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribing(_))));
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribed(_))));
    assert_eq!(number(next(&mut messages).await), 7);

    let publishing = tokio::spawn({
        let room = room.clone();
        async move { room.publish(b"[1]").await }
    });
    let command = server.hear().await;
    assert!(command.contains(r#""publish":{"channel":"room","data":[1]}"#), "{command}");
    answer(&mut server, &command, "publish", "{}").await;
    publishing.await.unwrap().unwrap();
    assert_eq!(
        room.publish(b"not JSON").await,
        Err(CallError::Invalid("the data is not one JSON value"))
    );
    let long = vec![b'1'; 70_000];
    assert!(matches!(room.publish(long).await, Err(CallError::Invalid(_))), "ends no connection");

    client.disconnect().await.unwrap();
    assert_eq!(server.hear().await, "close Some(1000) ");
    assert!(matches!(next(&mut events).await, Some(Event::Disconnected(cause)) if cause.code == 0));
    assert!(matches!(client.ready().await, Err(CallError::Disconnected(_))));
    assert_eq!(
        (client.state(), room.state()),
        (State::Disconnected, SubscriptionState::Subscribing)
    );
}

#[tokio::test]
async fn commands_that_wait_together_share_a_frame() {
    let (client, _events, mut server, _peer) = pair(|_| {}).await;
    let calls = async {
        tokio::join!(client.presence("a"), client.presence("b"), client.presence_stats("c"))
    };
    let serve = async {
        let frame = server.hear().await;
        let commands: Vec<_> = frame.lines().map(str::to_owned).collect();
        assert_eq!(commands.len(), 3, "{frame}");
        answer(&mut server, &commands[2], "presence_stats", r#"{"num_clients":3,"num_users":2}"#)
            .await;
        let who = r#"{"presence":{"k":{"user":"u","client":"k"}}}"#;
        answer(&mut server, &commands[1], "presence", who).await;
        answer(&mut server, &commands[0], "presence", r#"{"presence":{}}"#).await;
    };
    let ((first, second, third), ()) = tokio::join!(calls, serve);
    assert_eq!(first.unwrap(), []);
    assert_eq!(second.unwrap()[0].user, "u");
    assert_eq!(third.unwrap(), PresenceStats { clients: 3, users: 2 });
}

#[tokio::test]
async fn unread_events_stop_the_reading_and_nothing_is_lost() {
    let (client, events, mut server, _peer) = pair(|config| {
        config.timeout = Duration::from_millis(200);
    })
    .await;
    drop(events);
    let config = SubscriptionConfig { event_buffer: 4, ..SubscriptionConfig::default() };
    let (_room, mut messages) = subscribed(&client, &mut server, config).await;
    const MANY: usize = 200_000;
    let sending = tokio::spawn(async move {
        for number in 0..MANY {
            server.say(&publication(number)).await;
        }
        server
    });
    // The answer would come behind what nobody reads.
    assert_eq!(client.publish("x", b"1").await, Err(CallError::Timeout));
    assert!(!sending.is_finished(), "the server cannot go on sending");
    assert_eq!(format!("{messages:?}"), "Events(4 unread)");
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribing(_))));
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribed(_))));
    for expected in 0..MANY {
        assert_eq!(number(next(&mut messages).await), expected);
    }
    let mut server = sending.await.unwrap();
    assert!(server.hear().await.contains("publish"), "sent once");
    let (published, ()) = tokio::join!(client.publish("x", b"2"), async {
        let command = server.hear().await;
        assert!(command.contains(r#""data":2"#), "{command}");
        answer(&mut server, &command, "publish", "{}").await;
    });
    published.unwrap();
}

#[tokio::test]
async fn events_that_nobody_wants_hold_nothing_up() {
    let (client, events, mut server, _peer) = pair(|config| config.event_buffer = 1).await;
    drop(events);
    let config = SubscriptionConfig { event_buffer: 1, ..SubscriptionConfig::default() };
    let (_room, messages) = subscribed(&client, &mut server, config).await;
    drop(messages);
    for number in 0..1000 {
        server.say(&publication(number)).await;
    }
    let (published, ()) = tokio::join!(client.publish("x", b"1"), async {
        let command = server.hear().await;
        answer(&mut server, &command, "publish", "{}").await;
    });
    published.unwrap();
}

#[tokio::test]
async fn calls_can_be_made_while_events_wait() {
    let (client, events, mut server, _peer) = pair(|config| config.event_buffer = 1).await;
    drop(events);
    let config = SubscriptionConfig { event_buffer: 1, ..SubscriptionConfig::default() };
    let (room, mut messages) = subscribed(&client, &mut server, config).await;
    let publishing = client.publish("x", b"1");
    tokio::pin!(publishing);
    // It is sent although an event waits; what brings events has to wait.
    tokio::select! {
        biased;
        outcome = &mut publishing => panic!("{outcome:?}"),
        heard = server.hear() => {
            answer(&mut server, &heard, "publish", "{}").await;
        }
    }
    room.unsubscribe().await.unwrap();
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribing(_))));
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Subscribed(_))));
    assert!(matches!(next(&mut messages).await, Some(SubscriptionEvent::Unsubscribed(_))));
    publishing.await.unwrap();
    assert!(server.hear().await.contains("unsubscribe"));
}

#[tokio::test]
async fn a_callback_that_panics_harms_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (peer, config) = Peer::new().await;
    let config = config.with_token_source({
        let asked = Arc::clone(&asked);
        move || {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            assert_ne!(count, 0, "the callback itself, on purpose");
            async move {
                assert_ne!(count, 1, "the future, on purpose");
                Ok("token".to_owned())
            }
        }
    });
    let (client, mut events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let (ready, _server) = tokio::join!(client.ready(), peer.greeted());
    ready.unwrap();
    assert!(matches!(next(&mut events).await, Some(Event::Connecting(_))));
    for _ in 0..2 {
        match next(&mut events).await {
            Some(Event::Error(Failure::Token(text))) => assert!(text.contains("panicked")),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(next(&mut events).await, Some(Event::Connected(_))));
}

#[tokio::test]
async fn an_abandoned_callback_ends() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let ended = Arc::new(AtomicUsize::new(0));
    let started = Arc::new(tokio::sync::Notify::new());
    let (_peer, config) = Peer::new().await;
    let config = config.with_token_source({
        let (ended, started) = (Arc::clone(&ended), Arc::clone(&started));
        move || {
            started.notify_one();
            let alive = Alive(Arc::clone(&ended));
            async move {
                let _alive = alive;
                std::future::pending::<Result<String, TokenError>>().await
            }
        }
    });
    let (client, _events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    timeout(PATIENCE, started.notified()).await.unwrap();
    client.disconnect().await.unwrap();
    timeout(PATIENCE, async {
        while ended.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the callback is dropped");
}

#[tokio::test]
async fn dropping_the_client_ends_all() {
    let (client, mut events, mut server, _peer) = pair(|_| {}).await;
    let (room, mut messages) =
        subscribed(&client, &mut server, SubscriptionConfig::default()).await;
    let copy = client.clone();
    drop(client);
    assert_eq!(copy.state(), State::Connected);
    let waiting = tokio::spawn({
        let room = room.clone();
        async move { room.ready().await }
    });
    waiting.await.unwrap().unwrap();
    drop(copy);
    assert_eq!(server.hear().await, "close Some(1000) ");
    assert_eq!(server.hear().await, END);
    let mut last = None;
    while let Some(event) = next(&mut messages).await {
        last = Some(event);
    }
    assert!(matches!(last, Some(SubscriptionEvent::Unsubscribed(cause)) if cause.code == 2));
    while next(&mut events).await.is_some() {}
    assert_eq!(room.publish(b"1").await, Err(CallError::Gone));
    assert_eq!(room.subscribe().await, Err(CallError::Gone));
}

#[tokio::test]
async fn a_removed_subscription_ends_and_makes_room() {
    let (client, _events, mut server, _peer) = pair(|_| {}).await;
    let (room, mut messages) =
        subscribed(&client, &mut server, SubscriptionConfig::default()).await;
    client.remove_subscription(&room).await.unwrap();
    let command = server.hear().await;
    assert!(command.contains("unsubscribe"));
    answer(&mut server, &command, "unsubscribe", "{}").await;
    let mut last = None;
    while let Some(event) = next(&mut messages).await {
        last = Some(event);
    }
    assert!(matches!(last, Some(SubscriptionEvent::Unsubscribed(cause)) if cause.code == 0));
    assert_eq!(room.subscribe().await, Err(CallError::Gone));
    assert_eq!(client.remove_subscription(&room).await, Err(CallError::Gone));
    drop(subscribed(&client, &mut server, SubscriptionConfig::default()).await);
}

#[tokio::test]
async fn publishes_wait_for_the_connection_and_are_not_sent_twice() {
    let (peer, config) = Peer::new().await;
    let (client, _events) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.publish("x", b"1").await }
    });
    // The first attempt fails.
    let server = peer.accepted().await;
    drop(server);
    let mut server = peer.greeted().await;
    let command = server.hear().await;
    assert!(command.contains(r#""data":1"#), "{command}");
    drop(server);
    assert_eq!(waiting.await.unwrap(), Err(CallError::Unanswered));
    let mut server = peer.greeted().await;
    let (published, ()) = tokio::join!(client.publish("x", b"2"), async {
        let command = server.hear().await;
        assert!(command.contains(r#""data":2"#), "{command}");
        answer(&mut server, &command, "publish", "{}").await;
    });
    published.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    for url in ["", "http://a/", "ws://", "ws://a/ b"] {
        assert!(matches!(Client::new(Config::new(url)), Err(CallError::Invalid(_))), "{url}");
    }
    if cfg!(not(feature = "tls")) {
        let error = Client::new(Config::new("wss://a/")).expect_err("no TLS");
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }
    let (_peer, config) = Peer::new().await;
    let (client, _events) = Client::new(config).unwrap();
    let filter = crate::Filter::tag("k", crate::filter::Condition::Exists).ok();
    let odd = SubscriptionConfig { delta: true, filter, ..SubscriptionConfig::default() };
    assert!(matches!(client.new_subscription("c", odd), Err(CallError::Invalid(_))));
    let empty = client.new_subscription("", SubscriptionConfig::default());
    assert!(matches!(empty, Err(CallError::Invalid(_))));
    assert!(matches!(client.publish("c", b"1").await, Err(CallError::Disconnected(_))));
}

#[test]
fn without_a_runtime_there_is_an_error() {
    assert!(matches!(Client::new(Config::default()), Err(CallError::Invalid(_))));
}

#[test]
fn secrets_are_not_shown() {
    let mut config = Config::new("ws://a/b?token=hidden-query");
    config.token = Some("hidden-token".into());
    config.data = Some(b"hidden-data".to_vec());
    config.headers.push(("Cookie".into(), "hidden-cookie".into()));
    let token = Some("hidden-token".into());
    let subscription = SubscriptionConfig { token, ..SubscriptionConfig::default() };
    let debug = format!("{config:?} {subscription:?}");
    assert!(!debug.contains("hidden"), "{debug}");
}
