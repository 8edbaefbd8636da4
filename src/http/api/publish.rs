//! `publish` and `broadcast`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use sealcast_wire::{Data, Epoch, ErrorCode, Position};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::admission::{charge, exhaust};
use super::ahead::Ahead;
use super::answer::Outcome;
use super::{ApiMethod, App, ErrorMode, ServerApi, done, find, parse, told};
use crate::broker::{Charge, IdempotencyKey, NotPublished};
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
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    epoch: Option<Epoch>,
}

fn text<S: serde::Serializer>(epoch: &Option<Epoch>, to: S) -> Result<S::Ok, S::Error> {
    epoch.as_deref().serialize(to)
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
    publish_to(app, caller, wish.channel.as_deref(), &wish, charge(app, caller)).await
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
    let mut outcomes = Ahead::of(channels.len());
    // It is one call, whatever it reaches.
    // So it was counted once, before.
    for channel in channels {
        let publish = publish_to(app, caller, Some(channel), &wish, None);
        outcomes.begin(Box::pin(async { told(&done(publish.await), ErrorMode::Body).1 })).await;
    }
    Broadcast::of(outcomes.end().await)
}

/// What a publish or a broadcast was answered that came before under the same idempotency
/// key, to all of the same channels; `None` if none did. It is looked up in a turn like a
/// page of history, so that refused calls are no flood for the broker.
pub(super) async fn answered(
    method: ApiMethod,
    app: &App,
    caller: &ServerApi,
    body: &[u8],
) -> Option<Outcome> {
    let wish: Wish<'_> = parse(body).ok()?;
    let idempotency = own(caller, key(wish.idempotency_key.as_deref()).ok()??);
    caller.admit(method).ok()?;
    let channels = match method {
        ApiMethod::Publish => wish.channel.as_slice(),
        _ => wish.channels.as_deref().unwrap_or_default(),
    };
    let (first, others) = channels.split_first().filter(|_| channels.len() <= MAX_CHANNELS)?;
    let _turn = app.policy.relay.page_turn().await.ok()?;
    let ask = async |channel: &String| {
        let (reach, _) = find(app, caller, Some(channel)).map_err(drop)?;
        let answer = app.policy.relay.broker().answered(reach.into_channel(), idempotency.clone());
        answer.await.map_err(drop)?.ok_or(())
    };
    let first = Published::at(ask(first).await.ok()?);
    if method == ApiMethod::Publish {
        return Some(done(Ok::<_, ErrorCode>(first)));
    }
    let others = try_join_all(others.iter().map(ask)).await.ok()?;
    let texts = [first].into_iter().chain(others.into_iter().map(Published::at));
    let texts: Vec<_> =
        texts.map(|one| told(&done(Ok::<_, ErrorCode>(one)), ErrorMode::Body).1).collect();
    Some(done(Broadcast::of(&texts)))
}

impl Published {
    fn at(position: Option<Position>) -> Published {
        Published {
            offset: position.as_ref().map(|position| position.offset),
            epoch: position.map(|position| position.epoch),
        }
    }
}

impl Broadcast {
    /// Of what each channel came to.
    fn of(texts: &[String]) -> Result<Broadcast, ErrorCode> {
        let responses = texts.iter().cloned().map(RawValue::from_string);
        let responses = responses.collect::<Result<_, _>>().map_err(|_| ErrorCode::Internal)?;
        Ok(Broadcast { responses })
    }
}

async fn publish_to(
    app: &App,
    caller: &ServerApi,
    channel: Option<&str>,
    wish: &Wish<'_>,
    charge: Option<Charge>,
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
        idempotency: key(wish.idempotency_key.as_deref())?.map(|key| own(caller, key)),
        version: wish.version.filter(|version| *version > 0).map_or(Ok(None), |version| {
            let epoch = key(wish.version_epoch.as_deref())?.unwrap_or_default();
            Ok::<_, ErrorCode>(Some((version, epoch)))
        })?,
        delta: wish.delta.unwrap_or(false) || namespace.delta_publish,
        // A backend chooses its own pace.
        shape: None,
        charges: charge.into_iter().collect(),
    };
    let wish = reach.publish(payload, tags);
    let position = app.policy.relay.publish(wish, how).await.map_err(|why| match why {
        NotPublished::Unavailable(_) => ErrorCode::Internal,
        NotPublished::TooMany(too_many) => {
            exhaust(app, caller, &too_many);
            ErrorCode::TooManyRequests
        }
    })?;
    Ok(Published::at(position))
}

/// Two callers' keys never meet.
fn own(caller: &ServerApi, key: String) -> IdempotencyKey {
    IdempotencyKey { owner: caller.name().to_owned(), key }
}

/// A text that becomes part of what the broker remembers; empty counts as absent.
fn key(text: Option<&str>) -> Result<Option<String>, ErrorCode> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.len() <= MAX_KEY => Ok(Some(text.to_owned())),
        Some(_) => Err(ErrorCode::BadRequest),
    }
}
