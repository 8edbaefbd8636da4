//! The server API: `POST /api/<method>` (Centrifugo's server API, section
//! "Transport"). Answers are 200 with `result` or `error`; 401 has no body.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use sealcast_wire::{Channel, Data, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;
use crate::auth::{Publish, ServerApi};

/// Most channels of one broadcast.
const MAX_CHANNELS: usize = 1_000;
/// Most tags of one publication, and the most bytes of a key or value.
const MAX_TAGS: usize = 32;
const MAX_TAG_BYTES: usize = 255;

/// Answers one call. Order: unknown method 404, key 401, body 400.
pub(super) async fn call(
    State(app): State<Arc<App>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let method = match method.as_str() {
        "publish" => Method::Publish,
        "broadcast" => Method::Broadcast,
        "info" => Method::Info,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = request.headers();
    let Some(caller) = presented_key(headers).and_then(|key| app.api_keys.check(key)) else {
        app.metrics().api_unauthorized.increment(1);
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let body = match read_body(&app, request.into_body()).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let answer = match method {
        Method::Publish => match parse(&body) {
            Ok(request) => reply(publish(&app, &caller, request).await),
            Err(status) => return status.into_response(),
        },
        Method::Broadcast => match parse(&body) {
            Ok(request) => reply(broadcast(&app, &caller, request).await),
            Err(status) => return status.into_response(),
        },
        Method::Info => reply(Ok(info(&app))),
    };
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

enum Method {
    Publish,
    Broadcast,
    Info,
}

/// The key in `X-API-Key`, or in `Authorization: apikey KEY`. Not in the query,
/// where it would end up in logs (R-11).
fn presented_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("apikey").then_some(key.trim())
}

/// The body, bounded in bytes and time.
async fn read_body(app: &App, body: Body) -> Result<bytes::Bytes, StatusCode> {
    let limits = &app.policy.limits;
    let reading = Limited::new(body, limits.frame_bytes.saturating_mul(4)).collect();
    match tokio::time::timeout(limits.body_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// `null` stands for an object without members.
fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, StatusCode> {
    if body.trim_ascii_start().starts_with(b"[") {
        // Serde would take an array for the object's members in order.
        return Err(StatusCode::BAD_REQUEST);
    }
    serde_json::from_slice::<Option<T>>(body)
        .map(Option::unwrap_or_default)
        .map_err(|_| StatusCode::BAD_REQUEST)
}

/// A publish (with `channel`) or a broadcast (with `channels`). Members that
/// would change the outcome and are not supported yet are read so that they can
/// be refused: an ignored idempotency key would publish twice.
#[derive(Default, Deserialize)]
struct Wish<'a> {
    channel: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    idempotency_key: Option<String>,
    version: Option<u64>,
}

/// A payload that is there, even as `null`.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Serialize)]
struct Published {}

#[derive(Serialize)]
struct Broadcast {
    responses: Vec<Answer<Published>>,
}

#[derive(Serialize)]
struct Info {
    nodes: Vec<Node>,
}

/// What one node serves; `uptime` in seconds.
#[derive(Serialize)]
struct Node {
    uid: String,
    name: String,
    version: &'static str,
    num_clients: usize,
    num_users: usize,
    num_subs: usize,
    num_channels: usize,
    uptime: u64,
}

/// `{"result":…}` or `{"error":…}`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Result(T),
    Error { code: u32, message: &'static str },
}

impl<T> From<Result<T, ErrorCode>> for Answer<T> {
    fn from(result: Result<T, ErrorCode>) -> Answer<T> {
        match result {
            Ok(result) => Answer::Result(result),
            Err(code) => Answer::Error { code: code.code(), message: code.message() },
        }
    }
}

async fn publish(app: &App, caller: &ServerApi, wish: Wish<'_>) -> Result<Published, ErrorCode> {
    let channel = wish.channel.as_deref().unwrap_or_default();
    publish_to(app, caller, channel, &wish).await
}

/// Errors of single channels stand among the responses; the call succeeds.
async fn broadcast(app: &App, caller: &ServerApi, wish: Wish<'_>) -> Result<Broadcast, ErrorCode> {
    let channels = wish.channels.as_deref().unwrap_or_default();
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        return Err(ErrorCode::BadRequest);
    }
    let mut responses = Vec::with_capacity(channels.len());
    for channel in channels {
        responses.push(publish_to(app, caller, channel, &wish).await.into());
    }
    Ok(Broadcast { responses })
}

async fn publish_to(
    app: &App,
    caller: &ServerApi,
    channel: &str,
    wish: &Wish<'_>,
) -> Result<Published, ErrorCode> {
    let channel = Channel::parse(channel).map_err(|_| ErrorCode::BadRequest)?;
    let namespace = app.policy.namespaces.of(&channel).ok_or(ErrorCode::UnknownChannel)?;
    if wish.idempotency_key.as_ref().is_some_and(|key| !key.is_empty()) || wish.version.is_some() {
        return Err(ErrorCode::NotAvailable);
    }
    let tags = wish.tags.clone().unwrap_or_default();
    let fits = |text: &String| text.len() <= MAX_TAG_BYTES;
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
        (_, None) => return Err(ErrorCode::BadRequest),
    };
    if data.bytes().len() > app.policy.limits.message_bytes {
        return Err(ErrorCode::BadRequest);
    }
    let payload = namespace.data_format.payload(data).ok_or(ErrorCode::BadRequest)?;
    let wish = caller.authorize(Publish { channel, payload, publisher: None, tags });
    app.policy.relay.publish(wish).await.map_err(|_| ErrorCode::Internal)?;
    Ok(Published {})
}

fn info(app: &App) -> Info {
    let hub = app.policy.relay.hub();
    let census = hub.census();
    Info {
        nodes: vec![Node {
            uid: app.node.uid.clone(),
            name: app.node.name.clone(),
            version: app.node.version,
            num_clients: census.clients,
            num_users: census.users,
            num_subs: census.subscriptions,
            num_channels: census.channels,
            uptime: hub.clock().now().0 / 1_000,
        }],
    }
}

fn reply<T: Serialize>(result: Result<T, ErrorCode>) -> String {
    serde_json::to_string(&Answer::from(result)).unwrap_or_else(|_| {
        let code = ErrorCode::Internal;
        format!(r#"{{"error":{{"code":{},"message":"{}"}}}}"#, code.code(), code.message())
    })
}
