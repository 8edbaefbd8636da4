//! Numbers of limits: what they are, which hold, and what they refused.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Key, Label, Recorder as _};

use super::{METADATA, Metrics};

/// What the mode of limits on rates follows from.
#[derive(Default)]
pub(super) struct RateLimits {
    off: AtomicBool,
    cluster: AtomicBool,
}

impl Metrics {
    /// Says whether the limit profile is none.
    pub fn rates_unlimited(&self, off: bool) {
        self.rate_limits.off.store(off, Ordering::Relaxed);
        self.ratelimit_mode();
    }

    /// Exports a limit, in its own unit, and of a rate how many may come at once.
    pub fn limit(&self, limit: &'static str, number: f64, burst: Option<u32>) {
        let set = |name, value| {
            let name = Key::from_parts(name, vec![Label::new("limit", limit)]);
            self.recorder.register_gauge(&name, &METADATA).set(value);
        };
        set("sealcast_limit", number);
        if let Some(burst) = burst {
            set("sealcast_limit_burst", f64::from(burst));
        }
    }

    /// Counts what a limit refused; `scope` is one of a fixed few.
    pub fn rate_limited(&self, scope: &'static str) {
        self.count("sealcast_rate_limited_total", vec![Label::new("scope", scope)]);
    }

    /// Says whether each node keeps its share of the limits that hold over all.
    /// Only exported by nodes that use Redis.
    pub fn limits_local_share(&self, on: bool) {
        self.rate_limits.cluster.store(!on, Ordering::Relaxed);
        self.ratelimit_mode();
        self.gauge("sealcast_limits_local_share", f64::from(u8::from(on)));
    }

    /// How many overrides of limits are in force.
    pub fn limit_overrides(&self, count: usize) {
        self.gauge("sealcast_limit_overrides", count as f64);
    }

    fn ratelimit_mode(&self) {
        let off = self.rate_limits.off.load(Ordering::Relaxed);
        let cluster = self.rate_limits.cluster.load(Ordering::Relaxed);
        let modes = [("cluster", !off && cluster), ("local", !off && !cluster), ("off", off)];
        for (mode, on) in modes {
            let name = Key::from_parts("sealcast_ratelimit_mode", vec![Label::new("mode", mode)]);
            self.recorder.register_gauge(&name, &METADATA).set(f64::from(u8::from(on)));
        }
    }
}
