//! Clusters of nodes whose messages the tests carry.

use std::collections::HashMap;

use sealcast_wire::{Encoding, User};

use super::*;
use crate::auth::{Namespaces, Pseudonyms, Secret};
use crate::broker::{Broker, Sharding, StandIn, Tails};
use crate::hub::tests::Script;
use crate::hub::{Clock, Connection, Hub, Registration};
use crate::limit::{Profile, Usage};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::session::{Admission, Policy};

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
            admission: Admission::default(),
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
        registration.authenticated(crate::hub::Client { user, info: Bytes::new() }, None);
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
