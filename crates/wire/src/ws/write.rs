//! Writing frames.

use super::header::MAX_CONTROL;
use super::{Opcode, mask};

/// Appends a whole frame as a server sends it: unmasked, unfragmented.
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.reserve(header_length(payload.len()) + payload.len());
    put_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends the header of an unmasked, unfragmented frame; the caller appends
/// `length` bytes of payload.
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    put_start(out, opcode, length, 0);
}

/// How long the header of an unmasked frame with `length` bytes of payload is.
#[must_use]
pub const fn header_length(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends a server's close frame; without code and reason if `code` is 0.
/// See [`put_close_body`].
pub fn put_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut body = Vec::with_capacity(MAX_CONTROL);
    put_close_body(&mut body, code, reason);
    put_frame(out, Opcode::Close, &body);
}

/// Appends the payload of a close frame: nothing if `code` is 0, and as much of
/// the reason as there is room for, cut between characters.
pub fn put_close_body(out: &mut Vec<u8>, code: u16, reason: &str) {
    if code == 0 {
        return;
    }
    out.extend_from_slice(&code.to_be_bytes());
    let room = MAX_CONTROL - 2;
    let fitting = (0..=room).rev().find_map(|end| reason.get(..end.min(reason.len())));
    out.extend_from_slice(fitting.unwrap_or_default().as_bytes());
}

/// Appends a whole frame as a client sends it: masked, unfragmented. The mask
/// must be unpredictable (RFC 6455, 5.3).
pub fn put_masked_frame(out: &mut Vec<u8>, opcode: Opcode, mask: [u8; 4], payload: &[u8]) {
    out.reserve(header_length(payload.len()) + mask.len() + payload.len());
    put_start(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(payload) = out.get_mut(start..) {
        mask::apply(mask, payload);
    }
}

/// Where the frame ends that holds the byte before `offset`: the first border
/// between frames at or after `offset`. `bytes` are whole unmasked frames back
/// to back.
#[must_use]
pub fn frame_end(bytes: &[u8], offset: usize) -> usize {
    let mut end = 0;
    while end < offset {
        match bytes.get(end..).and_then(frame_length) {
            Some(length) if length <= bytes.len() - end => end += length,
            _ => return bytes.len(),
        }
    }
    end
}

fn put_start(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask_bit: u8) {
    out.push(0x80 | opcode as u8);
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// The length of the unmasked frame at the start of `bytes`, its header included.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (&[_, short], rest) = bytes.split_first_chunk()?;
    match short {
        126 => Some(4 + usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?.checked_add(10),
        short => Some(2 + usize::from(short)),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn frames_of_every_length_form() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![b'x'; length];
            let mut out = Vec::new();
            put_frame(&mut out, Opcode::Text, &payload);
            assert_eq!(out.strip_suffix(&*payload), Some(header));
            assert_eq!(header_length(length), header.len());
        }
    }

    #[test]
    fn the_masked_example_of_the_rfc() {
        let mut out = Vec::new();
        put_masked_frame(&mut out, Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello");
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn close_frames() {
        let close = |code, reason: &str| {
            let mut out = Vec::new();
            put_close(&mut out, code, reason);
            out
        };
        assert_eq!(close(0, "ignored"), [0x88, 0]);
        assert_eq!(close(3501, "no"), [0x88, 4, 0x0d, 0xad, b'n', b'o']);
        assert_eq!(close(3001, &"a".repeat(124)).len(), 2 + 125);
        // Each character is three bytes, so 123 bytes hold 41 and a reason of
        // one byte more is cut before the character that does not fit.
        assert_eq!(close(3001, &"€".repeat(42)).len(), 2 + 125);
        assert_eq!(close(3001, &format!("a{}", "€".repeat(41))).len(), 2 + 2 + 1 + 40 * 3);
    }

    #[test]
    fn borders_between_frames() {
        let mut bytes = Vec::new();
        let mut borders = vec![0];
        for length in [0, 5, 126, 65_536, 1] {
            put_frame(&mut bytes, Opcode::Binary, &vec![7; length]);
            borders.push(bytes.len());
        }
        for border in &borders {
            assert_eq!(frame_end(&bytes, *border), *border);
        }
        for pair in borders.windows(2) {
            assert_eq!(frame_end(&bytes, pair[0] + 1), pair[1]);
        }
        assert_eq!(frame_end(&bytes, usize::MAX), bytes.len());
        assert_eq!(frame_end(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], 1), 10);
        assert_eq!(frame_end(&[0x82], 1), 1);
    }
}
