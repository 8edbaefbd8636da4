//! What publishing costs Redis, beside a bare script that does the same writes; and
//! that three nodes have everything of many channels.
//!
//! Processor time is Redis' own count, so that it does not matter what else runs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::ConnectionLike as _;
use sealcast::broker::{Delivery, Outgoing};
use tokio::time::{Instant, timeout};

use super::{KEEP, room};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::redis::RedisServer;

const NODES: usize = 3;
const CHANNELS: usize = 500;
/// Publications of each channel.
const EACH: usize = 20;
const ALL: usize = CHANNELS * EACH;
/// Who publishes at the same time, at each node.
const PUBLISHERS: usize = 100;
/// The most that a publish may cost of what a bare script costs; 1.7 is usual, and a
/// loaded machine adds to it.
const MOST: f64 = 2.5;

/// Writes what a publish writes, and publishes: nothing is looked up, compared or
/// bounded.
const BARE: &str = r"
redis.call('XADD', KEYS[2], ARGV[1] .. '-0', 'r', ARGV[3])
redis.call('RPUSH', KEYS[3], ARGV[2] .. ' ' .. ARGV[2])
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'b', ARGV[2], 't', '12345678')
redis.call('PEXPIRE', KEYS[2], 600000)
redis.call('PEXPIRE', KEYS[3], 600000)
redis.call('PEXPIRE', KEYS[1], 600000)
redis.call('PUBLISH', KEYS[4], ARGV[3])
return ARGV[1]";

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_nodes_have_everything_and_redis_does_little_more_than_it_must() {
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
    let before = Done::by(&server).await;
    let began = Instant::now();
    let publishers: Vec<_> = nodes.iter().enumerate().map(publish).collect();
    let hearing = join_all(nodes.iter_mut().map(hear));
    let heard = timeout(Duration::from_secs(60), hearing).await.expect("it comes");
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let took = began.elapsed();
    let done = Done::by(&server).await.since(before);
    assert_eq!(heard, [ALL; NODES], "each node has everything");
    drop(nodes);
    let together = done.calls / done.reads;
    let bare = bare(&server, together.round() as usize).await;
    let ratio = done.cpu / bare.cpu;
    eprintln!(
        "seed none: {:.0} publications a second, {together:.1} calls in each read, \
         {:.1} µs of Redis for each publish, {:.1} bare, ratio {ratio:.2}",
        ALL as f64 / took.as_secs_f64(),
        1e6 * done.cpu / ALL as f64,
        1e6 * bare.cpu / ALL as f64,
    );
    assert!(together > 2.0, "commands wait for each other: {together:.1} in each read");
    assert!(ratio < MOST, "{ratio:.2} of a bare script");
}

/// A share of all publications, at this node.
fn publish((node, bench): (usize, &Bench)) -> tokio::task::JoinHandle<()> {
    let broker = Arc::clone(&bench.broker);
    tokio::spawn(async move {
        let publishers = (0..PUBLISHERS).map(async |publisher| {
            let own = |n: &usize| n % (NODES * PUBLISHERS) == publisher * NODES + node;
            for n in (0..ALL).filter(own) {
                let kept = Outgoing { keep: Some(KEEP), ..numbered(n as u64) };
                broker.publish(channel(&room(n % CHANNELS)), kept).await.unwrap();
            }
        });
        join_all(publishers).await;
    })
}

/// Everything once and in order; how much that is.
async fn hear(bench: &mut Bench) -> usize {
    let mut offsets = [0; CHANNELS];
    let mut count = 0;
    while count < ALL {
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
    count
}

/// As many of the bare script, so many in each pipeline, for as many who listen.
async fn bare(server: &RedisServer, together: usize) -> Done {
    let client = redis::Client::open(format!("redis://{}", server.address())).unwrap();
    let topic = |n: usize| format!("bare:{n}:topic");
    let mut listeners = Vec::new();
    for _ in 0..NODES {
        let mut listener = client.get_async_pubsub().await.unwrap();
        for n in 0..CHANNELS {
            listener.subscribe(topic(n)).await.unwrap();
        }
        listeners.push(tokio::spawn(async move {
            let mut messages = listener.into_on_message();
            for _ in 0..ALL {
                futures_util::StreamExt::next(&mut messages).await.unwrap();
            }
        }));
    }
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let script: String =
        redis::cmd("SCRIPT").arg("LOAD").arg(BARE).query_async(&mut connection).await.unwrap();
    // What a publication of these is long.
    let record = vec![b'x'; 90];
    let before = Done::by(server).await;
    let all: Vec<usize> = (0..ALL).collect();
    for some in all.chunks(together) {
        let mut pipeline = redis::Pipeline::new();
        for n in some {
            let key = |kind: &str| format!("bare:{}:{kind}", n % CHANNELS);
            let call = pipeline.cmd("EVALSHA").arg(&script).arg(4);
            let keys = [key("meta"), key("stream"), key("sizes"), topic(n % CHANNELS)];
            call.arg(&keys).arg(n / CHANNELS + 1).arg(n * 90).arg(&record);
        }
        connection.req_packed_commands(&pipeline, 0, pipeline.len()).await.unwrap();
    }
    for listener in listeners {
        listener.await.unwrap();
    }
    Done::by(server).await.since(before)
}
