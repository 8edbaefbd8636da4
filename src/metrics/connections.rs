//! Connections, attempts at them, and their caps.

use metrics::{Counter, Gauge, Key, Label, Recorder as _};

use super::{Attempt, METADATA, Metrics, register_counter};

impl Metrics {
    /// Connections of a transport that stand, authenticated or not; `transport` is
    /// one of a fixed few.
    pub fn connections(&self, transport: &'static str) -> Gauge {
        let labels = vec![Label::new("transport", transport)];
        self.recorder.register_gauge(&Key::from_parts("sealcast_connections", labels), &METADATA)
    }

    /// Counts how an attempt to connect by a transport ended.
    pub fn attempt(&self, transport: &'static str, attempt: Attempt) {
        let known = Attempt::ALL.iter().find(|(known, _)| *known == attempt);
        if let Some((_, result)) = known {
            self.attempts(transport, result).increment(1);
        }
    }

    pub(super) fn attempts(&self, transport: &'static str, result: &'static str) -> Counter {
        let labels = vec![Label::new("transport", transport), Label::new("result", result)];
        register_counter(&self.recorder, "sealcast_connect_attempts_total", labels)
    }

    /// Exports the caps on connections: WebSockets, and streams of all kinds.
    pub fn connection_limits(&self, websockets: usize, streams: usize) {
        for (transport, limit) in [("websocket", websockets), ("sse", streams)] {
            let labels = vec![Label::new("transport", transport)];
            let key = Key::from_parts("sealcast_connection_limit", labels);
            self.recorder.register_gauge(&key, &METADATA).set(limit as f64);
        }
    }

    /// Exports the bound on what `held_bytes` counts.
    pub fn queue_limit(&self, bytes: usize) {
        let name = Key::from_static_name("sealcast_outbound_queue_limit_bytes");
        self.recorder.register_gauge(&name, &METADATA).set(bytes as f64);
    }
}
