//! The types that options have.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::reader::Reader;
use super::tree;
use crate::limit::duration;

/// The type of an option.
pub(super) trait Kind: Sized {
    /// It has members of its own, which are always there.
    const IS_SECTION: bool = false;
    /// Its value is never shown, and can also be read from a file.
    const IS_SECRET: bool = false;
    /// How an environment variable says it.
    const WRITTEN: Written = Written::Json;

    /// What the documentation calls it.
    fn name() -> String;

    /// Reads it; `None` if it is not of this type, which the reader then knows.
    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<Self>;

    /// How it is shown; `None` if its parts show themselves.
    fn show(&self) -> Option<Value>;

    /// Describes the options within it.
    fn example(_reader: &mut Reader<'_>, _place: &str) {}
}

/// How an environment variable says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// As the text itself.
    Text,
    /// As one JSON value.
    Json,
}

/// A port, which Centrifugo writes as a text here and there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port(pub(super) u16);

/// A type that is one plain value.
macro_rules! plain {
    ($($kind:ty, $name:literal, $written:ident, $example:literal: $read:expr, $show:expr;)*) => {
        $(impl Kind for $kind {
            const WRITTEN: Written = Written::$written;

            fn name() -> String {
                $name.to_owned()
            }

            fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<$kind> {
                let read: fn(&Value) -> Option<$kind> = $read;
                let read = read(written);
                if read.is_none() {
                    reader.fault(place, must_be($example, written));
                }
                read
            }

            fn show(&self) -> Option<Value> {
                let show: fn(&$kind) -> Value = $show;
                Some(show(self))
            }
        })*
    };
}

plain! {
    bool, "true or false", Json, "true or false":
        Value::as_bool, |it| json!(it);
    u16, "number", Json, "a whole number up to 65535":
        |value| value.as_u64().and_then(|number| number.try_into().ok()), |it| json!(it);
    Port, "number", Json, "a whole number up to 65535":
        |value| {
            let number = value.as_u64().and_then(|number| number.try_into().ok());
            number.or_else(|| value.as_str()?.parse().ok()).map(Port)
        },
        |it| json!(it.0);
    u64, "number", Json, "a whole number that is not negative":
        Value::as_u64, |it| json!(it);
    usize, "number", Json, "a whole number that is not negative":
        |value| value.as_u64().and_then(|number| number.try_into().ok()), |it| json!(it);
    String, "text", Text, "a text":
        |value| value.as_str().map(str::to_owned), |it| json!(it);
    IpAddr, "address", Text, "an IP address, such as \"127.0.0.1\"":
        |value| value.as_str()?.parse().ok(), |it| json!(it.to_string());
    Duration, "duration", Text, "a duration, such as \"25s\", \"300ms\" or \"1m30s\"":
        |value| duration::parse(value.as_str()?), |it| json!(duration::format(*it));
}

impl<T: Kind> Kind for Option<T> {
    const IS_SECRET: bool = T::IS_SECRET;
    const WRITTEN: Written = T::WRITTEN;

    fn name() -> String {
        T::name()
    }

    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<Option<T>> {
        T::read(reader, place, written).map(Some)
    }

    fn show(&self) -> Option<Value> {
        self.as_ref().map_or(Some(Value::Null), T::show)
    }

    fn example(reader: &mut Reader<'_>, place: &str) {
        T::example(reader, place);
    }
}

impl<T: Kind> Kind for Vec<T> {
    fn name() -> String {
        format!("list of {}", if T::IS_SECTION { "objects".to_owned() } else { T::name() + "s" })
    }

    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<Vec<T>> {
        let Some(list) = written.as_array() else {
            reader.fault(place, must_be("a list", written));
            return None;
        };
        let entries = list.iter().enumerate();
        let read = entries.map(|(at, entry)| T::read(reader, &format!("{place}[{at}]"), entry));
        // Every entry is read, because each may have faults of its own.
        let read: Vec<Option<T>> = read.collect();
        read.into_iter().collect()
    }

    fn show(&self) -> Option<Value> {
        self.iter().map(T::show).collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn example(reader: &mut Reader<'_>, place: &str) {
        T::example(reader, &format!("{place}[]"));
    }
}

/// What a value should be, and what it is; never the value, which may be a secret
/// in the wrong place.
pub(super) fn must_be(expected: &str, written: &Value) -> String {
    match written {
        Value::Null => format!("has no value; it must be {expected}, or not stand here"),
        Value::String(_) if !expected.starts_with("a text") => {
            format!("must be {expected}, not this text")
        }
        other => format!("must be {expected}, not {}", tree::kind(other)),
    }
}
