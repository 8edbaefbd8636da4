//! Reading requests: strict in types, lenient towards what is unknown or missing.

use std::fmt;
use std::marker::PhantomData;

use axum::http::StatusCode;
use sealcast_wire::{Channel, Epoch, ErrorCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{App, ServerApi};
use crate::auth::{Namespace, Reach};
use crate::broker::Since;

/// Reads a request; `null` stands for an object without members.
///
/// # Errors
/// 400, if it is not one JSON object whose known members have the right types.
pub(super) fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, StatusCode> {
    serde_json::from_slice::<Option<Object<T>>>(body)
        .map(|read| read.map(|Object(read)| read).unwrap_or_default())
        .map_err(|_| StatusCode::BAD_REQUEST)
}

/// An object. Serde by itself would also take an array for its members in order.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        from.deserialize_map(Members(PhantomData))
    }
}

/// A position in a stream, as a backend gives it.
#[derive(Deserialize)]
pub(super) struct Position {
    offset: Option<u64>,
    epoch: Option<String>,
}

impl Position {
    /// What it asks for; without an offset the stream's beginning.
    pub(super) fn since(&self) -> Since {
        let epoch = Epoch::from(self.epoch.as_deref().unwrap_or_default());
        Since { offset: self.offset.unwrap_or(0), epoch }
    }
}

/// A channel by its name, which the caller may touch, and its namespace. A caller
/// who may not does not learn whether the namespace exists.
pub(super) fn find<'a>(
    app: &'a App,
    caller: &ServerApi,
    name: Option<&str>,
) -> Result<(Reach, &'a Namespace), ErrorCode> {
    let channel = Channel::parse(name.unwrap_or_default()).map_err(|_| ErrorCode::BadRequest)?;
    let reach = caller.reach(channel)?;
    let namespace = app.policy.namespaces.of(reach.channel())?;
    Ok((reach, namespace))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Sample {
        a: Option<u64>,
    }

    #[test]
    fn only_an_object_or_null_is_a_request() {
        assert_eq!(parse(b" {\"a\":1, \"b\": [{}]} "), Ok(Sample { a: Some(1) }));
        assert_eq!(parse(b"null"), Ok(Sample { a: None }));
        for body in ["", " ", "[]", "[1]", "1", "{\"a\":\"1\"}", "{\"a\":1.0}", "{} {}", "{}x"] {
            assert_eq!(parse::<Sample>(body.as_bytes()), Err(StatusCode::BAD_REQUEST), "{body}");
        }
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        #[derive(Default, Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let raw: Raw<'_> = parse(br#"{"data":{"z": 1.0}}"#).expect("an object");
        assert_eq!(raw.data.map(RawValue::get), Some(r#"{"z": 1.0}"#));
    }
}
