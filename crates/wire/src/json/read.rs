//! Reading JSON objects into the types of this crate.
//!
//! Messages are objects and nothing else: derived serde code would take arrays
//! for them as well. Members that are not known are skipped, and a member with
//! `null` counts as absent, save for payloads, where `null` is a payload.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::Malformed;
use crate::command::Token;
use crate::payload::Data;

/// Reads `text`, which must be one object with nothing but white space around.
pub(super) fn object<'de, T: Members<'de>>(text: &'de str) -> Result<T, Malformed> {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = Option::<T>::read(&mut json).map_err(|_| Malformed::Syntax)?;
    json.end().map_err(|_| Malformed::Syntax)?;
    object.ok_or(Malformed::Syntax)
}

/// A message: an object whose members are taken one after the other.
pub(super) trait Members<'de>: Default {
    /// Takes the member `name`: reads its value, or skips it.
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error>;
}

/// Implements [`Members`] for messages whose members are read each into a field.
macro_rules! members {
    ($($message:ty { $($name:literal => $($field:tt).+,)* })*) => {$(
        impl<'de> $crate::json::read::Members<'de> for $message {
            fn member<A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                value: $crate::json::read::Value<'_, A>,
            ) -> Result<(), A::Error> {
                match name {
                    $($name => self.$($field).+ = value.read()?,)*
                    _ => {
                        value.skip()?;
                    }
                }
                Ok(())
            }
        }
    )*};
}
pub(super) use members;

/// A value that stands behind its name. It must be read or skipped.
pub(super) struct Value<'m, A>(&'m mut A);

impl<'de, A: MapAccess<'de>> Value<'_, A> {
    /// Reads it as what is wanted.
    pub(super) fn read<T: Read<'de>>(self) -> Result<T, A::Error> {
        self.0.next_value_seed(Seed(PhantomData))
    }

    /// Leaves it out; whether it was something other than `null`.
    pub(super) fn skip(self) -> Result<bool, A::Error> {
        Ok(self.0.next_value::<Option<IgnoredAny>>()?.is_some())
    }

    /// Reads it as an object with arbitrary names, each handed to `each`.
    pub(super) fn entries<T, F>(self, each: F) -> Result<(), A::Error>
    where
        T: Read<'de>,
        F: FnMut(Cow<'de, str>, T),
    {
        self.0.next_value_seed(Entries { each, value: PhantomData })
    }

    /// Reads it as an array, each of its values handed to `each`.
    pub(super) fn items<T: Read<'de>>(self, each: impl FnMut(T)) -> Result<(), A::Error> {
        self.0.next_value_seed(Items { each, value: PhantomData })
    }
}

/// What can be read from a JSON value.
pub(super) trait Read<'de>: Sized {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error>;
}

macro_rules! scalars {
    ($($scalar:ty)*) => {$(
        impl<'de> Read<'de> for $scalar {
            fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                Ok(Option::<$scalar>::deserialize(json)?.unwrap_or_default())
            }
        }
    )*};
}

scalars! { bool u32 u64 i32 i64 }

impl<'de> Read<'de> for Cow<'de, str> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Text)
    }
}

impl<'de> Read<'de> for String {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(json.deserialize_any(Text)?.into_owned())
    }
}

impl<'de> Read<'de> for Arc<str> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(json.deserialize_any(Text)?.into())
    }
}

impl<'de> Read<'de> for Token<'de> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(Token(json.deserialize_any(Text)?))
    }
}

impl<'de> Read<'de> for Option<Data<'de>> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(json)?;
        Ok(Some(Data::Json(raw.get().as_bytes())))
    }
}

impl<'de> Read<'de> for Bytes {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(json)?;
        Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
    }
}

impl<'de> Read<'de> for Option<NonZeroU32> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(NonZeroU32::new(u32::read(json)?))
    }
}

impl<'de, T: Members<'de>> Read<'de> for T {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::read(json)?.unwrap_or_default())
    }
}

impl<'de, T: Members<'de>> Read<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Object(PhantomData))
    }
}

impl<'de, T: Read<'de>> Read<'de> for Vec<T> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut list = Vec::new();
        json.deserialize_any(Items { each: |value| list.push(value), value: PhantomData })?;
        Ok(list)
    }
}

impl<'de, T: Read<'de>> Read<'de> for BTreeMap<String, T> {
    fn read<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut map = BTreeMap::new();
        let each = |name: Cow<'de, str>, value: T| {
            map.insert(name.into_owned(), value);
        };
        json.deserialize_any(Entries { each, value: PhantomData })?;
        Ok(map)
    }
}

struct Seed<T>(PhantomData<T>);

impl<'de, T: Read<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        T::read(json)
    }
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = T::default();
        while let Some(name) = map.next_key_seed(Seed::<Cow<'de, str>>(PhantomData))? {
            object.member(&name, Value(&mut map))?;
        }
        Ok(Some(object))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct Entries<T, F> {
    each: F,
    value: PhantomData<T>,
}

impl<'de, T: Read<'de>, F: FnMut(Cow<'de, str>, T)> DeserializeSeed<'de> for Entries<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Read<'de>, F: FnMut(Cow<'de, str>, T)> Visitor<'de> for Entries<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Seed::<Cow<'de, str>>(PhantomData))? {
            (self.each)(name, Value(&mut map).read()?);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Items<T, F> {
    each: F,
    value: PhantomData<T>,
}

impl<'de, T: Read<'de>, F: FnMut(T)> DeserializeSeed<'de> for Items<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Read<'de>, F: FnMut(T)> Visitor<'de> for Items<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element_seed(Seed(PhantomData))? {
            (self.each)(value);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
