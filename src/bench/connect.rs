//! `sealcast bench connect`: what it takes to connect.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Nobody;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Manner;
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::Spread;
use super::target::{Kind, Peer, Target};
use super::yardstick::Yardstick;

/// CPU time to take a connection.
///
/// It is the server's, in microseconds, by the kernel, for the TCP socket, the WebSocket handshake
/// or the head of an event stream, a token (HS256), and one subscription. Each connection waits for each answer, as the SDKs do, and stays; 128 are being made at the same
/// time. Connections per second are what two processes on this machine reach together.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many connections. [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Connections that a server has served before it is measured.
const WARM_UP: usize = 100;
const SETTLE: Duration = Duration::from_millis(100);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    let (common, manner) = (&options.common, options.manner);
    manner.check()?;
    let connections = options.connections.unwrap_or(common.either(500, 10_000)) as usize;
    kernel::allow_connections(connections + WARM_UP + 2 + Yardstick::CONNECTIONS)?;
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut yardstick = Yardstick::new(common)?;
    let mut samples = Vec::new();
    let kinds = Kind::list(false, &options.peer);
    for run in 1..=runs {
        for &kind in &kinds {
            let name = kind.name();
            progress.say(&format!("{connections} connections, run {run} of {runs}: {name}"));
            let delivery = yardstick.delivery()?;
            samples.push(measure(kind, manner, connections, &options.peer, delivery)?);
        }
    }
    drop(progress);
    Ok(outcome(&samples, &kinds, manner, connections))
}

struct Sample {
    kind: Kind,
    manner: Manner,
    connections: usize,
    cpu: Duration,
    wall: Duration,
    /// Microseconds of CPU that a floor's delivery took just before.
    delivery: f64,
}

/// `delivery` is what a floor's took just before.
fn measure(
    kind: Kind,
    manner: Manner,
    connections: usize,
    peer: &Peer,
    delivery: f64,
) -> Result<Sample, Failure> {
    let target = Target::of(kind, connections + WARM_UP + 2, peer)?;
    let channels = |count| (0..count).map(|at| format!("room-{}", at % 100));
    let mut first = Crowd::gather_in(manner, &target, "first", channels(WARM_UP), 1)?;
    first.linger(SETTLE, &mut Nobody)?;
    let cpu = target.cpu()?;
    let mut crowd = Crowd::gather_in(manner, &target, "user", channels(connections), 1)?;
    let wall = crowd.gathered_in();
    crowd.linger(SETTLE, &mut Nobody)?;
    let cpu = target.cpu()?.saturating_sub(cpu);
    Ok(Sample { kind, manner, connections, cpu, wall, delivery })
}

impl Sample {
    /// Microseconds of CPU for a connection.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.connections as f64
    }

    /// The same in deliveries of the floor.
    fn deliveries(&self) -> f64 {
        self.cost() / self.delivery
    }

    fn rate(&self) -> f64 {
        self.connections as f64 / self.wall.as_secs_f64()
    }

    fn json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "clients": self.manner.name(),
            "connections": self.connections,
            "cpu_us_per_connection": self.cost(),
            "floor_delivery_us": self.delivery,
            "connections_per_second": self.rate(),
        })
    }
}

fn outcome(samples: &[Sample], kinds: &[Kind], manner: Manner, connections: usize) -> Outcome {
    let mut table = Table::new(
        format!(
            "Socket, handshake, token and one subscription, clients by {}: median \
             [lowest-highest]; the ratio is of neighbouring runs",
            manner.name()
        ),
        &["server", "connections", "CPU µs each", "deliveries", "to sealcast", "in a second"],
    );
    for &kind in kinds {
        let of = |kind| samples.iter().filter(move |sample| sample.kind == kind);
        let costs = |kind| of(kind).map(Sample::cost).collect::<Vec<_>>();
        let ratio = Spread::of_ratios(&costs(kind), &costs(Kind::Node));
        table.add(
            &[("server", kind.name().into()), ("connections", connections.into())],
            &[
                Figure("cpu_us_per_connection", 1, Spread::of(costs(kind))),
                Figure("floor_deliveries", 1, Spread::of(of(kind).map(Sample::deliveries))),
                Figure("ratio_to_sealcast", 2, ratio.filter(|_| kind != Kind::Node)),
                Figure("connections_per_second", 0, Spread::of(of(kind).map(Sample::rate))),
            ],
        );
    }
    Outcome::new("connect", table, samples.iter().map(Sample::json).collect())
}
