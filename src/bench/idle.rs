//! `sealcast bench idle`: memory for each connection that rests.

use std::collections::VecDeque;
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
use super::target::{Kind, Peer, Target};

/// Memory for each connection that rests.
///
/// It is the server's resident memory in bytes (VmRSS, seen from outside). Each connection has a token of its own and one subscription: to a channel of its own, or to one
/// channel with all the others. What is counted is the memory beyond that of a server that has
/// just started and served a few: when all rest after connecting, when all rest again after
/// a publication to each, and when they rest after a twentieth of them at a time has been
/// replaced by others, again and again, --churn in all. Before that the CPU that pings and
/// time-keeping take is measured. A server given with --against is not started anew, and may
/// keep what an earlier run took: only a first run of a fresh one means something.
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
    /// How many connections come and go before the last look; 0 leaves it out. [default: 180000,
    /// what come in an hour if 50 do in a second]
    #[arg(long, value_name = "N")]
    churn: Option<u32>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    peer: Peer,
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
/// Into how many parts the connections are cut that are replaced together.
const PARTS: usize = 20;

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let (common, manner) = (&options.common, options.manner);
    manner.check()?;
    let connections = options.connections.unwrap_or(common.either(500, 10_000)) as usize;
    kernel::allow_connections(most(connections))?;
    let kinds = match options.channels {
        Some(channels) => vec![channels],
        None => vec![Channels::Own, Channels::One],
    };
    let watch = Duration::from_secs(options.watch.unwrap_or(common.either(2, 25)));
    let churn = options.churn.unwrap_or(common.either(1_000, 180_000)) as usize;
    let settle = Duration::from_millis(common.either(500, 3_000));
    let runs = common.runs(3);
    let progress = Progress::new();
    let mut samples = Vec::new();
    let servers = Kind::list(false, &options.peer);
    for run in 1..=runs {
        for &channels in &kinds {
            for &kind in &servers {
                let (name, server) = (channels.name(), kind.name());
                progress.say(&format!(
                    "{connections} connections, {name}, run {run} of {runs}: {server}"
                ));
                let bytes = options.bytes;
                let bench =
                    Bench { kind, manner, channels, connections, bytes, settle, watch, churn };
                samples.push(bench.run(&options.peer)?);
            }
        }
    }
    drop(progress);
    Ok(outcome(&samples, (&servers, &kinds), manner, connections))
}

struct Bench {
    kind: Kind,
    manner: Manner,
    channels: Channels,
    connections: usize,
    bytes: usize,
    settle: Duration,
    watch: Duration,
    churn: usize,
}

struct Sample {
    kind: Kind,
    channels: Channels,
    connections: usize,
    /// Resident bytes: at first, with all connections, after a publication, and after others
    /// have come in their place.
    fresh: u64,
    idle: u64,
    after: u64,
    churned: Option<u64>,
    /// CPU time and how long it was watched.
    cpu: Duration,
    watched: Duration,
}

impl Bench {
    fn run(&self, peer: &Peer) -> Result<Sample, Failure> {
        let Bench { kind, channels, connections, settle, watch, .. } = *self;
        let target = Target::of(kind, most(connections), peer)?;
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
        drop(crowd);
        let churned = (self.churn > 0).then(|| self.churn(&target)).transpose()?;
        let watched = watch;
        Ok(Sample { kind, channels, connections, fresh, idle, after, churned, cpu, watched })
    }

    /// Resident bytes when as many rest as before, after so many have come and gone.
    fn churn(&self, target: &Target) -> Result<u64, Failure> {
        let Bench { connections, churn, settle, .. } = *self;
        // Those before are not to be there together with the first of these.
        std::thread::sleep(settle);
        let size = connections.div_ceil(PARTS);
        let mut parts = VecDeque::new();
        let mut come = 0;
        while come < churn.max(connections) {
            let first = come % connections;
            let last = (first + size).min(connections);
            if come >= connections {
                parts.pop_front();
            }
            let channels = (first..last).map(|at| self.channel(at));
            let name = format!("churn-{come}");
            parts.push_back(Crowd::gather_in(self.manner, target, &name, channels, 0)?);
            come += last - first;
            // Whoever is pinged meanwhile has to answer.
            for part in &mut parts {
                part.turn(Duration::ZERO, &mut Nobody)?;
            }
        }
        for part in &mut parts {
            part.linger(settle / u32::try_from(PARTS).unwrap_or(1), &mut Nobody)?;
        }
        target.resident()
    }

    fn gather(&self, target: &Target, name: &str, count: usize) -> Result<Crowd, Failure> {
        let channels = (0..count).map(|at| self.channel(at));
        Crowd::gather_in(self.manner, target, name, channels, 1)
    }

    fn channel(&self, at: usize) -> String {
        match self.channels {
            Channels::Own => Each::channel(at),
            Channels::One => CHANNEL.to_owned(),
        }
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

/// With the one that publishes, and a part that is still leaving.
fn most(connections: usize) -> usize {
    connections + 1 + connections.div_ceil(PARTS)
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
            "server": self.kind.name(),
            "clients": manner.name(),
            "channels": self.channels.name(),
            "connections": self.connections,
            "fresh_bytes": self.fresh,
            "idle_bytes": self.idle,
            "after_bytes": self.after,
            "churned_bytes": self.churned,
            "idle_bytes_each": self.each(self.idle),
            "after_bytes_each": self.each(self.after),
            "churned_bytes_each": self.churned.map(|churned| self.each(churned)),
            "cpu_ms_per_second": self.cpu(),
        })
    }
}

fn outcome(
    samples: &[Sample],
    (servers, kinds): (&[Kind], &[Channels]),
    manner: Manner,
    connections: usize,
) -> Outcome {
    let mut table = Table::new(
        format!(
            "Resident bytes for each of {connections} connections by {}, median [lowest-highest]: \
             idle, after a publication to each, and after churn; CPU of the resting server, ms in a \
             second",
            manner.name()
        ),
        &[
            "server",
            "channels",
            "connections",
            "idle",
            "after",
            "churned",
            "fresh server, MB",
            "CPU",
        ],
    );
    let churned = |it: &Sample| it.churned.map(|churned| it.each(churned));
    for (&server, &kind) in kinds.iter().flat_map(|kind| servers.iter().map(move |it| (it, kind))) {
        let of = || samples.iter().filter(move |it| (it.kind, it.channels) == (server, kind));
        table.add(
            &[
                ("server", server.name().into()),
                ("channels", kind.name().into()),
                ("connections", connections.into()),
            ],
            &[
                Figure("idle_bytes_each", 0, Spread::of(of().map(|it| it.each(it.idle)))),
                Figure("after_bytes_each", 0, Spread::of(of().map(|it| it.each(it.after)))),
                Figure("churned_bytes_each", 0, Spread::of(of().filter_map(churned))),
                Figure("fresh_megabytes", 1, Spread::of(of().map(|it| it.fresh as f64 / 1e6))),
                Figure("cpu_ms_per_second", 1, Spread::of(of().filter_map(Sample::cpu))),
            ],
        );
    }
    Outcome::new("idle", table, samples.iter().map(|it| it.json(manner)).collect())
}
