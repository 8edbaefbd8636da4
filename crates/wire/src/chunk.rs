//! The chunked transfer coding of HTTP/1.1 (RFC 9112, 7.1), as a server writes it:
//! what a stream says is one chunk each, so that nobody on the way sees a part of it
//! before the rest.

use std::io::Write as _;

/// The chunk that ends a body.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// Appends the chunk that holds `parts` one after the other; nothing if they are
/// empty, because that would end the body.
pub fn put_chunk(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length == 0 {
        return;
    }
    out.reserve(length + MOST_AROUND);
    // Writing to a vector cannot fail.
    let _ = write!(out, "{length:x}\r\n");
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

/// Where the chunk ends that holds the byte before `offset`: the first border
/// between chunks at or after `offset`. `bytes` are whole chunks back to back.
#[must_use]
pub fn chunk_end(bytes: &[u8], offset: usize) -> usize {
    let mut end = 0;
    while end < offset {
        match bytes.get(end..).and_then(chunk_length) {
            Some(length) if length <= bytes.len() - end => end += length,
            _ => return bytes.len(),
        }
    }
    end
}

/// Takes the coding off again, of bytes that [`put_chunk`] wrote and that come in any
/// pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder(At);

impl Decoder {
    /// The next piece of content at the start of `bytes`, which is taken off; `None`
    /// if there is no more in them.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        while !bytes.is_empty() {
            if let Some(piece) = self.step(bytes) {
                return Some(piece);
            }
        }
        None
    }

    /// How many of `bytes` there are up to the last border between chunks; 0 if none is
    /// behind the first of them.
    #[must_use]
    pub fn whole(mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut whole) = (bytes, 0);
        while !rest.is_empty() {
            self.step(&mut rest);
            if matches!(self.0, At::Length(0) | At::Over) {
                whole = bytes.len() - rest.len();
            }
        }
        whole
    }

    /// Whether the chunk has come that ends the body.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.0, At::Over)
    }

    fn step<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        match self.0 {
            At::Length(so_far) => {
                let (byte, rest) = bytes.split_first()?;
                *bytes = rest;
                self.0 = match (char::from(*byte).to_digit(16), byte) {
                    (Some(digit), _) => {
                        At::Length(so_far.saturating_mul(16).saturating_add(digit as usize))
                    }
                    (None, b'\n') if so_far == 0 => At::Last,
                    (None, b'\n') => At::Content(so_far.saturating_add(2)),
                    (None, _) => At::Length(so_far),
                };
                None
            }
            At::Content(left) => {
                let is_content = left > 2;
                let most = if is_content { left - 2 } else { left };
                let (piece, rest) = bytes.split_at(most.min(bytes.len()));
                *bytes = rest;
                let left = left - piece.len();
                self.0 = if left == 0 { At::Length(0) } else { At::Content(left) };
                is_content.then_some(piece)
            }
            At::Last => {
                let (byte, rest) = bytes.split_first()?;
                *bytes = rest;
                if *byte == b'\n' {
                    self.0 = At::Over;
                }
                None
            }
            At::Over => {
                *bytes = &[];
                None
            }
        }
    }
}

/// Where a [`Decoder`] stands.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In the line that tells a chunk's length, of which this has been read.
    Length(usize),
    /// So many bytes before a chunk's end, the line end behind its content among them.
    Content(usize),
    /// In the line end behind the last chunk.
    Last,
    /// Behind it.
    Over,
}

impl Default for At {
    fn default() -> At {
        At::Length(0)
    }
}

/// Most bytes around a chunk's content.
const MOST_AROUND: usize = 20;

/// The length of the chunk at the start of `bytes`, with what stands around it.
fn chunk_length(bytes: &[u8]) -> Option<usize> {
    let line = memchr::memchr(b'\r', bytes)?;
    let digits = std::str::from_utf8(bytes.get(..line)?).ok()?;
    let content = usize::from_str_radix(digits, 16).ok()?;
    content.checked_add(line + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_its_length_and_its_content() {
        let mut out = Vec::new();
        put_chunk(&mut out, &[b"data: ", &[b'x'; 20], b"\n\n"]);
        assert_eq!(out, [&b"1c\r\ndata: "[..], &[b'x'; 20], b"\n\n\r\n"].concat());
        put_chunk(&mut out, &[b"", b""]);
        assert_eq!(out.len(), 34, "an empty chunk would end the body");
    }

    #[test]
    fn borders_are_found_from_every_place() {
        let mut out = Vec::new();
        let mut borders = vec![0];
        for length in [1, 15, 16, 300] {
            put_chunk(&mut out, &[&vec![b'\r'; length]]);
            borders.push(out.len());
        }
        out.extend_from_slice(LAST);
        borders.push(out.len());
        for offset in 0..=out.len() {
            let next = borders.iter().copied().find(|border| *border >= offset);
            assert_eq!(Some(chunk_end(&out, offset)), next, "{offset}");
        }
        assert_eq!(chunk_end(&out, usize::MAX), out.len());
        assert_eq!(chunk_end(b"zz\r\n", 1), 4);
    }

    #[test]
    fn the_content_comes_back_however_the_bytes_are_cut() {
        let (mut coded, mut content) = (Vec::new(), Vec::new());
        for length in [1, 2, 15, 16, 300, 4_096] {
            let piece: Vec<u8> = (0..length).map(|n| b"0\r\nf"[n % 4]).collect();
            put_chunk(&mut coded, &[&piece]);
            content.extend_from_slice(&piece);
        }
        coded.extend_from_slice(LAST);
        for at_once in [1, 2, 3, 7, 100, coded.len()] {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            for mut bytes in coded.chunks(at_once) {
                assert!(!decoder.is_over());
                while let Some(piece) = decoder.next(&mut bytes) {
                    out.extend_from_slice(piece);
                }
            }
            assert!(decoder.is_over() && out == content, "{at_once}");
        }
    }

    #[test]
    fn whole_chunks_are_told_from_what_is_begun() {
        let mut coded = Vec::new();
        put_chunk(&mut coded, &[b"one"]);
        let first = coded.len();
        put_chunk(&mut coded, &[b"second"]);
        for length in 0..coded.len() {
            let whole = if length < first { 0 } else { first };
            assert_eq!(Decoder::default().whole(&coded[..length]), whole, "{length}");
        }
        assert_eq!(Decoder::default().whole(&coded), coded.len());
        let mut begun = Decoder::default();
        assert_eq!(begun.next(&mut &coded[..4]), Some(&b"o"[..]));
        assert_eq!(begun.whole(&coded[4..]), coded.len() - 4);
        assert_eq!(begun.whole(&coded[4..6]), 0);
    }
}
