//! From bytes to messages.

use std::ops::ControlFlow;
use std::{fmt, str};

use super::header::{self, Expected, Header, MAX_HEADER};
use super::{Incoming, Limits, Opcode, Role, Violation, mask};

/// Reads the frames of one connection. It holds memory only for what has begun
/// to arrive and is not complete.
pub struct Receiver {
    limits: Limits,
    role: Role,
    ended: bool,
    unfinished: Option<Box<Unfinished>>,
}

impl Receiver {
    /// At the start of a connection, after the handshake.
    #[must_use]
    pub const fn new(role: Role, limits: Limits) -> Receiver {
        Receiver { limits, role, ended: false, unfinished: None }
    }

    /// Takes the next bytes of the connection, and hands each message and
    /// control frame that they complete to `on`, in order. Unmasks `input` in
    /// place; a message that lies whole in it in one frame is lent from it
    /// without copying.
    ///
    /// `on` ends the reading by [`ControlFlow::Break`]. So do a close frame and
    /// a violation: the rest of `input`, and all later input, is ignored.
    ///
    /// # Errors
    /// How the peer broke the framing; what came before has been handed out.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        mut on: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), Violation> {
        if self.ended {
            return Ok(());
        }
        let outcome = self.read(input, &mut on);
        if outcome != Ok(ControlFlow::Continue(())) {
            self.end();
        }
        outcome.map(|_| ())
    }

    /// Ends the reading: gives up what is unfinished, and ignores what comes.
    pub fn end(&mut self) {
        self.ended = true;
        self.unfinished = None;
    }

    /// How many bytes of memory are held for what is unfinished; 0 between
    /// messages. At most twice what has arrived of it, and at most
    /// [`Limits::message`], beside a small constant.
    #[must_use]
    pub fn held(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| {
            let message = unfinished.message.as_ref().map_or(0, |it| it.payload.capacity());
            size_of::<Unfinished>() + unfinished.control.capacity() + message
        })
    }

    /// Whether a frame or message has begun and is not complete, so that the
    /// deadline of a message runs.
    #[must_use]
    pub fn mid_message(&self) -> bool {
        self.unfinished.is_some()
    }

    /// What the peer may send, as given to [`Receiver::new`].
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    fn read(
        &mut self,
        mut input: &mut [u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        while let Some((mut frame, rest)) = self.next_frame(input)? {
            let (payload, rest) = rest.split_at_mut(frame.length.min(rest.len()));
            mask::apply(frame.mask, payload);
            frame.mask = mask::advanced(frame.mask, payload.len());
            frame.length -= payload.len();
            let flow = if frame.opcode.is_control() {
                self.control(frame, payload, on)?
            } else {
                self.data(frame, payload, on)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
            input = rest;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The frame that `input` goes on with, and the rest of `input` from that
    /// frame's payload on; `None` if the frame's header is not there yet.
    /// In a frame, `length` counts what is still to come of the payload.
    fn next_frame<'i>(
        &mut self,
        input: &'i mut [u8],
    ) -> Result<Option<(Header, &'i mut [u8])>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(frame) = self.unfinished.as_mut().and_then(|it| it.frame.take()) {
            return Ok(Some((frame, input)));
        }
        let expected = self.expected();
        let (parsed, before) = match &mut self.unfinished {
            Some(unfinished) if unfinished.header_length > 0 => {
                let before = unfinished.header_length;
                unfinished.keep_header(input);
                (header::parse(unfinished.header(), expected)?, before)
            }
            _ => (header::parse(input, expected)?, 0),
        };
        let Some((frame, length)) = parsed else {
            if before == 0 {
                self.unfinished().keep_header(input);
            }
            return Ok(None);
        };
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.header_length = 0;
            if let Some(message) = &mut unfinished.message
                && !frame.opcode.is_control()
            {
                message.frames += 1;
            }
        }
        Ok(input.get_mut(length - before..).map(|rest| (frame, rest)))
    }

    fn expected(&self) -> Expected {
        let message = self.unfinished.as_ref().and_then(|it| it.message.as_ref());
        let (frames, bytes) = message.map_or((0, 0), |it| (it.frames, it.payload.len()));
        Expected {
            role: self.role,
            in_message: message.is_some(),
            frames: self.limits.fragments.saturating_sub(frames),
            room: self.limits.message.saturating_sub(bytes),
        }
    }

    fn control(
        &mut self,
        frame: Header,
        payload: &[u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let begun = self.unfinished.as_ref().is_some_and(|it| !it.control.is_empty());
        if frame.length > 0 {
            let unfinished = self.unfinished();
            append(&mut unfinished.control, payload, header::MAX_CONTROL);
            unfinished.frame = Some(frame);
            return Ok(ControlFlow::Continue(()));
        }
        if !begun {
            self.drop_if_empty();
            return hand_out_control(frame.opcode, payload, on);
        }
        let mut whole = std::mem::take(&mut self.unfinished().control);
        self.drop_if_empty();
        whole.extend_from_slice(payload);
        hand_out_control(frame.opcode, &whole, on)
    }

    fn data(
        &mut self,
        frame: Header,
        payload: &[u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let complete = frame.fin && frame.length == 0;
        let begun = self.unfinished.as_ref().is_some_and(|it| it.message.is_some());
        if complete && !begun {
            self.drop_if_empty();
            return hand_out(frame.opcode == Opcode::Text, payload, on);
        }
        // The end of the message is known only in its last frame.
        let limit = self.limits.message;
        let unfinished = self.unfinished();
        let message = unfinished.message.get_or_insert_with(|| Message::new(frame.opcode));
        let arrived = message.payload.len() + payload.len();
        let most = if frame.fin { arrived + frame.length } else { limit };
        append(&mut message.payload, payload, most);
        if !complete {
            message.check()?;
            unfinished.frame = (frame.length > 0).then_some(frame);
            return Ok(ControlFlow::Continue(()));
        }
        let message = unfinished.message.take();
        self.drop_if_empty();
        match message {
            Some(message) => hand_out(message.text, &message.payload, on),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn unfinished(&mut self) -> &mut Unfinished {
        self.unfinished.get_or_insert_default()
    }

    fn drop_if_empty(&mut self) {
        if self.unfinished.as_ref().is_some_and(|it| it.message.is_none()) {
            self.unfinished = None;
        }
    }
}

/// Shows how much is held, not what.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?}, {} bytes held)", self.role, self.held())
    }
}

/// What has begun to arrive: bytes of a header, or a frame within its payload,
/// or nothing between the fragments of a message.
#[derive(Default)]
struct Unfinished {
    header: [u8; MAX_HEADER],
    header_length: usize,
    frame: Option<Header>,
    /// The payload of an unfinished control frame.
    control: Vec<u8>,
    message: Option<Message>,
}

impl Unfinished {
    fn header(&self) -> &[u8] {
        self.header.get(..self.header_length).unwrap_or_default()
    }

    fn keep_header(&mut self, bytes: &[u8]) {
        for (kept, byte) in self.header.iter_mut().skip(self.header_length).zip(bytes) {
            *kept = *byte;
            self.header_length += 1;
        }
    }
}

struct Message {
    text: bool,
    frames: u32,
    payload: Vec<u8>,
    /// How much of a text's payload is known to be UTF-8. At most three bytes
    /// behind its end, where a character is cut.
    checked: usize,
}

impl Message {
    fn new(opcode: Opcode) -> Message {
        Message { text: opcode == Opcode::Text, frames: 1, payload: Vec::new(), checked: 0 }
    }

    /// Fails as soon as no continuation can make this UTF-8.
    fn check(&mut self) -> Result<(), Violation> {
        if !self.text {
            return Ok(());
        }
        let unchecked = self.payload.get(self.checked..).unwrap_or_default();
        self.checked += match str::from_utf8(unchecked) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        };
        Ok(())
    }
}

/// Appends; storage at least doubles when it grows, but not beyond `most`, the
/// size it can reach.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let length = buffer.len() + bytes.len();
    if length > buffer.capacity() {
        let capacity = (buffer.len() * 2).min(most).max(length);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

fn hand_out(
    text: bool,
    payload: &[u8],
    on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Violation> {
    Ok(on(if text {
        Incoming::Text(str::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?)
    } else {
        Incoming::Binary(payload)
    }))
}

fn hand_out_control(
    opcode: Opcode,
    payload: &[u8],
    on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Violation> {
    match opcode {
        Opcode::Ping => Ok(on(Incoming::Ping(payload))),
        Opcode::Pong => Ok(on(Incoming::Pong(payload))),
        _ => {
            let _ = on(close(payload)?);
            Ok(ControlFlow::Break(()))
        }
    }
}

/// Reads the payload of a close frame. RFC 6455, 5.5.1 and 7.4.
fn close(payload: &[u8]) -> Result<Incoming<'_>, Violation> {
    match payload.split_first_chunk() {
        None if payload.is_empty() => Ok(Incoming::Close(None, "")),
        None => Err(Violation::Protocol),
        Some((code, reason)) => match u16::from_be_bytes(*code) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
                let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
                Ok(Incoming::Close(Some(code), reason))
            }
            _ => Err(Violation::Protocol),
        },
    }
}
