//! What becomes of a request that hyper gives away: over HTTP/1.1 its socket, over
//! HTTP/2 its stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::http::Extensions;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::Ending;
use super::strict::Strict;
use crate::hub::{Duplex, Socket};

/// A request of this room's accept loop, on its way; dropping it gives up.
pub struct Upgrade {
    upgrading: OnUpgrade,
    ending: Option<Ending>,
}

impl Upgrade {
    /// Takes it out of a request's extensions; `None` if the request asks for none.
    #[must_use]
    pub fn of(extensions: &mut Extensions) -> Option<Upgrade> {
        let upgrading = extensions.remove::<OnUpgrade>()?;
        Some(Upgrade { upgrading, ending: extensions.remove::<Ending>() })
    }

    /// The socket once the answer is out, and the bytes that came behind the request.
    /// `None` if the answer did not go out.
    pub async fn socket(self) -> Option<(Socket, Bytes)> {
        let upgraded = match self.upgrading.await.ok()?.downcast::<TokioIo<Strict>>() {
            Ok(parts) => {
                return Some((parts.io.into_inner().into_inner().into(), parts.read_buf));
            }
            Err(upgraded) => upgraded,
        };
        Some((Socket::shared(Stream::new(upgraded, self.ending)), Bytes::new()))
    }

    /// The same for whoever needs no [`Socket`].
    pub async fn stream(self) -> Option<impl Duplex> {
        Some(Stream::new(self.upgrading.await.ok()?, self.ending))
    }
}

/// A stream that ends when it is dropped, even if its peer takes nothing.
struct Stream {
    io: TokioIo<Upgraded>,
    _ending: Option<Ending>,
}

impl Stream {
    fn new(upgraded: Upgraded, ending: Option<Ending>) -> Stream {
        Stream { io: TokioIo::new(upgraded), _ending: ending }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
