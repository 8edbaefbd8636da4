//! Configuration: a file in Centrifugo v6's structure, environment variables over
//! it, and flags over these, turned into what the rooms need. Every fault is
//! reported at once, with its place.
//!
//! `file` declares the options, each once (see `section`); `reader` walks over the
//! declarations, to read what is written or to describe what there is; `build`
//! checks what one type alone does not say, and makes what the rooms take.

mod build;
mod doc;
mod environment;
mod file;
mod kind;
mod limits;
mod load;
mod namespaces;
mod nearest;
mod reader;
mod secret;
mod section;
mod settings;
mod shaping;
mod start;
mod tree;
mod unreadable;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::{ApiKeys, ClusterKey, Issuer, Namespaces, Origins, Pseudonyms, Verifier};
use crate::broker::RedisConfig;
use crate::http::{ErrorMode, Proxies, Transports};
use crate::limit::{Limits, Profile, Rate};
use crate::session::Admission;

pub use build::development;
pub use doc::markdown;
pub use limits::{LIMITS, Limit, limits_markdown};
pub use load::{Sources, parse};
pub use settings::{Setting, Source};
pub use start::starting;
pub use tree::Format;
pub use unreadable::unreadable;

/// What a node is to be.
pub struct Config {
    /// Where it listens.
    pub listeners: Listeners,
    /// Proxies whose word about client addresses counts.
    pub proxies: Proxies,
    /// Those speak the PROXY protocol.
    pub proxy_protocol: bool,
    /// The public listener speaks HTTP/2 too.
    pub http2: bool,
    /// Pages that may connect.
    pub origins: Origins,
    /// Verifies tokens, if a key is configured.
    pub verifier: Option<Verifier>,
    /// Makes tokens, in development mode only.
    pub dev: Option<Issuer>,
    /// Who may connect, and what connecting brings.
    pub admission: Admission,
    /// By which transports clients may connect.
    pub transports: Transports,
    /// Whether the node takes what Centrifugo takes and it should not.
    pub compat: bool,
    /// Keys of the server API.
    pub api_keys: ApiKeys,
    /// How the server API tells errors.
    pub api_errors: ErrorMode,
    /// How fast keys of the server API may call, by their names.
    pub api_rates: HashMap<String, Rate>,
    /// What is allowed where.
    pub namespaces: Namespaces,
    /// The numbers.
    pub limits: Limits,
    /// Where those of them came from that were not given.
    pub profile: Profile,
    /// How the node leaves.
    pub drain: Drain,
    /// What carries publications between nodes.
    pub engine: Engine,
    /// What all nodes of the cluster share; `None` for a node that is alone.
    pub cluster: Option<ClusterKey>,
    /// Make what stands for users in the log; `None` if no key is configured.
    pub pseudonyms: Option<Pseudonyms>,
    /// The node's name, if one was chosen.
    pub name: Option<String>,
    /// Every option, its value, and where that came from.
    pub settings: Vec<Setting>,
    /// What is not wrong and should still be looked at.
    pub warnings: Vec<Fault>,
}

/// Where a node listens, and for what; a port of 0 is a free one. An address that is
/// not loopback is behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// For clients, and for the server API unless that is internal.
    pub public: SocketAddr,
    /// For the server API, and for metrics unless those have their own.
    pub internal: Option<SocketAddr>,
    /// For metrics alone.
    pub metrics: Option<SocketAddr>,
    /// The server API is on the public listener.
    pub public_api: bool,
}

impl Listeners {
    /// Where metrics are.
    #[must_use]
    pub fn metrics(&self) -> SocketAddr {
        self.metrics.or(self.internal).unwrap_or(self.public)
    }
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
