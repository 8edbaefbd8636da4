//! The connection that a client's task holds: bytes in and out.

use std::collections::VecDeque;
use std::time::Duration;

use sealcast_wire::ws::Opcode;
use sealcast_wire::{Encoding, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::codec::{self, Codec};
use crate::connection::{Parts, READ};
use crate::machine::Loss;
use crate::transport::Stream;
use crate::{Connection, Error};

/// With so many bytes unsent, nothing further is taken that would add to them.
const MAX_UNSENT: usize = 64 * 1024;

/// How long to try to send the rest when a connection is left.
const FAREWELL: Duration = Duration::from_secs(1);

type Boxed = Box<dyn Stream>;

pub(super) struct Link {
    /// As the machine counts connections.
    pub(super) number: u64,
    reader: ReadHalf<Boxed>,
    writer: WriteHalf<Boxed>,
    codec: Codec,
    out: Vec<u8>,
    /// Writing has failed. What the server said last may still be there to read.
    mute: bool,
    scratch: Vec<u8>,
    /// What was read and the machine has not got yet. At most what one read
    /// completes.
    inbox: VecDeque<Heard>,
}

/// What the server says, as far as it concerns the machine.
pub(super) enum Heard {
    Reply(Reply),
    Lost(Loss),
}

impl Link {
    pub(super) fn new(number: u64, connection: Connection<Boxed>) -> Link {
        let Parts { stream, codec, out, events } = connection.into_parts();
        let (reader, writer) = tokio::io::split(stream);
        let inbox = events.into_iter().filter_map(|event| match event {
            Ok(event) => heard(event),
            Err(error) => Some(Heard::Lost(error.into())),
        });
        let inbox = inbox.collect();
        Link { number, reader, writer, codec, out, mute: false, scratch: vec![0; READ], inbox }
    }

    pub(super) fn next(&mut self) -> Option<Heard> {
        self.inbox.pop_front()
    }

    /// Adds a frame of commands.
    pub(super) fn put(&mut self, payload: &[u8]) {
        let opcode = match self.codec.encoding() {
            Encoding::Json => Opcode::Text,
            Encoding::Protobuf => Opcode::Binary,
        };
        if !self.mute {
            codec::put_frame(&mut self.out, opcode, payload);
        }
    }

    /// Whether little enough is unsent to add to it.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < MAX_UNSENT
    }

    /// Reads or writes once; says whether something was heard. Reads only if
    /// `reading`. Can be dropped at any point.
    pub(super) async fn exchange(&mut self, reading: bool) -> bool {
        // Only answers to pings come of it. A server may read again only once it is
        // read from.
        let reading = reading && self.out.len() < 2 * MAX_UNSENT;
        let Link { reader, writer, out, mute, scratch, .. } = self;
        if *mute {
            out.clear();
        }
        let read = tokio::select! {
            read = reader.read(scratch), if reading => read,
            written = writer.write(out), if !out.is_empty() => {
                match written {
                    Ok(written @ 1..) => drop(out.drain(..written)),
                    Ok(0) | Err(_) => *mute = true,
                }
                return false;
            }
            else => std::future::pending().await,
        };
        match read {
            Ok(length @ 1..) => {
                self.take(length);
                true
            }
            Ok(0) | Err(_) => {
                self.inbox.push_back(Heard::Lost(Loss::Ended));
                false
            }
        }
    }

    /// Closes politely, and takes a moment for it at most.
    pub(super) async fn leave(mut self) {
        self.codec.put_close(&mut self.out, 1000, "");
        let farewell = async {
            self.writer.write_all(&self.out).await?;
            self.writer.shutdown().await
        };
        // The connection is gone either way.
        let _ = timeout(FAREWELL, farewell).await;
    }

    fn take(&mut self, length: usize) {
        let Link { codec, out, scratch, inbox, .. } = self;
        let bytes = scratch.get_mut(..length).unwrap_or_default();
        let fed = codec.feed(bytes, out, |event| inbox.extend(heard(event)));
        inbox.extend(fed.err().map(|error| Heard::Lost(error.into())));
    }
}

fn heard(event: codec::Event) -> Option<Heard> {
    match event {
        codec::Event::Reply(reply) => Some(Heard::Reply(reply)),
        codec::Event::Close(code, reason) => Some(Heard::Lost(Loss::Closed { code, reason })),
        codec::Event::Ping | codec::Event::FramePing | codec::Event::FramePong(_) => None,
    }
}

impl From<Error> for Loss {
    fn from(error: Error) -> Loss {
        match error {
            Error::TooLarge => Loss::TooLarge,
            Error::Protocol(_) => Loss::Broken,
            Error::Disconnected { code, reason } => Loss::Closed { code, reason },
            Error::Refused { .. } | Error::Error { .. } | Error::Io(_) | Error::Timeout => {
                Loss::Ended
            }
        }
    }
}
