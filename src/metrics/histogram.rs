//! Histograms with the same bounds everywhere, so that nodes add up: a count for
//! each bound and a sum, all of them atomics. Observing takes no lock and keeps
//! nothing that somebody has to fetch.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::METHODS;

/// The bounds: microseconds, and as seconds in Prometheus' text.
const BOUNDS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// Every histogram and its meaning.
pub const HISTOGRAMS: &[(&str, &str)] = &[
    (COMMAND_DURATION, "From a client's command until its reply was queued, by method"),
    (PING_RTT, "From a ping until its answer came"),
    (
        DELIVERY_LATENCY,
        "From a publication's arrival at the node until it was written to every subscriber there \
         whose socket took it",
    ),
    (REDIS_OP, "From a call of Redis until its answer, with the wait in the queue, by operation"),
];

const COMMAND_DURATION: &str = "sealcast_command_duration_seconds";
const PING_RTT: &str = "sealcast_ping_rtt_seconds";
const DELIVERY_LATENCY: &str = "sealcast_delivery_latency_seconds";
const REDIS_OP: &str = "sealcast_redis_op_seconds";

/// What is asked of Redis: scripts by their names, and everything else.
pub const REDIS_OPS: [&str; 13] = [
    "publish",
    "history",
    "behind",
    "beat",
    "enter",
    "exit",
    "presence",
    "stats",
    "lease",
    "override_set",
    "override_remove",
    "override_list",
    "other",
];

/// One histogram of lengths of time.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many fell under each bound and above the one before.
    within: [AtomicU64; BOUNDS.len()],
    /// How many lay above all.
    beyond: AtomicU64,
    /// Microseconds.
    sum: AtomicU64,
}

/// A histogram for each of a fixed few values of one label.
#[derive(Debug)]
pub struct Labelled {
    label: &'static str,
    of: Vec<(&'static str, Histogram)>,
}

/// The histograms of one node.
#[derive(Debug)]
pub struct Histograms {
    /// From a client's command until its reply was queued, by method.
    pub commands: Labelled,
    /// From a ping until its answer came.
    pub ping_rtt: Histogram,
    /// From a publication's arrival at the node until it was written.
    pub delivery: Histogram,
    /// From a call of Redis until its answer, by operation; see [`REDIS_OPS`].
    pub redis: Labelled,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, length: Duration) {
        self.observe_many(length, 1);
    }

    /// Counts `count` of the same length.
    pub fn observe_many(&self, length: Duration, count: u64) {
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|(bound, _)| micros <= *bound);
        let bucket = at.and_then(|at| self.within.get(at)).unwrap_or(&self.beyond);
        bucket.fetch_add(count, Ordering::Relaxed);
        self.sum.fetch_add(micros.saturating_mul(count), Ordering::Relaxed);
    }

    /// Its lines; `labels` stand before the bound, with a comma behind each.
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let mut count = 0;
        for (bucket, (_, bound)) in self.within.iter().zip(BOUNDS) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{{labels}le=\"{bound}\"}} {count}");
        }
        count += self.beyond.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}_bucket{{{labels}le=\"+Inf\"}} {count}");
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        let labels = labels.strip_suffix(',').map_or(String::new(), |one| format!("{{{one}}}"));
        let _ = writeln!(out, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
    }

    fn is_empty(&self) -> bool {
        self.within.iter().chain([&self.beyond]).all(|one| one.load(Ordering::Relaxed) == 0)
    }
}

impl Labelled {
    /// One for each of `values`.
    #[must_use]
    pub fn new(label: &'static str, values: &[&'static str]) -> Labelled {
        let of = values.iter().map(|value| (*value, Histogram::default())).collect();
        Labelled { label, of }
    }

    /// Counts one of this value; any other than the fixed few is not counted.
    pub fn observe(&self, value: &str, length: Duration) {
        if let Some((_, histogram)) = self.of.iter().find(|(known, _)| *known == value) {
            histogram.observe(length);
        }
    }

    /// As counters with labels do, each appears when it first counts.
    fn render(&self, out: &mut String, name: &str) {
        for (value, histogram) in self.of.iter().filter(|(_, histogram)| !histogram.is_empty()) {
            histogram.render(out, name, &format!("{}=\"{value}\",", self.label));
        }
    }
}

impl Histograms {
    pub(super) fn new() -> Histograms {
        Histograms {
            commands: Labelled::new("method", &METHODS),
            ping_rtt: Histogram::default(),
            delivery: Histogram::default(),
            redis: Labelled::new("op", &REDIS_OPS),
        }
    }

    /// All of them in Prometheus' text format.
    pub(super) fn render(&self, out: &mut String) {
        for (name, meaning) in HISTOGRAMS {
            let _ = writeln!(out, "# HELP {name} {meaning}\n# TYPE {name} histogram");
            match *name {
                COMMAND_DURATION => self.commands.render(out, name),
                PING_RTT => self.ping_rtt.render(out, name, ""),
                DELIVERY_LATENCY => self.delivery.render(out, name, ""),
                REDIS_OP => self.redis.render(out, name),
                _ => {}
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_counts_under_its_bound_and_all_above() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 10_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe_many(Duration::from_secs(60), 3);
        let mut out = String::new();
        histogram.render(&mut out, "x", "");
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), BOUNDS.len() + 3, "{out}");
        for line in [
            "x_bucket{le=\"0.0005\"} 2",
            "x_bucket{le=\"0.001\"} 3",
            "x_bucket{le=\"5\"} 3",
            "x_bucket{le=\"10\"} 4",
            "x_bucket{le=\"+Inf\"} 7",
            "x_sum 190.001001",
            "x_count 7",
        ] {
            assert!(lines.contains(&line), "{line}\n{out}");
        }
    }

    #[test]
    fn bounds_grow_and_are_told_as_they_are() {
        assert!(BOUNDS.is_sorted());
        for (micros, seconds) in BOUNDS {
            let told: f64 = seconds.parse().expect("a number");
            assert!((told * 1e6 - micros as f64).abs() < 1e-6, "{seconds}");
        }
    }

    #[test]
    fn a_labelled_one_appears_when_it_first_counts() {
        let labelled = Labelled::new("op", &["read", "write"]);
        labelled.observe("write", Duration::from_millis(3));
        labelled.observe("another", Duration::from_millis(3));
        let mut out = String::new();
        labelled.render(&mut out, "x");
        assert!(out.contains("x_bucket{op=\"write\",le=\"0.005\"} 1"), "{out}");
        assert!(out.contains("x_sum{op=\"write\"} 0.003\nx_count{op=\"write\"} 1"), "{out}");
        assert!(!out.contains("read") && !out.contains("another"), "{out}");
    }

    #[test]
    fn every_histogram_that_is_listed_is_rendered() {
        let histograms = Histograms::new();
        for method in METHODS {
            histograms.commands.observe(method, Duration::ZERO);
        }
        for op in REDIS_OPS {
            histograms.redis.observe(op, Duration::ZERO);
        }
        let mut out = String::new();
        histograms.render(&mut out);
        for (name, meaning) in HISTOGRAMS {
            assert!(out.contains(&format!("# HELP {name} {meaning}\n# TYPE {name} histogram\n")));
            assert!(out.contains(&format!("\n{name}_count")), "{name}\n{out}");
        }
    }
}
