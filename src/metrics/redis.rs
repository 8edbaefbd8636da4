//! What nodes that use Redis count; others export none of it.

use metrics::Label;

use super::Metrics;

impl Metrics {
    /// Says whether the link to Redis stands. Only exported by nodes that use one,
    /// as everything of Redis.
    pub fn redis_up(&self, up: bool) {
        self.gauge("sealcast_redis_up", f64::from(u8::from(up)));
    }

    /// Says whether calls to Redis are refused at once.
    pub fn redis_breaker(&self, open: bool) {
        self.gauge("sealcast_redis_breaker_state", f64::from(u8::from(open)));
    }

    /// Counts what went wrong with Redis; `kind` is one of a fixed few.
    pub fn redis_error(&self, kind: &'static str) {
        self.count("sealcast_redis_errors_total", vec![Label::new("kind", kind)]);
    }

    /// Counts the loss of a connection that publications came by.
    pub fn pubsub_reconnect(&self) {
        self.count("sealcast_pubsub_reconnects_total", vec![]);
    }

    /// Counts a publication that came faster than it could be taken.
    pub fn pubsub_dropped(&self) {
        self.count("sealcast_pubsub_dropped_total", vec![]);
    }

    /// Counts a channel that may have missed something.
    pub fn gap(&self) {
        self.count("sealcast_gaps_total", vec![]);
    }

    /// Counts how the repair of a gap ended; `result` is one of a fixed few.
    pub fn gap_repair(&self, result: &'static str) {
        self.count("sealcast_gap_repairs_total", vec![Label::new("result", result)]);
    }

    /// Counts a stream that begins with a new epoch; `cause` is one of a fixed few.
    pub fn epoch_change(&self, cause: &'static str) {
        self.count("sealcast_epoch_changes_total", vec![Label::new("cause", cause)]);
    }

    /// Says how far the node's clock is ahead of Redis', seconds; negative if behind.
    pub fn clock_skew(&self, ahead: f64) {
        self.gauge("sealcast_clock_skew_seconds", ahead);
    }
}
