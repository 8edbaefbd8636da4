//! `publish` and `broadcast`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::{Data, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ahead::Ahead;
use super::{App, ErrorMode, ServerApi, done, find, told};
use crate::broker::IdempotencyKey;
use crate::relay::How;

/// Most channels of one broadcast.
const MAX_CHANNELS: usize = 1_000;
/// Most tags of one publication.
const MAX_TAGS: usize = 32;
/// Longest tag name and value, bytes.
const MAX_TAG: usize = 255;
/// Longest idempotency key and version epoch, bytes.
const MAX_KEY: usize = 64;

/// A publish (with `channel`) or a broadcast (with `channels`).
#[derive(Default, Deserialize)]
pub(super) struct Wish<'a> {
    channel: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    skip_history: Option<bool>,
    tags: Option<BTreeMap<String, String>>,
    idempotency_key: Option<String>,
    delta: Option<bool>,
    version: Option<u64>,
    version_epoch: Option<String>,
}

/// A payload that is there, even as `null`.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Where it was kept, if it was.
#[derive(Serialize)]
pub(super) struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Broadcast {
    responses: Vec<Box<RawValue>>,
}

pub(super) async fn publish(
    app: &App,
    caller: &ServerApi,
    wish: Wish<'_>,
) -> Result<Published, ErrorCode> {
    publish_to(app, caller, wish.channel.as_deref(), &wish).await
}

/// Errors of single channels stand among the responses; the call succeeds.
pub(super) async fn broadcast(
    app: &App,
    caller: &ServerApi,
    wish: Wish<'_>,
) -> Result<Broadcast, ErrorCode> {
    let channels = wish.channels.as_deref().unwrap_or_default();
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        return Err(ErrorCode::BadRequest);
    }
    let mut outcomes = Ahead::new();
    for channel in channels {
        let publish = publish_to(app, caller, Some(channel), &wish);
        outcomes.begin(Box::pin(async { told(&done(publish.await), ErrorMode::Body).1 })).await;
    }
    let texts = outcomes.end().await.iter().cloned().map(RawValue::from_string);
    let responses = texts.collect::<Result<_, _>>().map_err(|_| ErrorCode::Internal)?;
    Ok(Broadcast { responses })
}

async fn publish_to(
    app: &App,
    caller: &ServerApi,
    channel: Option<&str>,
    wish: &Wish<'_>,
) -> Result<Published, ErrorCode> {
    let (reach, namespace) = find(app, caller, channel)?;
    let tags = wish.tags.clone().unwrap_or_default();
    let fits = |text: &String| text.len() <= MAX_TAG;
    if tags.len() > MAX_TAGS || !tags.iter().all(|(key, value)| fits(key) && fits(value)) {
        return Err(ErrorCode::BadRequest);
    }
    let decoded;
    let data = match (&wish.b64data, wish.data) {
        (Some(text), _) if !text.is_empty() => {
            decoded = STANDARD.decode(text).map_err(|_| ErrorCode::BadRequest)?;
            Data::Opaque(&decoded)
        }
        (_, Some(value)) => Data::Opaque(value.get().as_bytes()),
        // Which only a namespace for any bytes takes.
        (_, None) => Data::Opaque(&[]),
    };
    if data.bytes().len() > app.policy.message_bytes(namespace) {
        return Err(ErrorCode::BadRequest);
    }
    let payload = namespace.data_format.payload(data).ok_or(ErrorCode::BadRequest)?;
    let keep = app.policy.retention(namespace).filter(|_| !wish.skip_history.unwrap_or(false));
    if wish.version.is_some_and(|version| version > 0) && keep.is_none() {
        // Without a stream there is nothing to compare it with.
        return Err(ErrorCode::NotAvailable);
    }
    let how = How {
        keep,
        idempotency: key(wish.idempotency_key.as_deref())?
            .map(|key| IdempotencyKey { owner: caller.name().to_owned(), key }),
        version: wish.version.filter(|version| *version > 0).map_or(Ok(None), |version| {
            let epoch = key(wish.version_epoch.as_deref())?.unwrap_or_default();
            Ok::<_, ErrorCode>(Some((version, epoch)))
        })?,
        delta: wish.delta.unwrap_or(false) || namespace.delta_publish,
        // A backend chooses its own pace.
        shape: None,
    };
    let wish = reach.publish(payload, tags);
    let position = app.policy.relay.publish(wish, how).await.map_err(|_| ErrorCode::Internal)?;
    Ok(Published {
        offset: position.as_ref().map(|position| position.offset),
        epoch: position.map(|position| position.epoch.to_string()),
    })
}

/// A text that becomes part of what the broker remembers; empty counts as absent.
fn key(text: Option<&str>) -> Result<Option<String>, ErrorCode> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.len() <= MAX_KEY => Ok(Some(text.to_owned())),
        Some(_) => Err(ErrorCode::BadRequest),
    }
}
