//! Where encoders write to: a buffer, or a counter that measures beforehand.
//!
//! Everything encoded is written through the same code twice, first into
//! [`Size`]. So a buffer grows once and ends exactly full, and Protobuf knows
//! the lengths that stand before its messages.

/// Takes encoded bytes in order.
pub(crate) trait Sink: Sized {
    /// Takes `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Takes what `content` writes, which is known to be `size` bytes.
    fn put_sized(&mut self, size: usize, content: impl FnOnce(&mut Self));
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_sized(&mut self, _size: usize, content: impl FnOnce(&mut Self)) {
        content(self);
    }
}

/// Counts bytes. It does not run content of known size again, without which
/// nested messages would cost two to the power of their depth.
#[derive(Default)]
pub(crate) struct Size(usize);

impl Size {
    /// How many bytes `content` writes.
    pub(crate) fn of(content: impl FnOnce(&mut Size)) -> usize {
        let mut size = Size::default();
        content(&mut size);
        size.0
    }
}

impl Sink for Size {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn put_sized(&mut self, size: usize, _content: impl FnOnce(&mut Self)) {
        self.0 += size;
    }
}
