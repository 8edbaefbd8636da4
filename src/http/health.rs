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
    /// Its clock and its broker's are too far apart: one of them is wrong, and with it
    /// what they say of tokens and of ages.
    Clock,
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

    /// What it means that a message has lately come back, or has not, and that the
    /// clocks agree, or do not.
    fn readiness(&self, came_back: bool, clocks_agree: bool) -> Readiness {
        if came_back {
            self.0.started.store(true, Ordering::Release);
        }
        match (self.is_leaving(), came_back, self.0.started.load(Ordering::Acquire)) {
            (true, ..) => Readiness::Leaving,
            (false, true, _) if !clocks_agree => Readiness::Clock,
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
        let came_back = relay.is_ready(relay.hub().clock().now());
        self.health.readiness(came_back, relay.clocks_agree())
    }

    /// Whether the node should get clients: it is not leaving, a message has lately
    /// gone through its broker and come back, and their clocks agree.
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
        Readiness::Clock => (StatusCode::SERVICE_UNAVAILABLE, "{\"reason\":\"clock\"}\n"),
        Readiness::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "{\"reason\":\"leaving\"}\n"),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::http::{Method, Request};
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::auth::{ApiKeys, ClusterKey, Namespaces, NodeId, Origins, Pseudonyms};
    use crate::broker::{Broker, Delivery, Sharding, StandIn, Tails};
    use crate::cluster::Cluster;
    use crate::http::{ErrorMode, Live, Proxies};
    use crate::hub::{Clock, Hub};
    use crate::limit::{Cap, Profile, Usage};
    use crate::metrics::Metrics;
    use crate::relay::Relay;
    use crate::session::{Admission, Policies, Policy};

    /// A node whose broker takes marks and brings none back; that broker, and the other
    /// end of its feed.
    fn node() -> (Arc<App>, Arc<StandIn>, mpsc::Sender<Delivery>) {
        let limits = Profile::Standard.limits();
        let sharding = Sharding::new(1);
        let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
        let broker = StandIn::new(0);
        let shared = Arc::clone(&broker) as Arc<dyn Broker>;
        let relay = Relay::new(hub, shared, Arc::new(Tails::new(&sharding, 0)), sharding);
        let (feed, inbox) = mpsc::channel(4);
        let fatal: crate::relay::Fatal = Arc::new(|part| panic!("{part}"));
        relay.start(vec![inbox], &CancellationToken::new(), &fatal);
        let policy = Arc::new(Policy {
            relay,
            verifier: None,
            admission: Admission::default(),
            namespaces: Namespaces::new(None, HashMap::new()),
            limits,
            pseudonyms: Pseudonyms::random(),
            usage: Usage::new(),
            unix_time: || Duration::ZERO,
            version: "0".into(),
        });
        let node = (NodeId::from_u128(1), "one".to_owned(), "0");
        let policies = Policies::new(Arc::clone(&policy));
        let cluster = Cluster::new(node, Arc::clone(&policies), ClusterKey::random());
        let app = App {
            origins: Origins::default(),
            proxies: Proxies::default(),
            api_keys: ApiKeys::default(),
            api_errors: ErrorMode::default(),
            api_rates: HashMap::new(),
            health: Health::default(),
            connections: Cap::new(1),
            streams: Cap::new(1),
            waiting: Cap::new(1),
            transports: crate::http::Transports::default(),
            tasks: TaskTracker::new(),
            dev: None,
            cluster,
            policies,
            policy,
        };
        (Arc::new(app), broker, feed)
    }

    async fn ask(app: &Arc<App>, method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "it");
        let request = request.body(axum::body::Body::empty()).expect("a request");
        let answer = crate::http::public(Live::new(Arc::clone(app)), true).answer(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).trim().to_owned())
    }

    /// What live, startup, ready and Centrifugo's check say.
    async fn told(app: &Arc<App>) -> [(u16, String); 4] {
        let paths = ["/health/live", "/health/startup", "/health/ready", "/health"];
        let [live, startup, ready, centrifugo] = paths.map(|path| ask(app, Method::GET, path));
        [live.await, startup.await, ready.await, centrifugo.await]
    }

    fn well() -> (u16, String) {
        (200, "{}".to_owned())
    }

    fn ill(reason: &str) -> (u16, String) {
        (503, format!("{{\"reason\":\"{reason}\"}}"))
    }

    /// Waits until the node is as it should become.
    async fn becomes(app: &App, wanted: Readiness) {
        let waiting = async {
            while app.readiness() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time");
    }

    #[tokio::test]
    async fn each_state_of_a_node_is_told_as_it_is() {
        let (app, broker, feed) = node();
        assert_eq!(told(&app).await, [well(), ill("starting"), ill("starting"), well()]);
        feed.send(Delivery::Probe(1)).await.expect("the pump listens");
        becomes(&app, Readiness::Ready).await;
        assert_eq!(told(&app).await, [well(), well(), well(), well()]);
        // No mark comes back any more.
        becomes(&app, Readiness::Broker).await;
        assert_eq!(told(&app).await, [well(), well(), ill("broker"), well()]);
        let now = app.policy.relay.hub().clock().now().0;
        feed.send(Delivery::Probe(now + 60_000)).await.expect("the pump listens");
        becomes(&app, Readiness::Ready).await;
        *broker.skew.lock() = Duration::from_millis(30_001);
        assert_eq!(told(&app).await, [well(), well(), ill("clock"), well()]);
        *broker.skew.lock() = Duration::from_secs(30);
        assert_eq!(told(&app).await, [well(), well(), well(), well()]);
        app.health.leave();
        assert_eq!(told(&app).await, [well(), well(), ill("leaving"), well()]);
    }

    #[tokio::test]
    async fn the_check_of_centrifugo_takes_any_method() {
        let (app, _broker, _feed) = node();
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(&app, method.clone(), "/health").await, well(), "{method}");
        }
        assert_eq!(ask(&app, Method::POST, "/health/ready").await.0, 405);
    }
}
