//! A response that lasts: a connection goes on with what carried it, over HTTP/1.1
//! with the socket, over HTTP/2 with its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::http::Extensions;

use super::handover::{Handing, Handover};
use super::http2::Ending;
use super::pipe::{self, Content, Cut};
use crate::hub::Socket;

/// Gets what carries the response on, and how many bytes came behind the request.
pub(super) type Taker = Box<dyn FnOnce(Socket, usize) + Send>;

/// The right to go on with a request of this room's accept loop, once.
pub struct Takeover(Carrier);

enum Carrier {
    Socket(Arc<Handover>),
    Stream(Ending),
}

impl Takeover {
    /// Takes it out of a request's extensions.
    #[must_use]
    pub fn of(extensions: &mut Extensions) -> Option<Takeover> {
        if let Some(handover) = extensions.remove::<Arc<Handover>>() {
            return Some(Takeover(Carrier::Socket(handover)));
        }
        extensions.remove::<Ending>().map(|ending| Takeover(Carrier::Stream(ending)))
    }

    /// Whether the response is the last of its connection, which its head must say.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self.0, Carrier::Socket(_))
    }

    /// The body of a response that `taker` goes on with when its head is out. What is
    /// written is a body in chunks (RFC 9112, 7.1), also over HTTP/2, where the chunks
    /// are taken off. The request's body must have been read to its end.
    pub fn body(self, taker: impl FnOnce(Socket, usize) + Send + 'static) -> Lasting {
        let taker = Box::new(taker);
        Lasting(match self.0 {
            Carrier::Socket(handover) => Kind::Handing(handover.body(taker)),
            Carrier::Stream(ending) => Kind::Content(pipe::body(ending, taker)),
        })
    }
}

/// See [`Takeover::body`]. Whoever drops it unanswered drops the taker too.
pub struct Lasting(Kind);

enum Kind {
    Handing(Handing),
    Content(Content),
}

impl Body for Lasting {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.0 {
            Kind::Handing(body) => {
                Pin::new(body).poll_frame(context).map_err(|never| match never {})
            }
            Kind::Content(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Handing(body) => body.is_end_stream(),
            Kind::Content(body) => body.is_end_stream(),
        }
    }
}
