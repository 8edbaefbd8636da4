//! System calls: a publication costs about one write for each connection and
//! tick, however many came together. The kernel's own count, by strace.

use std::fs;
use std::process::Command as Program;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sealcast_client::{Connection, Options};
use sealcast_wire::command::{Publish, Subscribe};
use sealcast_wire::reply::Event;
use sealcast_wire::{Body, Command, Data, Encoding, Push, Reply, Request};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::process::{Process, scratch};
use crate::support::{descriptors, token};

const CONNECTIONS: usize = 500;
const BURSTS: usize = 20;
/// Publications that are sent in one write.
const BURST: usize = 32;
/// Everything is slow under strace.
const PATIENCE: Duration = Duration::from_secs(60);

/// The calls that write to sockets. `write` is not among them: tokio wakes its
/// threads by it.
const SOCKET_WRITES: [&str; 4] = ["sendto", "sendmsg", "sendmmsg", "writev"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_about_one_write_for_each_connection() {
    descriptors::raise();
    let traced = Traced::start();
    let (arrived, mut arrivals) = mpsc::channel(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let subscriber = traced.subscriber().await;
        tokio::spawn(count_bursts(subscriber, arrived.clone()));
    }
    let mut publisher = traced.connected().await;
    for _ in 0..BURSTS {
        publisher.send_all(&burst()).await.unwrap();
        for _ in 0..CONNECTIONS {
            timeout(PATIENCE, arrivals.recv()).await.expect("nothing comes").unwrap();
        }
        for _ in 0..BURST {
            publisher.next_reply(PATIENCE).await.unwrap();
        }
    }
    let table = traced.end().await;
    let calls = calls(&table, &SOCKET_WRITES);
    // A handshake, the answer to connect and the answer to subscribe for each
    // connection; the publisher's answers in one or two a burst.
    let overhead = 3 * CONNECTIONS + 2 + 2 * BURSTS;
    let least = CONNECTIONS * BURSTS;
    // A burst may be cut in two: what came first, and the rest.
    let most = least * 22 / 10 + overhead;
    println!("{calls} writes for {least} connections and bursts, {overhead} beside them");
    assert!(
        (least..=most).contains(&calls),
        "{calls} writes to sockets instead of {least} to {most}, for {CONNECTIONS} connections \
         and {BURSTS} bursts of {BURST} publications:\n{table}"
    );
}

/// Who listens where it publishes gets the confirmation and its own publication in one
/// write. The node has one thread: with several, another may be quicker than the one
/// that reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_and_ones_own_publication_are_one_write() {
    const PUBLICATIONS: usize = 100;
    let traced = Traced::start_with(&["-E", "TOKIO_WORKER_THREADS=1"]);
    let mut both = traced.subscriber().await;
    for id in (10..).take(PUBLICATIONS) {
        let data = Some(Data::Opaque(br#"{"text":"hello"}"#));
        let publish = Publish { channel: "room".into(), data, ..Publish::default() };
        both.send(Command { id, request: Request::Publish(publish) }).await.unwrap();
        let confirmed = both.next_reply(PATIENCE).await.unwrap();
        assert!(matches!(confirmed.body, Body::Publish) && confirmed.id == id, "{confirmed:?}");
        let own = both.next_reply(PATIENCE).await.unwrap();
        let Body::Push(Push { event: Event::Publication(_), .. }) = own.body else {
            panic!("{own:?}");
        };
    }
    let table = traced.end().await;
    let calls = calls(&table, &SOCKET_WRITES);
    // The handshake, and the answers to connect and to subscribe, maybe in one.
    let most = PUBLICATIONS + 3;
    assert!((most - 1..=most).contains(&calls), "{calls} writes to sockets:\n{table}");
}

/// A node of its own, started by strace.
struct Traced {
    /// strace.
    process: Option<Process>,
    /// What it started.
    node: Pid,
    url: String,
    counts: std::path::PathBuf,
}

impl Traced {
    fn start() -> Traced {
        Self::start_with(&[])
    }

    /// With further options of strace.
    fn start_with(options: &[&str]) -> Traced {
        let found = Program::new("strace").arg("--version").output();
        assert!(found.is_ok(), "strace is missing; install it (apt-get install strace)");
        let counts = scratch("strace");
        let trace = format!("trace=write,{}", SOCKET_WRITES.join(","));
        let mut strace = vec!["strace", "-f", "-c", "-e", &trace, "-o", counts.to_str().unwrap()];
        strace.extend_from_slice(options);
        let options = json!({ "client": { "ping_interval": "3600s" } });
        let process = Process::serve_by(&strace, options, &[]);
        let node = child_of(process.pid());
        let url = process.url();
        Traced { process: Some(process), node, url, counts }
    }

    async fn connected(&self) -> Connection {
        let mut options = Options::new(&self.url);
        options.timeout = PATIENCE;
        options.encoding = Encoding::Protobuf;
        options.token = Some(token::of("ada"));
        let mut connection = Connection::open(&options).await.unwrap();
        connection.connect(&options).await.unwrap();
        connection
    }

    async fn subscriber(&self) -> Connection {
        let mut connection = self.connected().await;
        let request = Subscribe { channel: "room".into(), ..Subscribe::default() };
        let request = Request::Subscribe(Box::new(request));
        connection.send(Command { id: 2, request }).await.unwrap();
        let reply = connection.next_reply(PATIENCE).await.unwrap();
        assert!(matches!(reply.body, Body::Subscribe(_)), "{reply:?}");
        connection
    }

    /// Ends the node in the middle of everything; the table that strace made.
    async fn end(mut self) -> String {
        kill_process(self.node, Signal::KILL).unwrap();
        self.process.take().unwrap().ended().await;
        fs::read_to_string(&self.counts).unwrap()
    }
}

impl Drop for Traced {
    /// strace lets go of the node if it is killed itself.
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = kill_process(self.node, Signal::KILL);
        }
    }
}

fn child_of(parent: Pid) -> Pid {
    let parent = parent.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let [child] = children.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("strace has these children: {children:?}");
    };
    Pid::from_raw(child.parse().unwrap()).unwrap()
}

fn burst() -> Vec<Command<'static>> {
    let data = Some(Data::Opaque(br#"{"text":"hello"}"#));
    let publish = || Publish { channel: "room".into(), data, ..Publish::default() };
    (2..).take(BURST).map(|id| Command { id, request: Request::Publish(publish()) }).collect()
}

/// Tells of every burst that came whole.
async fn count_bursts(mut subscriber: Connection, arrived: mpsc::Sender<()>) {
    let mut count = 0;
    while let Ok(Reply { body: Body::Push(push), .. }) = subscriber.next_reply(PATIENCE).await {
        assert!(matches!(push, Push { event: Event::Publication(_), .. }), "{push:?}");
        count += 1;
        if count % BURST == 0 {
            arrived.send(()).await.unwrap();
        }
    }
}

/// How often these were called, in strace's table: time, seconds, microseconds a
/// call, calls, perhaps errors, name.
fn calls(table: &str, names: &[&str]) -> usize {
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.last().is_some_and(|name| names.contains(name)))
        .map(|fields| fields[3].parse::<usize>().unwrap())
        .sum()
}

#[test]
fn the_table_is_read() {
    let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.00    0.500000          10     10000           sendto
  0.90    0.000100          10        12         3 writev
  0.10    0.000010          10         7           write
------ ----------- ----------- --------- --------- ----------------
100.00    0.500110          10     10019         3 total
";
    assert_eq!(calls(table, &SOCKET_WRITES), 10_012);
}
