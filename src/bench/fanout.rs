//! `sealcast bench fanout`: CPU for each delivery, beside the floors.

use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::floor;
use super::kernel;
use super::link::{Manner, Tongue};
use super::listeners::Listeners;
use super::message::{SHORTEST, Shape};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::Spread;
use super::target::{Kind, Peer, Target};

/// CPU time for each delivery, beside the least that it takes
///
/// It is the server's, in microseconds, by the kernel. All subscribers are on one
/// channel; one connection publishes `--waiting` messages in one write, and the
/// next when all of them have come to everyone. Beside Sealcast, two floors do the
/// same work in the same run, each started anew, one after the other, and send the
/// same bytes:
///   floor       one thread with epoll, one send for each subscriber and
///               publication
///   floorbatch  the same, one send for each subscriber with all publications of
///               one read
/// The ratios are of neighbouring runs. "writes" is how many writes Sealcast
/// counted for each subscriber and burst. With --redis or --against a second table
/// has these servers beside Sealcast.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Options {
    /// How many subscribers; several separated by commas. [default: 1000,10000]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: Vec<u32>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Publications in each burst; several separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "W", default_value = "1,4,32", value_parser = clap::value_parser!(u32).range(1..=256))]
    waiting: Vec<u32>,
    /// About how many deliveries each measurement takes; more where they are cheap.
    /// [default: 200000]
    #[arg(long, value_name = "N")]
    deliveries: Option<usize>,
    /// Also a node with a Redis; redis-server must be in PATH.
    #[arg(long)]
    redis: bool,
    #[command(flatten)]
    tongue: Tongue,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    pub(super) common: Common,
}

const KINDS: [Kind; 3] =
    [Kind::Node, Kind::Floor(floor::Kind::One), Kind::Floor(floor::Kind::Batch)];
const CHANNEL: &str = "bench";
/// How many bursts go before those that are measured.
const WARM_UP: usize = 2;
/// How long a server is left alone, so that its threads have gone to sleep and
/// the kernel has added up their time.
const SETTLE: Duration = Duration::from_millis(50);

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let sizes: Vec<usize> = match &options.subscribers[..] {
        [] => common.either(vec![500], vec![1_000, 10_000]),
        given => given.iter().map(|size| *size as usize).collect(),
    };
    let waiting: Vec<usize> = options.waiting.iter().map(|waiting| *waiting as usize).collect();
    let deliveries = options.deliveries.unwrap_or(common.either(20_000, 200_000));
    let most = sizes.iter().copied().max().unwrap_or_default();
    kernel::allow_connections(most + 1)?;
    let progress = Progress::new();
    let mut samples = Vec::new();
    let runs = common.runs(5);
    let others: Vec<Kind> = Kind::list(options.redis, &options.peer).into_iter().skip(1).collect();
    for &subscribers in &sizes {
        // The floors send what the node sent in the first run.
        let mut shape = None;
        for run in 1..=runs {
            for &kind in KINDS.iter().chain(&others) {
                let name = kind.name();
                progress.say(&format!("{subscribers} subscribers, run {run} of {runs}: {name}"));
                let bench = Bench {
                    kind,
                    manner: options.tongue.by_websocket(),
                    subscribers,
                    bytes: options.bytes,
                    waiting: &waiting,
                    deliveries,
                };
                samples.extend(bench.run(&mut shape, &options.peer)?);
            }
        }
    }
    drop(progress);
    let beside = beside(&samples, &others, &sizes, &waiting);
    Ok(outcome(&samples, &sizes, &waiting, options.bytes).also(beside))
}

/// One server from its start to its end.
struct Bench<'a> {
    kind: Kind,
    manner: Manner,
    subscribers: usize,
    bytes: usize,
    waiting: &'a [usize],
    deliveries: usize,
}

/// What one server did with one number of publications waiting.
struct Sample {
    kind: Kind,
    subscribers: usize,
    waiting: usize,
    bursts: usize,
    cpu: Duration,
    wall: Duration,
    writes: Option<u64>,
}

impl Bench<'_> {
    fn run(&self, shape: &mut Option<Shape>, peer: &Peer) -> Result<Vec<Sample>, Failure> {
        let Bench { kind, subscribers, bytes, .. } = *self;
        let target = Target::of(kind, subscribers + 1, peer)?;
        let channels = (0..subscribers).map(|_| CHANNEL.to_owned());
        let mut crowd = Crowd::gather_in(self.manner, &target, "fan", channels, 1)?;
        // The publisher's id is in each push, and another in each run of a node.
        let known = if kind.is_floor() { shape.clone() } else { None };
        let mut listeners = Listeners::new(CHANNEL, subscribers, bytes, known);
        listeners.bursts(&mut crowd, WARM_UP, 1)?;
        let samples = self
            .waiting
            .iter()
            .map(|waiting| self.measure(*waiting, &target, &mut crowd, &mut listeners))
            .collect();
        // Whatever is doubled must have the time to come.
        crowd.linger(SETTLE, &mut listeners)?;
        listeners.check()?;
        if kind == Kind::Node {
            *shape = listeners.shape().cloned();
        }
        samples
    }

    fn measure(
        &self,
        waiting: usize,
        target: &Target,
        crowd: &mut Crowd,
        listeners: &mut Listeners,
    ) -> Result<Sample, Failure> {
        listeners.bursts(crowd, WARM_UP, waiting)?;
        crowd.linger(SETTLE, listeners)?;
        let bursts = self.bursts(waiting);
        let writes = target.writes()?;
        let cpu = target.cpu()?;
        let start = clock::now();
        listeners.bursts(crowd, bursts, waiting)?;
        let wall = start.elapsed();
        crowd.linger(SETTLE, listeners)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        let writes = target.writes()?.zip(writes).map(|(after, before)| after - before);
        listeners.check()?;
        let Bench { kind, subscribers, .. } = *self;
        Ok(Sample { kind, subscribers, waiting, bursts, cpu, wall, writes })
    }

    /// Enough for a figure; but joined deliveries are cheap, and take more.
    fn bursts(&self, waiting: usize) -> usize {
        let cheaper = match self.kind {
            Kind::Floor(floor::Kind::One) => 1,
            _ => waiting.min(8),
        };
        (self.deliveries * cheaper / (self.subscribers * waiting)).clamp(2, 2_000)
    }
}

impl Sample {
    fn deliveries(&self) -> f64 {
        (self.subscribers * self.waiting * self.bursts) as f64
    }

    /// Microseconds of CPU for a delivery.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries()
    }

    /// Deliveries in a second.
    fn rate(&self) -> f64 {
        self.deliveries() / self.wall.as_secs_f64()
    }

    /// Writes for each subscriber and burst.
    fn writes(&self) -> Option<f64> {
        // The publisher has one write or more for what confirms its publishes.
        self.writes.map(|count| count as f64 / (self.subscribers * self.bursts) as f64)
    }

    fn json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "subscribers": self.subscribers,
            "waiting": self.waiting,
            "bursts": self.bursts,
            "cpu_us_per_delivery": self.cost(),
            "deliveries_per_second": self.rate(),
            "writes_per_subscriber_and_burst": self.writes(),
        })
    }
}

fn outcome(samples: &[Sample], sizes: &[usize], waiting: &[usize], bytes: usize) -> Outcome {
    let mut table = Table::new(
        format!(
            "CPU µs for a delivery of {bytes} bytes: median [lowest-highest]; the ratios are of \
             neighbouring runs"
        ),
        &[
            "subscribers",
            "waiting",
            "sealcast",
            "floor",
            "floorbatch",
            "to floor",
            "to floorbatch",
            "deliveries/s",
            "writes",
        ],
    );
    let pairs = sizes.iter().flat_map(|size| waiting.iter().map(move |waiting| (*size, *waiting)));
    for (size, waiting) in pairs {
        let of = |kind| {
            samples.iter().filter(move |sample| {
                (sample.kind, sample.subscribers, sample.waiting) == (kind, size, waiting)
            })
        };
        let [node, one, batch] = KINDS.map(|kind| of(kind).map(Sample::cost).collect::<Vec<_>>());
        let cost = |costs: &[f64]| Spread::of(costs.iter().copied());
        let rate = Spread::of(of(Kind::Node).map(Sample::rate));
        let writes = Spread::of(of(Kind::Node).filter_map(Sample::writes));
        table.add(
            &[("subscribers", size.into()), ("waiting", waiting.into())],
            &[
                Figure("sealcast_us", 2, cost(&node)),
                Figure("floor_us", 2, cost(&one)),
                Figure("floorbatch_us", 2, cost(&batch)),
                Figure("ratio_to_floor", 2, Spread::of_ratios(&node, &one)),
                Figure("ratio_to_floorbatch", 2, Spread::of_ratios(&node, &batch)),
                Figure("deliveries_per_second", 0, rate),
                Figure("writes_per_subscriber_and_burst", 2, writes),
            ],
        );
    }
    Outcome::new("fanout", table, samples.iter().map(Sample::json).collect())
}

/// Servers that are no floors, beside Sealcast; `None` if there are none.
fn beside(
    samples: &[Sample],
    others: &[Kind],
    sizes: &[usize],
    waiting: &[usize],
) -> Option<Table> {
    let mut table = Table::new(
        "The same of other servers, and the ratio to Sealcast of neighbouring runs".into(),
        &["subscribers", "waiting", "server", "CPU", "to sealcast", "deliveries/s"],
    );
    for (&size, &waiting, &kind) in sizes
        .iter()
        .flat_map(|size| waiting.iter().map(move |waiting| (size, waiting)))
        .flat_map(|(size, waiting)| others.iter().map(move |kind| (size, waiting, kind)))
    {
        let of = |kind| {
            samples
                .iter()
                .filter(move |it| (it.kind, it.subscribers, it.waiting) == (kind, size, waiting))
        };
        let costs = |kind| of(kind).map(Sample::cost).collect::<Vec<_>>();
        table.add(
            &[
                ("subscribers", size.into()),
                ("waiting", waiting.into()),
                ("server", kind.name().into()),
            ],
            &[
                Figure("cpu_us", 2, Spread::of(costs(kind))),
                Figure("ratio_to_sealcast", 2, Spread::of_ratios(&costs(kind), &costs(Kind::Node))),
                Figure("deliveries_per_second", 0, Spread::of(of(kind).map(Sample::rate))),
            ],
        );
    }
    (!others.is_empty()).then_some(table)
}
