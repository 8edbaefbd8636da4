//! The body of a response over HTTP/2 that lasts, and what its connection has in the
//! place of a socket.
//!
//! An HTTP/2 connection is shared, so nothing can be taken out of it. What is written
//! to a stream waits here, at most one frame of it, until hyper asks; hyper holds as
//! much again, and h2 what `http2` lets it, until the peer gives room. Then writing
//! stalls as on a full socket. Frames hold whole chunks where these are not larger than
//! a frame, so that a reader who keeps up gets no message in two parts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use parking_lot::Mutex;
use sealcast_wire::chunk::Decoder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::Ending;
use super::takeover::Taker;
use crate::hub::Socket;

/// Bytes that wait at most: one frame of HTTP/2 (RFC 9113, 4.2).
const MOST: usize = 16 << 10;

/// Its connection was dropped before it had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream was cut off")]
pub struct Cut;

/// A body with what `taker` writes once hyper asks for it. When `taker`'s socket is
/// dropped, so is `ending`.
pub(super) fn body(ending: Ending, taker: Taker) -> Content {
    ending.goes_on();
    let pipe = Arc::new(Mutex::new(Pipe::default()));
    let writer = Writer { pipe: Arc::clone(&pipe), _ending: ending };
    Content { pipe, begins: Some((taker, writer)) }
}

/// What both ends share.
#[derive(Default)]
struct Pipe {
    decoder: Decoder,
    /// Content that hyper has not asked for yet.
    waiting: Vec<u8>,
    /// Nothing more will be written.
    dropped: bool,
    /// Nobody asks any more: the stream has ended, or its peer took it back.
    gone: bool,
    /// To be woken when something waits, or nothing will.
    body: Option<Waker>,
    /// To be woken when nothing waits.
    writer: Option<Waker>,
    /// To be woken when nobody asks any more.
    reader: Option<Waker>,
}

impl Pipe {
    /// How many of `bytes` are taken now.
    fn room(&self, bytes: &[u8]) -> usize {
        let room = MOST.saturating_sub(self.waiting.len());
        let offered = bytes.get(..room).unwrap_or(bytes);
        match self.decoder.whole(offered) {
            0 if self.waiting.is_empty() => offered.len(),
            whole => whole,
        }
    }
}

/// The end that hyper reads.
pub(super) struct Content {
    pipe: Arc<Mutex<Pipe>>,
    begins: Option<(Taker, Writer)>,
}

impl Body for Content {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        // Hyper has given the head away.
        if let Some((taker, writer)) = self.begins.take() {
            taker(Socket::shared(writer), 0);
        }
        let mut pipe = self.pipe.lock();
        if !pipe.waiting.is_empty() {
            let content = std::mem::take(&mut pipe.waiting);
            wake(&mut pipe.writer);
            return Poll::Ready(Some(Ok(Frame::data(content.into()))));
        }
        if pipe.decoder.is_over() {
            return Poll::Ready(None);
        }
        if pipe.dropped {
            return Poll::Ready(Some(Err(Cut)));
        }
        keep(&mut pipe.body, context);
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let pipe = self.pipe.lock();
        pipe.decoder.is_over() && pipe.waiting.is_empty()
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let mut pipe = self.pipe.lock();
        pipe.gone = true;
        pipe.waiting = Vec::new();
        wake(&mut pipe.writer);
        wake(&mut pipe.reader);
    }
}

/// The end that a connection has.
struct Writer {
    pipe: Arc<Mutex<Pipe>>,
    _ending: Ending,
}

impl AsyncRead for Writer {
    /// The request was read whole, so there is nothing but the end.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = self.pipe.lock();
        if pipe.gone {
            return Poll::Ready(Ok(()));
        }
        keep(&mut pipe.reader, context);
        Poll::Pending
    }
}

impl AsyncWrite for Writer {
    /// Pending does not keep `context`: `poll_flush` does.
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.pipe.lock();
        if pipe.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = pipe.room(bytes);
        if taken == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        let Pipe { decoder, waiting, .. } = &mut *pipe;
        let mut coded = bytes.get(..taken).unwrap_or(bytes);
        while let Some(content) = decoder.next(&mut coded) {
            waiting.extend_from_slice(content);
        }
        wake(&mut pipe.body);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.pipe.lock();
        if pipe.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipe.waiting.is_empty() {
            return Poll::Ready(Ok(()));
        }
        keep(&mut pipe.writer, context);
        Poll::Pending
    }

    /// The last chunk has said it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut pipe = self.pipe.lock();
        pipe.dropped = true;
        wake(&mut pipe.body);
    }
}

fn keep(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use sealcast_wire::chunk::{LAST, put_chunk};

    use super::*;

    /// Both ends; what would be a connection is the writer alone.
    fn pair() -> (Content, Writer) {
        let pipe = Arc::new(Mutex::new(Pipe::default()));
        let writer = Writer { pipe: Arc::clone(&pipe), _ending: Ending::default() };
        (Content { pipe, begins: None }, writer)
    }

    fn chunks(lengths: &[usize]) -> Vec<u8> {
        let mut coded = Vec::new();
        for length in lengths {
            put_chunk(&mut coded, &[&vec![b'x'; *length]]);
        }
        coded
    }

    fn write(writer: &mut Writer, bytes: &[u8]) -> Option<usize> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(writer).poll_write(&mut context, bytes) {
            Poll::Ready(taken) => Some(taken.expect("somebody asks")),
            Poll::Pending => None,
        }
    }

    fn read(content: &mut Content) -> Poll<Option<Result<usize, Cut>>> {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(content).poll_frame(&mut context).map_ok(|frame| {
            frame.into_data().map_or(0, |data| {
                assert!(data.iter().all(|byte| *byte == b'x'), "chunks are taken off");
                data.len()
            })
        })
    }

    fn is_writable(writer: &mut Writer) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(writer).poll_flush(&mut context), Poll::Ready(Ok(())))
    }

    #[test]
    fn one_frame_of_whole_messages_waits_and_no_more() {
        let (mut content, mut writer) = pair();
        assert!(read(&mut content).is_pending() && is_writable(&mut writer));
        let ten = chunks(&[1_000; 10]);
        assert_eq!(write(&mut writer, &ten), Some(ten.len()));
        let one = ten.len() / 10;
        assert_eq!(write(&mut writer, &ten), Some(6 * one), "as many as have room");
        assert_eq!(write(&mut writer, &ten[6 * one..]), None);
        assert!(!is_writable(&mut writer));
        assert_eq!(read(&mut content), Poll::Ready(Some(Ok(16_000))));
        assert!(is_writable(&mut writer) && read(&mut content).is_pending());
        // One that is larger than a frame comes in parts, and behind what was before it.
        let large = chunks(&[1, 40_000, 1]);
        let mut rest = &large[..];
        let mut came = Vec::new();
        while !rest.is_empty() || !is_writable(&mut writer) {
            match write(&mut writer, rest) {
                Some(taken) if !rest.is_empty() => rest = &rest[taken..],
                _ => match read(&mut content) {
                    Poll::Ready(Some(Ok(count))) => came.push(count),
                    other => panic!("{other:?}"),
                },
            }
        }
        assert_eq!((came[0], came.iter().sum::<usize>()), (1, 40_002), "{came:?}");
        assert!(came.iter().all(|count| *count <= MOST), "{came:?}");
    }

    #[test]
    fn the_last_chunk_ends_it_in_order_and_nothing_else_does() {
        let (mut content, mut writer) = pair();
        assert!(write(&mut writer, &chunks(&[5])).is_some() && !content.is_end_stream());
        assert!(write(&mut writer, LAST).is_some());
        drop(writer);
        assert_eq!(read(&mut content), Poll::Ready(Some(Ok(5))), "what was written before");
        assert!(content.is_end_stream());
        assert_eq!(read(&mut content), Poll::Ready(None));
        let (mut content, writer) = pair();
        drop(writer);
        assert_eq!(read(&mut content), Poll::Ready(Some(Err(Cut))));
    }

    #[tokio::test]
    async fn a_connection_is_told_that_nobody_asks_any_more() {
        let (content, mut writer) = pair();
        let mut sink = [0; 1];
        let mut sink = ReadBuf::new(&mut sink);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut writer).poll_read(&mut context, &mut sink).is_pending());
        let reading = tokio::spawn(async move {
            let mut sink = [0; 1];
            tokio::io::AsyncReadExt::read(&mut writer, &mut sink).await.map(|count| (count, writer))
        });
        tokio::task::yield_now().await;
        drop(content);
        let (count, mut writer) = reading.await.expect("no panic").expect("the end");
        assert_eq!(count, 0);
        let refused = Pin::new(&mut writer).poll_write(&mut context, b"1\r\nx\r\n");
        assert!(
            matches!(refused, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
        );
        assert!(!is_writable(&mut writer));
    }
}
