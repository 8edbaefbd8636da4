//! Reading Protobuf messages into the types of this crate.
//!
//! Fields that are not known are skipped, groups are refused, and of a field
//! that is not repeated the last value counts.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::Malformed;
use crate::command::Token;
use crate::payload::Data;

/// Reads `bytes` as one message.
pub(super) fn message<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, Malformed> {
    let mut message = M::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        message.field(field)?;
    }
    Ok(message)
}

/// Takes bytes that stand behind their length off the front of `rest`. Leaves
/// nothing if they are not all there.
pub(super) fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = varint(rest)?;
    let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
    take(rest, length)
}

/// A message whose fields are taken one after the other.
pub(super) trait Message<'a>: Default {
    /// Takes one field, or leaves it out.
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed>;
}

/// Implements [`Message`] for messages whose fields are read each into a field.
macro_rules! fields {
    ($($message:ty { $($number:literal => $($field:tt).+,)* })*) => {$(
        impl<'a> $crate::protobuf::read::Message<'a> for $message {
            fn field(
                &mut self,
                field: $crate::protobuf::read::Field<'a>,
            ) -> Result<(), $crate::Malformed> {
                match field.number {
                    $($number => self.$($field).+ = field.read()?,)*
                    _ => {}
                }
                Ok(())
            }
        }
    )*};
}
pub(super) use fields;

/// The fields of a message, taken one after the other.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field with its value. Leaving the value unread skips it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    value: Value<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(varint(&mut self.rest)?).map_err(|_| Malformed::Syntax)?;
        let number = key >> 3;
        let value = match key & 7 {
            _ if number == 0 => return Err(Malformed::Syntax),
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => take(&mut self.rest, 8).map(|_| Value::Fixed)?,
            2 => Value::Delimited(delimited(&mut self.rest)?),
            5 => take(&mut self.rest, 4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed::Syntax),
        };
        Ok(Some(Field { number, value }))
    }
}

impl<'a> Field<'a> {
    /// Reads the value as what is wanted.
    pub(super) fn read<T: Read<'a>>(self) -> Result<T, Malformed> {
        T::read(self.value)
    }

    /// Reads the value as an entry of a map.
    pub(super) fn entry<K: Read<'a> + Default, V: Read<'a> + Default>(
        self,
    ) -> Result<(K, V), Malformed> {
        self.read::<Entry<K, V>>().map(|entry| (entry.key, entry.value))
    }
}

/// What can be read from the value of a field.
pub(super) trait Read<'a>: Sized {
    fn read(value: Value<'a>) -> Result<Self, Malformed>;
}

/// The value of a field as it stands in the message.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// No field of this protocol has it; unknown ones may.
    Fixed,
    Delimited(&'a [u8]),
}

impl Value<'_> {
    fn varint(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            Value::Fixed | Value::Delimited(_) => Err(Malformed::Syntax),
        }
    }
}

impl<'a> Read<'a> for &'a [u8] {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        match value {
            Value::Delimited(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed => Err(Malformed::Syntax),
        }
    }
}

impl Read<'_> for bool {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        Ok(value.varint()? != 0)
    }
}

impl Read<'_> for u64 {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        value.varint()
    }
}

impl Read<'_> for u32 {
    /// Refuses larger values, as the JSON encoding does: a command id that was
    /// cut short would be answered with an id nobody waits for.
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        u32::try_from(value.varint()?).map_err(|_| Malformed::Syntax)
    }
}

impl Read<'_> for i64 {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        Ok(value.varint()?.cast_signed())
    }
}

impl Read<'_> for i32 {
    /// Takes the lower half, as proto3 asks for: some encoders write negative
    /// values without their upper half.
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        Ok(value.varint()? as i32)
    }
}

impl Read<'_> for Option<NonZeroU32> {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        u32::read(value).map(NonZeroU32::new)
    }
}

impl<'a> Read<'a> for &'a str {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        std::str::from_utf8(Read::read(value)?).map_err(|_| Malformed::Syntax)
    }
}

impl<'a> Read<'a> for Cow<'a, str> {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        <&str>::read(value).map(Cow::Borrowed)
    }
}

impl<'a> Read<'a> for Cow<'a, [u8]> {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        <&[u8]>::read(value).map(Cow::Borrowed)
    }
}

impl Read<'_> for String {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        <&str>::read(value).map(str::to_owned)
    }
}

impl Read<'_> for Arc<str> {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        <&str>::read(value).map(Arc::from)
    }
}

impl<'a> Read<'a> for Token<'a> {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        Cow::read(value).map(Token)
    }
}

impl<'a> Read<'a> for Option<Data<'a>> {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        <&[u8]>::read(value).map(|bytes| Some(Data::Opaque(bytes)))
    }
}

impl Read<'_> for Bytes {
    fn read(value: Value<'_>) -> Result<Self, Malformed> {
        <&[u8]>::read(value).map(Bytes::copy_from_slice)
    }
}

impl<'a, M: Message<'a>> Read<'a> for M {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        message(Read::read(value)?)
    }
}

impl<'a, M: Message<'a>> Read<'a> for Option<M> {
    fn read(value: Value<'a>) -> Result<Self, Malformed> {
        M::read(value).map(Some)
    }
}

#[derive(Default)]
struct Entry<K, V> {
    key: K,
    value: V,
}

impl<'a, K: Read<'a> + Default, V: Read<'a> + Default> Message<'a> for Entry<K, V> {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.key = field.read()?,
            2 => self.value = field.read()?,
            _ => {}
        }
        Ok(())
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    match rest.split_at_checked(length) {
        Some((taken, left)) => {
            *rest = left;
            Ok(taken)
        }
        None => {
            *rest = &[];
            Err(Malformed::Truncated)
        }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, left) = rest.split_first().ok_or(Malformed::Truncated)?;
        *rest = left;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits {
            return Err(Malformed::Syntax);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_at_most_ten_bytes_and_64_bits() {
        let read = |mut bytes: &[u8]| varint(&mut bytes).map(|value| (value, bytes.len()));
        assert_eq!(read(&[0]), Ok((0, 0)));
        assert_eq!(read(&[0xac, 0x02, 0x07]), Ok((300, 1)));
        // Longer than needed, which proto3 permits.
        assert_eq!(read(&[0x81, 0x80, 0x00]), Ok((1, 0)));
        assert_eq!(read(&[0xff; 9]), Err(Malformed::Truncated));
        assert_eq!(read(&[]), Err(Malformed::Truncated));
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&largest), Ok((u64::MAX, 0)));
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(read(&too_large), Err(Malformed::Syntax));
        assert_eq!(read(&[0x80; 11]), Err(Malformed::Syntax));
    }
}
