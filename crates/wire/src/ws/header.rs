//! Reading a frame header. RFC 6455, 5.2. Every rule that a header can break is
//! checked here, each as soon as the byte that breaks it has arrived.

use super::{Opcode, Role, Violation};

/// The length of the longest header.
pub(super) const MAX_HEADER: usize = 14;

/// The longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

/// What a header announces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The last or only frame of its message.
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// All zero if the frame is not masked.
    pub(super) mask: [u8; 4],
    pub(super) length: usize,
}

/// What the next header may be, given what came before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) role: Role,
    /// A fragmented message has begun.
    pub(super) in_message: bool,
    /// How many more frames the message may have.
    pub(super) frames: u32,
    /// How many more bytes the message may have.
    pub(super) room: usize,
}

/// Reads the header at the start of `bytes`, and says how long it is; `None`
/// if it has not all arrived.
pub(super) fn parse(
    bytes: &[u8],
    expected: Expected,
) -> Result<Option<(Header, usize)>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let (fin, opcode) = first_byte(first, expected)?;
    let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
    let masked = second & 0x80 != 0;
    if masked != (expected.role == Role::Server) {
        return Err(Violation::Protocol);
    }
    if opcode.is_control() && usize::from(second & 0x7f) > MAX_CONTROL {
        return Err(Violation::Protocol);
    }
    let Some((length, rest)) = length(second & 0x7f, rest)? else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| Violation::TooBig)?;
    if !opcode.is_control() && length > expected.room {
        return Err(Violation::TooBig);
    }
    let (mask, rest) = if masked {
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        (*mask, rest)
    } else {
        ([0; 4], rest)
    };
    Ok(Some((Header { fin, opcode, mask, length }, bytes.len() - rest.len())))
}

fn first_byte(byte: u8, expected: Expected) -> Result<(bool, Opcode), Violation> {
    let fin = byte & 0x80 != 0;
    let opcode = match Opcode::from_bits(byte & 0x0f) {
        Some(opcode) if byte & 0x70 == 0 => opcode,
        _ => return Err(Violation::Protocol),
    };
    if opcode.is_control() {
        return if fin { Ok((fin, opcode)) } else { Err(Violation::Protocol) };
    }
    if (opcode == Opcode::Continuation) != expected.in_message {
        return Err(Violation::Protocol);
    }
    if expected.frames == 0 {
        return Err(Violation::TooManyFragments);
    }
    Ok((fin, opcode))
}

/// The payload's length, which must be written in the shortest form.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, least, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 1 << 16, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if length < least || length >> 63 != 0 {
        return Err(Violation::Protocol);
    }
    Ok(Some((length, rest)))
}
