//! Configuration: a JSON file in Centrifugo v6's structure, turned into what the
//! rooms need. Every fault is reported at once, with its place.

mod build;
mod duration;
mod file;
mod namespaces;

use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::{ApiKeys, ClusterKey, Issuer, Namespaces, Origins, Verifier};
use crate::broker::RedisConfig;
use crate::http::{ErrorMode, Proxies};
use crate::limit::Limits;
use crate::session::Admission;

pub use build::{development, parse};

/// What a node is to be.
pub struct Config {
    /// Where clients and the server API come in.
    pub public: SocketAddr,
    /// Where metrics are served; loopback unless said otherwise.
    pub metrics: SocketAddr,
    /// Proxies whose word about client addresses counts.
    pub proxies: Proxies,
    /// Pages that may connect.
    pub origins: Origins,
    /// Verifies tokens, if a key is configured.
    pub verifier: Option<Verifier>,
    /// Makes tokens, in development mode only.
    pub dev: Option<Issuer>,
    /// Who may connect, and what connecting brings.
    pub admission: Admission,
    /// Whether the node takes what Centrifugo takes and it should not.
    pub compat: bool,
    /// Keys of the server API.
    pub api_keys: ApiKeys,
    /// How the server API tells errors.
    pub api_errors: ErrorMode,
    /// What is allowed where.
    pub namespaces: Namespaces,
    /// The numbers.
    pub limits: Limits,
    /// How the node leaves.
    pub drain: Drain,
    /// What carries publications between nodes.
    pub engine: Engine,
    /// What all nodes of the cluster share; `None` for a node that is alone.
    pub cluster: Option<ClusterKey>,
    /// The node's name, if one was chosen.
    pub name: Option<String>,
}

/// What carries publications between nodes, and keeps what is kept.
#[derive(Clone, Debug)]
pub enum Engine {
    /// This process alone.
    Memory,
    /// Redis, for any number of nodes.
    Redis(RedisConfig),
}

/// How a node leaves after SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// It is not ready, and still accepts: the load balancer takes notice.
    pub lb_wait: Duration,
    /// Its clients are sent away over this time.
    pub spread: Duration,
    /// It exits, whatever is left.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain {
            lb_wait: Duration::from_secs(5),
            spread: Duration::from_secs(20),
            deadline: Duration::from_secs(35),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: the path of the option, with dots.
    pub place: String,
    /// What, and what to do.
    pub problem: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.place, self.problem)
        }
    }
}
