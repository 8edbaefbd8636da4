//! `sealcast bench growth`: what a publication costs as something grows.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Publication;
use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::link::Manner;
use super::member::Part;
use super::message::{self, SHORTEST};
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::rooms::Rooms;
use super::stats::Spread;
use super::target::{Kind, Target};

/// What a publication costs as something grows
///
/// Each publication has one delivery; as many connections publish in turn in all
/// channels, one publication each at a time. What grows is
///   channels        how many there are, each with a subscriber of its own
///   subscriptions   how many channels each of 100 subscribers has
///   shards          over how many Redis, each a process, 1,000 channels are spread;
///                   redis-server must be in PATH
/// "CPU" is the server's, in microseconds for a publication; "Redis" that of all Redis
/// together. "to the first" is the ratio to the first row of neighbouring runs: what
/// grows linearly or better has 1 or less. "bytes" is by how much the server's
/// resident memory grew for each subscription.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Options {
    /// What grows; several separated by commas. [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    of: Vec<Axis>,
    /// About how many publications each measurement takes. [default: 50000]
    #[arg(long, value_name = "N")]
    publications: Option<usize>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Axis {
    Channels,
    Subscriptions,
    Shards,
}

/// One point of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    axis: Axis,
    /// What stands beside it in the table.
    size: usize,
    kind: Kind,
    subscribers: usize,
    /// Channels of each.
    each: usize,
}

/// Connections that publish.
const PUBLISHERS: usize = 50;
const WARM_UP: usize = 2;

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.bytes < SHORTEST {
        return Err(Failure::Options(format!("--bytes must be at least {SHORTEST}")));
    }
    let common = &options.common;
    let axes = match &options.of[..] {
        [] => vec![Axis::Channels, Axis::Subscriptions, Axis::Shards],
        given => given.to_vec(),
    };
    let publications = options.publications.unwrap_or(common.either(400, 50_000));
    let steps: Vec<Step> = axes.iter().flat_map(|axis| axis.steps(common.quick)).collect();
    let most = steps.iter().map(|step| step.subscribers).max().unwrap_or_default();
    kernel::allow_connections(most + PUBLISHERS)?;
    let settle = Duration::from_millis(common.either(50, 300));
    let runs = common.runs(5);
    let progress = Progress::new();
    let mut samples = Vec::new();
    for run in 1..=runs {
        for step in &steps {
            let (name, size) = (step.axis.name(), step.size);
            progress.say(&format!("{size} {name}, run {run} of {runs}"));
            samples.push(step.measure(publications, options.bytes, settle)?);
        }
    }
    drop(progress);
    let runs = samples.iter().map(Sample::json).collect();
    let mut tables = axes.iter().map(|axis| axis.table(&steps, &samples));
    let first = tables.next().ok_or(Failure::Options("--of names nothing".into()))?;
    Ok(tables.fold(Outcome::new("growth", first, runs), |outcome, table| outcome.also(Some(table))))
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Axis::Channels => "channels",
            Axis::Subscriptions => "subscriptions",
            Axis::Shards => "shards",
        }
    }

    fn steps(self, quick: bool) -> Vec<Step> {
        let step =
            |size, kind, subscribers, each| Step { axis: self, size, kind, subscribers, each };
        let few = if quick { 10 } else { 1 };
        let mut steps = match self {
            Axis::Channels => [100, 1_000, 10_000]
                .map(|size| size / few)
                .map(|size| step(size, Kind::Node, size, 1))
                .to_vec(),
            Axis::Subscriptions => {
                [1, 8, 32, 128].map(|each| step(each, Kind::Node, 100 / few, each)).to_vec()
            }
            Axis::Shards => [1, 2, 4]
                .map(|shards| step(shards.into(), Kind::OnShards(shards), 1_000 / few, 1))
                .to_vec(),
        };
        steps.truncate(if quick { 2 } else { steps.len() });
        steps
    }

    fn table(self, steps: &[Step], samples: &[Sample]) -> Table {
        let (title, head): (_, &[_]) = match self {
            Axis::Channels => (
                "A publication as channels grow, each with one subscriber",
                &["channels", "CPU", "to the first", "Redis", "bytes", "in a second"],
            ),
            Axis::Subscriptions => (
                "A publication as the channels of each of as many subscribers grow",
                &["channels each", "CPU", "to the first", "Redis", "bytes", "in a second"],
            ),
            Axis::Shards => (
                "A publication as the same channels are spread over more Redis",
                &["Redis processes", "CPU", "to the first", "Redis", "bytes", "in a second"],
            ),
        };
        let title = format!("{title}: median [lowest-highest]; ratios are of neighbouring runs");
        let mut table = Table::new(title, head);
        let steps: Vec<&Step> = steps.iter().filter(|step| step.axis == self).collect();
        for step in &steps {
            let of = |step: Step| samples.iter().filter(move |sample| sample.step == step);
            let costs = |step: Step| of(step).map(Sample::cost).collect::<Vec<_>>();
            let first = steps.first().map(|first| costs(**first)).unwrap_or_default();
            let ratio = Spread::of_ratios(&costs(**step), &first);
            let spread = |figure: fn(&Sample) -> f64| Spread::of(of(**step).map(figure));
            table.add(
                &[(self.name(), step.size.into())],
                &[
                    Figure("cpu_us", 1, spread(Sample::cost)),
                    Figure("ratio_to_first", 2, ratio),
                    Figure("redis_us", 1, Spread::of(of(**step).filter_map(Sample::redis))),
                    Figure("bytes_per_subscription", 0, spread(Sample::bytes)),
                    Figure("publications_per_second", 0, spread(Sample::rate)),
                ],
            );
        }
        table
    }
}

struct Sample {
    step: Step,
    publications: usize,
    cpu: Duration,
    redis: Duration,
    wall: Duration,
    /// By how many bytes the server's memory grew as all came.
    grown: f64,
}

impl Step {
    fn measure(
        &self,
        publications: usize,
        bytes: usize,
        settle: Duration,
    ) -> Result<Sample, Failure> {
        let Step { kind, subscribers, each, .. } = *self;
        let channels = subscribers * each;
        let target = Target::start(kind, subscribers + PUBLISHERS)?;
        let mut rooms = Rooms::several("grown-".into(), subscribers, each);
        let names: Vec<String> = (0..channels).map(|number| rooms.channel(number)).collect();
        let clients = names.chunks(each).enumerate().map(|(at, own)| {
            let part = Part::subscriber(&target, &format!("grown-{at}"), own.to_vec())?;
            Ok((Manner::USUAL, part))
        });
        let clients = clients.collect::<Result<Vec<_>, Failure>>()?;
        // What a server keeps that has served anybody, and as many as those who publish.
        let others = (0..PUBLISHERS).map(|at| format!("first-{at}"));
        drop(Crowd::gather_with(&target, "first", others, 0)?);
        std::thread::sleep(settle);
        let before = target.resident()?;
        let tongue = Manner::USUAL.tongue;
        let mut crowd = Crowd::of(&target, "grown", clients, PUBLISHERS, tongue)?;
        crowd.linger(settle, &mut rooms)?;
        let grown = target.resident()? as f64 - before as f64;
        let round = |crowd: &mut Crowd, rooms: &mut Rooms| {
            let payload = message::payload(rooms.publish(), bytes);
            for some in names.chunks(PUBLISHERS) {
                for (at, channel) in some.iter().enumerate() {
                    let publication = Publication::Payload { channel, payload: &payload };
                    crowd.publish_by(at, &[publication])?;
                }
                crowd.confirm(rooms)?;
            }
            crowd.complete(rooms)
        };
        for _ in 0..WARM_UP {
            round(&mut crowd, &mut rooms)?;
        }
        crowd.linger(settle, &mut rooms)?;
        let rounds = (publications / channels).max(2);
        let (cpu, redis) = (target.cpu()?, target.redis_cpu()?);
        let start = clock::now();
        for _ in 0..rounds {
            round(&mut crowd, &mut rooms)?;
        }
        let wall = start.elapsed();
        crowd.linger(settle, &mut rooms)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        let redis = target.redis_cpu()?.saturating_sub(redis);
        rooms.check()?;
        Ok(Sample { step: *self, publications: rounds * channels, cpu, redis, wall, grown })
    }
}

impl Sample {
    /// Microseconds of CPU for a publication.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.publications as f64
    }

    /// The same of all Redis; `None` without one.
    fn redis(&self) -> Option<f64> {
        let cost = self.redis.as_secs_f64() * 1e6 / self.publications as f64;
        (self.step.kind != Kind::Node).then_some(cost)
    }

    fn bytes(&self) -> f64 {
        self.grown / (self.step.subscribers * self.step.each) as f64
    }

    fn rate(&self) -> f64 {
        self.publications as f64 / self.wall.as_secs_f64()
    }

    fn json(&self) -> Value {
        json!({
            "of": self.step.axis.name(),
            "size": self.step.size,
            "subscribers": self.step.subscribers,
            "publications": self.publications,
            "cpu_us_per_publication": self.cost(),
            "redis_cpu_us_per_publication": self.redis(),
            "bytes_per_subscription": self.bytes(),
            "publications_per_second": self.rate(),
        })
    }
}
