//! Writing Protobuf messages.
//!
//! Scalars, strings and bytes with their type's default value are left out, as
//! in proto3; messages are written even when empty, because that they were set
//! means something.

use crate::codec::sink::{Sink, Size};

/// What is written as a message.
pub(super) trait Message {
    /// Writes the fields, without the length.
    fn put<S: Sink>(&self, out: &mut S);
}

pub(super) fn varint(out: &mut impl Sink, mut value: u64) {
    while value >= 0x80 {
        out.put(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

pub(super) fn number(out: &mut impl Sink, field: u32, value: impl Into<u64>) {
    let value = value.into();
    if value != 0 {
        key(out, field, VARINT);
        varint(out, value);
    }
}

pub(super) fn signed(out: &mut impl Sink, field: u32, value: impl Into<i64>) {
    number(out, field, value.into().cast_unsigned());
}

pub(super) fn flag(out: &mut impl Sink, field: u32, value: bool) {
    number(out, field, value);
}

pub(super) fn text(out: &mut impl Sink, field: u32, value: &str) {
    bytes(out, field, value.as_bytes());
}

pub(super) fn bytes(out: &mut impl Sink, field: u32, value: &[u8]) {
    if !value.is_empty() {
        always_bytes(out, field, value);
    }
}

pub(super) fn always_bytes(out: &mut impl Sink, field: u32, value: &[u8]) {
    key(out, field, DELIMITED);
    varint(out, value.len() as u64);
    out.put(value);
}

pub(super) fn message(out: &mut impl Sink, field: u32, message: &impl Message) {
    let size = Size::of(|size| message.put(size));
    key(out, field, DELIMITED);
    varint(out, size as u64);
    out.put_sized(size, |out| message.put(out));
}

/// A message without fields.
pub(super) fn empty(out: &mut impl Sink, field: u32) {
    always_bytes(out, field, &[]);
}

/// A map's entry whose value is a message.
pub(super) struct Entry<'a, M>(pub(super) &'a str, pub(super) &'a M);

impl<M: Message> Message for Entry<'_, M> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, self.0);
        message(out, 2, self.1);
    }
}

/// A map's entry whose value is a string.
pub(super) struct TextEntry<'a>(pub(super) &'a str, pub(super) &'a str);

impl Message for TextEntry<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, self.0);
        text(out, 2, self.1);
    }
}

const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

fn key(out: &mut impl Sink, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}
