//! What publishing costs Redis, within limits and without, beside a bare script that
//! does the same writes; and that three nodes have everything of many channels.
//!
//! Processor time is Redis' own count. They take turns, because what a machine makes of
//! the same work differs from one second to the next by more than they do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use sealcast::broker::{Charge, Delivery, NotPublished, Outgoing, Retention};
use sealcast::limit::{Rate, Scope};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::{KEEP, room};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::redis::RedisServer;

const NODES: usize = 3;
const CHANNELS: usize = 500;
/// Who publishes at the same time, at each node.
const PUBLISHERS: usize = 100;
/// Publications a second, of all nodes, where they are paced.
const PACE: usize = 5_000;
/// The most that a publish may cost of what a bare script costs, in the middle of all
/// turns. It is to be 1.3 at this pace, and is less; a machine that does not keep it
/// adds to it, because then more comes together and the way there costs less.
const MOST: f64 = 2.0;
/// The same with limits in it, which is to be 1.6.
const MOST_LIMITED: f64 = 2.5;

/// Who publish in turn where there are limits: so many that each keeps to the usual one.
const USERS: usize = 10_000;
const USER: Rate = Rate::of(100, Duration::from_secs(60), 20);
/// All of them publish by one key.
const KEY: Rate = Rate::each_second(1_000_000, 1_000_000);

/// Writes what a publish without limits writes, and publishes and answers as much:
/// nothing is read, compared or put together. Of a stream that is there, as nearly
/// always.
const BARE: &str = r"
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], ARGV[4], 'r', ARGV[2])
redis.call('SETRANGE', KEYS[1], '0', ARGV[5])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return ARGV[5]";
/// Bytes of the head of a record, and of what stands behind it here.
const HEAD: usize = 83;
const FLAGS_AND_BODY: usize = 15;
/// How long a turn may take on whatever machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What Redis has done so far.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// Seconds of a processor.
    cpu: f64,
    /// Calls of scripts, and how often it read from a connection.
    calls: f64,
    reads: f64,
}

impl Done {
    async fn by(server: &RedisServer) -> Done {
        let info = async |section: &str| server.ask::<String>(&format!("INFO {section}")).await;
        let number = |info: &str, name: &str| -> f64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        let (cpu, stats, calls) =
            (info("cpu").await, info("stats").await, info("commandstats").await);
        Done {
            cpu: number(&cpu, "used_cpu_user:") + number(&cpu, "used_cpu_sys:"),
            calls: number(&calls.replace(',', "\n"), "cmdstat_evalsha:calls="),
            reads: number(&stats, "total_reads_processed:"),
        }
    }

    fn since(self, before: Done) -> Done {
        Done {
            cpu: self.cpu - before.cpu,
            calls: self.calls - before.calls,
            reads: self.reads - before.reads,
        }
    }
}

/// How much is published, and how.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Turns that count.
    turns: usize,
    /// Publications of each channel in a turn.
    each: usize,
    /// As fast as it goes, or at [`PACE`].
    paced: bool,
    /// Most entries of a stream: once it has so many, each publish drops one.
    entries: usize,
    /// Within how many limits, one after the other.
    limits: &'static [usize],
}

impl Work {
    fn all(&self) -> usize {
        self.each * CHANNELS
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_nodes_have_everything_and_redis_does_little_more_than_it_must() {
    let fast = Work { turns: 3, each: 10, paced: false, entries: KEEP.entries, limits: &[0] };
    let together = middle(&mut compare("as fast as it goes", fast).await[0].together);
    assert!(together > 2.0, "commands wait for each other: {together:.1} in each read");
    let paced = Work { paced: true, limits: &[0, 1], ..fast };
    let rows = compare("5,000 a second", paced).await;
    for (mut row, most) in rows.into_iter().zip([MOST, MOST_LIMITED]) {
        let ratio = middle(&mut row.ratios);
        assert!(ratio < most, "{ratio:.2} of a bare script, which may be {most}");
    }
}

/// The figures of `docs/performance.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes ten minutes; see scripts/long"]
async fn what_a_publish_costs_redis() {
    let fast =
        Work { turns: 15, each: 20, paced: false, entries: KEEP.entries, limits: &[0, 1, 2] };
    let full = Work { entries: fast.each, limits: &[0], ..fast };
    for (name, work) in [("", fast), (", full histories", full)] {
        compare(&format!("5,000 a second{name}"), Work { paced: true, ..work }).await;
        compare(&format!("as fast as it goes{name}"), work).await;
    }
}

/// What publishing within so many limits came to, turn by turn.
#[derive(Default)]
struct Row {
    /// Microseconds of Redis for each publish, and for each call of the bare script.
    costs: Vec<f64>,
    bare: Vec<f64>,
    /// The one by the other.
    ratios: Vec<f64>,
    /// Publications a second, and how many calls came together.
    rates: Vec<f64>,
    together: Vec<f64>,
}

/// Turn by turn the nodes, within each number of limits, and the bare script.
async fn compare(name: &str, work: Work) -> Vec<Row> {
    let server = RedisServer::start().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let bench = Bench::on(server.config()).await;
        let subscribe = (0..CHANNELS).map(|n| bench.broker.subscribe(channel(&room(n))));
        for subscribed in join_all(subscribe).await {
            subscribed.unwrap();
        }
        nodes.push(Node { bench, offsets: [0; CHANNELS] });
    }
    let mut bare = Bare::new(&server).await;
    let mut rows: Vec<Row> = work.limits.iter().map(|_| Row::default()).collect();
    // By the first of them, which does not count, all streams are there.
    for turn in 0..=work.turns {
        for (limits, row) in work.limits.iter().zip(&mut rows) {
            let (done, took) = publish_all(&server, &mut nodes, work, *limits).await;
            let together = done.calls / done.reads;
            let least = bare.publish_all(&server, work, together.round().max(1.0) as usize).await;
            if turn > 0 {
                let all = work.all() as f64;
                row.costs.push(1e6 * done.cpu / all);
                row.bare.push(1e6 * least.cpu / all);
                row.ratios.push(done.cpu / least.cpu);
                row.rates.push(all / took.as_secs_f64());
                row.together.push(together);
            }
        }
    }
    let unlimited = rows[0].costs.clone();
    for (limits, row) in work.limits.iter().zip(&mut rows) {
        let mut more: Vec<_> = row.costs.iter().zip(&unlimited).map(|(a, b)| a / b).collect();
        println!(
            "redis cost, {name}, within {limits} limits: ratio {}, {} µs of Redis for each \
             publish, {} bare, {} of one without limits; {} publications a second, {} calls in \
             each read; {} turns of {}",
            spread(&mut row.ratios, 2),
            spread(&mut row.costs, 1),
            spread(&mut row.bare, 1),
            spread(&mut more, 2),
            spread(&mut row.rates, 0),
            spread(&mut row.together, 1),
            work.turns,
            work.all(),
        );
    }
    rows
}

/// The median, and the lowest and the highest.
fn spread(values: &mut [f64], digits: usize) -> String {
    let middle = middle(values);
    let [first, .., last] = values else { panic!("{values:?}") };
    format!("{middle:.digits$} [{first:.digits$}-{last:.digits$}]")
}

/// The median.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A node, and how far it has heard each channel.
struct Node {
    bench: Bench,
    offsets: [u64; CHANNELS],
}

/// Everything is published, and comes to each node.
async fn publish_all(
    server: &RedisServer,
    nodes: &mut [Node],
    work: Work,
    limits: usize,
) -> (Done, Duration) {
    let before = Done::by(server).await;
    let began = Instant::now();
    let publishers: Vec<_> =
        nodes.iter().enumerate().map(|(at, node)| publish(&node.bench, at, work, limits)).collect();
    let hearing = join_all(nodes.iter_mut().map(|node| hear(node, work)));
    timeout(PATIENCE, hearing).await.expect("it comes");
    let took = began.elapsed();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    (Done::by(server).await.since(before), took)
}

/// A share of all publications, at this node.
fn publish(bench: &Bench, node: usize, work: Work, limits: usize) -> JoinHandle<()> {
    let broker = Arc::clone(&bench.broker);
    let keep = Retention { entries: work.entries, ..KEEP };
    tokio::spawn(async move {
        let publishers = (0..PUBLISHERS).map(async |publisher| {
            let mut pace = pace(publisher * NODES + node, NODES * PUBLISHERS, 1);
            let own = |n: &usize| n % (NODES * PUBLISHERS) == publisher * NODES + node;
            for n in (0..work.all()).filter(own) {
                if work.paced {
                    pace.tick().await;
                }
                let kept = Outgoing { keep: Some(keep), ..numbered(n as u64 % 10_000 + 10_000) };
                let (room, charges) = (room(n % CHANNELS), charges(n % USERS, limits));
                let publish =
                    || broker.publish_within(channel(&room), kept.clone(), charges.clone());
                // Where the machine stalls a call may take too long.
                while let Err(error) = publish().await {
                    assert!(matches!(error, NotPublished::Unavailable(_)), "{error:?}");
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
        join_all(publishers).await;
    })
}

/// So many limits of a publication by this user.
fn charges(user: usize, limits: usize) -> Vec<Charge> {
    let charge = |scope, subject: String, rate: Rate| Charge {
        scope,
        subject,
        rate,
        share: rate.share(NODES),
    };
    let all = [
        charge(Scope::User, format!("user-{user}"), USER),
        charge(Scope::ApiKey, "backend".to_owned(), KEY),
    ];
    all.into_iter().take(limits).collect()
}

/// Ticks for one of so many who are paced together, of whom each does some at a time.
fn pace(one: usize, of: usize, some: usize) -> tokio::time::Interval {
    let every = Duration::from_secs(1) * (of * some) as u32 / PACE as u32;
    let mut pace = interval_at(Instant::now() + every * one as u32 / of as u32, every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

/// Everything of a turn, once and in order. What comes beyond it belongs to the next.
async fn hear(node: &mut Node, work: Work) {
    let tops = node.offsets.map(|offset| offset + work.each as u64);
    let mut missing = CHANNELS;
    while missing > 0 {
        match node.bench.next().await {
            (_, Delivery::Publication { channel, publication, .. }) => {
                let n: usize = channel.as_str().strip_prefix("room-").unwrap().parse().unwrap();
                node.offsets[n] += 1;
                assert_eq!(publication.offset, node.offsets[n], "{channel}");
                missing -= usize::from(node.offsets[n] == tops[n]);
            }
            (_, Delivery::Probe(_)) => {}
            (_, delivery) => panic!("{delivery:?}"),
        }
    }
}

/// Calls the bare script, as the user that nodes are, on keys that are as long, by as
/// many connections as there are nodes.
struct Bare {
    connections: Vec<MultiplexedConnection>,
    script: String,
    /// Each counts what it has heard.
    listeners: Vec<watch::Receiver<usize>>,
    /// How often everything was published.
    turns: usize,
}

impl Bare {
    async fn new(server: &RedisServer) -> Bare {
        let client = server.client_as_node();
        let (mut connections, mut listeners) = (Vec::new(), Vec::new());
        for _ in 0..NODES {
            connections.push(client.get_multiplexed_async_connection().await.unwrap());
            let mut listener = client.get_async_pubsub().await.unwrap();
            for n in 0..CHANNELS {
                listener.subscribe(key(n, "t")).await.unwrap();
            }
            let (count, counted) = watch::channel(0);
            listeners.push(counted);
            tokio::spawn(async move {
                let mut messages = listener.into_on_message();
                while messages.next().await.is_some() {
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(BARE).clone();
        let script = load.query_async(&mut connections[0]).await.unwrap();
        Bare { connections, script, listeners, turns: 0 }
    }

    /// As many as the nodes, so many in each pipeline, for as many who listen.
    async fn publish_all(&mut self, server: &RedisServer, work: Work, together: usize) -> Done {
        let before = Done::by(server).await;
        let (script, turn) = (&self.script, self.turns);
        let callers = self.connections.iter_mut().enumerate().map(async |(caller, connection)| {
            let mut pace = pace(caller, NODES, together);
            let own = |n: &usize| n % CHANNELS % NODES == caller;
            let all: Vec<usize> = (0..work.all()).filter(own).collect();
            for some in all.chunks(together) {
                if work.paced {
                    pace.tick().await;
                }
                let calls = calls(script, some, work, turn);
                let answered = connection.req_packed_commands(&calls, 0, calls.len()).await;
                assert_eq!(answered.unwrap().len(), some.len());
            }
        });
        join_all(callers).await;
        self.turns += 1;
        let all = self.turns * work.all();
        for listener in &mut self.listeners {
            timeout(PATIENCE, listener.wait_for(|count| *count == all)).await.unwrap().unwrap();
        }
        Done::by(server).await.since(before)
    }
}

fn calls(script: &str, some: &[usize], work: Work, turn: usize) -> redis::Pipeline {
    let (head, record) = (vec![b'h'; HEAD], vec![b'r'; HEAD + FLAGS_AND_BODY]);
    let mut pipeline = redis::Pipeline::new();
    for n in some {
        let (room, offset) = (n % CHANNELS, turn * work.each + n / CHANNELS + 1);
        let call = pipeline.cmd("EVALSHA").arg(script).arg(2);
        call.arg(&[key(room, "m"), key(room, "s")]).arg(key(room, "t")).arg(&record);
        call.arg(work.entries).arg(offset).arg(&head);
    }
    pipeline
}

fn key(room: usize, kind: &str) -> String {
    format!("sc:{{{room:040x}}}:{kind}")
}
