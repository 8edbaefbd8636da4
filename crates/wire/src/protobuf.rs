//! The Protobuf encoding: messages behind their lengths, in one frame.
//!
//! Every message, also a single one, stands behind its length as a varint.
//! Centrifuge client protocol, Protobuf framing. The format itself is that of
//! proto3; only the messages of this protocol are known here.

mod command;
mod read;
mod reply;
mod write;

use std::iter::FusedIterator;

use crate::codec::sink::{Sink, Size};
use crate::{Command, Emulation, MAX_COMMANDS_PER_FRAME, Malformed, Publication, Reply};

/// The commands of one frame of a client, decoded as they are asked for.
#[must_use]
pub fn commands(frame: &[u8]) -> Commands<'_> {
    Commands { messages: Messages { rest: Some(frame) }, left: MAX_COMMANDS_PER_FRAME }
}

/// The commands of one frame, in order. Ends after the first error; commands
/// before it come out first, because their replies are still owed.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    messages: Messages<'a>,
    left: usize,
}

/// The replies of one frame of a server, decoded as they are asked for.
#[must_use]
pub fn replies(frame: &[u8]) -> Replies<'_> {
    Replies { messages: Messages { rest: Some(frame) } }
}

/// The replies of one frame, in order. Ends after the first error. Replies and
/// pushes of kinds that are not known here are left out.
#[derive(Clone, Debug)]
pub struct Replies<'a> {
    messages: Messages<'a>,
}

/// Appends one reply with its length.
pub fn put_reply(out: &mut Vec<u8>, reply: &Reply) {
    put_message(out, reply);
}

/// Appends the push of one publication, as [`put_reply`] would write it,
/// without building the push first. An empty `out` ends exactly full.
pub fn put_publication(out: &mut Vec<u8>, channel: &str, publication: &Publication) {
    put_message(out, &reply::PublicationReply { channel, publication });
}

/// Appends one command with its length; for clients.
pub fn put_command(out: &mut Vec<u8>, command: &Command<'_>) {
    put_message(out, command);
}

pub(crate) fn emulation(body: &[u8]) -> Result<Emulation<'_>, Malformed> {
    read::message(body)
}

fn put_message(out: &mut Vec<u8>, message: &impl write::Message) {
    let size = Size::of(|size| message.put(size));
    out.reserve(Size::of(|prefix| write::varint(prefix, size as u64)) + size);
    write::varint(out, size as u64);
    out.put_sized(size, |out| message.put(out));
}

impl<'a> Commands<'a> {
    /// What has not been decoded yet; empty at the end.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.messages.rest.unwrap_or_default()
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.messages.next()?;
        let command = if self.left == 0 {
            Err(Malformed::TooMany)
        } else {
            self.left -= 1;
            message.and_then(command::decode)
        };
        if command.is_err() {
            self.messages.rest = None;
        }
        Some(command)
    }
}

impl FusedIterator for Commands<'_> {}

impl Iterator for Replies<'_> {
    type Item = Result<Reply, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.messages.next()?.and_then(reply::decode) {
                Ok(Some(reply)) => return Some(Ok(reply)),
                Ok(None) => {}
                Err(malformed) => {
                    self.messages.rest = None;
                    return Some(Err(malformed));
                }
            }
        }
    }
}

impl FusedIterator for Replies<'_> {}

/// The messages of a frame; an empty frame is refused.
#[derive(Clone, Debug)]
struct Messages<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest?;
        if rest.is_empty() {
            self.rest = None;
            return Some(Err(Malformed::Syntax));
        }
        let message = read::delimited(&mut rest);
        self.rest = (!rest.is_empty()).then_some(rest);
        Some(message)
    }
}
