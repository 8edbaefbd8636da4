//! Commands that have to wait for the broker: their order, and their bound.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use sealcast_wire::Encoding;

use super::*;
use crate::auth::{Namespace, Namespaces, Pseudonyms};
use crate::broker::{Broker, Sharding, StandIn, Tails};
use crate::hub::tests::Script;
use crate::hub::{Clock, Connection, Hub, Registration};
use crate::limit::{Cap, Profile, Usage};
use crate::metrics::Metrics;

struct Bench {
    broker: Arc<StandIn>,
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    script: Script,
    client: Client,
}

impl Bench {
    /// A client that has connected, before a broker that answers nothing yet.
    fn connected() -> Bench {
        let broker = StandIn::new(0);
        let limits = Profile::Standard.limits();
        let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
        let open = Namespace {
            subscribe_for_client: true,
            subscribe_for_anonymous: true,
            publish_for_subscriber: true,
            publish_for_anonymous: true,
            ..Namespace::default()
        };
        let sharding = Sharding::new(1);
        let policy = Arc::new(Policy {
            relay: Relay::new(
                Arc::clone(&hub),
                Arc::clone(&broker) as Arc<dyn Broker>,
                Arc::new(Tails::new(&sharding, 0)),
                sharding,
            ),
            verifier: None,
            admission: Admission { anonymous: true, ..Admission::default() },
            namespaces: Namespaces::new(Some(open), HashMap::new()),
            limits,
            pseudonyms: Pseudonyms::random(),
            usage: Usage::new(),
            unix_time: || std::time::Duration::from_secs(1_800_000_000),
            version: "test".into(),
        });
        let script = Script::with_room(1 << 20);
        let connection = Connection::scripted(Encoding::Json, script.clone());
        let registration = Registration::new(&hub, Arc::clone(&connection));
        let cap = Cap::new(2);
        let places =
            Places { connection: cap.take().unwrap(), waiting: cap.take().unwrap(), address: None };
        let client =
            Client::new(Policies::new(policy), Arc::clone(&connection), registration, places);
        assert_eq!(cap.taken(), 2);
        let mut bench = Bench { broker, hub, connection, script, client };
        bench.say(r#"{"id":1,"connect":{}}"#);
        assert_eq!(cap.taken(), 1, "connected, and no longer waiting to");
        bench
    }

    fn say(&mut self, frame: &str) {
        self.client.message(Message::Text(frame), &mut Context::from_waker(Waker::noop()));
        self.connection.flush(&self.hub);
    }

    fn answer(&mut self, count: usize) {
        self.broker.answer(count);
        self.client.resume(&mut Context::from_waker(Waker::noop()));
        self.connection.flush(&self.hub);
    }

    /// What was replied since the connect reply.
    fn replies(&self) -> Vec<String> {
        self.script.read().0.split_off(1)
    }

    fn calls(&self) -> Vec<String> {
        self.broker.calls.lock().clone()
    }
}

#[tokio::test]
async fn channels_do_not_wait_for_each_other() {
    let mut bench = Bench::connected();
    bench.say("{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}");
    assert_eq!(bench.calls(), ["subscribe a", "subscribe b"], "both are under way");
    assert!(bench.replies().is_empty());
    bench.answer(2);
    assert_eq!(bench.replies(), [r#"{"id":2,"subscribe":{}}"#, r#"{"id":3,"subscribe":{}}"#]);
}

#[tokio::test]
async fn commands_of_one_channel_keep_their_order() {
    let mut bench = Bench::connected();
    bench.say(
        "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n\
         {\"id\":3,\"publish\":{\"channel\":\"a\",\"data\":1}}\n\
         {\"id\":4,\"publish\":{\"channel\":\"a\",\"data\":2}}\n\
         {\"id\":5,\"unsubscribe\":{\"channel\":\"a\"}}\n\
         {\"id\":6,\"publish\":{\"channel\":\"a\",\"data\":3}}",
    );
    assert_eq!(bench.calls(), ["subscribe a"], "only subscribers may publish");
    bench.answer(1);
    assert_eq!(bench.replies(), [r#"{"id":2,"subscribe":{}}"#]);
    assert_eq!(bench.calls().len(), 3, "publishes run side by side");
    bench.answer(2);
    assert_eq!(
        bench.replies()[1..],
        [
            r#"{"id":3,"publish":{}}"#,
            r#"{"id":4,"publish":{}}"#,
            r#"{"id":5,"unsubscribe":{}}"#,
            r#"{"id":6,"error":{"code":103,"message":"permission denied"}}"#,
        ]
    );
}

#[tokio::test]
async fn no_more_is_read_while_too_much_is_in_flight() {
    let mut bench = Bench::connected();
    for n in 0..32 {
        assert!(bench.client.wants_input(), "{n}");
        bench.say(&format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"c{n}\"}}}}"));
    }
    assert!(!bench.client.wants_input());
    bench.answer(1);
    assert!(bench.client.wants_input());
}

#[tokio::test]
async fn of_one_frame_32_are_under_way_and_the_others_have_their_turn() {
    let mut bench = Bench::connected();
    let subscribe = |n: u32| format!("{{\"id\":{},\"subscribe\":{{\"channel\":\"c{n}\"}}}}", n + 2);
    bench.say(&(0..40).map(subscribe).collect::<Vec<_>>().join("\n"));
    assert_eq!(bench.calls().len(), 32);
    assert!(!bench.client.wants_input());
    bench.answer(1);
    assert_eq!((bench.calls().len(), bench.replies().len()), (33, 1));
    bench.answer(39);
    assert_eq!((bench.calls().len(), bench.replies().len()), (40, 40));
    assert!(bench.client.wants_input());
}

#[tokio::test]
async fn commands_under_way_count_for_the_connection_until_they_are_answered() {
    let mut bench = Bench::connected();
    bench.say(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    bench.answer(1);
    let resting = bench.connection.memory();
    let payload = "x".repeat(10_000);
    let publish = format!(r#"{{"id":3,"publish":{{"channel":"a","data":"{payload}"}}}}"#);
    bench.say(&[publish.as_str(); 20].join("\n"));
    let held = bench.connection.memory() - resting;
    assert!((200_000..300_000).contains(&held), "{held}");
    assert_eq!(bench.hub.budget().held(), held);
    bench.answer(20);
    assert_eq!((bench.connection.memory(), bench.hub.budget().held()), (resting, 0));
}

#[tokio::test]
async fn commands_under_way_that_take_too_much_end_the_connection() {
    let mut bench = Bench::connected();
    bench.say(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    bench.answer(1);
    bench.hub.set_conn_memory(50_000);
    let payload = "x".repeat(20_000);
    for ended in [false, false, true] {
        let publish = format!(r#"{{"id":3,"publish":{{"channel":"a","data":"{payload}"}}}}"#);
        bench.say(&publish);
        assert_eq!(bench.connection.is_open(), !ended);
    }
    assert_eq!(bench.script.read().1, Some(3008));
}

#[tokio::test]
async fn a_broker_that_fails_is_an_internal_error_and_nothing_is_acknowledged() {
    let mut bench = Bench::connected();
    *bench.broker.fails.lock() = true;
    bench.say(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    bench.answer(1);
    assert_eq!(bench.replies(), [r#"{"id":2,"subscribe":{}}"#], "nothing is owed to it yet");
    bench.say(r#"{"id":3,"publish":{"channel":"a","data":1}}"#);
    bench.answer(1);
    let error =
        r#"{"id":3,"error":{"code":100,"message":"internal server error","temporary":true}}"#;
    assert_eq!(bench.replies()[1..], [error]);
}

#[tokio::test]
async fn who_goes_leaves_nothing_behind() {
    let mut bench = Bench::connected();
    bench.say(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    bench.answer(1);
    bench.say(r#"{"id":3,"subscribe":{"channel":"b"}}"#);
    assert_eq!(bench.hub.census().subscriptions, 1);
    let Bench { hub, client, .. } = bench;
    drop(client);
    assert_eq!(hub.census().subscriptions, 0);
    assert_eq!(hub.census().clients, 0);
}
