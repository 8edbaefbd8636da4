//! `sealcast bench mixed`: WebSockets and event streams on one node, at a steady pace.

mod halls;

use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Manner;
use super::member::Part;
use super::message::SHORTEST;
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::{Latencies, Spread};
use super::target::{Kind, Target};
use halls::Halls;

/// WebSockets and event streams on one node, at a steady pace.
///
/// Each connection is in one channel with --room others, both kinds side by side. One connection
/// publishes in one channel after the other, as often as makes --deliveries a second. Every
/// delivery must come once and in order, and no connection may end. A delivery is timed from when
/// the publication is handed to the publisher's socket until the subscriber's is read, in
/// milliseconds; the CPU is the server's, in microseconds for a delivery.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many WebSockets. [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    websockets: Option<u32>,
    /// How many event streams. [default: 5000]
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// Connections in a channel. [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    room: Option<u32>,
    /// Deliveries in a second, to all together. [default: 40000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    deliveries: Option<u32>,
    /// How long each measurement takes, seconds. [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    #[command(flatten)]
    pub(super) common: Common,
}

const SETTLE: Duration = Duration::from_millis(300);
/// How far a publication may be behind its time. Beyond, the pace is not reached, and there
/// is no figure.
const LATE: Duration = Duration::from_secs(5);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let bench = Bench {
        websockets: options.websockets.unwrap_or(common.either(60, 10_000)) as usize,
        streams: options.streams.unwrap_or(common.either(30, 5_000)) as usize,
        room: options.room.unwrap_or(common.either(10, 100)) as usize,
        deliveries: options.deliveries.unwrap_or(common.either(1_000, 40_000)),
        length: Duration::from_secs(options.seconds.map_or(common.either(1, 60), u64::from)),
        bytes: options.bytes,
    };
    kernel::allow_connections(bench.clients() + 1)?;
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut samples = Vec::new();
    for run in 1..=runs {
        progress.say(&format!("{} connections, run {run} of {runs}", bench.clients()));
        samples.push(bench.run()?);
    }
    drop(progress);
    Ok(bench.outcome(&samples))
}

struct Bench {
    websockets: usize,
    streams: usize,
    room: usize,
    deliveries: u32,
    length: Duration,
    bytes: usize,
}

struct Sample {
    latencies: Latencies,
    /// The most that the generator was behind its pace.
    late: Duration,
    cpu: Duration,
    resident: u64,
}

impl Bench {
    fn clients(&self) -> usize {
        self.websockets + self.streams
    }

    /// Streams are spread evenly among all.
    fn manner(&self, client: usize) -> Manner {
        let streams_before = |client| client * self.streams / self.clients();
        if streams_before(client + 1) > streams_before(client) {
            Manner::EVENTS
        } else {
            Manner::USUAL
        }
    }

    fn run(&self) -> Result<Sample, Failure> {
        let target = Target::start(Kind::Node, self.clients() + 1)?;
        let mut halls = Halls::new(self.clients(), self.room, self.bytes)?;
        let clients = (0..self.clients()).map(|client| {
            let channel = Halls::channel(client / self.room);
            let part = Part::subscriber(&target, &format!("mixed-{client}"), vec![channel])?;
            Ok((self.manner(client), part))
        });
        let clients = clients.collect::<Result<Vec<_>, Failure>>()?;
        let mut crowd = Crowd::of(&target, "mixed", clients, 1, Manner::USUAL.tongue)?;
        for hall in 0..halls.count() {
            halls.publish(&mut crowd, hall)?;
        }
        crowd.complete(&mut halls)?;
        crowd.linger(SETTLE, &mut halls)?;
        halls.begin_timing()?;
        let cpu = target.cpu()?;
        let late = self.pace(&mut crowd, &mut halls)?;
        crowd.complete(&mut halls)?;
        // Whatever is doubled must have the time to come.
        crowd.linger(SETTLE, &mut halls)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        let resident = target.resident()?;
        halls.check()?;
        let latencies = halls.end_timing()?;
        Ok(Sample { latencies, late, cpu, resident })
    }

    /// Publishes in turn; the most that a publication was late.
    fn pace(&self, crowd: &mut Crowd, halls: &mut Halls) -> Result<Duration, Failure> {
        // Rooms are full but perhaps for the last.
        let each = self.clients() as f64 / halls.count() as f64;
        let interval = Duration::from_secs_f64(each / f64::from(self.deliveries));
        let count = (self.length.as_secs_f64() / interval.as_secs_f64()).ceil() as usize;
        let mut due = clock::now();
        let mut latest = Duration::ZERO;
        for at in 0..count {
            // Also when there is no time left, so that what came does not wait.
            crowd.turn(Duration::ZERO, halls)?;
            crowd.linger(due.saturating_duration_since(clock::now()), halls)?;
            let late = clock::now().saturating_duration_since(due);
            if late > LATE {
                return Err(Failure::Machine(format!(
                    "{} deliveries a second are not reached: after {at} of {count} publications \
                     the generator was {:.1} s behind",
                    self.deliveries,
                    late.as_secs_f64()
                )));
            }
            latest = latest.max(late);
            halls.publish(crowd, at % halls.count())?;
            due += interval;
        }
        Ok(latest)
    }

    fn json(&self, sample: &Sample) -> Value {
        json!({
            "websockets": self.websockets,
            "streams": self.streams,
            "deliveries": sample.latencies.count(),
            "p50_ms": sample.latencies.percentile(50.0),
            "p99_ms": sample.latencies.percentile(99.0),
            "max_ms": sample.latencies.percentile(100.0),
            "late_ms": sample.late.as_secs_f64() * 1e3,
            "cpu_us_per_delivery": sample.cost(),
            "resident_bytes": sample.resident,
        })
    }

    fn outcome(&self, samples: &[Sample]) -> Outcome {
        let Bench { room, deliveries, length, .. } = self;
        let mut table = Table::new(
            format!(
                "{deliveries} deliveries a second for {} s in channels of {room}; from publish to \
                 receipt, ms, and CPU µs for a delivery: median [lowest-highest]",
                length.as_secs()
            ),
            &["WebSockets", "streams", "p50", "p99", "longest", "CPU", "resident, MB"],
        );
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        table.add(
            &[("websockets", self.websockets.into()), ("streams", self.streams.into())],
            &[
                Figure("p50_ms", 2, spread(|it| it.latencies.percentile(50.0))),
                Figure("p99_ms", 2, spread(|it| it.latencies.percentile(99.0))),
                Figure("max_ms", 2, spread(|it| it.latencies.percentile(100.0))),
                Figure("cpu_us_per_delivery", 2, spread(Sample::cost)),
                Figure("resident_megabytes", 1, spread(|it| it.resident as f64 / 1e6)),
            ],
        );
        Outcome::new("mixed", table, samples.iter().map(|sample| self.json(sample)).collect())
    }
}

impl Sample {
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.count() as f64
    }
}
