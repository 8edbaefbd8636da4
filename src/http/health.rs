//! Health and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;

/// Whether the node is leaving. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// The node is about to stop: it is no longer ready.
    pub fn leave(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the node is about to stop.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl App {
    /// Whether the node should get clients: it is not leaving, and a message has
    /// lately gone through its broker and come back.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let relay = &self.policy.relay;
        !self.health.is_leaving() && relay.is_ready(relay.hub().clock().now())
    }
}

/// The process answers.
pub(super) async fn live() -> Response {
    answer(StatusCode::OK)
}

/// See [`App::is_ready`].
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    answer(if app.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
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

fn answer(status: StatusCode) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], "{}\n").into_response()
}
