//! One WebSocket connection: reads, unframes, hands messages to its session, and
//! writes on when the socket had been full.
//!
//! The task waits for any of: bytes to read (unless too much is in flight), room
//! to write (only while blocked), a wake by the hub (blocked, closing, ended), or
//! a command that went on. It owns no buffer: bytes are read into one buffer of
//! the thread, and only what is unfinished is kept.

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sealcast_wire::Disconnect;
use sealcast_wire::ws::{self, Incoming, Receiver};

use super::lived::Lived;
use crate::hub::{Connection, Hub, Millis, Pings};
use crate::limit::Limits;
use crate::session::{Message, Session};

/// Bytes read at once.
const READ: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What the frame parser accepts under these limits.
#[must_use]
pub fn receiver_limits(limits: &Limits) -> ws::Limits {
    let fragments = u32::try_from(limits.frame_fragments).unwrap_or(u32::MAX);
    ws::Limits { message: limits.frame_bytes, fragments }
}

/// Drives a connection until it has ended. `leftover` is what came behind the
/// handshake.
pub fn drive<S: Session>(
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    session: S,
    limits: ws::Limits,
    message_deadline: Millis,
    leftover: Bytes,
) -> impl Future<Output = ()> + Send {
    Driver {
        receiver: Receiver::new(ws::Role::Server, limits),
        message_deadline,
        leftover: (!leftover.is_empty()).then(|| Box::new(leftover.to_vec())),
        had_partial: false,
        lived: Lived::begin(hub, connection),
        session,
    }
}

struct Driver<S: Session> {
    lived: Lived,
    receiver: Receiver,
    message_deadline: Millis,
    #[expect(clippy::box_collection, reason = "one word in a resting connection")]
    leftover: Option<Box<Vec<u8>>>,
    had_partial: bool,
    session: S,
}

impl<S: Session> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(mut leftover) = this.leftover.take() {
            this.bytes(&mut leftover, context);
            this.lived.connection.flush(&this.lived.hub);
        }
        loop {
            this.session.resume(context);
            this.lived.connection.flush(&this.lived.hub);
            let Some(status) = this.lived.connection.poll_status(context) else {
                return Poll::Ready(());
            };
            if !status.open {
                this.note_partial();
            }
            let wrote = status.blocked && this.poll_write(context).is_ready();
            let wants_input = status.reading && (!status.open || this.session.wants_input());
            let read = wants_input && this.poll_read(context).is_ready();
            if !wrote && !read {
                return Poll::Pending;
            }
            if read && this.lived.connection.take_expectation() {
                // Behind the pump, which the publication has woken: one write for both.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl<S: Session> Driver<S> {
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match std::task::ready!(self.lived.connection.poll_writable(context)) {
            Ok(()) => self.lived.connection.unblock(&self.lived.hub),
            Err(_) => self.lived.connection.end(Disconnect::WRITE_ERROR),
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            match std::task::ready!(self.lived.connection.poll_read(context, scratch)) {
                Ok(0) => self.lived.connection.end(Disconnect::CONNECTION_CLOSED),
                Ok(count) => {
                    self.lived.hub.metrics().bytes_in.increment(count as u64);
                    if let Some(input) = scratch.get_mut(..count) {
                        self.bytes(input, context);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.lived.connection.end(Disconnect::CONNECTION_CLOSED),
            }
            Poll::Ready(())
        })
    }

    fn bytes(&mut self, input: &mut [u8], context: &mut Context<'_>) {
        let Driver { receiver, session, lived: Lived { connection, hub, .. }, .. } = self;
        let mut open = connection.is_open();
        let fed = receiver.feed(input, |incoming| {
            match incoming {
                Incoming::Text(text) if open => session.message(Message::Text(text), context),
                Incoming::Binary(bytes) if open => session.message(Message::Binary(bytes), context),
                Incoming::Ping(payload) if open => {
                    let mut pong = Vec::with_capacity(payload.len() + 2);
                    ws::put_frame(&mut pong, ws::Opcode::Pong, payload);
                    connection.push(hub, pong.into(), 1);
                }
                Incoming::Pong(_) if open => {
                    connection.pong(hub, Pings::Frames, hub.clock().now());
                }
                Incoming::Close(code, _) => {
                    connection.peer_closed(hub, code);
                    return ControlFlow::Break(());
                }
                _ => {}
            }
            open = connection.is_open();
            ControlFlow::Continue(())
        });
        match fed {
            Ok(()) => self.note_partial(),
            Err(violation) => {
                let disconnect = violation.disconnect();
                hub.metrics().violation("frame");
                if open {
                    connection.close(hub, disconnect);
                } else {
                    connection.end(disconnect);
                }
            }
        }
    }

    /// Tells the hub of a frame that has not come whole: its bytes count, and its
    /// deadline runs.
    fn note_partial(&mut self) {
        if self.had_partial && !self.lived.connection.is_open() {
            // What is ending gives its bytes back at once. The peer's close frame
            // is not found any more; the end of its stream will do.
            self.receiver.end();
        }
        let unfinished = self.receiver.mid_message();
        if unfinished || self.had_partial {
            let deadline = self.lived.hub.clock().now().after(self.message_deadline);
            self.lived.connection.set_partial(
                &self.lived.hub,
                self.receiver.held(),
                unfinished,
                deadline,
            );
            self.had_partial = unfinished;
        }
    }
}

impl<S: Session> Drop for Driver<S> {
    fn drop(&mut self) {
        self.lived.end(|| self.session.pseudonym());
    }
}

/// What a resting connection's task keeps stays small.
const _: () = assert!(size_of::<Driver<crate::session::Client>>() <= 256);
