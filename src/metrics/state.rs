//! How far publications got on this node, in one family of counters.

use metrics::{Counter, Label};

/// Its name.
pub(super) const NAME: &str = "sealcast_message_state_total";

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
        }
    }
}
