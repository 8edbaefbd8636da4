//! An event stream in an HTTP response with chunks (RFC 9112, 7.1; WHATWG HTML, 9.2).

use sealcast_wire::Encoding;

use super::super::member::Surprise;
use super::{Line, Said};

/// The longest head of a response, bytes.
const HEAD: usize = 16 << 10;
/// The longest line of the stream, bytes.
const LINE: usize = 4 << 20;

/// What is unfinished of a stream.
#[derive(Default)]
pub(super) struct Events {
    stage: Stage,
    line: Vec<u8>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Head,
    /// The digits of a chunk's length so far, and its line end.
    Length(usize),
    /// Bytes that are left of a chunk.
    Chunk(usize),
    /// The line end behind a chunk.
    Behind,
}

impl Events {
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        say: &mut impl FnMut(Said<'_>) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        while let [first, rest @ ..] = bytes {
            match self.stage {
                Stage::Head => {
                    self.line.push(*first);
                    bytes = rest;
                    if self.line.ends_with(b"\r\n\r\n") {
                        check_head(&self.line)?;
                        self.line.clear();
                        self.stage = Stage::Length(0);
                        say(Said::Opened)?;
                    } else if self.line.len() > HEAD {
                        return Err(Surprise::new("the head of the answer has no end"));
                    }
                }
                Stage::Length(length) => {
                    bytes = rest;
                    self.stage = match (first, char::from(*first).to_digit(16)) {
                        (_, Some(digit)) if length <= LINE => {
                            Stage::Length(length << 4 | digit as usize)
                        }
                        (b'\r', _) => Stage::Length(length),
                        (b'\n', _) if length > 0 => Stage::Chunk(length),
                        (b'\n', _) => return Err(Surprise::new("the server ended the stream")),
                        _ => return Err(Surprise::new("a chunk has no length")),
                    };
                }
                Stage::Chunk(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    bytes = later;
                    self.text(now, say)?;
                    self.stage = if left > now.len() {
                        Stage::Chunk(left - now.len())
                    } else {
                        Stage::Behind
                    };
                }
                Stage::Behind => {
                    bytes = rest;
                    if *first == b'\n' {
                        self.stage = Stage::Length(0);
                    }
                }
            }
        }
        if self.line.is_empty() {
            self.line = Vec::new();
        }
        Ok(())
    }

    fn text(
        &mut self,
        mut text: &[u8],
        say: &mut impl FnMut(Said<'_>) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let (now, later) = text.split_at(end);
            text = later.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                event(now, say)?;
            } else {
                self.line.extend_from_slice(now);
                event(&self.line, say)?;
                self.line.clear();
            }
        }
        self.line.extend_from_slice(text);
        if self.line.len() > LINE {
            return Err(Surprise::new("a line of the stream has no end"));
        }
        Ok(())
    }
}

/// One line of the stream; each of data is one message.
fn event(
    line: &[u8],
    say: &mut impl FnMut(Said<'_>) -> Result<(), Surprise>,
) -> Result<(), Surprise> {
    let Some(data) = line.strip_prefix(b"data:") else { return Ok(()) };
    let data = data.strip_prefix(b" ").unwrap_or(data);
    let bytes = data.strip_suffix(b"\r").unwrap_or(data);
    say(Said::Line(Line { encoding: Encoding::Json, bytes }))
}

fn check_head(head: &[u8]) -> Result<(), Surprise> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let good = head.starts_with("http/1.1 200 ") && head.contains("\r\ntransfer-encoding: chunked");
    if good { Ok(()) } else { Err(Surprise::new(format!("no event stream but {head:?}"))) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n\
        e\r\ndata: {\"id\":1}\r\n4\r\n\n\n: \r\n13\r\nx\n\ndata:{}\n\ndata: 7\r\n2\r\n8\n\r\n";

    fn heard(events: &mut Events, bytes: &[u8]) -> Result<Vec<String>, Surprise> {
        let mut heard = Vec::new();
        events.feed(bytes, &mut |said| {
            heard.push(match said {
                Said::Line(line) => line.to_string(),
                _ => "opened".to_owned(),
            });
            Ok(())
        })?;
        Ok(heard)
    }

    #[test]
    fn events_are_found_wherever_bytes_and_chunks_end() {
        let all = ["opened", "{\"id\":1}", "{}", "78"];
        for step in [1, 2, 7, ANSWER.len()] {
            let mut events = Events::default();
            let parts = ANSWER.as_bytes().chunks(step);
            let found: Vec<String> =
                parts.flat_map(|part| heard(&mut events, part).unwrap()).collect();
            assert_eq!(found, all, "{step}");
        }
    }

    #[test]
    fn a_refusal_and_the_end_are_surprises() {
        let refused = b"HTTP/1.1 429 Too Many Requests\r\n\r\n";
        assert!(heard(&mut Events::default(), refused).unwrap_err().to_string().contains("429"));
        let mut events = Events::default();
        heard(&mut events, ANSWER.as_bytes()).unwrap();
        assert!(heard(&mut events, b"0\r\n\r\n").unwrap_err().to_string().contains("ended"));
    }
}
