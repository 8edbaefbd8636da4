//! What is counted for connections is what they hold: of what a node's resident memory
//! grows by, at least four fifths are in the sum that `conn_memory_max` bounds (S4-52).
//!
//! The node is in a process of its own, so that nothing else is resident there: the
//! same program, told to run the first test here, which then serves and says what it
//! counts. Its allocator keeps nothing for later: what a buffer leaves behind when it
//! grows is held by nobody, and how much of that is resident is a matter of chance.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sealcast_client::{Connection, Options};
use sealcast_wire::Encoding;
use sealcast_wire::filter::{MAX_NODES, MAX_TEXT, MAX_VALUES};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::frames::frame;
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, api, node, process, token};

/// The configuration of the node, for the process that serves.
const SERVES: &str = "IT_HELD_BY";
/// What the allocator of that process is told (jemalloc(3), section "TUNING").
const KEEPS_NOTHING: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0,tcache:false");
/// Bytes that are held in each case at least: more than what one request or another
/// leaves behind.
const ENOUGH: f64 = 4e6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other side of the test below, which starts it"]
async fn the_node_of_the_test_below() {
    let Ok(options) = std::env::var(SERVES) else { return };
    let node = TestNode::with(serde_json::from_str(&options).unwrap()).await;
    println!("{SERVES} {}", node.public);
    let hub = node.node.as_ref().unwrap().app().policy.relay.hub().clone();
    let answering = tokio::task::spawn_blocking(move || {
        for _ in std::io::stdin().lines() {
            let counted: usize = hub.connections().iter().map(|one| one.memory()).sum();
            println!("{SERVES} {counted}");
        }
    });
    answering.await.unwrap();
}

#[tokio::test]
async fn what_is_counted_for_connections_is_what_they_hold() {
    let mut faults = Vec::new();
    for (what, case) in CASES {
        let mut serving = Serving::start();
        let (held, connections) = case(&mut serving).await;
        let Held { resident, counted } = held;
        println!(
            "held, {what}: {resident:.0} bytes resident, {counted:.0} counted, ratio {:.2}",
            counted / resident
        );
        if counted < ENOUGH || counted < 0.8 * resident {
            faults.push(what);
        }
        drop(connections);
    }
    assert!(faults.is_empty(), "{faults:?}");
}

/// What has come on top of the resting connections, and who holds it.
type Case = fn(&mut Serving) -> futures_util::future::BoxFuture<'_, (Held, Vec<Wire>)>;

const CASES: [(&str, Case); 8] = [
    ("unfinished frames", |serving| Box::pin(unfinished_frames(serving))),
    ("large messages that wait", |serving| Box::pin(waiting(serving, 10_000, 20))),
    ("small messages that wait", |serving| Box::pin(waiting(serving, 20, 40))),
    ("subscriptions", |serving| Box::pin(subscriptions(serving, 100, "c", None))),
    ("positioned subscriptions", |serving| Box::pin(subscriptions(serving, 100, "kept:c", None))),
    ("128 filters of many nodes", |serving| Box::pin(filters(serving, many_nodes()))),
    ("128 filters of many values", |serving| Box::pin(filters(serving, many_values()))),
    ("128 filters of long texts", |serving| Box::pin(filters(serving, long_texts()))),
];

/// Frames of which a part has come.
async fn unfinished_frames(serving: &mut Serving) -> (Held, Vec<Wire>) {
    let mut wires = serving.connect(250).await;
    let before = serving.held();
    let mut whole = frame(0x81, &[b' '; 65_000]);
    whole.truncate(60_000);
    let (first, rest) = whole.split_at(25_000);
    for part in [first, rest] {
        for wire in &mut wires {
            wire.0.send_bytes(part).await.unwrap();
        }
    }
    (serving.grown(before, 250.0 * 59_000.0).await, wires)
}

/// Subscribers that read nothing, each of its own channel, for whom messages of so many
/// bytes wait: 900 of them or 900 KB.
async fn waiting(serving: &mut Serving, bytes: usize, count: usize) -> (Held, Vec<Wire>) {
    let mut wires = Vec::new();
    let channels: Vec<String> = (0..count).map(|at| format!("room-{at}")).collect();
    for channel in &channels {
        let mut wire = serving.reluctant().await;
        let subscribe = json!({ "id": 2, "subscribe": { "channel": channel } });
        assert!(wire.ask(&subscribe.to_string()).await["subscribe"].is_object());
        wires.push(wire);
    }
    // Until the kernel takes no more for any of them.
    let before = serving.held();
    let most = before.counted + 4_000.0 * count as f64;
    while serving.held().counted < most {
        serving.broadcast(&channels, 1_000).await;
    }
    let before = serving.held();
    let messages = 900.min(900_000 / bytes);
    for _ in 0..messages {
        serving.broadcast(&channels, bytes).await;
    }
    (serving.grown(before, (messages * bytes * count) as f64).await, wires)
}

/// So many connections with 128 subscriptions, each of a channel of its own.
async fn subscriptions(
    serving: &mut Serving,
    count: usize,
    name: &str,
    filter: Option<&Value>,
) -> (Held, Vec<Wire>) {
    let mut wires = serving.connect(count).await;
    let channels = |of: usize| (0..128).map(move |at| format!("{name}-{of:03}-{at:03}"));
    for of in 0..count {
        // Streams are the broker's, which bounds them all together.
        serving.broadcast(&channels(of).collect::<Vec<_>>(), 1).await;
    }
    let before = serving.held();
    for (of, wire) in wires.iter_mut().enumerate() {
        for channel in channels(of) {
            let mut subscribe = json!({ "id": 2, "subscribe": { "channel": channel } });
            if let Some(filter) = filter {
                subscribe["subscribe"]["tf"] = filter.clone();
            }
            let answer = wire.ask(&subscribe.to_string()).await;
            assert!(answer["subscribe"].is_object(), "{channel}: {answer}");
        }
    }
    (serving.grown(before, 0.0).await, wires)
}

async fn filters(serving: &mut Serving, filter: Value) -> (Held, Vec<Wire>) {
    subscriptions(serving, 4, "picked:c", Some(&filter)).await
}

/// As small as a node may be.
fn many_nodes() -> Value {
    let leaf = json!({ "key": "k", "cmp": "eq", "val": "v" });
    json!({ "op": "or", "nodes": vec![leaf; MAX_NODES - 1] })
}

fn many_values() -> Value {
    let values: Vec<String> = (0..MAX_VALUES).map(|value| format!("{value:04}")).collect();
    json!({ "key": "k", "cmp": "in", "vals": values })
}

fn long_texts() -> Value {
    let leaf = json!({ "key": "k".repeat(8), "cmp": "sw", "val": "v".repeat(MAX_TEXT / 20 - 8) });
    json!({ "op": "and", "nodes": vec![leaf; 20] })
}

/// Bytes.
#[derive(Clone, Copy)]
struct Held {
    resident: f64,
    counted: f64,
}

/// The process that serves; ends when dropped.
struct Serving {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    public: std::net::SocketAddr,
}

impl Serving {
    fn start() -> Serving {
        let kept = json!({
            "name": "kept", "allow_subscribe_for_client": true, "force_positioning": true,
            "history_size": 10, "history_ttl": "60s",
        });
        let picked = json!({
            "name": "picked", "allow_subscribe_for_client": true, "allow_tags_filter": true,
        });
        let options = json!({
            "limits": {
                "profile": "none", "ip_connections": 10_000, "conn_memory_max": 128 << 20,
                "message_deadline": "60s", "write_timeout": "60s",
            },
            "client": { "queue_max_size": 16 << 20 },
            "channel": { "namespaces": [kept, picked] },
        });
        let name = format!("{}::the_node_of_the_test_below", module_path!());
        let name = name.split_once("::").unwrap().1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--include-ignored", "--nocapture"])
            .env(SERVES, options.to_string())
            .env(KEEPS_NOTHING.0, KEEPS_NOTHING.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let public = "127.0.0.1:0".parse().unwrap();
        let mut serving = Serving { child, stdin, stdout, public };
        serving.public = serving.told().parse().unwrap();
        serving
    }

    /// What it says next, among what the harness says.
    fn told(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the node has ended");
            if let Some((_, told)) = line.split_once(&format!("{SERVES} ")) {
                return told.trim().to_owned();
            }
        }
    }

    fn held(&mut self) -> Held {
        writeln!(self.stdin).unwrap();
        let counted: usize = self.told().parse().unwrap();
        let resident = process::resident(self.child.id()) * 1_024;
        Held { resident: resident as f64, counted: counted as f64 }
    }

    /// What has come since, once at least so much is counted and no more comes.
    async fn grown(&mut self, before: Held, least: f64) -> Held {
        let looking = async {
            let mut last = before;
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                let now = self.held();
                if now.counted == last.counted && now.counted >= before.counted + least {
                    return now;
                }
                last = now;
            }
        };
        let after = tokio::time::timeout(PATIENCE, looking).await.expect("it is held");
        let resident = (after.resident - before.resident).max(1.0);
        Held { resident, counted: after.counted - before.counted }
    }

    fn options(&self) -> Options {
        let mut options = Options::new(format!("ws://{}/connection/websocket", self.public));
        options.timeout = PATIENCE;
        options.encoding = Encoding::Json;
        options.token = Some(token::of("ada"));
        options
    }

    /// Publishes so many bytes to each of these channels.
    async fn broadcast(&self, channels: &[String], bytes: usize) {
        let body = json!({ "channels": channels, "data": "x".repeat(bytes) }).to_string();
        let key = [("X-API-Key", node::API_KEY)];
        let answer = api::call(self.public, "broadcast", &key, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn connect(&self, count: usize) -> Vec<Wire> {
        let options = self.options();
        let mut wires = Vec::new();
        for _ in 0..count {
            let mut connection = Connection::open(&options).await.unwrap();
            connection.connect(&options).await.unwrap();
            wires.push(Wire(connection));
        }
        wires
    }

    /// One whose kernel keeps little for it.
    async fn reluctant(&self) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let stream = socket.connect(self.public).await.unwrap();
        let options = self.options();
        let mut connection = Connection::upgrade(stream, &options).await.unwrap();
        connection.connect(&options).await.unwrap();
        Wire(connection)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
