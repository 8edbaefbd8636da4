//! The accept loop: sockets in, requests to a service, by HTTP/1.1 or if it is allowed
//! also by HTTP/2.
//!
//! Each socket has a deadline for its header, a bound on what it may send before
//! its request is understood, and a place under a cap, which the slowest gives up
//! for a newcomer. What a request's body may
//! take in bytes and time is the service's to bound.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::crowd::Crowd;
use super::handover::Handover;
use super::http2;
use super::proxy_protocol;
use super::strict::Strict;
use crate::limit::{Cap, Permit};
use crate::metrics::Metrics;

/// Largest request head, bytes.
pub(super) const HEAD_BYTES: usize = 16 << 10;
/// Most headers of a request. Over HTTP/2 whoever answers it has to count them.
pub const HEADERS: usize = 64;
/// How long to wait when a socket cannot be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Sockets that may be told that the node is full at the same time.
const REFUSALS: usize = 64;
/// How long a refused client may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The address at the other end of the socket, or for whom that says it speaks; in
/// a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Whether whoever is at this address begins with the PROXY protocol.
pub type Announces = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// See the module's text.
pub struct Acceptor {
    /// Places for sockets that speak HTTP.
    pub sockets: Cap,
    /// Longest time until a request's head has come.
    pub header_timeout: Duration,
    /// Whether HTTP/2 is spoken with those who begin with it.
    pub http2: bool,
    /// Who says for whom it speaks; `None` for nobody.
    pub announces: Option<Announces>,
    /// Where the tasks of sockets are counted.
    pub tasks: TaskTracker,
    /// Ends the loop, and idle HTTP connections.
    pub stop: CancellationToken,
    /// The node's numbers.
    pub metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Accepts until told to stop.
    pub async fn run<S, B>(self, listener: TcpListener, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refusals = Cap::new(REFUSALS);
        let mut crowd = Crowd::new(self.sockets.most(), self.header_timeout);
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(event = "accept_failed", error = %error, "cannot accept a socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if super::socket::prepare(&stream).is_err() {
                continue;
            }
            let mut place = self.sockets.take();
            if place.is_none() && crowd.end_slowest() {
                self.metrics.sockets_refused.increment(1);
                place = Some(self.sockets.succeed());
            }
            match place {
                Some(place) => {
                    let socket = Arc::new(Handover::default());
                    let task =
                        self.serve(stream, (Peer(address), Arc::clone(&socket)), place, &service);
                    crowd.add(socket, task);
                }
                None => {
                    self.metrics.sockets_refused.increment(1);
                    if let Some(place) = refusals.take() {
                        self.tasks.spawn(refuse(stream, place));
                    }
                }
            }
        }
    }

    fn serve<S, B>(
        &self,
        stream: TcpStream,
        (peer, handover): (Peer, Arc<Handover>),
        place: Permit,
        service: &S,
    ) -> AbortHandle
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (stop, service) = (self.stop.clone(), service.clone());
        let open = Open::new(Arc::clone(&self.metrics), place);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let (timeout, http2, tasks) = (self.header_timeout, self.http2, self.tasks.clone());
        let announced =
            self.announces.as_ref().is_some_and(|announces| announces(peer.0.ip().to_canonical()));
        let serving = self.tasks.spawn(async move {
            let (mut stream, mut peer) = (stream, peer);
            if announced {
                let header = tokio::time::timeout(timeout, proxy_protocol::read(&mut stream));
                let Ok(Ok(client)) = header.await else { return };
                peer = Peer(client.unwrap_or(peer.0));
            }
            if http2 {
                let spoken = tokio::time::timeout(timeout, http2::is_spoken(&stream));
                let Ok(Ok(spoken)) = spoken.await else { return };
                if spoken {
                    handover.note_asked();
                    // Apart, so that it does not make the tasks of others larger.
                    Box::pin(http2::serve((stream, peer), service, tasks, timeout, &stop)).await;
                    return;
                }
            }
            let strict = Strict::new(stream, Arc::clone(&handover));
            let given = Arc::clone(&handover);
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                given.note_asked();
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(Arc::clone(&given));
                service.call(request)
            });
            let mut serving =
                builder.serve_connection(TokioIo::new(strict), service).with_upgrades();
            let mut stopping = std::pin::pin!(stop.cancelled());
            let mut told = false;
            let taker = std::future::poll_fn(|context| {
                if !told && stopping.as_mut().poll(context).is_ready() {
                    told = true;
                    Pin::new(&mut serving).graceful_shutdown();
                }
                // What goes wrong here is the client's affair: it went away, or sent
                // what is not HTTP, and has been answered if that was possible.
                match Pin::new(&mut serving).poll(context) {
                    Poll::Ready(_) => Poll::Ready(None),
                    Poll::Pending => {
                        handover.take().map_or(Poll::Pending, |it| Poll::Ready(Some(it)))
                    }
                }
            });
            if let Some(taker) = taker.await
                && let Some(parts) = serving.into_parts()
            {
                // Frees what was needed to speak HTTP, before anything else begins.
                let (stream, behind) = (parts.io.into_inner().into_inner(), parts.read_buf.len());
                drop((parts.read_buf, parts.service));
                taker(stream.into(), behind);
            }
            drop(open);
        });
        serving.abort_handle()
    }
}

/// A socket that speaks HTTP: its place, and its part of the gauge.
struct Open {
    metrics: Arc<Metrics>,
    _place: Permit,
}

impl Open {
    fn new(metrics: Arc<Metrics>, place: Permit) -> Open {
        metrics.sockets.increment(1.0);
        Open { metrics, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.sockets.decrement(1.0);
    }
}

/// Says that the node is full. The rest of the request is read and thrown away,
/// because closing over unread bytes would take the answer back.
async fn refuse(mut stream: TcpStream, place: Permit) {
    let retry = 5 + rand::random_range(0..5);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {retry}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    if stream.try_write(answer.as_bytes()).is_ok() {
        let _ = socket2::SockRef::from(&stream).shutdown(std::net::Shutdown::Write);
        let mut sink = [0; 1_024];
        let reading = async { while matches!(stream.read(&mut sink).await, Ok(1..)) {} };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, reading).await;
    }
    drop(place);
}
