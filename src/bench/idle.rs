//! `sealcast bench idle`: memory for each connection that rests.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Nobody;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Manner;
use super::listeners::{Each, Listeners};
use super::message::SHORTEST;
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::Spread;
use super::target::{Kind, Target};

/// Memory for each connection that rests.
///
/// It is the server's resident memory in bytes (VmRSS, seen from outside). Each connection has a token of its own and one subscription: to a channel of its own, or to one
/// channel with all the others. What is counted is the memory beyond that of a server that has
/// just started and served a few: when all rest after connecting, and when all rest again after
/// a publication to each. Then the CPU that pings and time-keeping take is measured.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many connections. [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// Each to its own channel, or all to one; both if not given.
    #[arg(long, value_enum)]
    channels: Option<Channels>,
    /// Bytes of the payload that each gets.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How long to watch the CPU of the resting server, seconds; pings come every 25.
    /// [default: 25]
    #[arg(long, value_name = "SECONDS")]
    watch: Option<u64>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Channels {
    Own,
    One,
}

/// The channel of all.
const CHANNEL: &str = "bench";
/// Connections that a server has served before it is measured.
const WARM_UP: usize = 20;

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let (common, manner) = (&options.common, options.manner);
    manner.check()?;
    let connections = options.connections.unwrap_or(common.either(500, 10_000)) as usize;
    kernel::allow_connections(connections + 1)?;
    let kinds = match options.channels {
        Some(channels) => vec![channels],
        None => vec![Channels::Own, Channels::One],
    };
    let watch = Duration::from_secs(options.watch.unwrap_or(common.either(2, 25)));
    let settle = Duration::from_millis(common.either(500, 3_000));
    let runs = common.runs(3);
    let progress = Progress::new();
    let mut samples = Vec::new();
    for run in 1..=runs {
        for &channels in &kinds {
            let name = channels.name();
            progress.say(&format!("{connections} connections, {name}, run {run} of {runs}"));
            let bench =
                Bench { manner, channels, connections, bytes: options.bytes, settle, watch };
            samples.push(bench.run()?);
        }
    }
    drop(progress);
    Ok(outcome(&samples, &kinds, manner, connections))
}

struct Bench {
    manner: Manner,
    channels: Channels,
    connections: usize,
    bytes: usize,
    settle: Duration,
    watch: Duration,
}

struct Sample {
    channels: Channels,
    connections: usize,
    /// Resident bytes: at first, with all connections, and after a publication.
    fresh: u64,
    idle: u64,
    after: u64,
    /// CPU time and how long it was watched.
    cpu: Duration,
    watched: Duration,
}

impl Bench {
    fn run(&self) -> Result<Sample, Failure> {
        let Bench { channels, connections, settle, watch, .. } = *self;
        let target = Target::start(Kind::Node, connections + 1)?;
        self.publish(&mut self.gather(&target, "first", WARM_UP)?, WARM_UP)?;
        std::thread::sleep(settle);
        let fresh = target.resident()?;
        let mut crowd = self.gather(&target, "idle", connections)?;
        crowd.linger(settle, &mut Nobody)?;
        let idle = target.resident()?;
        self.publish(&mut crowd, connections)?;
        crowd.linger(settle, &mut Nobody)?;
        let after = target.resident()?;
        let cpu = target.cpu()?;
        crowd.linger(watch, &mut Nobody)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        Ok(Sample { channels, connections, fresh, idle, after, cpu, watched: watch })
    }

    fn gather(&self, target: &Target, name: &str, count: usize) -> Result<Crowd, Failure> {
        let channels = (0..count).map(|at| match self.channels {
            Channels::Own => Each::channel(at),
            Channels::One => CHANNEL.to_owned(),
        });
        Crowd::gather_in(self.manner, target, name, channels, 1)
    }

    /// One publication to each.
    fn publish(&self, crowd: &mut Crowd, count: usize) -> Result<(), Failure> {
        match self.channels {
            Channels::Own => Each::new(count, self.bytes).publish(crowd),
            Channels::One => {
                let mut listeners = Listeners::new(CHANNEL, count, self.bytes, None);
                listeners.bursts(crowd, 1, 1)?;
                listeners.check()
            }
        }
    }
}

impl Channels {
    fn name(self) -> &'static str {
        match self {
            Channels::Own => "each its own channel",
            Channels::One => "all in one channel",
        }
    }
}

impl Sample {
    fn each(&self, resident: u64) -> f64 {
        (resident as f64 - self.fresh as f64) / self.connections as f64
    }

    /// Milliseconds of CPU in a second.
    fn cpu(&self) -> Option<f64> {
        (!self.watched.is_zero()).then(|| self.cpu.as_secs_f64() * 1e3 / self.watched.as_secs_f64())
    }

    fn json(&self, manner: Manner) -> Value {
        json!({
            "clients": manner.name(),
            "channels": self.channels.name(),
            "connections": self.connections,
            "fresh_bytes": self.fresh,
            "idle_bytes": self.idle,
            "after_bytes": self.after,
            "idle_bytes_each": self.each(self.idle),
            "after_bytes_each": self.each(self.after),
            "cpu_ms_per_second": self.cpu(),
        })
    }
}

fn outcome(samples: &[Sample], kinds: &[Channels], manner: Manner, connections: usize) -> Outcome {
    let mut table = Table::new(
        format!(
            "Resident bytes for each of {connections} connections by {}, median [lowest-highest]: \
             idle, and after a publication to each; CPU of the resting server, ms in a second",
            manner.name()
        ),
        &["channels", "connections", "idle", "after", "fresh server, MB", "CPU"],
    );
    for &kind in kinds {
        let of = || samples.iter().filter(move |sample| sample.channels == kind);
        table.add(
            &[("channels", kind.name().into()), ("connections", connections.into())],
            &[
                Figure("idle_bytes_each", 0, Spread::of(of().map(|it| it.each(it.idle)))),
                Figure("after_bytes_each", 0, Spread::of(of().map(|it| it.each(it.after)))),
                Figure("fresh_megabytes", 1, Spread::of(of().map(|it| it.fresh as f64 / 1e6))),
                Figure("cpu_ms_per_second", 1, Spread::of(of().filter_map(Sample::cpu))),
            ],
        );
    }
    Outcome::new("idle", table, samples.iter().map(|it| it.json(manner)).collect())
}
