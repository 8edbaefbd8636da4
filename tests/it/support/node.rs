//! A node inside the test's process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealcast::server::Node;
use sealcast_client::Options;
use sealcast_wire::Encoding;
use serde_json::{Value, json};

use super::http::{Answer, ask};
use super::{evidence, token};

/// The origin that test nodes allow.
pub(crate) const ORIGIN: &str = "https://good.example";
/// The key of test nodes' server API.
pub(crate) const API_KEY: &str = "a-canary-api-key-for-tests-0123456789";

/// Runs in the runtime of the test that started it, and goes with it. A part that
/// dies fails the test.
pub(crate) struct TestNode {
    pub(crate) node: Option<Node>,
    pub(crate) public: SocketAddr,
    dead: Arc<Mutex<Option<&'static str>>>,
}

impl TestNode {
    /// Ports of its own, an open channel without namespace, and a namespace for
    /// each kind of permission; see [`config`].
    pub(crate) async fn start() -> TestNode {
        TestNode::with(json!({})).await
    }

    /// The same, changed by what `options` says.
    pub(crate) async fn with(options: Value) -> TestNode {
        TestNode::of(&config(options)).await
    }

    /// A node of exactly this configuration.
    pub(crate) async fn of(file: &Value) -> TestNode {
        TestNode::by_clock(sealcast::server::unix_time, file).await
    }

    /// The same by a clock of its own.
    pub(crate) async fn by_clock(clock: fn() -> Duration, file: &Value) -> TestNode {
        evidence::log();
        let config = sealcast::config::parse(&file.to_string());
        let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
        let dead = Arc::new(Mutex::new(None));
        let died = Arc::clone(&dead);
        let node =
            Node::start_by(clock, config, Arc::new(move |part| *died.lock().unwrap() = Some(part)))
                .await;
        let node = node.unwrap_or_else(|error| panic!("{error}"));
        let app = Arc::clone(node.app());
        super::eventually("ready", || app.is_ready()).await;
        TestNode { public: node.public, node: Some(node), dead }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.public)
    }

    /// How `user` connects.
    pub(crate) fn options(&self, user: &str, encoding: Encoding) -> Options {
        let mut options = Options::new(self.url());
        options.timeout = super::PATIENCE;
        options.encoding = encoding;
        options.token = Some(token::of(user));
        options
    }

    /// A number, summed over its labels; `selector` is the name, or the name with
    /// labels as they are rendered.
    pub(crate) fn number(&self, selector: &str) -> f64 {
        let node = self.node.as_ref().expect("not drained");
        number(&node.app().policy.relay.hub().metrics().render(), selector)
    }

    /// A request to the public listener.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.public, &format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n"))
            .await
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let dead = self.dead.lock().unwrap().take();
        if !std::thread::panicking() {
            if let Some(node) = &self.node {
                evidence::rendered(&node.app().policy.relay.hub().metrics().render());
            }
            assert_eq!(dead, None, "a part of the node died");
        }
    }
}

/// A number in Prometheus' text format; see [`TestNode::number`].
pub(crate) fn number(rendered: &str, selector: &str) -> f64 {
    rendered
        .lines()
        .filter(|line| line.strip_prefix(selector).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// The configuration of test nodes, with `options` laid over it.
pub(crate) fn config(options: Value) -> Value {
    let mut config = json!({
        "http_server": { "port": 0 },
        "metrics": { "port": 0 },
        "client": {
            "allowed_origins": [ORIGIN],
            "token": { "hmac_secret_key": token::SECRET },
            "user_connection_limit": 0,
        },
        // Tests send faster than people, and all from one address.
        "limits": { "profile": "none", "ip_connections": 10_000 },
        "http_api": { "key": API_KEY },
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
            },
            "namespaces": [
                { "name": "closed" },
                {
                    "name": "talk",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_subscriber": true,
                },
                {
                    "name": "limited",
                    "allow_subscribe_for_client": true,
                    "allow_user_limited_channels": true,
                },
                {
                    "name": "anyone",
                    "allow_subscribe_for_client": true,
                    "allow_subscribe_for_anonymous": true,
                    "allow_publish_for_client": true,
                    "allow_publish_for_anonymous": true,
                },
                {
                    "name": "bytes",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_client": true,
                    "publication_data_format": "binary",
                },
                {
                    "name": "object",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_client": true,
                    "publication_data_format": "json_object",
                },
            ],
        },
    });
    lay_over(&mut config, options);
    config
}

/// Objects are joined, everything else is replaced; `null` takes a member away.
pub(crate) fn lay_over(base: &mut Value, options: Value) {
    match (base, options) {
        (Value::Object(base), Value::Object(options)) => {
            for (name, value) in options {
                if value.is_null() {
                    base.remove(&name);
                } else {
                    lay_over(base.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (base, options) => *base = options,
    }
}
