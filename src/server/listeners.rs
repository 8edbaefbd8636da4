//! The listeners of a node: which there are, and what each serves.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{Config, Listeners};
use crate::http::{self, Live};
use crate::net::{self, Acceptor, Announces};

/// Sockets of the metrics listener.
const METRICS_SOCKETS: usize = 50;

/// The listeners, bound.
pub(super) struct Doors {
    /// Where they are bound.
    pub(super) addresses: Listeners,
    public: TcpListener,
    internal: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Doors {
    /// Binds all of them.
    ///
    /// # Errors
    /// If the node cannot listen where it is told to.
    pub(super) fn open(config: &Config) -> Result<Doors, StartError> {
        let mut addresses = config.listeners;
        let public = listen(&mut addresses.public)?;
        let internal = addresses.internal.as_mut().map(listen).transpose()?;
        let metrics = addresses.metrics.as_mut().map(listen).transpose()?;
        Ok(Doors { addresses, public, internal, metrics })
    }

    /// Serves: the public one until the first of the two says so, the others as long
    /// as the node works. `acceptor` makes one for so many sockets. The public one's speak
    /// the PROXY protocol, or HTTP/2, where that is said.
    pub(super) fn serve(
        self,
        live: &Live,
        acceptor: impl Fn(usize, &CancellationToken, Option<Announces>) -> Acceptor,
        (accepting, works): (&CancellationToken, &CancellationToken),
        (proxy_protocol, http2): (bool, bool),
    ) {
        let Doors { addresses, public, internal, metrics } = self;
        let sockets = live.app().policy.limits.http_sockets;
        let routes = http::public(live.clone(), addresses.public_api);
        let announces = proxy_protocol.then(|| announces(live.clone()));
        let doorman = Acceptor { http2, ..acceptor(sockets, accepting, announces) };
        tokio::spawn(http::serve(doorman, public, routes));
        if let Some(listener) = internal {
            let routes = http::internal(live.clone(), metrics.is_none());
            tokio::spawn(http::serve(acceptor(sockets, works, None), listener, routes));
        }
        if let Some(listener) = metrics {
            let routes = http::metrics(live.clone());
            tokio::spawn(http::serve(acceptor(METRICS_SOCKETS, works, None), listener, routes));
        }
    }
}

/// The proxies that are trusted when a socket comes in.
fn announces(live: Live) -> Announces {
    Arc::new(move |address| live.app().proxies.are_at(address))
}

/// Binds, and puts the port in that was taken.
fn listen(address: &mut SocketAddr) -> Result<TcpListener, StartError> {
    let wanted = *address;
    let listener =
        net::listen(wanted).map_err(|source| StartError::Listen { address: wanted, source })?;
    *address = listener.local_addr().unwrap_or(wanted);
    Ok(listener)
}
