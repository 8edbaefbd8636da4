//! `sealcast bench rate`: how long deliveries take at a steady pace.

mod beside;

use std::time::Duration;

use serde_json::{Value, json};

use super::crowd::Crowd;
use super::failure::Failure;
use super::floor;
use super::kernel;
use super::listeners::Listeners;
use super::message::{SHORTEST, Shape};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::{Latencies, Spread};
use super::target::{Kind, Target};

/// How long deliveries take at a steady pace.
///
/// All subscribers are on one channel, and one connection publishes as often as makes --deliveries
/// a second. A delivery is timed from when the publication is handed to the publisher's socket
/// until the subscriber's is read, in milliseconds; generator and server share this machine, so the floor (one
/// thread with epoll, one send for each) does the same beside it, as the least that it takes.
///
/// With --beside something else is measured: a channel of two subscribers that gets 100
/// publications a second, alone and beside a channel with all subscribers that gets one every
/// 500 ms. The ratio is of the two p99. The clients of the small channel go before everything
/// else, if whoever runs this may have that (root).
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many subscribers; several separated by commas. [default: 1000,10000; with --beside
    /// 10000]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: Vec<u32>,
    /// Deliveries in a second, to all together.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "beside")]
    deliveries: u32,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How long each measurement takes, seconds. [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Measure a small channel beside a large one.
    #[arg(long)]
    beside: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

const CHANNEL: &str = "bench";
const WARM_UP: usize = 3;
const SETTLE: Duration = Duration::from_millis(100);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let sizes: Vec<usize> = match (&options.subscribers[..], options.beside) {
        ([], false) => common.either(vec![500], vec![1_000, 10_000]),
        ([], true) => common.either(vec![500], vec![10_000]),
        (given, _) => given.iter().map(|size| *size as usize).collect(),
    };
    let most = sizes.iter().copied().max().unwrap_or_default();
    kernel::allow_connections(most + 1 + beside::CONNECTIONS)?;
    let length = Duration::from_secs(options.seconds.map_or(common.either(2, 10), u64::from));
    let runs = common.runs(3);
    let progress = Progress::new();
    if options.beside {
        return beside::run(&sizes, options.bytes, length, runs, &progress);
    }
    let mut samples = Vec::new();
    for &subscribers in &sizes {
        let pace = Pace::new(subscribers, options.deliveries, length);
        let mut shape = None;
        for run in 1..=runs {
            for kind in KINDS {
                let name = kind.name();
                progress.say(&format!("{subscribers} subscribers, run {run} of {runs}: {name}"));
                samples.push(measure(kind, &pace, options.bytes, &mut shape)?);
            }
        }
    }
    drop(progress);
    Ok(outcome(&samples, &sizes, options.deliveries))
}

const KINDS: [Kind; 2] = [Kind::Node, Kind::Floor(floor::Kind::One)];

struct Pace {
    subscribers: usize,
    interval: Duration,
    count: usize,
}

impl Pace {
    fn new(subscribers: usize, deliveries: u32, length: Duration) -> Pace {
        let interval = Duration::from_secs_f64(subscribers as f64 / f64::from(deliveries));
        let count = (length.as_secs_f64() / interval.as_secs_f64()) as usize;
        Pace { subscribers, interval, count: count.max(2) }
    }
}

struct Sample {
    kind: Kind,
    subscribers: usize,
    latencies: Latencies,
    /// The most that the generator was behind its pace.
    late: Duration,
    cpu: Duration,
}

fn measure(
    kind: Kind,
    pace: &Pace,
    bytes: usize,
    shape: &mut Option<Shape>,
) -> Result<Sample, Failure> {
    let subscribers = pace.subscribers;
    let target = Target::start(kind, subscribers + 1)?;
    let channels = (0..subscribers).map(|_| CHANNEL.to_owned());
    let mut crowd = Crowd::gather(&target, "rate", channels)?;
    let known = if kind.is_floor() { shape.clone() } else { None };
    let mut listeners = Listeners::new(CHANNEL, subscribers, bytes, known);
    listeners.bursts(&mut crowd, WARM_UP, 1)?;
    crowd.linger(SETTLE, &mut listeners)?;
    listeners.begin_timing()?;
    let cpu = target.cpu()?;
    let late = listeners.paced(&mut crowd, pace.count, pace.interval)?;
    crowd.linger(SETTLE, &mut listeners)?;
    let cpu = target.cpu()?.saturating_sub(cpu);
    listeners.check()?;
    *shape = listeners.shape().cloned();
    let latencies = listeners.end_timing()?;
    Ok(Sample { kind, subscribers, latencies, late, cpu })
}

impl Sample {
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.count() as f64
    }

    fn json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "subscribers": self.subscribers,
            "deliveries": self.latencies.count(),
            "p50_ms": self.latencies.percentile(50.0),
            "p99_ms": self.latencies.percentile(99.0),
            "max_ms": self.latencies.percentile(100.0),
            "late_ms": self.late.as_secs_f64() * 1e3,
            "cpu_us_per_delivery": self.cost(),
        })
    }
}

fn outcome(samples: &[Sample], sizes: &[usize], deliveries: u32) -> Outcome {
    let mut table = Table::new(
        format!(
            "From publish to receipt at {deliveries} deliveries a second, ms, and CPU µs for a \
             delivery: median [lowest-highest]"
        ),
        &["subscribers", "server", "p50", "p99", "longest", "CPU"],
    );
    for &size in sizes {
        for kind in KINDS {
            let spread = |figure: fn(&Sample) -> f64| {
                let of = samples.iter().filter(|it| (it.kind, it.subscribers) == (kind, size));
                Spread::of(of.map(figure))
            };
            table.add(
                &[("subscribers", size.into()), ("server", kind.name().into())],
                &[
                    Figure("p50_ms", 2, spread(|it| it.latencies.percentile(50.0))),
                    Figure("p99_ms", 2, spread(|it| it.latencies.percentile(99.0))),
                    Figure("max_ms", 2, spread(|it| it.latencies.percentile(100.0))),
                    Figure("cpu_us_per_delivery", 2, spread(Sample::cost)),
                ],
            );
        }
    }
    Outcome::new("rate", table, samples.iter().map(Sample::json).collect())
}
