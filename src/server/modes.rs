//! Modes in which a node is less strict than it should be: each is told at the
//! start and in the metrics, and the one that must never face the internet again
//! and again.

use std::time::Duration;

use crate::config::{Config, LIMITS};
use crate::limit::Profile;
use crate::metrics::Metrics;

/// How often an insecure node says so (T-09).
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Tells of the node's modes and limits.
pub(super) fn tell(config: &Config, metrics: &Metrics) {
    metrics.insecure_mode(config.dev.is_some());
    metrics.compat_mode(config.compat);
    let unlimited = config.profile == Profile::None;
    metrics.rates_unlimited(unlimited);
    for limit in LIMITS {
        metrics.limit(limit.name, limit.number(&config.limits), limit.burst(&config.limits));
    }
    if unlimited {
        tracing::warn!(
            event = "rates_unlimited",
            "limits.profile is none: nothing bounds how fast clients send, subscribe and connect; \
             put this node on no open network"
        );
    }
    if config.compat {
        tracing::warn!(
            event = "compat_mode",
            "compat.centrifugo is on: tokens without exp or user, short HMAC secrets and payloads \
             that are not JSON are taken; switch it off when the move from Centrifugo is done"
        );
    }
}

/// Says once a minute that the node is insecure, the first time at once.
pub(super) async fn keep_warning() {
    let mut every = tokio::time::interval(WARN_EVERY);
    loop {
        every.tick().await;
        tracing::warn!(
            event = "insecure_mode",
            "development mode: anyone who reaches this node gets a token from it; never put it \
             on a network"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_insecure_node_says_so_each_minute() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let lines = || String::from_utf8_lossy(&log.0.lock()).matches("insecure_mode").count();
        for (seconds, said) in [(59, 1), (61, 2), (181, 4)] {
            log.0.lock().clear();
            let within = tokio::time::timeout(Duration::from_secs(seconds), keep_warning());
            assert!(within.await.is_err(), "it goes on");
            assert_eq!(lines(), said, "within {seconds} s");
        }
    }
}
