//! The JSON encoding: one object a line, payloads embedded as they are.
//!
//! A frame holds objects separated by single `\n`; one more `\n` may stand at
//! its end. Centrifuge client protocol, JSON framing.

mod command;
mod depth;
mod read;
mod reply;
mod write;

use std::borrow::Cow;
use std::iter::FusedIterator;

use serde::de::IgnoredAny;

use crate::codec::draft::EmulationText;
use crate::codec::sink::Size;
use crate::{
    Command, Emulation, MAX_COMMANDS_PER_FRAME, MAX_DEPTH, Malformed, Publication, Push, Reply,
};

pub(crate) use depth::nesting;

/// The commands of one frame of a client, decoded as they are asked for.
#[must_use]
pub fn commands(frame: &[u8]) -> Commands<'_> {
    Commands { lines: Lines { rest: Some(frame) }, left: MAX_COMMANDS_PER_FRAME }
}

/// The commands of one frame, in order. Ends after the first error; commands
/// before it come out first, because their replies are still owed.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    lines: Lines<'a>,
    left: usize,
}

/// The replies of one frame of a server, decoded as they are asked for.
#[must_use]
pub fn replies(frame: &[u8]) -> Replies<'_> {
    Replies { lines: Lines { rest: Some(frame) } }
}

/// The replies of one frame, in order. Ends after the first error. Replies and
/// pushes of kinds that are not known here are left out.
#[derive(Clone, Debug)]
pub struct Replies<'a> {
    lines: Lines<'a>,
}

/// Whether `bytes` are exactly one JSON value, white space around it allowed,
/// nested no deeper than [`MAX_DEPTH`].
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    depth::nesting(bytes) <= MAX_DEPTH
        && std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Appends one reply, without a line end.
pub fn put_reply(out: &mut Vec<u8>, reply: &Reply) {
    out.reserve(Size::of(|size| reply::put(size, reply)));
    reply::put(out, reply);
}

/// Appends the push of one publication, as [`put_reply`] would write it,
/// without building the push first. An empty `out` ends exactly full.
pub fn put_publication(out: &mut Vec<u8>, channel: &str, publication: &Publication) {
    out.reserve(Size::of(|size| reply::put_publication(size, channel, publication)));
    reply::put_publication(out, channel, publication);
}

/// Appends one push as unidirectional transports have it: without the reply around
/// it, and without a line end.
pub fn put_push(out: &mut Vec<u8>, push: &Push) {
    out.reserve(Size::of(|size| reply::put_bare(size, push)));
    reply::put_bare(out, push);
}

/// Appends the push of one publication, as [`put_push`] would write it, without
/// building the push first. An empty `out` ends exactly full.
pub fn put_bare_publication(out: &mut Vec<u8>, channel: &str, publication: &Publication) {
    out.reserve(Size::of(|size| reply::put_bare_publication(size, channel, publication)));
    reply::put_bare_publication(out, channel, publication);
}

/// Appends one command, without a line end; for clients. Payloads must be JSON
/// values, whichever kind of [`crate::Data`] holds them.
pub fn put_command(out: &mut Vec<u8>, command: &Command<'_>) {
    out.reserve(Size::of(|size| command::put(size, command)));
    command::put(out, command);
}

pub(crate) fn emulation(body: &[u8]) -> Result<Emulation<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::Syntax)?;
    let read = read::object::<EmulationText<'_>>(text)?;
    let data = match read.data {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Ok(Emulation { session: read.session, node: read.node, data })
}

impl<'a> Commands<'a> {
    /// What has not been decoded yet; empty at the end.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.lines.rest.unwrap_or_default()
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let command = if self.left == 0 {
            Err(Malformed::TooMany)
        } else {
            self.left -= 1;
            command::decode(line)
        };
        if command.is_err() {
            self.lines.rest = None;
        }
        Some(command)
    }
}

impl FusedIterator for Commands<'_> {}

impl Iterator for Replies<'_> {
    type Item = Result<Reply, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match reply::decode(self.lines.next()?) {
                Ok(Some(reply)) => return Some(Ok(reply)),
                Ok(None) => {}
                Err(malformed) => {
                    self.lines.rest = None;
                    return Some(Err(malformed));
                }
            }
        }
    }
}

impl FusedIterator for Replies<'_> {}

/// The lines of a frame. An empty frame is one empty line, and so is refused
/// by whoever decodes it.
#[derive(Clone, Debug)]
struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = memchr::memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at));
        match end.and_then(|(line, tail)| Some((line, tail.get(1..)?))) {
            Some((line, tail)) => {
                self.rest = (!tail.is_empty()).then_some(tail);
                Some(line)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}
