//! What a node gives up when it is full.

use metrics::{Counter, Gauge, Label};

/// Its name.
pub(super) const NAME: &str = "sealcast_shed_total";
/// That of the stage.
pub(super) const STAGE: &str = "sealcast_shedding_stage";

/// A counter for each thing that can be given up.
pub struct Shedding {
    /// The stage, as a number.
    pub stage: Gauge,
    /// Newcomers that were refused.
    pub connections: Counter,
    /// Messages that were not queued for who is slow.
    pub ephemeral: Counter,
    /// Connections that were closed because they held most.
    pub queues: Counter,
}

impl Shedding {
    /// Registers each.
    pub(super) fn new(
        counter: impl Fn(&'static str, Vec<Label>) -> Counter,
        gauge: impl Fn(&'static str, Vec<Label>) -> Gauge,
    ) -> Shedding {
        let shed = |what: &'static str| counter(NAME, vec![Label::new("what", what)]);
        Shedding {
            stage: gauge(STAGE, vec![]),
            connections: shed("connection"),
            ephemeral: shed("ephemeral"),
            queues: shed("queue"),
        }
    }
}
