//! What is told of all primaries together: well only while each of them is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::skew::{Clock, Skews};
use crate::metrics::Metrics;

/// See the module's text.
pub(super) struct Health {
    links_down: AtomicUsize,
    breakers_open: AtomicUsize,
    /// Something may not be where it was.
    doubt: Notify,
    pub(super) skews: Skews,
    metrics: Arc<Metrics>,
}

impl Health {
    pub(super) fn new(clock: Clock, metrics: &Arc<Metrics>) -> Arc<Health> {
        Arc::new(Health {
            links_down: AtomicUsize::new(0),
            breakers_open: AtomicUsize::new(0),
            doubt: Notify::new(),
            skews: Skews::new(clock, metrics),
            metrics: Arc::clone(metrics),
        })
    }

    /// Something failed, or was sent elsewhere.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Waits until that is so.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// A link that stood, or one more, does not stand.
    pub(super) fn link_down(&self) {
        self.links_down.fetch_add(1, Ordering::Relaxed);
        self.metrics.redis_up(false);
    }

    /// One that did not stand does, or is needed no more.
    pub(super) fn link_up(&self) {
        if self.links_down.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.metrics.redis_up(true);
        }
    }

    /// A breaker has opened.
    pub(super) fn breaker_open(&self) {
        self.breakers_open.fetch_add(1, Ordering::Relaxed);
        self.metrics.redis_breaker(true);
    }

    /// One that was open has closed, or is needed no more.
    pub(super) fn breaker_closed(&self) {
        if self.breakers_open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.metrics.redis_breaker(false);
        }
    }
}
