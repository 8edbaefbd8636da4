//! One HTTP stream, that was taken over when the response's head was out (see
//! `takeover`): writes on when it had been full, and notices when its reader goes.
//!
//! What a client of an emulated transport says comes by requests of their own, which
//! its session takes; here it can only go away. The task owns no buffer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sealcast_wire::{Disconnect, Encoding};

use super::lived::Lived;
use crate::hub::{Connection, Hub};
use crate::session::{Message, Session};

/// Bytes behind the request that are read at once, to be thrown away.
const READ: usize = 512;
/// How many there may be: some clients send a line end behind a body.
const MOST_STRAY: usize = 8;

/// What a stream begins with.
pub struct Opening {
    /// Bytes for its reader, before anything of the protocol.
    pub greeting: Bytes,
    /// The client's first frame: what its request brought.
    pub first: Vec<u8>,
    /// Bytes that had come behind the request.
    pub stray: usize,
}

/// Drives a stream until it has ended.
pub fn drive<S: Session>(
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    session: S,
    opening: Opening,
) -> impl Future<Output = ()> + Send {
    connection.begin_heartbeat(&hub);
    let stray = opening.stray;
    let lived = Lived::begin(hub, connection);
    Driver { lived, stray, opening: Some(Box::new(opening)), session }
}

struct Driver<S: Session> {
    lived: Lived,
    stray: usize,
    opening: Option<Box<Opening>>,
    session: S,
}

impl<S: Session> Drop for Driver<S> {
    fn drop(&mut self) {
        self.lived.end(|| self.session.pseudonym());
    }
}

impl<S: Session> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(opening) = this.opening.take() {
            this.open(*opening, context);
        }
        loop {
            let Lived { hub, connection, .. } = &this.lived;
            this.session.resume(context);
            connection.flush(hub);
            let Some(status) = connection.poll_status(context) else { return Poll::Ready(()) };
            let wrote = status.blocked && this.poll_write(context).is_ready();
            let read = status.reading && this.poll_read(context).is_ready();
            if !wrote && !read {
                return Poll::Pending;
            }
        }
    }
}

impl<S: Session> Driver<S> {
    fn open(&mut self, opening: Opening, context: &mut Context<'_>) {
        let Lived { hub, connection, .. } = &self.lived;
        let Opening { greeting, first, .. } = opening;
        connection.push(hub, greeting, 1);
        match connection.encoding() {
            Encoding::Protobuf => self.session.message(Message::Binary(&first), context),
            Encoding::Json => match std::str::from_utf8(&first) {
                Ok(text) => self.session.message(Message::Text(text), context),
                Err(_) => connection.close(hub, Disconnect::BAD_REQUEST),
            },
        }
        connection.flush(hub);
        self.check_stray();
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Lived { hub, connection, .. } = &self.lived;
        match std::task::ready!(connection.poll_writable(context)) {
            Ok(()) => connection.unblock(hub),
            Err(_) => connection.end(Disconnect::WRITE_ERROR),
        }
        Poll::Ready(())
    }

    /// The end of the client's side is the end: there is nothing it could still want
    /// to read. What is not a request cannot be answered, so it ends the stream too.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Lived { hub, connection, .. } = &self.lived;
        let mut sink = [0; READ];
        match std::task::ready!(connection.poll_read(context, &mut sink)) {
            Ok(0) => connection.end(Disconnect::CONNECTION_CLOSED),
            Ok(count) => {
                hub.metrics().bytes_in.increment(count as u64);
                self.stray = self.stray.saturating_add(count);
                self.check_stray();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => connection.end(Disconnect::CONNECTION_CLOSED),
        }
        Poll::Ready(())
    }
}

impl<S: Session> Driver<S> {
    fn check_stray(&self) {
        let Lived { hub, connection, .. } = &self.lived;
        if self.stray > MOST_STRAY && connection.is_open() {
            hub.metrics().violation("behind_request");
            connection.close(hub, Disconnect::BAD_REQUEST);
        }
    }
}

/// What a resting stream's task keeps stays small.
const _: () = assert!(size_of::<Driver<crate::session::Emulated>>() <= 256);
