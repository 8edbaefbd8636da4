//! Publications of one channel that go out together, encoded once a form.

use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::{Channel, Encoding, Epoch, Publication, delta, json};

use super::format::Format;
use super::queue::exact;

/// How many publications go out together at most.
pub const BATCH_MESSAGES: usize = 64;
/// How many payload bytes go out together at most, but for a single publication
/// that is larger.
pub const BATCH_BYTES: usize = 128 << 10;

/// One publication, as the hub delivers it.
#[derive(Clone, Debug)]
pub struct Item {
    /// What; its offset is 0 if the channel keeps none.
    pub publication: Arc<Publication>,
    /// The stream that the offset counts in.
    pub epoch: Option<Epoch>,
    /// Whether subscribers who asked for deltas may get a patch.
    pub delta: bool,
    /// Whether it is worth nothing a moment later.
    pub passing: bool,
}

/// The forms in which a publication can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// As it is, to a subscriber who asked for deltas: in JSON a string.
    Full,
    /// As a patch against the publication before, where that is smaller.
    Patch,
}

/// See the module's text.
#[derive(Debug)]
pub struct Batch {
    items: Vec<Item>,
    bytes: usize,
    /// What the channel delivered before the first item; base of its patch.
    base: Option<Arc<Publication>>,
    /// Those that were asked for: few, so they are found by looking at each.
    runs: Vec<(Format, Form, Run)>,
    /// Whether all payloads are JSON, once someone has asked.
    json: Option<bool>,
}

/// Frames back to back, and where each ends.
#[derive(Debug)]
struct Run {
    frames: Bytes,
    ends: Vec<usize>,
}

impl Batch {
    /// A batch that begins with this publication.
    #[must_use]
    pub fn of(first: Item) -> Batch {
        Batch {
            bytes: first.publication.data.len(),
            items: vec![first],
            base: None,
            runs: Vec::new(),
            json: None,
        }
    }

    /// Whether one more publication fits.
    #[must_use]
    pub fn fits(&self, next: &Item) -> bool {
        self.items.len() < BATCH_MESSAGES && self.bytes + next.publication.data.len() <= BATCH_BYTES
    }

    /// Adds a publication behind the others.
    pub fn add(&mut self, next: Item) {
        self.bytes += next.publication.data.len();
        self.items.push(next);
    }

    /// The publications.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The payload bytes of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether every payload is one JSON value; looked at once.
    pub(super) fn is_json(&mut self) -> bool {
        let items = &self.items;
        let is_json = |item: &Item| json::is_value(&item.publication.data);
        *self.json.get_or_insert_with(|| items.iter().all(is_json))
    }

    /// Says what was delivered before the first item.
    pub(super) fn set_base(&mut self, base: Option<Arc<Publication>>) {
        self.base = base;
    }

    /// All publications, a frame or chunk each, back to back. Encoded when the first
    /// subscriber of the form is met.
    pub(super) fn all(&mut self, channel: &Channel, format: Format, form: Form) -> Bytes {
        self.run(channel, format, form).map(|run| run.frames.clone()).unwrap_or_default()
    }

    /// The frames of the publications `from..to`.
    pub(super) fn part(
        &mut self,
        channel: &Channel,
        format: Format,
        form: Form,
        (from, to): (usize, usize),
    ) -> Bytes {
        let Some(run) = self.run(channel, format, form) else { return Bytes::new() };
        let end =
            |count: usize| count.checked_sub(1).map_or(Some(0), |at| run.ends.get(at).copied());
        match (end(from), end(to)) {
            (Some(from), Some(to)) if from <= to => run.frames.slice(from..to),
            _ => Bytes::new(),
        }
    }

    fn run(&mut self, channel: &Channel, format: Format, form: Form) -> Option<&Run> {
        // In Protobuf a full publication looks the same to everyone.
        let form = match (format.encoding(), form) {
            (Encoding::Protobuf, Form::Full) => Form::Plain,
            (_, form) => form,
        };
        let known = self.runs.iter().position(|(of, in_form, _)| (*of, *in_form) == (format, form));
        let at = known.unwrap_or(self.runs.len());
        if known.is_none() {
            let base = self.base.as_deref();
            let run = encode(channel, &self.items, base, self.bytes, format, form);
            self.runs.push((format, form, run));
        }
        self.runs.get(at).map(|(_, _, run)| run)
    }
}

/// Room for what stands around a payload: header, channel, publisher, offset.
const ENVELOPE: usize = 192;

fn encode(
    channel: &Channel,
    items: &[Item],
    base: Option<&Publication>,
    bytes: usize,
    format: Format,
    form: Form,
) -> Run {
    let mut frames = Vec::with_capacity(bytes + items.len() * (ENVELOPE + channel.as_str().len()));
    let mut ends = Vec::with_capacity(items.len());
    let mut scratch = Vec::new();
    let mut put = |frames: &mut Vec<u8>, publication: &Publication| {
        format.put_publication(frames, &mut scratch, channel.as_str(), publication);
    };
    let mut base = base;
    for item in items {
        let publication = &*item.publication;
        match form {
            Form::Plain => put(&mut frames, publication),
            Form::Full | Form::Patch => {
                let base = base.filter(|_| form == Form::Patch && item.delta);
                put(&mut frames, &for_delta(publication, base, format.encoding()));
            }
        }
        ends.push(frames.len());
        base = Some(publication);
    }
    Run { frames: exact(frames), ends }
}

/// A publication as it is written to someone who asked for deltas: a patch
/// against `base` if that is smaller, and in JSON always a string.
#[must_use]
pub fn for_delta(
    publication: &Publication,
    base: Option<&Publication>,
    encoding: Encoding,
) -> Publication {
    let mut written = publication.clone();
    match encoding {
        Encoding::Protobuf => {
            if let Some(patch) = base.and_then(|base| delta::encode(&base.data, &publication.data))
            {
                written.data = patch.into();
                written.delta = true;
            }
        }
        Encoding::Json => {
            // The client's base is the text as JSON carries it: without raw newlines.
            let target = as_json_text(&publication.data);
            let patch =
                base.and_then(|base| delta::encode_text(&as_json_text(&base.data), &target));
            written.delta = patch.is_some();
            written.data = json_string(patch.as_deref().unwrap_or(&target)).into();
            written.epoch = String::new();
        }
    }
    written
}

fn as_json_text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).replace(['\n', '\r'], "")
}

fn json_string(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}
