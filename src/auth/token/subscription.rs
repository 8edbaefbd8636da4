//! What tokens say of subscriptions: the server-side ones that a connection token
//! makes, and the options of one.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sealcast_wire::{Channel, Data, Payload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refused;
use super::json::{Members, object};

/// Most names in `channels` and in `subs`.
const MAX_CHANNELS: usize = 128;
/// Longest `info` claim, bytes.
const MAX_INFO: usize = 2 << 10;

/// What a token says of one subscription.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// What others in the channel are told of the user; one JSON value, or empty.
    pub info: Bytes,
    /// What the subscriber itself is told. Only clients of Protobuf can read what
    /// is not JSON.
    pub data: Option<Payload>,
    /// Where this subscription differs from its namespace.
    pub overrides: Overrides,
}

/// Options of a namespace that a token sets for one subscription; `None` leaves
/// the namespace's own. The member `override`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// Whether the subscriber is in the channel's presence.
    pub presence: Option<bool>,
    /// Whether its coming and going is told.
    pub join_leave: Option<bool>,
    /// Whether it is told of others' coming and going.
    pub force_push_join_leave: Option<bool>,
    /// Whether its position in the stream is watched.
    pub force_positioning: Option<bool>,
    /// Whether it recovers what it missed.
    pub force_recovery: Option<bool>,
}

impl fmt::Debug for SubscriptionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionOptions")
            .field("data", &self.data)
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}

/// The members that a subscription's options are written with: in a subscription
/// token, in each entry of `subs`, and in calls of the server API.
#[derive(Default, Deserialize)]
pub struct WrittenOptions<'a> {
    /// What others in the channel are told of the user; JSON.
    #[serde(borrow, default)]
    pub info: Option<&'a RawValue>,
    /// The same in base64; wins if it is not empty.
    #[serde(default)]
    pub b64info: Option<String>,
    /// What the subscriber itself is told; JSON.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// The same in base64; wins if it is not empty.
    #[serde(default)]
    pub b64data: Option<String>,
    /// See [`Overrides`].
    #[serde(borrow, default, rename = "override")]
    pub overrides: Option<&'a RawValue>,
}

impl WrittenOptions<'_> {
    /// What they say.
    ///
    /// # Errors
    /// If one is not what it should be, or too long.
    pub fn options(&self) -> Result<SubscriptionOptions, Refused> {
        Ok(SubscriptionOptions {
            info: info(self.info, self.b64info.as_deref())?,
            data: data(self.data, self.b64data.as_deref())?,
            overrides: self.overrides.map_or(Ok(Overrides::default()), overrides)?,
        })
    }
}

/// The subscriptions that a connection token makes. `subs` wins over `channels`
/// unless it is empty; names that are empty do not count, and `channels` may name
/// one twice.
pub(super) fn granted(
    subs: Option<&Members<'_>>,
    channels: &[String],
) -> Result<BTreeMap<Channel, SubscriptionOptions>, Refused> {
    let subs = subs.map_or(&[][..], |subs| &subs.0);
    if subs.len() > MAX_CHANNELS || channels.len() > MAX_CHANNELS {
        return Err(Refused::Invalid("too_many_channels"));
    }
    let mut granted = BTreeMap::new();
    if subs.is_empty() {
        for name in channels.iter().filter(|name| !name.is_empty()) {
            granted.insert(channel(name)?, SubscriptionOptions::default());
        }
        return Ok(granted);
    }
    for (name, written) in subs.iter().filter(|(name, _)| !name.is_empty()) {
        let written: WrittenOptions<'_> =
            object(written.get().as_bytes()).ok_or(Refused::Invalid("bad_claims"))?;
        if granted.insert(channel(name)?, written.options()?).is_some() {
            return Err(Refused::Invalid("bad_claims"));
        }
    }
    Ok(granted)
}

pub(super) fn channel(name: &str) -> Result<Channel, Refused> {
    Channel::parse(name).map_err(|_| Refused::Invalid("bad_channel"))
}

/// What is told of a user, as JSON or, winning if not empty, in base64. Either
/// way it must be JSON, because clients of both encodings are told.
pub(super) fn info(json: Option<&RawValue>, base64: Option<&str>) -> Result<Bytes, Refused> {
    let info = match base64.filter(|text| !text.is_empty()) {
        Some(text) => Payload::json(Data::Opaque(&decode(text)?))
            .map_err(|_| Refused::Invalid("info_not_json"))?
            .bytes()
            .clone(),
        None => json.map(bytes).unwrap_or_default(),
    };
    if info.len() > MAX_INFO {
        return Err(Refused::Invalid("info_too_long"));
    }
    Ok(if &info[..] == b"null" { Bytes::new() } else { info })
}

fn data(json: Option<&RawValue>, base64: Option<&str>) -> Result<Option<Payload>, Refused> {
    let Some(text) = base64.filter(|text| !text.is_empty()) else {
        return Ok(json.and_then(|json| Payload::json(Data::Json(json.get().as_bytes())).ok()));
    };
    let decoded = decode(text)?;
    let decoded = Data::Opaque(&decoded);
    Ok(Some(Payload::json(decoded).unwrap_or_else(|_| Payload::binary(decoded))))
}

pub(super) fn bytes(json: &RawValue) -> Bytes {
    Bytes::copy_from_slice(json.get().as_bytes())
}

fn decode(text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(text).map_err(|_| Refused::Invalid("bad_claims"))
}

macro_rules! overrides {
    ($($option:ident)*) => {
        fn overrides(written: &RawValue) -> Result<Overrides, Refused> {
            #[derive(Deserialize)]
            struct Each<'a> {
                $(#[serde(borrow, default)] $option: Option<&'a RawValue>,)*
            }
            let each: Each<'_> =
                object(written.get().as_bytes()).ok_or(Refused::Invalid("bad_claims"))?;
            Ok(Overrides { $($option: each.$option.map(switch).transpose()?,)* })
        }
    };
}

overrides!(presence join_leave force_push_join_leave force_positioning force_recovery);

/// An override is written as an object with one member, so that its absence is
/// not `false`.
fn switch(written: &RawValue) -> Result<bool, Refused> {
    #[derive(Deserialize)]
    struct Switch {
        value: bool,
    }
    let switch: Option<Switch> = object(written.get().as_bytes());
    switch.map(|switch| switch.value).ok_or(Refused::Invalid("bad_claims"))
}
