//! Publications of one channel that go out together, encoded once a format.

use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::{Channel, Encoding, Publication, ws};

/// How many publications go out together at most.
pub const BATCH_MESSAGES: usize = 64;
/// How many payload bytes go out together at most, but for a single publication
/// that is larger.
pub const BATCH_BYTES: usize = 128 << 10;

/// See the module's text.
#[derive(Debug)]
pub struct Batch {
    publications: Vec<Arc<Publication>>,
    bytes: usize,
    json: Option<Bytes>,
    protobuf: Option<Bytes>,
}

impl Batch {
    /// A batch that begins with this publication.
    #[must_use]
    pub fn of(first: Arc<Publication>) -> Batch {
        Batch { bytes: first.data.len(), publications: vec![first], json: None, protobuf: None }
    }

    /// Whether one more publication fits.
    #[must_use]
    pub fn fits(&self, next: &Publication) -> bool {
        self.publications.len() < BATCH_MESSAGES && self.bytes + next.data.len() <= BATCH_BYTES
    }

    /// Adds a publication behind the others.
    pub fn add(&mut self, next: Arc<Publication>) {
        self.bytes += next.data.len();
        self.publications.push(next);
    }

    /// How many publications it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.publications.len()
    }

    /// Whether it has none; it never has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty()
    }

    /// The payload bytes of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All publications as WebSocket frames, one each, back to back. Encoded when
    /// the first subscriber of the format is met.
    pub(super) fn frames(&mut self, channel: &Channel, encoding: Encoding) -> Bytes {
        let encoded = match encoding {
            Encoding::Json => &mut self.json,
            Encoding::Protobuf => &mut self.protobuf,
        };
        encoded
            .get_or_insert_with(|| encode(channel, &self.publications, self.bytes, encoding))
            .clone()
    }
}

/// Room for what stands around a payload: header, channel, publisher, offset.
const ENVELOPE: usize = 192;

fn encode(
    channel: &Channel,
    publications: &[Arc<Publication>],
    bytes: usize,
    encoding: Encoding,
) -> Bytes {
    let mut frames =
        Vec::with_capacity(bytes + publications.len() * (ENVELOPE + channel.as_str().len()));
    let mut reply = Vec::new();
    let opcode = opcode(encoding);
    for publication in publications {
        reply.clear();
        encoding.put_publication(&mut reply, channel.as_str(), publication);
        ws::put_frame(&mut frames, opcode, &reply);
    }
    frames.into()
}

/// The frame type that carries an encoding.
#[must_use]
pub(crate) fn opcode(encoding: Encoding) -> ws::Opcode {
    match encoding {
        Encoding::Json => ws::Opcode::Text,
        Encoding::Protobuf => ws::Opcode::Binary,
    }
}
