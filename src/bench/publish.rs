//! `sealcast bench publish`: CPU for each publication of a client.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Publication;
use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Tongue;
use super::message::{self, SHORTEST};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::rooms::Rooms;
use super::stats::Spread;
use super::target::{Kind, Peer, Target, namespace};
use super::yardstick::Yardstick;

/// CPU time for each publication over WebSocket, in many small channels.
///
/// Each channel has one connection that publishes and one that listens. All publish one message
/// each, and the next when every publication has come and every publish is confirmed. The CPU is
/// the server's, in microseconds for a publication, its delivery and its confirmation; without a
/// history, and with one. With --redis the same is done by a node with a Redis of its own, which
/// is measured too.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many channels.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    channels: Option<u32>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// About how many publications each measurement takes. [default: 50000]
    #[arg(long, value_name = "N")]
    publications: Option<usize>,
    /// Whoever listens to a channel publishes there, instead of another connection: the
    /// confirmation and the delivery go to the same one, as in a chat.
    #[arg(long)]
    own: bool,
    /// Also with a Redis; redis-server must be in PATH.
    #[arg(long)]
    redis: bool,
    #[command(flatten)]
    tongue: Tongue,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    pub(super) common: Common,
}

const WARM_UP: usize = 3;
const SETTLE: Duration = Duration::from_millis(100);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let channels = options.channels.unwrap_or(common.either(50, 1_000)) as usize;
    let publications = options.publications.unwrap_or(common.either(1_000, 50_000));
    kernel::allow_connections(2 * channels + Yardstick::CONNECTIONS)?;
    let kinds = Kind::list(options.redis, &options.peer);
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut yardstick = Yardstick::new(common)?;
    let mut samples = Vec::new();
    for run in 1..=runs {
        for kept in [false, true] {
            for &kind in &kinds {
                let (name, stream) = (kind.name(), with(kept));
                progress.say(&format!("{channels} channels {stream}, run {run} of {runs}: {name}"));
                let rounds = (publications / channels).max(2);
                let (bytes, tongue) = (options.bytes, options.tongue);
                let own = options.own;
                let bench = Bench { kind, tongue, own, kept, channels, rounds, bytes };
                let delivery = yardstick.delivery()?;
                samples.push(bench.run(&options.peer, delivery)?);
            }
        }
    }
    drop(progress);
    Ok(outcome(&samples, &kinds, options, channels))
}

struct Bench {
    kind: Kind,
    tongue: Tongue,
    own: bool,
    kept: bool,
    channels: usize,
    rounds: usize,
    bytes: usize,
}

struct Sample {
    kind: Kind,
    kept: bool,
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
        let Bench { kind, tongue, own, kept, channels, rounds, bytes } = *self;
        let target = Target::of(kind, 2 * channels, peer)?;
        // A peer has the channels of earlier runs still.
        let prefix = format!("{}{:08x}-", namespace(kept), rand::random::<u32>());
        let mut rooms = Rooms::new(prefix, channels);
        let names = (0..channels).map(|at| rooms.channel(at)).collect::<Vec<_>>();
        let manner = tongue.by_websocket();
        let listen = names.iter().cloned();
        let publishers = if own { 0 } else { channels };
        let mut crowd = Crowd::gather_in(manner, &target, "pub", listen, publishers)?;
        let round = |crowd: &mut Crowd, rooms: &mut Rooms| {
            let payload = message::payload(rooms.publish(), bytes);
            for (at, channel) in names.iter().enumerate() {
                let publication = Publication::Payload { channel, payload: &payload };
                if own {
                    crowd.publish_as(at, &[publication])?;
                } else {
                    crowd.publish_by(at, &[publication])?;
                }
            }
            crowd.complete(rooms)
        };
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
        Ok(Sample { kind, kept, publications: rounds * channels, cpu, redis, wall, delivery })
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
            "publications": self.publications,
            "cpu_us_per_publication": self.cost(),
            "redis_cpu_us_per_publication": self.redis(),
            "floor_delivery_us": self.delivery,
            "publications_per_second": self.rate(),
        })
    }
}

fn outcome(samples: &[Sample], kinds: &[Kind], options: &Options, channels: usize) -> Outcome {
    let bytes = options.bytes;
    let to = if options.own { "one delivery to its publisher" } else { "one delivery" };
    let mut table = Table::new(
        format!(
            "CPU µs for a publication of {bytes} bytes with {to}, over {channels} \
             channels: median [lowest-highest]; the ratio is of neighbouring runs"
        ),
        &["history", "server", "CPU", "deliveries", "Redis", "to sealcast", "in a second"],
    );
    for kept in [false, true] {
        let of = |kind| samples.iter().filter(move |it| (it.kind, it.kept) == (kind, kept));
        let costs = |kind| of(kind).map(Sample::cost).collect::<Vec<_>>();
        for &kind in kinds {
            let ratio = Spread::of_ratios(&costs(kind), &costs(Kind::Node));
            table.add(
                &[("history", with(kept).into()), ("server", kind.name().into())],
                &[
                    Figure("cpu_us", 1, Spread::of(costs(kind))),
                    Figure("floor_deliveries", 2, Spread::of(of(kind).map(Sample::deliveries))),
                    Figure("redis_us", 1, Spread::of(of(kind).filter_map(Sample::redis))),
                    Figure("ratio_to_sealcast", 2, ratio.filter(|_| kind != Kind::Node)),
                    Figure("publications_per_second", 0, Spread::of(of(kind).map(Sample::rate))),
                ],
            );
        }
    }
    Outcome::new("publish", table, samples.iter().map(Sample::json).collect())
}

fn with(kept: bool) -> &'static str {
    if kept { "with" } else { "without" }
}
