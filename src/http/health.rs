//! Health and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;

/// How far the node is in its life. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    started: AtomicBool,
    leaving: AtomicBool,
}

/// Whether the node should get clients, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A message has lately gone through its broker and come back.
    Ready,
    /// None has, so far.
    Starting,
    /// None has lately: the broker is away, or the node does not hear it.
    Broker,
    /// It is about to stop.
    Leaving,
}

impl Health {
    /// The node is about to stop: it is no longer ready.
    pub fn leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// Whether the node is about to stop.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// What it means that a message has lately come back, or has not.
    fn readiness(&self, came_back: bool) -> Readiness {
        if came_back {
            self.0.started.store(true, Ordering::Release);
        }
        match (self.is_leaving(), came_back, self.0.started.load(Ordering::Acquire)) {
            (true, ..) => Readiness::Leaving,
            (false, true, _) => Readiness::Ready,
            (false, false, true) => Readiness::Broker,
            (false, false, false) => Readiness::Starting,
        }
    }
}

impl App {
    /// Whether the node should get clients.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let relay = &self.policy.relay;
        self.health.readiness(relay.is_ready(relay.hub().clock().now()))
    }

    /// Whether the node should get clients: it is not leaving, and a message has
    /// lately gone through its broker and come back.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness() == Readiness::Ready
    }
}

/// The process answers.
pub(super) async fn live() -> Response {
    answer(Readiness::Ready)
}

/// See [`App::is_ready`].
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    answer(app.readiness())
}

/// The node has been ready once: whatever is wrong later, it is not starting.
pub(super) async fn startup(State(app): State<Arc<App>>) -> Response {
    answer(match app.readiness() {
        Readiness::Starting => Readiness::Starting,
        _ => Readiness::Ready,
    })
}

/// Every number in Prometheus' text format.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, app.metrics().render()).into_response()
}

/// `Retry-After` of a refusal: not the same for all, so that they do not come
/// back together.
pub(super) fn retry_after() -> Duration {
    Duration::from_secs(5 + rand::random_range(0..5))
}

/// 200 with an empty object, or 503 with the reason.
fn answer(readiness: Readiness) -> Response {
    let (status, body) = match readiness {
        Readiness::Ready => (StatusCode::OK, "{}\n"),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "{\"reason\":\"starting\"}\n"),
        Readiness::Broker => (StatusCode::SERVICE_UNAVAILABLE, "{\"reason\":\"broker\"}\n"),
        Readiness::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "{\"reason\":\"leaving\"}\n"),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
