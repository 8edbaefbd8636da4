//! The choice between the two encodings, made once per connection.
//!
//! [`crate::json`] and [`crate::protobuf`] do the work; here is what a
//! connection calls that does not care which of them it speaks.

pub(crate) mod draft;
pub(crate) mod sink;

use std::iter::FusedIterator;

use crate::{Command, Encoding, Malformed, Publication, Reply, json, protobuf};

impl Encoding {
    /// The commands of one frame of a client, decoded as they are asked for.
    #[must_use]
    pub fn commands(self, frame: &[u8]) -> Commands<'_> {
        match self {
            Encoding::Json => Commands::Json(json::commands(frame)),
            Encoding::Protobuf => Commands::Protobuf(protobuf::commands(frame)),
        }
    }

    /// The replies of one frame of a server, decoded as they are asked for.
    #[must_use]
    pub fn replies(self, frame: &[u8]) -> Replies<'_> {
        match self {
            Encoding::Json => Replies::Json(json::replies(frame)),
            Encoding::Protobuf => Replies::Protobuf(protobuf::replies(frame)),
        }
    }

    /// Appends one reply. In JSON without a line end: whoever puts several
    /// into one frame separates them with `\n`.
    pub fn put_reply(self, out: &mut Vec<u8>, reply: &Reply) {
        match self {
            Encoding::Json => json::put_reply(out, reply),
            Encoding::Protobuf => protobuf::put_reply(out, reply),
        }
    }

    /// Appends the push of one publication, as [`Encoding::put_reply`] would
    /// write it, without building the push first.
    pub fn put_publication(self, out: &mut Vec<u8>, channel: &str, publication: &Publication) {
        match self {
            Encoding::Json => json::put_publication(out, channel, publication),
            Encoding::Protobuf => protobuf::put_publication(out, channel, publication),
        }
    }

    /// Appends one command; for clients. In JSON without a line end.
    pub fn put_command(self, out: &mut Vec<u8>, command: &Command<'_>) {
        match self {
            Encoding::Json => json::put_command(out, command),
            Encoding::Protobuf => protobuf::put_command(out, command),
        }
    }
}

/// The commands of one frame, in order. Ends after the first error; commands
/// before it come out first, because their replies are still owed.
#[derive(Clone, Debug)]
pub enum Commands<'a> {
    /// Of a JSON frame.
    Json(json::Commands<'a>),
    /// Of a Protobuf frame.
    Protobuf(protobuf::Commands<'a>),
}

impl<'a> Commands<'a> {
    /// What has not been decoded yet: a frame of its own, to go on with later.
    /// Empty at the end.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        match self {
            Commands::Json(commands) => commands.rest(),
            Commands::Protobuf(commands) => commands.rest(),
        }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Commands::Json(commands) => commands.next(),
            Commands::Protobuf(commands) => commands.next(),
        }
    }
}

impl FusedIterator for Commands<'_> {}

/// The replies of one frame, in order. Ends after the first error. Replies and
/// pushes of kinds that are not known here are left out.
#[derive(Clone, Debug)]
pub enum Replies<'a> {
    /// Of a JSON frame.
    Json(json::Replies<'a>),
    /// Of a Protobuf frame.
    Protobuf(protobuf::Replies<'a>),
}

impl Iterator for Replies<'_> {
    type Item = Result<Reply, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Replies::Json(replies) => replies.next(),
            Replies::Protobuf(replies) => replies.next(),
        }
    }
}

impl FusedIterator for Replies<'_> {}
