//! What waits to be written to one connection: whole frames in order, the first
//! of which may be half out. Takes no storage while empty, and none beside
//! itself while it holds one chunk.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::format::Format;

/// How many chunks one write call takes at most.
const CHUNKS_PER_WRITE: usize = 32;

/// What a chunk takes beside its frames: itself, what counts who shares them, and what
/// an allocator takes for either.
pub(super) const CHUNK: usize = size_of::<Chunk>() + SHARED;
/// More than that takes, because an allocator leaves something between small frames.
const SHARED: usize = 96;

/// Frames without what their buffer had to spare, so that they take no more than is
/// counted for them as long as they wait. Copied, because a buffer that shrinks where it
/// is leaves a hole behind it.
pub(super) fn exact(frames: Vec<u8>) -> Bytes {
    if frames.capacity() - frames.len() <= frames.len() / 8 {
        return frames.into();
    }
    Bytes::copy_from_slice(&frames)
}

/// Frames that were put in together, shared with other connections' queues.
#[derive(Debug)]
struct Chunk {
    frames: Bytes,
    messages: usize,
}

impl Chunk {
    fn rest(&self, written: usize) -> &[u8] {
        self.frames.get(written..).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
enum Chunks {
    #[default]
    None,
    One(Chunk),
    Many(VecDeque<Chunk>),
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Queue {
    chunks: Chunks,
    /// Bytes of the first chunk that are out.
    written: usize,
    bytes: usize,
    messages: usize,
}

impl Queue {
    /// Bytes that are not out yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that it takes, with what each chunk takes beside its frames, and
    /// places for chunks that are not there yet. Frames that several queues share count
    /// in each.
    pub(super) fn memory(&self) -> usize {
        let chunks = match &self.chunks {
            Chunks::None => 0,
            Chunks::One(_) => CHUNK,
            Chunks::Many(many) => many.capacity() * size_of::<Chunk>() + many.len() * SHARED,
        };
        self.bytes + self.written + chunks
    }

    /// Messages that are not out yet; one that is half out counts.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.chunks, Chunks::None)
    }

    pub(super) fn push(&mut self, frames: Bytes, messages: usize) {
        if frames.is_empty() {
            return;
        }
        self.bytes += frames.len();
        self.messages += messages;
        let chunk = Chunk { frames, messages };
        self.chunks = match std::mem::take(&mut self.chunks) {
            Chunks::None => Chunks::One(chunk),
            Chunks::One(first) => Chunks::Many(VecDeque::from([first, chunk])),
            Chunks::Many(mut many) => {
                many.push_back(chunk);
                Chunks::Many(many)
            }
        };
    }

    /// Hands the unwritten bytes to `write`, as one slice or several, and takes
    /// off what it wrote. `None` if there was nothing to write.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> Option<std::io::Result<usize>> {
        let written = self.written;
        let result = match &self.chunks {
            Chunks::None => return None,
            Chunks::One(chunk) => write(&[IoSlice::new(chunk.rest(written))]),
            Chunks::Many(many) => {
                let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
                let count = many.len().min(CHUNKS_PER_WRITE);
                for (at, (slice, chunk)) in slices.iter_mut().zip(many.iter()).enumerate() {
                    *slice = IoSlice::new(chunk.rest(if at == 0 { written } else { 0 }));
                }
                write(slices.get(..count).unwrap_or_default())
            }
        };
        if let Ok(count) = &result {
            self.take_off(*count);
        }
        Some(result)
    }

    /// Drops everything but the rest of the frame that is half out, so that a
    /// close frame can follow.
    pub(super) fn cut_to_frame(&mut self, format: Format) {
        let head = match std::mem::take(&mut self.chunks) {
            Chunks::None => None,
            Chunks::One(chunk) => Some(chunk),
            Chunks::Many(mut many) => many.pop_front(),
        };
        let written = std::mem::take(&mut self.written);
        (self.bytes, self.messages) = (0, 0);
        if let Some(chunk) = head {
            let end = format.message_end(&chunk.frames, written).min(chunk.frames.len());
            if written < end {
                self.push(chunk.frames.slice(written..end), 1);
            }
        }
    }

    fn take_off(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        loop {
            let head = match &self.chunks {
                Chunks::None => return,
                Chunks::One(chunk) => chunk,
                Chunks::Many(many) => match many.front() {
                    Some(chunk) => chunk,
                    None => break,
                },
            };
            let left = head.frames.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.messages = self.messages.saturating_sub(head.messages);
            match &mut self.chunks {
                Chunks::Many(many) if many.len() > 1 => {
                    many.pop_front();
                }
                _ => break,
            }
        }
        self.chunks = Chunks::None;
    }
}

#[cfg(test)]
mod tests {
    use sealcast_wire::{Encoding, ws};

    use super::*;

    fn frame(text: &str) -> Bytes {
        let mut out = Vec::new();
        ws::put_frame(&mut out, ws::Opcode::Text, text.as_bytes());
        out.into()
    }

    fn drain(queue: &mut Queue, most: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while let Some(result) = queue.write(|slices| {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let count = all.len().min(most);
            got.extend_from_slice(&all[..count]);
            Ok(count)
        }) {
            result.expect("scripted");
        }
        got
    }

    #[test]
    fn every_byte_comes_out_once_and_in_order_whatever_a_write_takes() {
        for most in [1, 2, 3, 7, 64, 10_000] {
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            for n in 0..100 {
                let frames = frame(&"x".repeat(n));
                expected.extend_from_slice(&frames);
                queue.push(frames, 1);
            }
            assert_eq!(queue.messages(), 100);
            assert_eq!(queue.bytes(), expected.len());
            assert_eq!(drain(&mut queue, most), expected);
            assert!(queue.is_empty() && queue.bytes() == 0 && queue.messages() == 0);
        }
    }

    #[test]
    fn cutting_leaves_the_frame_that_is_half_out() {
        let two = [frame("first"), frame("second")].concat();
        for written in 0..=two.len() {
            let mut queue = Queue::default();
            queue.push(two.clone().into(), 2);
            queue.push(frame("third"), 1);
            if written > 0 {
                queue.write(|_| Ok(written));
            }
            queue.cut_to_frame(Encoding::Json.into());
            let rest = drain(&mut queue, 3);
            let boundary = [0, frame("first").len(), two.len()]
                .into_iter()
                .find(|end| *end >= written)
                .expect("within");
            assert_eq!(rest, two[written..boundary].to_vec(), "after {written}");
        }
    }
}
