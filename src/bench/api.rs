//! `sealcast bench api`: CPU for each publication by the server API.

use std::time::Duration;

use serde_json::{Value, json};

use super::call::Caller;
use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::message::{self, SHORTEST};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::rooms::Rooms;
use super::stats::Spread;
use super::target::{Kind, Peer, Target, namespace};
use super::yardstick::Yardstick;

/// CPU time for each publication by the server API.
///
/// 16 connections that stay each publish to a channel of their own: a call with one publication, or a batch of 20;
/// the next when all have been answered. The first of the channels has a subscriber, who must
/// have all of it in order; of the others every answer must be a success, and a history must
/// stand where it should. The CPU is the server's, in microseconds for a publication.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// About how many publications each measurement takes. [default: 60000]
    #[arg(long, value_name = "N")]
    publications: Option<usize>,
    /// Also with a Redis; redis-server must be in PATH.
    #[arg(long)]
    redis: bool,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    pub(super) common: Common,
}

const CALLERS: usize = 16;
/// Publications in a call.
const SIZES: [usize; 2] = [1, 20];
const WARM_UP: usize = 20;
const SETTLE: Duration = Duration::from_millis(100);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let publications = options.publications.unwrap_or(common.either(2_000, 60_000));
    let kinds = Kind::list(options.redis, &options.peer);
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut yardstick = Yardstick::new(common)?;
    let mut samples = Vec::new();
    for run in 1..=runs {
        for kept in [false, true] {
            for size in SIZES {
                for &kind in &kinds {
                    let name = kind.name();
                    progress.say(&format!("calls of {size}, run {run} of {runs}: {name}"));
                    let rounds = (publications / (CALLERS * size)).max(2);
                    let bench = Bench { kind, kept, size, rounds, bytes: options.bytes };
                    let delivery = yardstick.delivery()?;
                    samples.push(bench.run(&options.peer, delivery)?);
                }
            }
        }
    }
    drop(progress);
    Ok(outcome(&samples, &kinds, options.bytes))
}

struct Bench {
    kind: Kind,
    kept: bool,
    size: usize,
    rounds: usize,
    bytes: usize,
}

struct Sample {
    kind: Kind,
    kept: bool,
    size: usize,
    publications: usize,
    cpu: Duration,
    redis: Duration,
    wall: Duration,
    /// Microseconds of CPU that a floor's delivery took just before.
    delivery: f64,
}

impl Bench {
    /// `delivery` is what a floor's took just before.
    fn run(&self, peer: &Peer, delivery: f64) -> Result<Sample, Failure> {
        let Bench { kind, kept, size, rounds, .. } = *self;
        let target = Target::of(kind, CALLERS + 2, peer)?;
        // A peer has the channels of earlier runs still.
        let prefix = format!("{}{:08x}-", namespace(kept), rand::random::<u32>());
        let mut rooms = Rooms::new(prefix, 1);
        let names = (0..CALLERS).map(|at| rooms.channel(at)).collect::<Vec<_>>();
        let heard = names.iter().take(1).cloned().collect::<Vec<_>>();
        let mut crowd = Crowd::gather_with(&target, "api", heard.into_iter(), 0)?;
        let callers = (0..CALLERS).map(|_| Caller::new(&target));
        let mut callers = callers.collect::<Result<Vec<_>, Failure>>()?;
        let mut round =
            |crowd: &mut Crowd, rooms: &mut Rooms| self.round(&names, &mut callers, crowd, rooms);
        for _ in 0..WARM_UP {
            round(&mut crowd, &mut rooms)?;
        }
        crowd.linger(SETTLE, &mut rooms)?;
        let (cpu, redis) = (target.cpu()?, target.redis_cpu()?);
        let start = clock::now();
        for _ in 0..rounds {
            round(&mut crowd, &mut rooms)?;
        }
        let wall = start.elapsed();
        crowd.linger(SETTLE, &mut rooms)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        let redis = target.redis_cpu()?.saturating_sub(redis);
        rooms.check()?;
        if kept {
            for name in &names {
                self.stands(&mut callers, name)?;
            }
        }
        let publications = rounds * size * CALLERS;
        Ok(Sample { kind, kept, size, publications, cpu, redis, wall, delivery })
    }

    /// A call by each, until all are answered and all has come.
    fn round(
        &self,
        names: &[String],
        callers: &mut [Caller],
        crowd: &mut Crowd,
        rooms: &mut Rooms,
    ) -> Result<(), Failure> {
        let payloads: Vec<Value> = (0..self.size)
            .map(|_| message::payload(rooms.publish(), self.bytes))
            .map(|payload| serde_json::from_str(&payload).unwrap_or_default())
            .collect();
        for (caller, channel) in callers.iter_mut().zip(names) {
            let publish = |data: &Value| json!({ "channel": channel, "data": data });
            match &payloads[..] {
                [one] => caller.send("publish", &publish(one))?,
                all => {
                    let commands = all.iter().map(|data| json!({ "publish": publish(data) }));
                    let batch = json!({ "commands": commands.collect::<Vec<_>>() });
                    caller.send("batch", &batch)?;
                }
            }
        }
        for caller in callers {
            let answer = caller.take()?;
            let answered = answer.get("replies").and_then(Value::as_array).map_or(1, Vec::len);
            if answered != self.size {
                return Err(Failure::Server(format!("{} calls had {answered} answers", self.size)));
            }
        }
        crowd.complete(rooms)
    }

    /// The history of a channel has everything.
    fn stands(&self, callers: &mut [Caller], channel: &str) -> Result<(), Failure> {
        let Some(caller) = callers.first_mut() else { return Ok(()) };
        let answer = caller.call("history", &json!({ "channel": channel, "limit": 0 }))?;
        let top = answer.pointer("/result/offset").and_then(Value::as_u64);
        let expected = ((self.rounds + WARM_UP) * self.size) as u64;
        if top == Some(expected) {
            return Ok(());
        }
        Err(Failure::Delivery(format!("{channel} stands at {top:?} after {expected} publications")))
    }
}

impl Sample {
    /// Microseconds of CPU for a publication.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.publications as f64
    }

    /// The same in deliveries of the floor.
    fn deliveries(&self) -> f64 {
        self.cost() / self.delivery
    }

    /// The same of Redis; `None` without one.
    fn redis(&self) -> Option<f64> {
        let cost = self.redis.as_secs_f64() * 1e6 / self.publications as f64;
        (self.kind == Kind::OnRedis).then_some(cost)
    }

    fn rate(&self) -> f64 {
        self.publications as f64 / self.wall.as_secs_f64()
    }

    fn json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "history": self.kept,
            "publications_in_a_call": self.size,
            "publications": self.publications,
            "cpu_us_per_publication": self.cost(),
            "redis_cpu_us_per_publication": self.redis(),
            "floor_delivery_us": self.delivery,
            "publications_per_second": self.rate(),
        })
    }
}

fn outcome(samples: &[Sample], kinds: &[Kind], bytes: usize) -> Outcome {
    let mut table = Table::new(
        format!(
            "CPU µs for a publication of {bytes} bytes by the server API: median \
             [lowest-highest]; the ratio is of neighbouring runs"
        ),
        &[
            "history",
            "in a call",
            "server",
            "CPU",
            "deliveries",
            "Redis",
            "to sealcast",
            "in a second",
        ],
    );
    for (kept, size) in [false, true].into_iter().flat_map(|kept| SIZES.map(|size| (kept, size))) {
        let of = |kind| {
            samples.iter().filter(move |it| (it.kind, it.kept, it.size) == (kind, kept, size))
        };
        let costs = |kind| of(kind).map(Sample::cost).collect::<Vec<_>>();
        for &kind in kinds {
            let ratio = Spread::of_ratios(&costs(kind), &costs(Kind::Node));
            let history = if kept { "with" } else { "without" };
            table.add(
                &[
                    ("history", history.into()),
                    ("publications_in_a_call", size.into()),
                    ("server", kind.name().into()),
                ],
                &[
                    Figure("cpu_us", 2, Spread::of(costs(kind))),
                    Figure("floor_deliveries", 2, Spread::of(of(kind).map(Sample::deliveries))),
                    Figure("redis_us", 2, Spread::of(of(kind).filter_map(Sample::redis))),
                    Figure("ratio_to_sealcast", 2, ratio.filter(|_| kind != Kind::Node)),
                    Figure("publications_per_second", 0, Spread::of(of(kind).map(Sample::rate))),
                ],
            );
        }
    }
    Outcome::new("api", table, samples.iter().map(Sample::json).collect())
}
