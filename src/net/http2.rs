//! HTTP/2 with prior knowledge (RFC 9113, 3.3), as a proxy speaks it that carries
//! WebSockets on few connections (RFC 8441).
//!
//! Each request and each WebSocket is a task of its own; what they hold together is
//! bounded by the windows and the number of streams below. A connection without any
//! is told to go, and ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::accept::{HEAD_BYTES, Peer};

/// What a connection begins with; no method is called so (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI";
/// How often an incomplete preface is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// Streams that a connection may have open: a proxy opens another then.
const STREAMS: u32 = 100;
/// Bytes that a stream may bring before somebody reads them: what RFC 9113 begins with.
const STREAM_WINDOW: u32 = (64 << 10) - 1;
/// The same for all streams of a connection: few that are not read leave room for
/// the others.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that wait for a peer's window, for each stream.
const SEND_BUFFER: usize = 16 << 10;
/// Streams that were refused for a fault, before the connection ends.
const FAULTS: usize = 100;
/// How long a request may take, with its answer's body.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// How long what was written last may take until it is out, once its writer is gone.
const LINGER: Duration = Duration::from_secs(5);

tokio::task_local! {
    /// The end of the stream whose task it is.
    static ENDS: CancellationToken;
}

/// Held by whatever goes on with a stream after its request was answered; when it is
/// gone the stream is reset, unless it ends in order first.
#[derive(Clone)]
pub(super) struct Ending {
    _guard: Arc<DropGuard>,
}

/// Whether the peer speaks HTTP/2; nothing is read.
pub(super) async fn is_spoken(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        let begun = first.get(..count).unwrap_or_default();
        if count == PREFACE.len() || count == 0 || !PREFACE.starts_with(begun) {
            return Ok(begun == PREFACE);
        }
        // The bytes stay where they are, so the socket does not tell of the next ones.
        tokio::time::sleep(GLANCE).await;
    }
}

/// Serves until the peer leaves, or has asked for nothing for `idle`, or after `stop`
/// when nothing is left to do.
pub(super) async fn serve<S, B>(
    (stream, peer): (TcpStream, Peer),
    service: S,
    tasks: TaskTracker,
    idle: Duration,
    stop: &CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let work = Arc::new(Work::default());
    let mut builder = http2::Builder::new(Streams { tasks, work: Arc::clone(&work) });
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_local_error_reset_streams(FAULTS);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let service = service.clone();
        async move {
            request.extensions_mut().insert(peer);
            if let Ok(ends) = ENDS.try_with(CancellationToken::clone) {
                request.extensions_mut().insert(Ending { _guard: Arc::new(ends.drop_guard()) });
            }
            service.call(request).await
        }
    });
    let mut serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut stopping = std::pin::pin!(stop.cancelled());
    let mut looks = tokio::time::interval(idle);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.reset();
    let (mut told, mut begun) = (false, 0);
    std::future::poll_fn(|context| {
        let mut goes = !told && stopping.as_mut().poll(context).is_ready();
        while looks.poll_tick(context).is_ready() {
            let before = std::mem::replace(&mut begun, work.begun.load(Ordering::Relaxed));
            if before == begun && work.running.load(Ordering::Relaxed) == 0 {
                if told {
                    return Poll::Ready(());
                }
                goes = true;
            }
        }
        if goes {
            told = true;
            Pin::new(&mut serving).graceful_shutdown();
        }
        // What goes wrong here is the peer's affair.
        Pin::new(&mut serving).poll(context).map(drop)
    })
    .await;
}

/// What a connection's streams do.
#[derive(Default)]
struct Work {
    /// Tasks there have been.
    begun: AtomicUsize,
    /// Tasks there are.
    running: AtomicUsize,
}

/// Runs the tasks of a connection's streams.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    work: Arc<Work>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    /// Hyper begins a request's task from the connection's, and from the request's the
    /// one that carries what is written to the stream that it has become.
    fn execute(&self, future: F) {
        let running = Running::begin(&self.work);
        if let Ok(ends) = ENDS.try_with(CancellationToken::clone) {
            self.tasks.spawn(async move {
                let lingered = async {
                    ends.cancelled().await;
                    tokio::time::sleep(LINGER).await;
                };
                tokio::select! { () = future => {} () = lingered => {} }
                drop(running);
            });
        } else {
            self.tasks.spawn(ENDS.scope(CancellationToken::new(), async move {
                let _ = tokio::time::timeout(LONGEST_REQUEST, future).await;
                drop(running);
            }));
        }
    }
}

/// A task of [`Work`].
struct Running(Arc<Work>);

impl Running {
    fn begin(work: &Arc<Work>) -> Running {
        work.begun.fetch_add(1, Ordering::Relaxed);
        work.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(work))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
