//! A small channel alone, and beside a large one.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::audience::Nobody;
use super::super::crowd::Crowd;
use super::super::failure::{Failure, While};
use super::super::listeners::Listeners;
use super::super::report::{Figure, Outcome, Progress, Table};
use super::super::stats::{Latencies, Spread};
use super::super::target::{Kind, Target};
use super::{SETTLE, WARM_UP};

/// What the small channel adds: its subscribers and its publisher.
pub(super) const CONNECTIONS: usize = SMALL + 1;

const SMALL: usize = 2;
const SMALL_INTERVAL: Duration = Duration::from_millis(10);
const LARGE_INTERVAL: Duration = Duration::from_millis(500);

/// # Errors
/// If there is no figure.
pub(super) fn run(
    sizes: &[usize],
    bytes: usize,
    length: Duration,
    runs: usize,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let first = go_first();
    let mut samples = Vec::new();
    for &size in sizes {
        for run in 1..=runs {
            progress
                .say(&format!("a small channel beside {size} subscribers, run {run} of {runs}"));
            samples.push(measure(size, bytes, length)?);
        }
    }
    progress.say("");
    Ok(outcome(&samples, sizes, first))
}

struct Sample {
    size: usize,
    alone: Latencies,
    beside: Latencies,
}

/// Each channel has a thread of its own in the generator. The large one's gives way
/// and the small one's goes first, so that what is measured is the server, and not how
/// long the generator takes to read ten thousand sockets, or waits for a processor.
fn measure(size: usize, bytes: usize, length: Duration) -> Result<Sample, Failure> {
    let target = Target::start(Kind::Node, size + 1 + CONNECTIONS)?;
    let mut large = Channel::gather(&target, "large", size, bytes)?;
    let mut small = Channel::gather(&target, "small", SMALL, bytes)?;
    let count = |interval: Duration| (length.as_secs_f64() / interval.as_secs_f64()) as usize;
    let (small_count, large_count) = (count(SMALL_INTERVAL), count(LARGE_INTERVAL).max(1));
    let done = AtomicBool::new(false);
    let alone = std::thread::scope(|scope| {
        let rest = scope.spawn(|| large.rest(&done));
        let alone = small.timed(small_count);
        done.store(true, Ordering::Relaxed);
        joined(rest).and(alone)
    })?;
    let beside = std::thread::scope(|scope| {
        let load = scope.spawn(|| large.load(large_count));
        let beside = small.timed(small_count);
        joined(load).and(beside)
    })?;
    for Channel { crowd, listeners } in [&mut large, &mut small] {
        crowd.linger(SETTLE, listeners)?;
        listeners.check()?;
    }
    Ok(Sample { size, alone, beside })
}

struct Channel {
    crowd: Crowd,
    listeners: Listeners,
}

impl Channel {
    fn gather(
        target: &Target,
        name: &str,
        subscribers: usize,
        bytes: usize,
    ) -> Result<Channel, Failure> {
        let mut crowd = Crowd::gather(target, name, (0..subscribers).map(|_| name.to_owned()))?;
        let mut listeners = Listeners::new(name, subscribers, bytes, None);
        listeners.bursts(&mut crowd, WARM_UP, 1)?;
        Ok(Channel { crowd, listeners })
    }

    /// Is there and does nothing.
    fn rest(&mut self, done: &AtomicBool) -> Result<(), Failure> {
        while !done.load(Ordering::Relaxed) {
            self.crowd.turn(SETTLE, &mut Nobody)?;
        }
        Ok(())
    }

    fn load(&mut self, count: usize) -> Result<(), Failure> {
        give_way()?;
        self.listeners.paced(&mut self.crowd, count, LARGE_INTERVAL)?;
        Ok(())
    }

    fn timed(&mut self, count: usize) -> Result<Latencies, Failure> {
        self.listeners.begin_timing()?;
        self.listeners.paced(&mut self.crowd, count, SMALL_INTERVAL)?;
        self.listeners.end_timing()
    }
}

/// Lets whoever has something to do go before this thread, at once. A lower priority would
/// not do: the kernel lets a thread that runs go on for up to 4 ms all the same.
fn give_way() -> Result<(), Failure> {
    let said = schedule(&["--idle", "--pid", "0"])?;
    match said {
        None => Ok(()),
        Some(said) => {
            Err(Failure::Machine(format!("chrt could not lower a thread's priority: {said}")))
        }
    }
}

/// Lets this thread go before all others, but none that it starts. `false` if that is not
/// allowed: then it waits its turn, and what is measured is more than what the server takes.
fn go_first() -> bool {
    matches!(schedule(&["--reset-on-fork", "--fifo", "--pid", "1"]), Ok(None))
}

/// Has `chrt` schedule this thread so; what it complains of.
fn schedule(how: &[&str]) -> Result<Option<String>, Failure> {
    let thread = fs::read_link("/proc/thread-self").during("find this thread")?;
    let thread = thread.file_name().unwrap_or_default();
    let mut chrt = Command::new("chrt");
    chrt.args(how).arg(thread).stdin(Stdio::null());
    let done = chrt.output().during("start chrt (of util-linux)")?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Ok((!done.status.success()).then_some(said))
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    let failed = |_| Err(Failure::Server("a thread of the generator failed".into()));
    thread.join().unwrap_or_else(failed)
}

impl Sample {
    fn ratio(&self) -> f64 {
        self.beside.percentile(99.0) / self.alone.percentile(99.0)
    }

    fn json(&self) -> Value {
        let percentiles = |latencies: &Latencies| {
            json!({
                "p50_ms": latencies.percentile(50.0),
                "p99_ms": latencies.percentile(99.0),
                "max_ms": latencies.percentile(100.0),
            })
        };
        json!({
            "subscribers": self.size,
            "alone": percentiles(&self.alone),
            "beside": percentiles(&self.beside),
            "p99_ratio": self.ratio(),
        })
    }
}

fn outcome(samples: &[Sample], sizes: &[usize], first: bool) -> Outcome {
    let clients = match first {
        true => "its clients go before the server",
        false => {
            "its clients wait for a processor like the server, for want of the right to go first"
        }
    };
    let mut table = Table::new(
        format!(
            "A channel of 2 subscribers, 100 publications a second, from publish to receipt, ms: \
             alone, and beside a channel of so many with one every 500 ms: median \
             [lowest-highest]; {clients}"
        ),
        &["beside", "alone p50", "alone p99", "beside p50", "beside p99", "ratio of p99"],
    );
    for &size in sizes {
        let spread = |figure: fn(&Sample) -> f64| {
            Spread::of(samples.iter().filter(|sample| sample.size == size).map(figure))
        };
        table.add(
            &[("subscribers", size.into())],
            &[
                Figure("alone_p50_ms", 2, spread(|it| it.alone.percentile(50.0))),
                Figure("alone_p99_ms", 2, spread(|it| it.alone.percentile(99.0))),
                Figure("beside_p50_ms", 2, spread(|it| it.beside.percentile(50.0))),
                Figure("beside_p99_ms", 2, spread(|it| it.beside.percentile(99.0))),
                Figure("p99_ratio", 2, spread(Sample::ratio)),
            ],
        );
    }
    Outcome::new("rate --beside", table, samples.iter().map(Sample::json).collect())
}
