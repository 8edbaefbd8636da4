//! HTTP/2 with prior knowledge (RFC 9113, 3.3), as a proxy speaks it that carries
//! WebSockets (RFC 8441) and event streams on few connections.
//!
//! Each request and each WebSocket is a task of its own; what they hold together is
//! bounded by the windows and the number of streams below. A connection without any
//! is told to go, and ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
/// How long a request may take, with its answer's body unless that goes on.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// How long what was written last may take until it is out, once its writer is gone.
const LINGER: Duration = Duration::from_secs(5);

tokio::task_local! {
    /// Of the request whose task it is.
    static LIFE: Arc<Life>;
}

/// How long a request's stream lives.
#[derive(Default)]
struct Life {
    /// Whatever goes on with it is gone.
    ends: CancellationToken,
    /// Its answer goes on after it has begun.
    goes_on: AtomicBool,
}

impl Life {
    /// Comes back when whoever goes on with the stream has been gone for so long that
    /// the peer had its chance to take the rest.
    async fn lingered(&self) {
        self.ends.cancelled().await;
        tokio::time::sleep(LINGER).await;
    }

    /// The same for the request's own task, which has its time otherwise.
    async fn is_over(&self) {
        let goes_on = || self.goes_on.load(Ordering::Relaxed);
        let _ = tokio::time::timeout(LONGEST_REQUEST, async {
            // Also gone with a request that is answered without it.
            self.ends.cancelled().await;
            if !goes_on() {
                std::future::pending::<()>().await;
            }
        })
        .await;
        if goes_on() {
            self.lingered().await;
        }
    }
}

/// Held by whatever goes on with a stream after its request was answered; when it is
/// gone the stream is reset, unless it ends in order first.
#[derive(Clone)]
pub(super) struct Ending {
    life: Arc<Life>,
    _guard: Arc<DropGuard>,
}

impl Ending {
    fn of(life: Arc<Life>) -> Ending {
        Ending { _guard: Arc::new(life.ends.clone().drop_guard()), life }
    }

    /// The answer itself goes on, for as long as this is held.
    pub(super) fn goes_on(&self) {
        self.life.goes_on.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Default for Ending {
    fn default() -> Ending {
        Ending::of(Arc::default())
    }
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
            if let Ok(life) = LIFE.try_with(Arc::clone) {
                request.extensions_mut().insert(Ending::of(life));
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
        if let Ok(life) = LIFE.try_with(Arc::clone) {
            self.tasks.spawn(async move {
                tokio::select! { () = future => {} () = life.lingered() => {} }
                drop(running);
            });
        } else {
            let life = Arc::<Life>::default();
            let own = Arc::clone(&life);
            self.tasks.spawn(LIFE.scope(life, async move {
                tokio::select! { () = future => {} () = own.is_over() => {} }
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

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(24 * 3_600);

    /// Of a request whose answer goes on for so long, if it goes on.
    async fn lives(goes_on: Option<Duration>) -> Duration {
        let (life, began) = (Arc::<Life>::default(), Instant::now());
        let ending = Ending::of(Arc::clone(&life));
        if let Some(time) = goes_on {
            ending.goes_on();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                drop(ending);
            });
        } else {
            drop(ending);
        }
        let _ = timeout(LONG, life.is_over()).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_its_time_and_a_stream_as_long_as_somebody_goes_on_with_it() {
        assert_eq!(lives(None).await, LONGEST_REQUEST);
        for time in [Duration::ZERO, Duration::from_secs(3), LONGEST_REQUEST, LONG / 2] {
            assert_eq!(lives(Some(time)).await, time + LINGER, "{time:?}");
        }
        assert_eq!(lives(Some(2 * LONG)).await, LONG);
    }
}
