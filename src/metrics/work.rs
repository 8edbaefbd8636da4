//! Expensive work, of which a node does only so much at once.

use metrics::{Counter, Gauge, Label};

/// How much runs.
pub(super) const RUNNING: &str = "sealcast_work_running";
/// How much may.
pub(super) const LIMIT: &str = "sealcast_work_limit";
/// What was refused.
pub(super) const REFUSED: &str = "sealcast_work_refused_total";

/// The numbers of one kind of work.
pub struct Work {
    /// How many are at it.
    pub running: Gauge,
    /// Those who had no turn in time.
    pub refused: Counter,
}

impl Work {
    /// Registers those of `work`, of which so much may run at once.
    pub(super) fn new(
        work: &'static str,
        most: usize,
        counter: impl Fn(&'static str, Vec<Label>) -> Counter,
        gauge: impl Fn(&'static str, Vec<Label>) -> Gauge,
    ) -> Work {
        let labels = || vec![Label::new("work", work)];
        gauge(LIMIT, labels()).set(most as f64);
        Work { running: gauge(RUNNING, labels()), refused: counter(REFUSED, labels()) }
    }
}
