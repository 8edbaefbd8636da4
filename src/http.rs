//! Routes: the transports, the server API, health, metrics, and the demo page.

mod address;
mod admit;
mod api;
mod body;
mod cors;
mod door;
mod health;
mod hints;
mod live;
mod pages;
mod routes;
mod stream;
mod told;
mod websocket;

use std::collections::HashMap;
use std::sync::Arc;

use axum::routing::{MethodRouter, any, get, post};
use tokio_util::task::TaskTracker;

use crate::auth::{ApiKeys, Issuer, Origins};
use crate::cluster::Cluster;
use crate::limit::{Cap, Rate};
use crate::metrics::Metrics;
use crate::session::{Policies, Policy};

pub use address::Proxies;
pub use api::ErrorMode;
pub use health::Health;
pub use hints::hint;
pub use live::Live;
pub use routes::{Routes, serve};
pub use stream::Transports;

/// What the routes of a node share, as it was configured when a request came; see
/// [`Live`].
pub struct App {
    /// What sessions share.
    pub policy: Arc<Policy>,
    /// Where sessions find it when it has changed.
    pub policies: Arc<Policies>,
    /// The other nodes.
    pub cluster: Arc<Cluster>,
    /// Pages that may connect.
    pub origins: Origins,
    /// Proxies whose word about client addresses counts.
    pub proxies: Proxies,
    /// Keys of the server API.
    pub api_keys: ApiKeys,
    /// How the server API tells errors.
    pub api_errors: ErrorMode,
    /// How fast keys of the server API may call, by their names.
    pub api_rates: HashMap<String, Rate>,
    /// Whether the node serves, and whether it is leaving.
    pub health: Health,
    /// Places for WebSockets, and for those that have not authenticated, by
    /// whatever transport.
    pub connections: Cap,
    /// Places for streams.
    pub streams: Cap,
    /// See `connections`.
    pub waiting: Cap,
    /// By which transports clients may connect.
    pub transports: Transports,
    /// Where connections' tasks are counted.
    pub tasks: TaskTracker,
    /// Development mode: serves the demo page and hands out tokens.
    pub dev: Option<Issuer>,
}

impl App {
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        self.policy.relay.hub().metrics()
    }
}

/// The routes of the public listener, with the server API if it is to be `public_api`.
pub fn public(live: Live, public_api: bool) -> Routes {
    let mut routes = public_routes();
    if live.app().dev.is_some() {
        routes.extend(development_routes());
    }
    Routes::new(routes, live, public_api)
}

/// The routes of the internal listener, with metrics if they are to be there.
pub fn internal(live: Live, with_metrics: bool) -> Routes {
    let mut routes = if with_metrics { metrics_routes() } else { operators_routes() };
    routes.push(("/health", any(health::live)));
    Routes::new(routes, live, true)
}

/// The routes of the metrics listener, which is never the public one.
pub fn metrics(live: Live) -> Routes {
    Routes::new(metrics_routes(), live, false)
}

/// A path, and what answers there.
type Route = (&'static str, MethodRouter<Live>);

fn public_routes() -> Vec<Route> {
    vec![
        (websocket::PATH, websocket::route(false)),
        ("/connection/sse", stream::route(stream::Transport::Sse)),
        ("/connection/http_stream", stream::route(stream::Transport::HttpStream)),
        ("/emulation", any(stream::emulate)),
        ("/connection/ticket", any(stream::issue_ticket)),
        ("/connection/uni_sse", stream::route(stream::Transport::UniSse)),
        ("/connection/uni_http_stream", stream::route(stream::Transport::UniHttpStream)),
        (websocket::LISTENERS_PATH, websocket::route(true)),
        ("/health", any(health::live)),
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/health/startup", get(health::startup)),
    ]
}

/// What every listener has that is not for clients.
fn operators_routes() -> Vec<Route> {
    vec![
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/health/startup", get(health::startup)),
        ("/api/openapi.json", get(api::document)),
    ]
}

fn metrics_routes() -> Vec<Route> {
    let mut routes = operators_routes();
    routes.push(("/metrics", get(health::metrics)));
    routes
}

/// What the public listener has besides in development mode.
fn development_routes() -> Vec<Route> {
    vec![
        ("/", get(pages::demo)),
        ("/api.html", get(pages::api)),
        ("/api/openapi.json", get(api::document)),
        ("/assets/{*path}", get(pages::asset)),
        ("/dev/token", post(pages::token)),
        ("/dev/hints", get(hints::all)),
        // For the page, which cannot ask the other listener: its policy allows its own only.
        ("/dev/metrics", get(health::metrics)),
    ]
}
