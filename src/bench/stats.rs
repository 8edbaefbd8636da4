//! Medians, paired ratios and percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The longest latency that is told apart, microseconds.
const LONGEST: u64 = 120_000_000;

/// What several runs gave: the middle one, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of no figures.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len().is_multiple_of(2) {
            (upper + sorted.get(middle.checked_sub(1)?)?) / 2.0
        } else {
            upper
        };
        Some(Spread { median, min: *sorted.first()?, max: *sorted.last()? })
    }

    /// The ratios of neighbouring runs, `figures` to `base`; so what slows the
    /// whole machine down for a while cancels out. `None` if they are no pairs.
    pub(super) fn of_ratios(figures: &[f64], base: &[f64]) -> Option<Spread> {
        if figures.len() != base.len() || base.contains(&0.0) {
            return None;
        }
        Spread::of(figures.iter().zip(base).map(|(figure, base)| figure / base))
    }

    /// `1.23 [1.10-1.40]`.
    pub(super) fn text(self, digits: usize) -> String {
        let Spread { median, min, max } = self;
        format!("{median:.digits$} [{min:.digits$}-{max:.digits$}]")
    }

    pub(super) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// How long deliveries took.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Option<Latencies> {
        Histogram::new_with_bounds(1, LONGEST, 3).ok().map(Latencies)
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in milliseconds that `percent` of the deliveries do not exceed.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
        assert_eq!(of(&[1.0, 2.0]).unwrap().text(2), "1.50 [1.00-2.00]");
    }

    #[test]
    fn ratios_are_of_neighbouring_runs() {
        // Twice the floor throughout, while the machine becomes ten times slower.
        let ratio = Spread::of_ratios(&[2.0, 20.0, 6.0], &[1.0, 10.0, 3.0]);
        assert_eq!(ratio, Some(Spread { median: 2.0, min: 2.0, max: 2.0 }));
        assert_eq!(Spread::of_ratios(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
        assert_eq!(Spread::of_ratios(&[], &[]), None);
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut latencies = Latencies::new().unwrap();
        for millis in (1..=100).rev() {
            latencies.record(Duration::from_millis(millis));
        }
        assert_eq!(latencies.count(), 100);
        for (percent, millis) in [(50.0, 50.0), (99.0, 99.0), (100.0, 100.0)] {
            let found = latencies.percentile(percent);
            assert!((found - millis).abs() < 0.1, "p{percent}: {found} ms");
        }
        latencies.record(Duration::from_secs(1_000));
        assert!(latencies.percentile(100.0) >= 119_000.0);
    }
}
