//! What a connection is read from and written to: a socket of its own, or a stream
//! among others on a shared one.

use std::io::{self, IoSlice, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that a shared socket is given at once: one frame of HTTP/2 (RFC 9113, 4.2).
const AT_ONCE: usize = 16 << 10;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// See the module's text.
pub struct Socket(pub(super) Kind);

pub(super) enum Kind {
    Tcp(TcpStream),
    /// Held only for one call, after the outbox.
    Shared(Box<Mutex<dyn Duplex>>),
    #[cfg(test)]
    Scripted(crate::hub::tests::Script),
}

impl From<TcpStream> for Socket {
    /// A socket of its own, which is not blocking.
    fn from(stream: TcpStream) -> Socket {
        Socket(Kind::Tcp(stream))
    }
}

impl Socket {
    /// A stream on a shared socket. `stream` must say by `poll_flush` when it can be
    /// written to again after it could not.
    #[must_use]
    pub fn shared(stream: impl Duplex + 'static) -> Socket {
        Socket(Kind::Shared(Box::new(Mutex::new(stream))))
    }

    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Tcp(stream) => {
                std::task::ready!(stream.poll_read_ready(context))?;
                Poll::Ready(try_read(stream, into))
            }
            Kind::Shared(stream) => {
                let mut buffer = ReadBuf::new(into);
                let mut stream = stream.lock();
                std::task::ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
            #[cfg(test)]
            Kind::Scripted(_) => Poll::Pending,
        }
    }

    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(stream) => stream.poll_write_ready(context),
            Kind::Shared(stream) => Pin::new(&mut *stream.lock()).poll_flush(context),
            #[cfg(test)]
            Kind::Scripted(_) => Poll::Pending,
        }
    }

    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => match slices {
                [one] => stream.try_write(one),
                many => stream.try_write_vectored(many),
            },
            Kind::Shared(stream) => try_write(&mut *stream.lock(), slices),
            #[cfg(test)]
            Kind::Scripted(script) => script.try_write(slices),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn shutdown_write(&self) {
        match &self.0 {
            // An error here means that the socket is gone already.
            Kind::Tcp(stream) => {
                let _ = SockRef::from(stream).shutdown(std::net::Shutdown::Write);
            }
            Kind::Shared(stream) => {
                let mut context = Context::from_waker(Waker::noop());
                let _ = Pin::new(&mut *stream.lock()).poll_shutdown(&mut context);
            }
            #[cfg(test)]
            Kind::Scripted(_) => {}
        }
    }
}

/// Reads what has come. Less than there was room for is all that had come, and what
/// comes later is told (epoll(7)): to read again would cost a call that finds nothing.
fn try_read(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let mut last = 0;
    let more = stream.try_io(Interest::READABLE, || {
        let count = (&*SockRef::from(stream)).read(into)?;
        if count == 0 || count == into.len() {
            return Ok(count);
        }
        // In the same step as the read, so that only what was told before it is
        // forgotten. That the peer has ended is never forgotten.
        last = count;
        Err(io::ErrorKind::WouldBlock.into())
    });
    if last > 0 { Ok(last) } else { more }
}

/// Whoever writes need not be the task that can wait: that one asks by itself when
/// it is told that the socket is full.
fn try_write(stream: &mut dyn Duplex, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut gathered = Vec::new();
    let bytes: &[u8] = match slices {
        [one] => one,
        many => {
            for slice in many {
                let room = AT_ONCE - gathered.len();
                gathered.extend_from_slice(slice.get(..room).unwrap_or(slice));
            }
            &gathered
        }
    };
    let bytes = bytes.get(..AT_ONCE).unwrap_or(bytes);
    match Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
        Poll::Ready(written) => written,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_read_that_took_all_is_followed_by_waiting_and_misses_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut peer = TcpStream::connect(address).await.expect("a connection");
        let socket = Socket::from(listener.accept().await.expect("a connection").0);
        let mut into = [0; 4];
        for round in 0..100 {
            peer.write_all(b"abcdef").await.expect("written");
            for piece in [&b"abcd"[..], b"ef"] {
                let count = poll_fn(|context| socket.poll_read(context, &mut into)).await;
                assert_eq!(into.get(..count.expect("bytes")), Some(piece), "round {round}");
            }
            let mut context = Context::from_waker(Waker::noop());
            let again = socket.poll_read(&mut context, &mut into);
            assert!(again.is_pending(), "round {round}: {again:?} instead of waiting");
        }
        // The end may be told together with the last bytes, and is found all the same.
        peer.write_all(b"gh").await.expect("written");
        peer.shutdown().await.expect("shut down");
        tokio::task::yield_now().await;
        for piece in [&b"gh"[..], b""] {
            let count = poll_fn(|context| socket.poll_read(context, &mut into)).await;
            assert_eq!(into.get(..count.expect("bytes or the end")), Some(piece));
        }
    }

    #[tokio::test]
    async fn slices_go_out_in_order_until_the_socket_is_full() {
        let (ours, mut theirs) = tokio::io::duplex(AT_ONCE + 4);
        let socket = Socket::shared(ours);
        let long = vec![b'x'; AT_ONCE];
        let slices = [IoSlice::new(b"one"), IoSlice::new(b"two"), IoSlice::new(&long)];
        assert_eq!(socket.try_write(&slices).ok(), Some(AT_ONCE), "no more than one frame");
        assert_eq!(socket.try_write(&[IoSlice::new(b"12345")]).ok(), Some(4));
        let full = socket.try_write(&[IoSlice::new(b"5")]).expect_err("full");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        socket.shutdown_write();
        let mut out = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut out).await.expect("an end");
        assert!(out.starts_with(b"onetwoxxx") && out.ends_with(b"xxx1234"));
        assert_eq!(out.len(), AT_ONCE + 4);
    }
}
