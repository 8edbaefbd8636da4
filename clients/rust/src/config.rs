//! What clients and subscriptions are made with.

use std::fmt;
use std::time::Duration;

use sealcast_wire::{Encoding, Filter, Position, json};

use crate::machine::{Room, Settings, Terms};
use crate::token::{StateSource, TokenError, TokenSource};
use crate::{Backoff, CallError, Options};

/// How a [`crate::Client`] connects. `Debug` shows no secrets.
///
/// ```
/// use sealcast_client::{Config, TokenError};
///
/// let mut config = Config::new("ws://127.0.0.1:8000/connection/websocket")
///     .with_token_source(|| async {
///         // Ask the application's backend here.
///         Err::<String, _>(TokenError::other("the backend is away"))
///     });
/// config.max_ping_delay = std::time::Duration::from_secs(5);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The endpoint, as `ws://host:port/connection/websocket`; without a port,
    /// 80. `wss://` needs the feature `tls`; without a port, 443.
    pub url: String,
    /// How commands and replies are written. JSON unless changed.
    pub encoding: Encoding,
    /// The connection token to begin with. None unless changed.
    pub token: Option<String>,
    /// Data for the application, with the connect command. In JSON, one value.
    pub data: Option<Vec<u8>>,
    /// The client's name, informational.
    pub name: String,
    /// The client's version, informational.
    pub version: String,
    /// The `Origin` header, as browsers send it. None unless changed.
    pub origin: Option<String>,
    /// Further headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
    /// How long to wait for the connection, and for each reply. 5 seconds unless
    /// changed.
    pub timeout: Duration,
    /// How much later than announced the server's pings may come, before the
    /// client connects anew. 10 seconds unless changed.
    pub max_ping_delay: Duration,
    /// What may wait for a connection.
    pub offline: Offline,
    /// How many events of the client may wait unread. 1024 unless changed.
    pub event_buffer: usize,
    /// How many bytes the events of the client and all its subscriptions may
    /// hold that wait unread. 16 MiB unless changed. One event that is larger
    /// waits until all others are read.
    pub event_bytes: usize,
    /// The largest message that is accepted from the server, and the largest
    /// payload that a delta may make, in bytes. 4 MiB unless changed.
    pub message_limit: usize,
    /// The largest command that is sent, in bytes: servers end a connection that
    /// sends more than they take. 64 KiB unless changed, as servers have it.
    pub command_limit: usize,
    /// How `wss://` is spoken; unless given, with the certificate authorities
    /// that browsers trust.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
    pub(crate) token_source: Option<TokenSource>,
}

/// What may wait while a client connects: publishes and all other calls. Beyond
/// the bounds a call fails with [`CallError::BufferFull`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offline {
    /// How many calls. 1024 unless changed.
    pub calls: usize,
    /// How many bytes of commands. 1 MiB unless changed.
    pub bytes: usize,
    /// How long each, before it fails with [`CallError::NotConnected`]. 10 seconds
    /// unless changed.
    pub timeout: Duration,
}

/// What a [`crate::Subscription`] asks for. `Debug` shows no secrets.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct SubscriptionConfig {
    /// The subscription token to begin with.
    pub token: Option<String>,
    /// Data for the application. In JSON, one value.
    pub data: Option<Vec<u8>>,
    /// Asks the server to watch that nothing is missed.
    pub positioned: bool,
    /// Asks to get what was missed after a lost connection.
    pub recoverable: bool,
    /// Asks to be told who comes and goes.
    pub join_leave: bool,
    /// Asks for publications as differences to the one before. What is handed
    /// out is always whole. Not together with a filter.
    pub delta: bool,
    /// Which publications are wanted, by their tags.
    pub filter: Option<Filter>,
    /// Asks for what was published after this place.
    pub since: Option<Position>,
    /// How long to wait between attempts to subscribe.
    pub backoff: Backoff,
    /// How many events of the subscription may wait unread; 0 for 1024.
    pub event_buffer: usize,
    pub(crate) token_source: Option<TokenSource>,
    pub(crate) state_source: Option<StateSource>,
}

impl Config {
    /// The defaults, for this address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Config {
        Config {
            url: url.into(),
            encoding: Encoding::Json,
            token: None,
            data: None,
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            origin: None,
            headers: Vec::new(),
            backoff: Backoff::DEFAULT,
            timeout: Duration::from_secs(5),
            max_ping_delay: Duration::from_secs(10),
            offline: Offline::default(),
            event_buffer: 1024,
            event_bytes: 16 << 20,
            message_limit: 4 << 20,
            command_limit: 64 << 10,
            #[cfg(feature = "tls")]
            tls: None,
            token_source: None,
        }
    }

    /// Asks this for a connection token, whenever a new one is needed: to begin
    /// with, when none is given; before the one of now expires; and after the
    /// server said that it has. An empty token counts as
    /// [`TokenError::Unauthorized`].
    #[must_use]
    pub fn with_token_source<F>(mut self, source: impl Fn() -> F + Send + Sync + 'static) -> Config
    where
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token_source = Some(TokenSource::new(move |_| source()));
        self
    }

    /// What the connection is opened with.
    pub(crate) fn options(&self) -> Options {
        Options {
            url: self.url.clone(),
            encoding: self.encoding,
            token: None,
            origin: self.origin.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            event_buffer: 1,
            message_limit: self.message_limit,
            answer_pings: true,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            encoding: self.encoding,
            token: self.token.clone(),
            has_token_source: self.token_source.is_some(),
            data: self.data.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            backoff: self.backoff,
            timeout: self.timeout,
            max_ping_delay: self.max_ping_delay,
            room: Room {
                calls: self.offline.calls,
                bytes: self.offline.bytes,
                time: self.offline.timeout,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), CallError> {
        let options = self.options();
        let address = options.address();
        let address = address.map_err(|_| {
            CallError::Invalid("not an address of the form ws://host:port/path or wss://…")
        })?;
        if address.secure && !cfg!(feature = "tls") {
            return Err(CallError::Invalid(
                "wss:// needs the feature `tls` of the crate sealcast-client",
            ));
        }
        options
            .checked_headers()
            .map_err(|_| CallError::Invalid("a header with a control character"))?;
        check_data(self.encoding, self.data.as_deref())
    }
}

impl SubscriptionConfig {
    /// Asks this for a subscription token to the channel, whenever a new one is
    /// needed; see [`Config::with_token_source`].
    #[must_use]
    pub fn with_token_source<F>(
        mut self,
        source: impl Fn(&str) -> F + Send + Sync + 'static,
    ) -> SubscriptionConfig
    where
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token_source = Some(TokenSource::new(source));
        self
    }

    /// Loads the application's state of the channel by this, and subscribes from
    /// the place in the stream that it gives. Asked again whenever what came
    /// after cannot be brought back, so that the state is never followed by
    /// publications that leave something out.
    #[must_use]
    pub fn with_state_source<F>(
        mut self,
        source: impl Fn(&str) -> F + Send + Sync + 'static,
    ) -> SubscriptionConfig
    where
        F: Future<Output = Result<Position, TokenError>> + Send + 'static,
    {
        self.state_source = Some(StateSource::new(source));
        self
    }

    pub(crate) fn terms(&self, most: usize) -> Terms {
        Terms {
            token: self.token.clone(),
            has_token_source: self.token_source.is_some(),
            has_state_source: self.state_source.is_some(),
            data: self.data.clone(),
            positioned: self.positioned,
            recoverable: self.recoverable,
            join_leave: self.join_leave,
            delta: self.delta,
            filter: self.filter.clone().map(Box::new),
            since: self.since.clone(),
            backoff: self.backoff,
            most,
        }
    }

    pub(crate) fn check(&self, encoding: Encoding) -> Result<(), CallError> {
        if self.delta && self.filter.is_some() {
            return Err(CallError::Invalid("delta and filter do not go together"));
        }
        check_data(encoding, self.data.as_deref())
    }
}

/// In JSON, what is sent must be one value.
pub(crate) fn check_data(encoding: Encoding, data: Option<&[u8]>) -> Result<(), CallError> {
    match (encoding, data) {
        (Encoding::Json, Some(data)) if !json::is_value(data) => {
            Err(CallError::Invalid("the data is not one JSON value"))
        }
        _ => Ok(()),
    }
}

impl Default for Config {
    /// For a local server on its usual port.
    fn default() -> Config {
        Config::new(Options::default().url)
    }
}

impl Default for Offline {
    fn default() -> Offline {
        Offline { calls: 1024, bytes: 1 << 20, timeout: Duration::from_secs(10) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Config")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("encoding", &self.encoding)
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("token_source", &self.token_source)
            .field("origin", &self.origin)
            .field("headers", &headers)
            .field("backoff", &self.backoff)
            .field("timeout", &self.timeout)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SubscriptionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionConfig")
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("token_source", &self.token_source)
            .field("state_source", &self.state_source)
            .field("positioned", &self.positioned)
            .field("recoverable", &self.recoverable)
            .field("join_leave", &self.join_leave)
            .field("delta", &self.delta)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
