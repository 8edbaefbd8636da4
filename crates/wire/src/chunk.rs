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
}
