//! `sealcast bench churn`: connections that come and go.

use std::time::Duration;

use serde_json::{Value, json};

use super::audience::Nobody;
use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::kernel;
use super::report::{Common, Figure, Outcome, Progress, Table};
use super::stats::Spread;
use super::target::{Kind, Target};

/// What connections cost that come and go, and what they leave behind.
///
/// Connections with a token and a subscription are made and dropped, some at a time, as fast as it
/// goes or --pace a second. The CPU is the server's, in microseconds for each. "left" is by how many bytes the
/// server's resident memory grew for each connection after the first fifth of them, which fills
/// what every server keeps for later: the slope of the straight line that fits best, through 20
/// figures or, with --quick, 4. Nothing or less means that it does not grow. "allocated" is the
/// same of what the server has from its allocator, without what that keeps for later.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many connections, all together. [default: 50000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..))]
    connections: Option<u32>,
    /// How many of them at the same time.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
    /// How many in a second, at most. [default: as fast as it goes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pace: Option<u32>,
    #[command(flatten)]
    pub(super) common: Common,
}

const SETTLE: Duration = Duration::from_millis(300);
/// Of these parts the first fifth does not count for what is left.
const PARTS: usize = 25;
const QUICK_PARTS: usize = 5;

/// # Errors
/// If there is no figure.
pub(super) fn run(options: &Options) -> Result<Outcome, Failure> {
    let common = &options.common;
    let connections = options.connections.unwrap_or(common.either(500, 50_000)) as usize;
    let parts = common.either(QUICK_PARTS, PARTS);
    let at_once = (options.at_once as usize).min(connections / parts).max(1);
    kernel::allow_connections(2 * at_once)?;
    let runs = common.runs(3);
    let progress = Progress::new();
    let mut samples = Vec::new();
    for run in 1..=runs {
        let bench = Bench { connections, at_once, parts, pace: options.pace };
        let say = |done| {
            progress.say(&format!("{done} of {connections} connections, run {run} of {runs}"));
        };
        samples.push(bench.run(say)?);
    }
    drop(progress);
    Ok(outcome(&samples, connections, at_once))
}

struct Bench {
    connections: usize,
    at_once: usize,
    parts: usize,
    pace: Option<u32>,
}

struct Sample {
    connections: usize,
    cpu: Duration,
    wall: Duration,
    /// Resident bytes, and after how many connections.
    resident: Vec<(usize, u64)>,
    /// The same of bytes that it has from its allocator.
    allocated: Vec<(usize, u64)>,
}

impl Bench {
    fn run(&self, say: impl Fn(usize)) -> Result<Sample, Failure> {
        let target = Target::start(Kind::Node, 2 * self.at_once)?;
        let (mut resident, mut allocated) = (Vec::new(), Vec::new());
        let mut done = 0;
        let cpu = target.cpu()?;
        let start = clock::now();
        while done < self.connections {
            let some = self.at_once.min(self.connections - done);
            let channels = (0..some).map(|at| format!("room-{}", (done + at) % 100));
            let crowd = Crowd::gather_with(&target, &format!("user-{done}"), channels, 0)?;
            self.rest(crowd, done + some, start)?;
            done += some;
            say(done);
            if resident.len() < done * self.parts / self.connections {
                std::thread::sleep(SETTLE);
                resident.push((done, target.resident()?));
                allocated.extend(target.allocated()?.map(|bytes| (done, bytes)));
            }
        }
        let wall = start.elapsed();
        let cpu = target.cpu()?.saturating_sub(cpu);
        Ok(Sample { connections: done, cpu, wall, resident, allocated })
    }

    /// Keeps them as long as the pace wants, and drops them.
    fn rest(
        &self,
        mut crowd: Crowd,
        done: usize,
        start: std::time::Instant,
    ) -> Result<(), Failure> {
        let Some(pace) = self.pace else { return Ok(()) };
        let due = start + Duration::from_secs_f64(done as f64 / f64::from(pace));
        crowd.linger(due.saturating_duration_since(clock::now()), &mut Nobody)
    }
}

impl Sample {
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.connections as f64
    }

    fn rate(&self) -> f64 {
        self.connections as f64 / self.wall.as_secs_f64()
    }

    /// Of these bytes, how many came for each connection behind the first fifth.
    fn left(&self, bytes: &[(usize, u64)]) -> Option<f64> {
        let first = self.connections / 5;
        let figures = bytes.iter().filter(|(done, _)| *done >= first);
        slope(figures.map(|(done, bytes)| (*done as f64, *bytes as f64)))
    }

    fn json(&self) -> Value {
        json!({
            "connections": self.connections,
            "cpu_us_per_connection": self.cost(),
            "connections_per_second": self.rate(),
            "resident_bytes": self.resident,
            "left_bytes_per_connection": self.left(&self.resident),
            "allocated_bytes": self.allocated,
            "allocated_bytes_per_connection": self.left(&self.allocated),
        })
    }
}

fn outcome(samples: &[Sample], connections: usize, at_once: usize) -> Outcome {
    let mut table = Table::new(
        format!("Connections that come and go, {at_once} at a time: median [lowest-highest]"),
        &["connections", "CPU µs each", "left, bytes each", "allocated", "in a second"],
    );
    let left = |bytes: fn(&Sample) -> &Vec<_>| {
        Spread::of(samples.iter().filter_map(|sample| sample.left(bytes(sample))))
    };
    table.add(
        &[("connections", connections.into())],
        &[
            Figure("cpu_us_per_connection", 1, Spread::of(samples.iter().map(Sample::cost))),
            Figure("left_bytes_each", 1, left(|it| &it.resident)),
            Figure("allocated_bytes_each", 1, left(|it| &it.allocated)),
            Figure("connections_per_second", 0, Spread::of(samples.iter().map(Sample::rate))),
        ],
    );
    Outcome::new("churn", table, samples.iter().map(Sample::json).collect())
}

/// Of the straight line that fits these points best (least squares); `None` of fewer than
/// two places.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let count = points.clone().count() as f64;
    let (sum_x, sum_y) =
        points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (shared, own) = points.fold((0.0, 0.0), |(shared, own), (x, y)| {
        (shared + (x - mean_x) * (y - mean_y), own + (x - mean_x) * (x - mean_x))
    });
    (own > 0.0).then_some(shared / own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_whole_and_not_of_the_ends() {
        let of = |points: &[(f64, f64)]| slope(points.iter().copied());
        assert_eq!(of(&[(0.0, 5.0), (1.0, 8.0), (2.0, 11.0)]), Some(3.0));
        assert_eq!(of(&[(0.0, 7.0), (1.0, 9.0), (2.0, 9.0), (3.0, 7.0)]), Some(0.0));
        assert_eq!(of(&[(1.0, 7.0), (1.0, 9.0)]), None);
        assert_eq!(of(&[]), None);
    }
}
