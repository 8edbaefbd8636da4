//! Clients that do not read, and the others beside them.

use std::sync::{Arc, Mutex};

use sealcast_client::session::Event;
use sealcast_client::{Connection, Error, Frame};
use sealcast_wire::Encoding;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::client::{Session, Wire, client};
use crate::support::http;
use crate::support::node::{TestNode, number};
use crate::support::{PATIENCE, eventually};

/// The node's bound for each client, bytes.
const QUEUE: usize = 128 << 10;
/// Payload bytes of a publication.
const SIZE: usize = 1_024;
/// Publications after which someone who never reads must be gone, whatever the
/// kernel keeps for it.
const ENOUGH: usize = 4_000;
/// How many are published before it is waited for those who read.
const STEP: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_ended_as_slow_and_the_others_get_everything() {
    let node = TestNode::with(json!({ "client": { "queue_max_size": QUEUE } })).await;
    let deaf = reluctant(&node).await;
    let others = Others::subscribe(&node, 50).await;
    let publisher = client(&node, "publisher", Encoding::Json).await;
    let mut published = 0;
    while ended(&node, 3008).await == 0.0 {
        assert!(published < ENOUGH, "it was never ended");
        publish(&publisher, published..published + STEP).await;
        published += STEP;
        others.have(published).await;
    }
    assert!(published * SIZE > QUEUE, "ended after {published} publications");
    others.have_in_order(published).await;
    assert_eq!(ended(&node, 3008).await, 1.0, "only the one that does not read");
    holds_nothing(&node).await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_again_in_time_learns_that_it_was_slow() {
    let node = TestNode::with(json!({ "client": { "queue_max_size": QUEUE } })).await;
    let mut late = reluctant(&node).await;
    let publisher = client(&node, "publisher", Encoding::Json).await;
    let (mut published, mut most) = (0, 0);
    // Its queue is thrown away at the moment at which it is ended.
    while held(&node) > most / 2 || most < QUEUE / 2 {
        assert!(published < ENOUGH, "it was never ended");
        most = most.max(held(&node));
        publish(&publisher, published..published + 1).await;
        published += 1;
    }
    let mut came = 0;
    let code = loop {
        match late.0.next_frame(PATIENCE).await.unwrap() {
            Frame::Text(text) => {
                let push: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(push["push"]["pub"]["data"], payload(came), "publication {came}");
                came += 1;
            }
            Frame::Close(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, Some(3008));
    assert!(came > 0 && came < published, "{came} of {published} came");
    assert!(matches!(late.0.next_frame(PATIENCE).await, Err(Error::Io(_))));
    drop(late);
    eventually("it is gone", || node.number("sealcast_connections") == 1.0).await;
    assert_eq!(ended(&node, 3008).await, 1.0);
    holds_nothing(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_even_read_a_little_is_ended_when_a_write_takes_too_long() {
    let options = json!({
        "client": { "queue_max_size": 16 << 20 },
        "limits": { "write_timeout": "300ms", "queue_messages": 100_000 },
    });
    let node = TestNode::with(options).await;
    let mut frozen = reluctant(&node).await;
    let others = Others::subscribe(&node, 2).await;
    let publisher = client(&node, "publisher", Encoding::Json).await;
    let mut published = 0;
    // Until something waits for it: far less than its queue would hold.
    while held(&node) == 0 {
        assert!(published < ENOUGH, "nothing ever waits for it");
        publish(&publisher, published..published + STEP).await;
        published += STEP;
    }
    others.have(published).await;
    eventually("it is gone", || node.number("sealcast_connections") == 3.0).await;
    assert_eq!((ended(&node, 3009).await, ended(&node, 3008).await), (1.0, 0.0));
    holds_nothing(&node).await;
    publish(&publisher, published..published + STEP).await;
    others.have_in_order(published + STEP).await;
    // What the kernel still had is whole as far as it goes, and then there is an end.
    let mut came = 0;
    while let Ok(frame) = frozen.0.next_frame(PATIENCE).await {
        let Frame::Text(text) = frame else { panic!("{frame:?}") };
        let push: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(push["push"]["pub"]["data"], payload(came), "publication {came}");
        came += 1;
    }
    assert!(came < published, "all {published} came");
}

/// A subscriber whose kernel keeps little for it, and which reads only when it is
/// told to.
pub(crate) async fn reluctant(node: &TestNode) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = socket.connect(node.public).await.unwrap();
    let options = node.options("reluctant", Encoding::Json);
    let mut wire = Wire(Connection::upgrade(stream, &options).await.unwrap());
    wire.0.connect(&options).await.unwrap();
    let answer = wire.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    assert!(answer["subscribe"].is_object(), "{answer}");
    wire
}

/// Subscribers that read everything at once.
struct Others(Vec<Arc<Mutex<Vec<String>>>>);

impl Others {
    async fn subscribe(node: &TestNode, count: usize) -> Others {
        let mut others = Vec::new();
        for n in 0..count {
            let encoding = [Encoding::Json, Encoding::Protobuf][n % 2];
            let subscriber = client(node, "other", encoding).await;
            subscriber.subscribe("room").await.unwrap();
            let came = Arc::new(Mutex::new(Vec::new()));
            others.push(Arc::clone(&came));
            tokio::spawn(async move {
                while let Event::Publication { publication, .. } = subscriber.next_event().await {
                    let text = serde_json::from_slice(&publication.data).unwrap();
                    came.lock().unwrap().push(text);
                }
            });
        }
        Others(others)
    }

    /// Waits until everyone has got so many publications.
    #[track_caller]
    fn have(&self, count: usize) -> impl Future<Output = ()> {
        let all = self.0.clone();
        eventually("the others have it", move || {
            all.iter().all(|came| came.lock().unwrap().len() >= count)
        })
    }

    /// Waits until everyone has got so many publications, which must be these in
    /// their order.
    async fn have_in_order(&self, count: usize) {
        self.have(count).await;
        let expected: Vec<String> = (0..count).map(payload).collect();
        for came in &self.0 {
            assert!(*came.lock().unwrap() == expected, "not everything, or not in order");
        }
    }
}

/// Publishes these one after the other.
async fn publish(publisher: &Session, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let data = json!(payload(number)).to_string();
        publisher.publish("room", data.as_bytes()).await.unwrap();
    }
}

fn payload(number: usize) -> String {
    format!("{number:>SIZE$}")
}

/// How many connections ended with this code.
async fn ended(node: &TestNode, code: u16) -> f64 {
    let metrics = "GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
    let answer = http::ask(node.node.as_ref().unwrap().metrics, metrics).await;
    number(answer.text(), &format!("sealcast_disconnects_total{{code=\"{code}\"}}"))
}

/// Bytes that the node holds for clients that do not read.
pub(crate) fn held(node: &TestNode) -> usize {
    node.node.as_ref().unwrap().app().policy.relay.hub().budget().held()
}

async fn holds_nothing(node: &TestNode) {
    eventually("nothing is held", || held(node) == 0).await;
    eventually("that is shown", || node.number("sealcast_outbound_queue_bytes") == 0.0).await;
}
