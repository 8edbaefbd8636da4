//! What publishing costs Redis, beside a bare script that does the same writes; and
//! that three nodes have everything of many channels.
//!
//! Processor time is Redis' own count. The two take turns, because what a machine
//! makes of the same work differs from one second to the next by more than they do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use sealcast::broker::{Delivery, Outgoing, Retention};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

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
/// turns. 1.3 is what it is to cost; a loaded machine adds to it.
const MOST: f64 = 2.0;

/// Writes what a publish writes, and publishes and answers as much: nothing is read,
/// compared or put together. Of a stream that is there, as nearly always.
const BARE: &str = r"
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], ARGV[4], 'r', ARGV[2])
redis.call('SETRANGE', KEYS[1], 0, ARGV[5])
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
}

impl Work {
    fn all(&self) -> usize {
        self.each * CHANNELS
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_nodes_have_everything_and_redis_does_little_more_than_it_must() {
    let work = Work { turns: 5, each: 10, paced: false, entries: KEEP.entries };
    let (ratio, together) = compare("as fast as it goes", work).await;
    assert!(together > 2.0, "commands wait for each other: {together:.1} in each read");
    assert!(ratio < MOST, "{ratio:.2} of a bare script");
}

/// The figures of `docs/performance.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes two minutes; see scripts/long"]
async fn what_a_publish_costs_redis() {
    let fast = Work { turns: 15, each: 20, paced: false, entries: KEEP.entries };
    compare("as fast as it goes", fast).await;
    compare("as fast as it goes, histories full", Work { entries: 20, ..fast }).await;
    compare("5,000 a second", Work { turns: 7, each: 40, paced: true, ..fast }).await;
}

/// Turn by turn the nodes and the bare script; the ratio in the middle, and how many
/// calls came together.
async fn compare(name: &str, work: Work) -> (f64, f64) {
    let server = RedisServer::start().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let bench = Bench::on(server.config()).await;
        let subscribe = (0..CHANNELS).map(|n| bench.broker.subscribe(channel(&room(n))));
        for subscribed in join_all(subscribe).await {
            subscribed.unwrap();
        }
        nodes.push(bench);
    }
    let mut bare = Bare::new(&server).await;
    let (mut costs, mut bare_costs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rates, mut togethers) = (Vec::new(), Vec::new());
    // By the first of them, which does not count, all streams are there.
    for turn in 0..=work.turns {
        let (done, took) = publish_all(&server, &mut nodes, work, turn).await;
        let together = done.calls / done.reads;
        let least = bare.publish_all(&server, work, turn, together.round().max(1.0) as usize).await;
        if turn > 0 {
            let all = work.all() as f64;
            costs.push(1e6 * done.cpu / all);
            bare_costs.push(1e6 * least.cpu / all);
            ratios.push(done.cpu / least.cpu);
            rates.push(all / took.as_secs_f64());
            togethers.push(together);
        }
    }
    println!(
        "redis cost, {name}: ratio {}, {} µs of Redis for each publish, {} bare; \
         {} publications a second, {} calls in each read; {} turns of {}",
        spread(&mut ratios, 2),
        spread(&mut costs, 1),
        spread(&mut bare_costs, 1),
        spread(&mut rates, 0),
        spread(&mut togethers, 1),
        work.turns,
        work.all(),
    );
    (ratios[work.turns / 2], togethers[work.turns / 2])
}

/// The median, and the lowest and the highest.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let [first, .., last] = values else { panic!("{values:?}") };
    let (first, last) = (*first, *last);
    format!("{:.digits$} [{first:.digits$}-{last:.digits$}]", values[values.len() / 2])
}

/// Everything is published, and comes to each node.
async fn publish_all(
    server: &RedisServer,
    nodes: &mut [Bench],
    work: Work,
    turn: usize,
) -> (Done, Duration) {
    let before = Done::by(server).await;
    let began = Instant::now();
    let publishers: Vec<_> =
        nodes.iter().enumerate().map(|(node, bench)| publish(bench, node, work)).collect();
    let hearing = join_all(nodes.iter_mut().map(|bench| hear(bench, work, turn)));
    timeout(PATIENCE, hearing).await.expect("it comes");
    let took = began.elapsed();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    (Done::by(server).await.since(before), took)
}

/// A share of all publications, at this node.
fn publish(bench: &Bench, node: usize, work: Work) -> tokio::task::JoinHandle<()> {
    let broker = Arc::clone(&bench.broker);
    let keep = Retention { entries: work.entries, ..KEEP };
    tokio::spawn(async move {
        let publishers = (0..PUBLISHERS).map(async |publisher| {
            let mut pace = pace(NODES * PUBLISHERS);
            let own = |n: &usize| n % (NODES * PUBLISHERS) == publisher * NODES + node;
            for n in (0..work.all()).filter(own) {
                if work.paced {
                    pace.tick().await;
                }
                let kept = Outgoing { keep: Some(keep), ..numbered(n as u64 % 10_000 + 10_000) };
                broker.publish(channel(&room(n % CHANNELS)), kept).await.unwrap();
            }
        });
        join_all(publishers).await;
    })
}

/// Ticks for one of so many who are paced together.
fn pace(publishers: usize) -> tokio::time::Interval {
    let mut pace = interval(Duration::from_secs(1) * publishers as u32 / PACE as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

/// Everything of a turn, once and in order.
async fn hear(bench: &mut Bench, work: Work, turn: usize) {
    let mut offsets = [(turn * work.each) as u64; CHANNELS];
    let mut count = 0;
    while count < work.all() {
        match bench.next().await {
            (_, Delivery::Publication { channel, publication, .. }) => {
                let n: usize = channel.as_str().strip_prefix("room-").unwrap().parse().unwrap();
                offsets[n] += 1;
                assert_eq!(publication.offset, offsets[n], "{channel}");
                count += 1;
            }
            (_, Delivery::Probe(_)) => {}
            (_, delivery) => panic!("{delivery:?}"),
        }
    }
    assert_eq!(offsets, [((turn + 1) * work.each) as u64; CHANNELS]);
}

/// Calls the bare script, as the user that nodes are, on keys that are as long.
struct Bare {
    connection: MultiplexedConnection,
    script: String,
    /// Each counts what it has heard.
    listeners: Vec<tokio::sync::watch::Receiver<usize>>,
}

impl Bare {
    async fn new(server: &RedisServer) -> Bare {
        let client = server.client_as_node();
        let mut listeners = Vec::new();
        for _ in 0..NODES {
            let mut listener = client.get_async_pubsub().await.unwrap();
            for n in 0..CHANNELS {
                listener.subscribe(key(n, "t")).await.unwrap();
            }
            let (count, counted) = tokio::sync::watch::channel(0);
            listeners.push(counted);
            tokio::spawn(async move {
                let mut messages = listener.into_on_message();
                while futures_util::StreamExt::next(&mut messages).await.is_some() {
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(BARE).clone();
        let script = load.query_async(&mut connection).await.unwrap();
        Bare { connection, script, listeners }
    }

    /// As many as the nodes, so many in each pipeline, for as many who listen.
    async fn publish_all(
        &mut self,
        server: &RedisServer,
        work: Work,
        turn: usize,
        together: usize,
    ) -> Done {
        let (head, record) = (vec![b'h'; HEAD], vec![b'r'; HEAD + FLAGS_AND_BODY]);
        let before = Done::by(server).await;
        let mut pace = interval(Duration::from_secs(1) * together as u32 / PACE as u32);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let all: Vec<usize> = (0..work.all()).collect();
        for some in all.chunks(together) {
            if work.paced {
                pace.tick().await;
            }
            let mut pipeline = redis::Pipeline::new();
            for n in some {
                let (room, offset) = (n % CHANNELS, turn * work.each + n / CHANNELS + 1);
                let call = pipeline.cmd("EVALSHA").arg(&self.script).arg(2);
                call.arg(&[key(room, "m"), key(room, "s")]).arg(key(room, "t")).arg(&record);
                call.arg(work.entries).arg(offset).arg(&head);
            }
            let answered =
                self.connection.req_packed_commands(&pipeline, 0, pipeline.len()).await.unwrap();
            assert_eq!(answered.len(), some.len());
        }
        let all = (turn + 1) * work.all();
        for listener in &mut self.listeners {
            timeout(PATIENCE, listener.wait_for(|count| *count == all)).await.unwrap().unwrap();
        }
        Done::by(server).await.since(before)
    }
}

fn key(room: usize, kind: &str) -> String {
    format!("sc:{{{room:040x}}}:{kind}")
}
