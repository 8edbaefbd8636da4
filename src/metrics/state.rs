//! How far publications got on this node, in one family of counters.

use metrics::{Counter, Label};

/// Its name.
pub(super) const NAME: &str = "sealcast_message_state_total";

/// What became of messages of shaped channels.
pub(super) const SHAPED: &str = "sealcast_shaped_total";

/// A counter for each state.
pub struct States {
    /// Taken in from a client or the server API.
    pub received: Counter,
    /// The broker has them, and keeps them in a history.
    pub stored: Counter,
    /// The broker has them, kept or not.
    pub published: Counter,
    /// The broker did not say in time that it has them.
    pub failed: Counter,
    /// Put on clients' queues, once for each client.
    pub delivered: Counter,
    /// Waited for a client when its connection ended, and did not reach it.
    pub dropped: Counter,
    /// Those of channels that are shaped as `latest`.
    pub latest: Shaped,
    /// Those of channels that are shaped as `batch`.
    pub batch: Shaped,
}

/// What became of messages that shaping took in: of as many as `taken`, those that
/// were not `merged`, `failed` or `joined` were `sent`, or wait.
pub struct Shaped {
    /// Taken in.
    pub taken: Counter,
    /// A newer one of the same publisher took its place.
    pub merged: Counter,
    /// Went in the publication of another one.
    pub joined: Counter,
    /// Publications that the broker has.
    pub sent: Counter,
    /// The broker did not say in time that it has it.
    pub failed: Counter,
}

impl States {
    /// Registers each with `counter`.
    pub(super) fn new(counter: impl Fn(&'static str, Vec<Label>) -> Counter) -> States {
        let state = |state: &'static str| counter(NAME, vec![Label::new("state", state)]);
        States {
            received: state("received"),
            stored: state("stored"),
            published: state("published"),
            failed: state("failed"),
            delivered: state("delivered"),
            dropped: state("dropped"),
            latest: Shaped::new(&counter, "latest"),
            batch: Shaped::new(&counter, "batch"),
        }
    }
}

impl Shaped {
    fn new(counter: &impl Fn(&'static str, Vec<Label>) -> Counter, mode: &'static str) -> Shaped {
        let step = |step: &'static str| {
            counter(SHAPED, vec![Label::new("mode", mode), Label::new("step", step)])
        };
        Shaped {
            taken: step("taken"),
            merged: step("merged"),
            joined: step("joined"),
            sent: step("sent"),
            failed: step("failed"),
        }
    }
}
