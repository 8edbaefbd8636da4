//! The server API: `POST /api/<method>` (Centrifugo's server API, section
//! "Transport"). Answers are 200 with `result` or `error`; 401 has no body.

mod channel;
mod publish;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use sealcast_wire::{Channel, ErrorCode};
use serde::{Deserialize, Serialize};

use super::App;
use crate::auth::{Namespace, ServerApi};

/// Answers one call. Order: unknown method 404, key 401, body 400.
pub(super) async fn call(
    State(app): State<Arc<App>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let Some(method) = Method::parse(&method) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = request.headers();
    let Some(caller) = presented_key(headers).and_then(|key| app.api_keys.check(key)) else {
        app.metrics().api_unauthorized.increment(1);
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let answer = match read_body(&app, request.into_body()).await {
        Ok(body) => method.answer(&app, &caller, &body).await,
        Err(status) => Err(status),
    };
    match answer {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(status) => status.into_response(),
    }
}

#[derive(Clone, Copy)]
enum Method {
    Publish,
    Broadcast,
    Presence,
    PresenceStats,
    History,
    HistoryRemove,
    Info,
}

impl Method {
    fn parse(name: &str) -> Option<Method> {
        Some(match name {
            "publish" => Method::Publish,
            "broadcast" => Method::Broadcast,
            "presence" => Method::Presence,
            "presence_stats" => Method::PresenceStats,
            "history" => Method::History,
            "history_remove" => Method::HistoryRemove,
            "info" => Method::Info,
            _ => return None,
        })
    }

    /// The answer's body; an error only if the request cannot be read.
    async fn answer(
        self,
        app: &App,
        caller: &ServerApi,
        body: &[u8],
    ) -> Result<String, StatusCode> {
        Ok(match self {
            Method::Publish => reply(publish::publish(app, caller, parse(body)?).await),
            Method::Broadcast => reply(publish::broadcast(app, caller, parse(body)?).await),
            Method::Presence => reply(channel::presence(app, parse(body)?).await),
            Method::PresenceStats => reply(channel::presence_stats(app, parse(body)?).await),
            Method::History => reply(channel::history(app, parse(body)?).await),
            Method::HistoryRemove => reply(channel::history_remove(app, parse(body)?).await),
            Method::Info => reply(Ok(info(app))),
        })
    }
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

/// A channel by its name, and its namespace.
fn find<'a>(app: &'a App, name: Option<&str>) -> Result<(Channel, &'a Namespace), ErrorCode> {
    let channel = Channel::parse(name.unwrap_or_default()).map_err(|_| ErrorCode::BadRequest)?;
    let namespace = app.policy.namespaces.of(&channel).ok_or(ErrorCode::UnknownChannel)?;
    Ok((channel, namespace))
}
