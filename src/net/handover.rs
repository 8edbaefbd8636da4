//! Taking a socket away from hyper in the middle of a response.
//!
//! A stream is an HTTP response that does not end. Served by hyper it would cost
//! some 11 KB of buffers each, and every write would have to go through the task
//! that owns them. So hyper writes the head, with what every response bears, and
//! begins with a body in chunks; then the socket is taken out, and chunks are
//! written to it as frames are to a WebSocket: by whoever has something to say, from
//! shared bytes. The price is one response a connection, which its head says
//! (`Connection: close`). Over HTTP/2, whose socket is shared, see `pipe`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use parking_lot::Mutex;

use super::takeover::Taker;

/// What the accept loop and the answering of requests share of one socket; in the
/// extensions of each of its requests.
#[derive(Default)]
pub(super) struct Handover {
    /// The last write was refused, for want of room: something of what hyper holds is
    /// not out.
    full: AtomicBool,
    /// Hyper has asked for the body, so the head is written.
    begun: AtomicBool,
    /// A request has come.
    asked: AtomicBool,
    taker: Mutex<Option<Taker>>,
}

impl Handover {
    /// The body of a response whose socket is to be taken over when its head is out.
    /// The request's body must have been read to its end.
    pub(super) fn body(self: &Arc<Handover>, taker: Taker) -> Handing {
        *self.taker.lock() = Some(taker);
        Handing(Arc::clone(self))
    }

    pub(super) fn note_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether a request has come.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn note_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Who takes the socket, once everything that hyper was given is out.
    pub(super) fn take(&self) -> Option<Taker> {
        let ready = self.begun.load(Ordering::Relaxed) && !self.full.load(Ordering::Relaxed);
        if ready { self.taker.lock().take() } else { None }
    }
}

/// A body that only its end is missing from; see [`Handover::body`].
pub(super) struct Handing(Arc<Handover>);

impl Body for Handing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The task that polls looks at it next.
        self.0.begun.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

impl Drop for Handing {
    /// Whoever drops the response unanswered drops what waited for its socket too.
    fn drop(&mut self) {
        drop(self.0.taker.lock().take());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_socket_is_only_taken_when_everything_before_is_out() {
        let handover = Arc::new(Handover::default());
        let mut body = handover.body(Box::new(|_, _| {}));
        assert!(handover.take().is_none(), "the head is not written");
        let mut context = Context::from_waker(Waker::noop());
        handover.note_full(true);
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        assert!(handover.take().is_none(), "not all of it has gone out");
        handover.note_full(false);
        assert!(handover.take().is_some() && handover.take().is_none(), "once");
    }

    #[test]
    fn what_waits_for_a_socket_goes_with_the_response() {
        let handover = Arc::new(Handover::default());
        let kept = Arc::new(());
        let held = Arc::clone(&kept);
        let body = handover.body(Box::new(move |_, _| drop(held)));
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
