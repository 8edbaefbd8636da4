//! `sealcast bench recover`: all drop, and come back for what they missed.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Nobody;
use super::call::Caller;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Manner;
use super::member::{Joined, Part, Position};
use super::message::{self, SHORTEST};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::Spread;
use super::target::{HISTORY, Kind, Peer, Target, namespace};

/// How long it takes until all are back with what they missed.
///
/// All connections subscribe, a hundred to a channel with a history, and drop at once. Then as
/// many messages as asked are published to each channel, and all come back, 128 at the same time.
/// Each must be given everything, once and in order. Timed, in seconds, is from the first
/// reconnect until the last has its messages; the CPU is the server's, in microseconds for each.
/// "reads" is how many of all recoveries were read at the broker: one for each channel, if nothing
/// is read again that the node has just read. "from the node" is the share of the others.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many connections. [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// How many messages each misses.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=HISTORY as i64))]
    missed: u32,
    /// Bytes of each.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Also with a Redis; redis-server must be in PATH.
    #[arg(long)]
    redis: bool,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Connections in a channel.
const ROOM: usize = 100;
/// Until the server has seen that all have gone.
const GONE: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_millis(100);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let connections = options.connections.unwrap_or(common.either(500, 10_000)) as usize;
    kernel::allow_connections(connections)?;
    let kinds = Kind::list(options.redis, &options.peer);
    let missed = options.missed as usize;
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut samples = Vec::new();
    for run in 1..=runs {
        for &kind in &kinds {
            let name = kind.name();
            progress.say(&format!("{connections} connections, run {run} of {runs}: {name}"));
            let bench = Bench { kind, connections, missed, bytes: options.bytes };
            samples.push(bench.run(&options.peer)?);
        }
    }
    drop(progress);
    Ok(outcome(&samples, &kinds, connections, missed))
}

struct Bench {
    kind: Kind,
    connections: usize,
    missed: usize,
    bytes: usize,
}

struct Sample {
    kind: Kind,
    connections: usize,
    wall: Duration,
    cpu: Duration,
    redis: Duration,
    /// How many recoveries there were, and those for which no broker was asked.
    recoveries: Option<(u64, u64)>,
}

impl Bench {
    fn run(&self, peer: &Peer) -> Result<Sample, Failure> {
        let Bench { kind, connections, .. } = *self;
        let target = Target::of(kind, connections, peer)?;
        // A peer has the channels of earlier runs still.
        let prefix = format!("{}{:08x}-", namespace(true), rand::random::<u32>());
        let channel = |at: usize| format!("{prefix}{}", at / ROOM);
        let positions = {
            let names = (0..connections).map(channel);
            let mut crowd = Crowd::gather_with(&target, "back", names, 0)?;
            crowd.linger(SETTLE, &mut Nobody)?;
            let positions = crowd.joined().map(|joined| joined.map(|it| it.position.clone()));
            positions.collect::<Option<Vec<_>>>().ok_or_else(|| {
                Failure::Server(format!("the channels have no positions at {}", kind.name()))
            })?
        };
        std::thread::sleep(GONE);
        let mut caller = Caller::new(&target)?;
        for room in 0..connections.div_ceil(ROOM) {
            self.publish(&mut caller, &channel(room * ROOM))?;
        }
        drop(caller);
        std::thread::sleep(SETTLE);
        let recoveries = recoveries(&target)?;
        let (cpu, redis) = (target.cpu()?, target.redis_cpu()?);
        let parts = positions.into_iter().enumerate().map(|(at, position)| {
            let token = target.tokens().of(&format!("back-{at}"))?;
            let part =
                Part::Subscriber { token, channels: vec![channel(at)], from: Some(position) };
            Ok((Manner::USUAL, part))
        });
        let parts = parts.collect::<Result<Vec<_>, Failure>>()?;
        let mut crowd = Crowd::of(&target, "back", parts, 0, Manner::USUAL.tongue)?;
        let wall = crowd.gathered_in();
        crowd.linger(SETTLE, &mut Nobody)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        let redis = target.redis_cpu()?.saturating_sub(redis);
        self.check(crowd.joined())?;
        let since = |(all, own): (u64, u64), (all_before, own_before)| {
            (all.saturating_sub(all_before), own.saturating_sub(own_before))
        };
        let recoveries = self::recoveries(&target)?.zip(recoveries).map(|(a, b)| since(a, b));
        Ok(Sample { kind, connections, wall, cpu, redis, recoveries })
    }

    fn publish(&self, caller: &mut Caller, channel: &str) -> Result<(), Failure> {
        for number in 0..self.missed {
            let data = message::payload(number as u64, self.bytes);
            let data: Value = serde_json::from_str(&data).unwrap_or_default();
            caller.call("publish", &json!({ "channel": channel, "data": data }))?;
        }
        Ok(())
    }

    /// Each has everything, once and in order.
    fn check<'a>(&self, joined: impl Iterator<Item = Option<&'a Joined>>) -> Result<(), Failure> {
        for (at, joined) in joined.enumerate() {
            let Some(Joined { recovered, missed, position }) = joined else {
                return Err(Failure::Delivery(format!("connection {at} has no position")));
            };
            let Position { offset, .. } = position;
            let expected = (0..self.missed as u64).map(Some);
            if !recovered || !missed.iter().copied().eq(expected) {
                return Err(Failure::Delivery(format!(
                    "connection {at} recovered: {recovered}, with {} of {} messages or in another \
                     order, and stands at {offset}",
                    missed.len(),
                    self.missed
                )));
            }
        }
        Ok(())
    }
}

fn recoveries(target: &Target) -> Result<Option<(u64, u64)>, Failure> {
    let all = target.count("sealcast_recover_total{recovered=\"yes\"} ")?;
    let own = target.count("sealcast_recover_from_tail_total ")?;
    Ok(all.zip(own))
}

impl Sample {
    /// Microseconds of CPU for a connection.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.connections as f64
    }

    /// The same of Redis; `None` without one.
    fn redis(&self) -> Option<f64> {
        let cost = self.redis.as_secs_f64() * 1e6 / self.connections as f64;
        (self.kind == Kind::OnRedis).then_some(cost)
    }

    fn seconds(&self) -> f64 {
        self.wall.as_secs_f64()
    }

    /// How many did need the broker.
    fn reads(&self) -> Option<f64> {
        self.recoveries.map(|(all, own)| all.saturating_sub(own) as f64)
    }

    /// The share that needed no broker.
    fn own(&self) -> Option<f64> {
        self.recoveries.filter(|(all, _)| *all > 0).map(|(all, own)| own as f64 / all as f64)
    }

    fn json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "connections": self.connections,
            "seconds": self.seconds(),
            "cpu_us_per_connection": self.cost(),
            "redis_cpu_us_per_connection": self.redis(),
            "channels": self.connections.div_ceil(ROOM),
            "reads": self.reads(),
            "share_from_the_node": self.own(),
        })
    }
}

fn outcome(samples: &[Sample], kinds: &[Kind], connections: usize, missed: usize) -> Outcome {
    let mut table = Table::new(
        format!(
            "{connections} connections in {} channels come back for {missed} messages each: median \
             [lowest-highest]; the ratio is of the CPU of neighbouring runs",
            connections.div_ceil(ROOM)
        ),
        &["server", "all back, s", "CPU µs each", "Redis", "to sealcast", "reads", "from the node"],
    );
    for &kind in kinds {
        let of = |kind| samples.iter().filter(move |it| it.kind == kind);
        let costs = |kind| of(kind).map(Sample::cost).collect::<Vec<_>>();
        let ratio = Spread::of_ratios(&costs(kind), &costs(Kind::Node));
        table.add(
            &[("server", kind.name().into())],
            &[
                Figure("seconds", 2, Spread::of(of(kind).map(Sample::seconds))),
                Figure("cpu_us_per_connection", 0, Spread::of(costs(kind))),
                Figure(
                    "redis_us_per_connection",
                    0,
                    Spread::of(of(kind).filter_map(Sample::redis)),
                ),
                Figure("ratio_to_sealcast", 2, ratio.filter(|_| kind != Kind::Node)),
                Figure("reads", 0, Spread::of(of(kind).filter_map(Sample::reads))),
                Figure("share_from_the_node", 2, Spread::of(of(kind).filter_map(Sample::own))),
            ],
        );
    }
    Outcome::new("recover", table, samples.iter().map(Sample::json).collect())
}
