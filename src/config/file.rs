//! The options there are: Centrifugo v6's structure and names wherever the concept
//! is the same. An option that is not listed here is refused, because ignoring one
//! could open a door.

mod api;
mod broker;
mod channel;
mod client;
mod limit_rate;
mod limits;
mod stream;
mod token;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::kind::Port;
use super::secret::SecretText;
use super::section::{Section as _, section};
use crate::limit::Limits;

pub(super) use api::{ApiKey, HttpApi};
pub(super) use broker::{Addresses, Cluster, Engine, RedisEngine, RedisTls};
pub(super) use channel::{Channels, Options, Shaping};
pub(super) use client::Client;
pub(super) use limits::{LimitOptions, WebSocket};
pub(super) use stream::{HttpStream, Sse, UniHttpStream, UniSse, UniWebSocket};
pub(super) use token::{SubscriptionToken, Token, TokenIssuer};

section! {
    /// The whole configuration.
    File {
        /// The listener for clients and the server API.
        http_server: HttpServer,
        /// The listener for metrics alone.
        metrics: Metrics,
        /// Connections of clients.
        client: Client,
        /// What is allowed in which channels.
        channel: Channels,
        /// The server API.
        http_api: HttpApi,
        /// The WebSocket transport.
        websocket: WebSocket,
        /// Server-sent events, in both directions.
        sse: Sse,
        /// HTTP streaming, in both directions.
        http_stream: HttpStream,
        /// Server-sent events for clients that only listen.
        uni_sse: UniSse,
        /// HTTP streaming for clients that only listen.
        uni_http_stream: UniHttpStream,
        /// WebSocket for clients that only listen.
        uni_websocket: UniWebSocket,
        /// Bounds that are not a client's own.
        limits: LimitOptions,
        /// The broker.
        engine: Engine,
        /// The nodes together.
        cluster: Cluster,
        /// The log.
        log: Log,
        /// How the node leaves.
        shutdown: Shutdown,
        /// This node.
        node: Node,
        /// Taking another server's place.
        compat: Compat,
    }
    unsupported {
        broker: "its name here is engine",
        map_broker: "there are no map subscriptions",
        presence_manager: "presence is kept where engine says",
        rpc: "calls of clients are answered with error 108",
        proxies: "there are no calls of a backend; decide by tokens and namespace options",
        consumers: "publish by the server API",
        shared_poll: "there are no shared poll subscriptions",
        grpc_api: "use the HTTP server API",
        emulation: "remove it; it is always /emulation, there where sse or http_stream is",
        webtransport: "clients connect by WebSocket, http_stream or sse",
        uni_grpc: "use uni_http_stream",
        init: "remove it",
        admin: "there is no admin page; use the server API",
        prometheus: "metrics are always served, at metrics.port or http_server.internal_port",
        health: "health is always served, at /health/live and /health/ready",
        swagger: "/api/openapi.json is always served, where metrics are",
        debug: "remove it",
        opentelemetry: "remove it; use the metrics",
        graphite: "remove it; use the metrics",
        usage_stats: "nothing is ever sent anywhere; remove it",
        pid_file: "let the service manager know the process",
    }
}

impl File {
    /// Sets the limits that the options name.
    pub(super) fn set_limits(&self, limits: &mut Limits) {
        self.client.limits(limits);
        self.websocket.limits(limits);
        self.limits.limits(limits);
        // It has no default of its own, because with `compat` there is none.
        limits.token_max_lifetime =
            self.client.token.max_lifetime.unwrap_or(limits.token_max_lifetime);
    }
}

section! {
    HttpServer {
        /// The address to listen on. One that is not loopback needs `trusted_proxies`, because
        /// TLS ends at a proxy.
        @restart address: IpAddr = Ipv4Addr::LOCALHOST.into(),
        /// The port for clients and the server API.
        @restart port: u16 = 8_000,
        /// The port of the internal listener, for the server API, health and metrics. With it
        /// the server API is not on the public one, unless `http_api.external` is on. None unless
        /// given.
        @restart internal_port: Option<Port>,
        /// The address of the internal listener. One that is not loopback needs
        /// `trusted_proxies`.
        @restart internal_address: IpAddr = Ipv4Addr::LOCALHOST.into(),
        /// Addresses and networks of the proxies whose word about a client's address is believed:
        /// `X-Forwarded-For`, or the PROXY protocol.
        trusted_proxies: Vec<String>,
        /// Connections from `trusted_proxies` begin with a header of the PROXY protocol, version 2.
        /// Others have none, and speak for themselves.
        @restart proxy_protocol: bool,
        /// Whether the public listener speaks HTTP/2 with whoever begins with it (without TLS,
        /// by prior knowledge), and takes WebSockets and streams over it.
        @restart http2: bool,
    }
    unsupported {
        tls: "TLS ends at a proxy",
        tls_autocert: "TLS ends at a proxy",
        tls_external: "TLS ends at a proxy",
        internal_tls: "TLS ends at a proxy",
        http3: "HTTP/1.1 carries WebSocket",
    }
}

section! {
    Metrics {
        /// The address of the metrics listener, 127.0.0.1 unless given. One that is not loopback
        /// needs `http_server.trusted_proxies`.
        @restart address: Option<IpAddr>,
        /// The port of the metrics listener, 9000 unless given. With
        /// `http_server.internal_port` metrics are served there instead, unless one of these two
        /// options is given.
        @restart port: Option<u16>,
    }
}

section! {
    Shutdown {
        /// How long the node still accepts connections after SIGTERM while it says that it is not
        /// ready, so that load balancers take notice.
        @restart lb_wait: Duration = Duration::from_secs(5),
        /// Over which time clients are then sent away.
        @restart spread: Duration = Duration::from_secs(20),
        /// When the node exits at last, whoever is left.
        @restart deadline: Duration = Duration::from_secs(35),
    }
    unsupported {
        timeout: "its name here is deadline",
        termination_delay: "its name here is lb_wait",
    }
}

section! {
    Log {
        /// Makes what stands for users in the log; 32 random bytes, the same on every node. Unless
        /// given it is one that nobody knows, another for each node and start.
        pseudonym_key: Option<SecretText>,
    }
    unsupported {
        level: "see the flag --log-level of `sealcast serve`",
        file: "the log goes to standard error",
    }
}

section! {
    Node {
        /// The node's name in the server API; the host's name unless given.
        @restart name: Option<String>,
    }
    unsupported {
        info_metrics_aggregate_interval: "remove it",
    }
}

section! {
    Compat {
        /// Take what Centrifugo takes, for the time of a move: tokens without `exp` or `sub`, HMAC
        /// secrets under 32 bytes, payloads that are not JSON; unknown options only warn.
        centrifugo: bool,
        /// Take tokens in the URL of /connection/sse and /connection/uni_sse, where browsers and
        /// proxies keep them in their histories and logs: what the stock JavaScript SDK does.
        sse_token_in_url: bool,
    }
}
