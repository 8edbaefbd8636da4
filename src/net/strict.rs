//! A socket that speaks HTTP/1.1, with the framing of its requests checked before
//! hyper reads them (R-18): a request that two programs could understand
//! differently is spoilt, so that it is refused with 400.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::handover::Handover;

/// See the module's text.
pub struct Strict {
    stream: TcpStream,
    framing: Framing,
    handover: Arc<Handover>,
}

impl Strict {
    pub(super) fn new(stream: TcpStream, handover: Arc<Handover>) -> Strict {
        Strict { stream, framing: Framing::default(), handover }
    }

    /// Tells what became of a write.
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.handover.note_full(written.is_pending());
        written
    }

    /// The socket itself, once nothing more of it is HTTP.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for Strict {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(fresh) = buffer.filled_mut().get_mut(before..)
            && !self.framing.accepts(fresh)
        {
            // No byte of a head may be 0, so hyper answers 400 and closes.
            fresh.fill(0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Strict {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Where in a request the next byte stands.
#[derive(Debug, Default)]
enum Framing {
    /// At a line's begin, before any byte of a head.
    #[default]
    Between,
    Head(Head),
    /// In a body of known length.
    Body(u64),
    /// Behind a head after which heads can no longer be told from bodies: an
    /// upgrade, or a body in chunks.
    Opaque,
    /// Behind a fault.
    Spoilt,
}

/// The head so far.
#[derive(Debug, Default)]
struct Head {
    /// The line that is not complete, without its end.
    line: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Longest line that is looked at; hyper refuses larger heads altogether.
const LONGEST_LINE: usize = 16 << 10;

impl Framing {
    /// Takes the next bytes; `false` if they cannot be understood in one way only.
    fn accepts(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self {
                Framing::Opaque => return true,
                Framing::Spoilt => return false,
                Framing::Body(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    bytes = bytes.get(taken as usize..).unwrap_or_default();
                    if *left == 0 {
                        *self = Framing::Between;
                    }
                }
                Framing::Between => {
                    // Empty lines before a request are ignored, RFC 9112 2.2.
                    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
                    let Some(begin) = begin else { return true };
                    bytes = bytes.get(begin..).unwrap_or_default();
                    *self = Framing::Head(Head::default());
                }
                Framing::Head(head) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    bytes = rest.get(1..).unwrap_or_default();
                    if let Some(next) = head.take(line, end.is_some()) {
                        *self = next;
                    }
                }
            }
        }
        !matches!(self, Framing::Spoilt)
    }
}

impl Head {
    /// Takes more of a line, or, if it is `whole` with this, all of it; where that decides,
    /// what comes next. Only what came in pieces is copied.
    fn take(&mut self, more: &[u8], whole: bool) -> Option<Framing> {
        if self.line.len() + more.len() > LONGEST_LINE {
            return Some(Framing::Spoilt);
        }
        if self.line.is_empty() && whole {
            return self.line(more);
        }
        self.line.extend_from_slice(more);
        if !whole {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        self.line(&line)
    }

    /// A line that ended.
    fn line(&mut self, line: &[u8]) -> Option<Framing> {
        let Some(line) = line.strip_suffix(b"\r") else { return Some(Framing::Spoilt) };
        if !line.is_empty() {
            return (!self.header(line)).then_some(Framing::Spoilt);
        }
        Some(match (self.length, self.chunked) {
            (Some(_), true) => Framing::Spoilt,
            _ if self.upgrade || self.chunked => Framing::Opaque,
            (Some(length), false) if length > 0 => Framing::Body(length),
            _ => Framing::Between,
        })
    }

    /// Notes what a header says of the body; `false` if it says it twice, or in a
    /// way that not everyone reads alike.
    fn header(&mut self, line: &[u8]) -> bool {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return true };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            return digits
                && length.is_some()
                && std::mem::replace(&mut self.length, length).is_none();
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return value.eq_ignore_ascii_case(b"chunked")
                && !std::mem::replace(&mut self.chunked, true);
        }
        self.upgrade |= name.eq_ignore_ascii_case(b"upgrade");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the bytes pass, all at once, one by one, and in any two pieces.
    fn passes(bytes: &str) -> bool {
        let whole = Framing::default().accepts(bytes.as_bytes());
        let mut framing = Framing::default();
        let single = bytes.as_bytes().iter().all(|byte| framing.accepts(&[*byte]));
        assert_eq!(whole, single, "{bytes:?}");
        for cut in 0..bytes.len() {
            let (first, second) = bytes.as_bytes().split_at(cut);
            let mut framing = Framing::default();
            let both = framing.accepts(first) && framing.accepts(second);
            assert_eq!(whole, both, "{bytes:?} cut at {cut}");
        }
        whole
    }

    #[test]
    fn requests_that_everyone_reads_alike_pass() {
        for good in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nbGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\n",
        ] {
            assert!(passes(good), "{good:?}");
        }
    }

    #[test]
    fn requests_of_doubtful_framing_do_not() {
        for bad in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\nHost: a\n\n",
        ] {
            assert!(!passes(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_fault_stays_a_fault() {
        let mut framing = Framing::default();
        assert!(!framing.accepts(b"GET / HTTP/1.1\n"));
        assert!(!framing.accepts(b"Host: a\r\n\r\n"));
    }
}
