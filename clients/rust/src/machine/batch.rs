//! Commands that wait to be sent, joined into frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sealcast_wire::{Command, Encoding, MAX_COMMANDS_PER_FRAME};

/// The most bytes of a frame of several commands: half of what servers take by
/// default. A longer command goes alone.
const MAX_FRAME: usize = 32 * 1024;

/// Numbers for commands, none of which comes twice in the life of a client. So
/// a late reply finds nobody, also over reconnects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids(Arc<AtomicU32>);

impl Ids {
    pub(crate) fn next(&self) -> u32 {
        // 0 is what a command without reply carries.
        loop {
            let id = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if id != 0 {
                return id;
            }
        }
    }
}

/// One command's bytes, as they stand in a frame.
pub(crate) fn encode(encoding: Encoding, command: &Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoding.put_command(&mut bytes, command);
    bytes
}

#[derive(Debug)]
pub(super) struct Batch {
    encoding: Encoding,
    frames: VecDeque<Vec<u8>>,
    /// How many commands are in the last frame.
    commands: usize,
}

impl Batch {
    pub(super) fn new(encoding: Encoding) -> Batch {
        Batch { encoding, frames: VecDeque::new(), commands: 0 }
    }

    /// Adds a command, from [`encode`].
    pub(super) fn put(&mut self, command: &[u8]) {
        if let Some(last) = self.frames.back_mut()
            && self.commands < MAX_COMMANDS_PER_FRAME
            && last.len() + 1 + command.len() <= MAX_FRAME
        {
            if self.encoding == Encoding::Json {
                last.push(b'\n');
            }
            last.extend_from_slice(command);
            self.commands += 1;
            return;
        }
        self.frames.push_back(command.to_vec());
        self.commands = 1;
    }

    /// Takes the next frame's payload.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Request;

    use super::*;

    #[test]
    fn commands_share_a_frame_within_its_bounds() {
        let mut batch = Batch::new(Encoding::Json);
        let of = |size: usize| vec![b'x'; size];
        batch.put(b"a");
        batch.put(b"b");
        assert_eq!(batch.take().as_deref(), Some(&b"a\nb"[..]));
        batch.put(&of(MAX_FRAME - 2));
        batch.put(b"a");
        batch.put(b"b");
        batch.put(&of(3 * MAX_FRAME));
        let sizes: Vec<_> = std::iter::from_fn(|| batch.take()).map(|frame| frame.len()).collect();
        assert_eq!(sizes, [MAX_FRAME, 1, 3 * MAX_FRAME]);
        for _ in 0..=MAX_COMMANDS_PER_FRAME {
            batch.put(b"a");
        }
        assert_eq!(batch.take().map(|frame| frame.len()), Some(2 * MAX_COMMANDS_PER_FRAME - 1));
        assert_eq!(batch.take().map(|frame| frame.len()), Some(1));
        assert_eq!(batch.take(), None);
    }

    #[test]
    fn what_is_joined_can_be_taken_apart() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let mut batch = Batch::new(encoding);
            for id in 1..=3 {
                let request = Request::Presence { channel: "c".into() };
                batch.put(&encode(encoding, &Command { id, request }));
            }
            let frame = batch.take().unwrap();
            let ids: Vec<_> = encoding.commands(&frame).map(|it| it.unwrap().id).collect();
            assert_eq!(ids, [1, 2, 3]);
        }
    }

    #[test]
    fn numbers_leave_zero_out() {
        let ids = Ids(Arc::new(AtomicU32::new(u32::MAX - 1)));
        assert_eq!([ids.next(), ids.next()], [u32::MAX, 1]);
    }
}
