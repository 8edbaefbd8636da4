//! Clusters of nodes whose messages the tests carry.

use std::collections::HashMap;

use sealcast_wire::{Encoding, User};

use super::*;
use crate::auth::{Namespaces, Pseudonyms, Secret};
use crate::broker::{Broker, Sharding, StandIn, Tails};
use crate::hub::tests::Script;
use crate::hub::{Clock, Connection, Format, Framing, Hub, Registration};
use crate::limit::{Cap, Profile, Usage};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::session::{
    Admission, Binding, Client, Emulated, Frame, Message as SessionMessage, Places, Policy,
    Session as _, SessionKey, Undelivered,
};

struct Node {
    broker: Arc<StandIn>,
    cluster: Arc<Cluster>,
    inbox: mpsc::Sender<Bytes>,
}

fn key(text: &str) -> ClusterKey {
    ClusterKey::new(&Secret::new(text.repeat(32))).expect("long enough")
}

impl Node {
    fn start(number: u128, key: ClusterKey) -> Node {
        let (broker, sharding) = (StandIn::new(0), Sharding::new(1));
        let limits = Profile::Standard.limits();
        let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
        let relay = Relay::new(
            hub,
            Arc::clone(&broker) as Arc<dyn Broker>,
            Arc::new(Tails::new(&sharding, 0)),
            sharding,
        );
        let policy = Arc::new(Policy {
            relay,
            verifier: None,
            admission: Admission { anonymous: true, ..Admission::default() },
            namespaces: Namespaces::new(None, HashMap::new()),
            limits,
            pseudonyms: Pseudonyms::random(),
            usage: Usage::new(),
            unix_time: || Duration::from_secs(1_800_000_000),
            version: "test".into(),
        });
        let node = (NodeId::from_u128(number), format!("node-{number}"), "test");
        let cluster = Cluster::new(node, Policies::new(policy), key);
        let (inbox, told) = mpsc::channel(100);
        let hearing = Arc::clone(&cluster);
        tokio::spawn(async move { hearing.hear(told).await });
        Node { broker, cluster, inbox }
    }

    /// A connection of `user`.
    fn connection(&self, user: &str) -> (Arc<Connection>, Registration) {
        let hub = self.cluster.relay.hub();
        let script = Script::with_room(1 << 20);
        let connection = Connection::scripted(Encoding::Json, script);
        let registration = Registration::new(hub, Arc::clone(&connection));
        let user = User::parse(user).expect("valid");
        let client = crate::hub::Client { user, tenant: None, info: Bytes::new() };
        registration.authenticated(client, None);
        (connection, registration)
    }

    fn names(&self) -> Vec<String> {
        self.cluster.nodes().into_iter().map(|(_, numbers)| numbers.name).collect()
    }

    fn refused(&self, reason: &str) -> bool {
        let rendered = self.cluster.relay.hub().metrics().render();
        rendered.contains(&format!("sealcast_control_refused_total{{reason=\"{reason}\"}}"))
    }
}

/// Carries what each node has said to all of them, once.
async fn carry(nodes: &[&Node]) {
    for from in nodes {
        let told = std::mem::take(&mut *from.broker.told.lock());
        for message in told {
            for to in nodes {
                to.inbox.send(message.clone()).await.expect("it hears");
            }
        }
    }
    settle().await;
}

/// Lets everyone do what can be done; time stands still, and passes when all wait.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn introduce(nodes: &[&Node]) {
    for node in nodes {
        let _ = node.cluster.tell(Message::Hello(node.cluster.numbers())).await;
    }
    carry(nodes).await;
}

fn disconnect(user: &str) -> Command {
    let target = Target { user: user.into(), client: None };
    Command::Disconnect { target, spared: Vec::new(), code: 3503, reason: "go".into() }
}

fn asked(
    node: &Node,
    command: Command,
) -> tokio::task::JoinHandle<Result<Vec<Answer>, Unavailable>> {
    let cluster = Arc::clone(&node.cluster);
    tokio::spawn(async move { cluster.run(&Backend::for_tests(), command).await })
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_is_answered_at_once_and_only_once() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    let cluster = Arc::clone(&one.cluster);
    let greeting = tokio::spawn(async move { cluster.say_hello().await });
    settle().await;
    // Nobody was there to hear it.
    one.broker.told.lock().clear();
    let hello = async || two.cluster.tell(Message::Hello(two.cluster.numbers())).await;
    assert!(hello().await.is_ok());
    carry(&[&two, &one]).await;
    carry(&[&one, &two]).await;
    assert_eq!(two.names(), ["node-1", "node-2"]);
    assert!(hello().await.is_ok());
    carry(&[&two, &one]).await;
    assert!(one.broker.told.lock().is_empty(), "it is known");
    greeting.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_says_to_one_node_happens_on_all() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    assert_eq!(one.names(), ["node-1"]);
    introduce(&[&one, &two]).await;
    assert_eq!((one.names(), two.names()), (one.names(), one.names()));
    assert_eq!(two.names(), ["node-1", "node-2"]);
    let ((here, _a), (there, _b)) = (one.connection("ada"), two.connection("ada"));
    let (other, _c) = two.connection("bob");
    let running = asked(&one, disconnect("ada"));
    settle().await;
    assert!(!here.is_open() && there.is_open() && !running.is_finished());
    carry(&[&one, &two]).await;
    carry(&[&one, &two]).await;
    assert_eq!(running.await.expect("runs"), Ok(vec![Answer::Done, Answer::Done]));
    assert!(!there.is_open() && other.is_open());
    assert!(one.cluster.asked.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_is_not_passed_over() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    introduce(&[&one, &two]).await;
    let running = asked(&one, disconnect("ada"));
    assert_eq!(running.await.expect("runs"), Err(Unavailable));
    assert!(one.cluster.asked.lock().is_empty(), "nothing is left");
    // Until it is known to be gone.
    let running = asked(&one, disconnect("ada"));
    settle().await;
    two.cluster.say_goodbye().await;
    one.broker.told.lock().clear();
    carry(&[&one, &two]).await;
    assert_eq!(running.await.expect("runs"), Ok(vec![Answer::Done]));
    assert_eq!(one.names(), ["node-1"]);
}

#[tokio::test(start_paused = true)]
async fn who_lacks_the_key_commands_nobody() {
    let (one, evil) = (Node::start(1, key("k")), Node::start(2, key("e")));
    let (victim, _registration) = one.connection("ada");
    let _ = evil.cluster.tell(Message::Ask { id: 1, command: disconnect("ada") }).await;
    carry(&[&evil, &one]).await;
    assert!(victim.is_open() && one.refused("mac"));
    // Nor does who sends again what another said.
    let two = Node::start(3, key("k"));
    let _ = two.cluster.tell(Message::Ask { id: 1, command: disconnect("ada") }).await;
    let again = two.broker.told.lock().clone();
    carry(&[&two, &one]).await;
    assert!(!victim.is_open());
    let (victim, _registration) = one.connection("ada");
    one.inbox.send(again[0].clone()).await.expect("it hears");
    settle().await;
    assert!(victim.is_open() && one.refused("replay"));
}

#[tokio::test(start_paused = true)]
async fn a_long_list_comes_in_several_messages() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    introduce(&[&one, &two]).await;
    let (connection, _registration) = two.connection("ada");
    let hub = two.cluster.relay.hub();
    for number in 0..2_000 {
        let name = format!("room-{number}-{}", "x".repeat(200));
        let channel = sealcast_wire::Channel::parse(&name).expect("valid");
        hub.open(0, &channel);
        assert!(hub.join(0, &channel, &connection, crate::hub::Wants::default()).is_ok());
    }
    let running = asked(&one, Command::Channels { pattern: Some("room-*".into()) });
    settle().await;
    carry(&[&one, &two]).await;
    assert_eq!(two.broker.told.lock().len(), 4, "three lists, and that there are no more");
    carry(&[&one, &two]).await;
    let answers = running.await.expect("runs").expect("answered");
    let names: BTreeSet<_> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Channels(some) => Some(some),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(names.len(), 2_000);
}

/// A stream of `node`, and what it is known by.
fn stream(node: &Node) -> (Emulated, Arc<Connection>, Script, SessionKey) {
    let hub = node.cluster.relay.hub();
    let script = Script::with_room(1 << 20);
    let format = Format::emulated(Framing::Lines, Encoding::Json);
    let connection = Connection::scripted(format, script.clone());
    let registration = Registration::new(hub, Arc::clone(&connection));
    let cap = Cap::new(2);
    let [connection_place, waiting] = [(); 2].map(|()| cap.take().expect("free"));
    let places = Places { connection: connection_place, waiting, address: None };
    let policies = Arc::clone(&node.cluster.policies);
    let client = Client::new(policies, Arc::clone(&connection), registration, places);
    let (sessions, id) = (node.cluster.sessions(), node.cluster.id());
    let binding = Binding::new(Some(b"https://a.example"), None);
    let mut session = Emulated::new(client, sessions, (hub, &connection), id, binding);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    session.message(SessionMessage::Text(r#"{"id":1,"connect":{}}"#), &mut context);
    connection.flush(hub);
    let said = String::from_utf8(script.taken()).expect("text");
    let secret = said.split(r#""session":""#).nth(1).and_then(|rest| rest.split('"').next());
    let key = SessionKey::of(secret.expect("told"));
    (session, connection, script, key)
}

fn frame(key: SessionKey, origin: &str, id: u32) -> Frame {
    let bytes = format!(r#"{{"id":{id},"unsubscribe":{{"channel":"a"}}}}"#).into_bytes();
    let from = Binding::new(Some(origin.as_bytes()), None);
    Frame { key, from, encoding: Encoding::Json, bytes }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_to_one_node_reaches_its_stream_on_another_in_order() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    introduce(&[&one, &two]).await;
    let (mut session, connection, script, session_key) = stream(&one);
    let to = one.cluster.id();
    let say = |key, origin: &'static str, id| {
        let (cluster, to) = (Arc::clone(&two.cluster), to.clone());
        tokio::spawn(async move { cluster.emulate(&to, frame(key, origin, id)).await })
    };
    let mut told = Vec::new();
    for id in 2..10 {
        told.push(say(session_key, "https://a.example", id));
        settle().await;
    }
    let stranger = say(session_key, "https://b.example", 10);
    let nobody = say(SessionKey::of("guess"), "https://a.example", 11);
    settle().await;
    let on_the_way = two.broker.told.lock().concat();
    assert!(!String::from_utf8_lossy(&on_the_way).contains("session\":"), "only its digest");
    carry(&[&two, &one]).await;
    carry(&[&two, &one]).await;
    for one in told {
        assert_eq!(one.await.expect("runs"), Ok(()));
    }
    let none = Err(NotEmulated::Undelivered(Undelivered::NoSession));
    assert_eq!((stranger.await.expect("runs"), nobody.await.expect("runs")), (none, none));
    let hub = one.cluster.relay.hub();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    session.resume(&mut context);
    connection.flush(hub);
    let said = String::from_utf8(script.taken()).expect("text");
    let ids: Vec<_> = said.split(r#"{"id":"#).skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert!(two.cluster.asked.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_a_client_is_told_of_and_one_that_is_none_is_not_asked() {
    let (one, two) = (Node::start(1, key("k")), Node::start(2, key("k")));
    introduce(&[&one, &two]).await;
    let of = async |id: &str| two.cluster.emulate(id, frame(SessionKey::of("s"), "o", 2)).await;
    assert_eq!(of(&one.cluster.id()).await, Err(NotEmulated::Silent));
    assert!(two.cluster.asked.lock().is_empty());
    two.broker.told.lock().clear();
    let none = Err(NotEmulated::Undelivered(Undelivered::NoSession));
    for id in ["", "nobody", &NodeId::from_u128(3).to_string(), &two.cluster.id()] {
        assert_eq!(of(id).await, none, "{id}");
    }
    assert!(two.broker.told.lock().is_empty());
}
