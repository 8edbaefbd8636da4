//! The server API: `POST /api/<method>` (Centrifugo's server API, section
//! "Transport"). Answers are 200 with `result` or `error`; 401 has no body.

mod batch;
mod channel;
mod connection;
mod publish;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use sealcast_wire::{Channel, Epoch, ErrorCode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::App;
use crate::auth::{Namespace, ServerApi};
use crate::broker::Since;

/// Answers one call. Order: unknown method 404, key 401, body 400.
pub(super) async fn call(
    State(app): State<Arc<App>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let call = match Method::parse(&method) {
        Some(method) => Call::One(method),
        None if method == "batch" => Call::Batch,
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = request.headers();
    let Some(caller) = presented_key(headers).and_then(|key| app.api_keys.check(key)) else {
        app.metrics().api_unauthorized.increment(1);
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let by_status = headers.get(ERROR_MODE).is_some_and(|mode| mode == "transport");
    let body = match read_body(&app, request.into_body()).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let answered = match call {
        Call::Batch => batch::answer(&app, &caller, &body).await.map(|text| (StatusCode::OK, text)),
        Call::One(method) => {
            method.answer(&app, &caller, &body).await.map(|outcome| told(&outcome, by_status))
        }
    };
    match answered {
        Ok((status, text)) => (status, kind, text).into_response(),
        Err(status) => status.into_response(),
    }
}

/// Asks for errors as HTTP statuses instead of 200.
const ERROR_MODE: &str = "x-centrifugo-error-mode";

enum Call {
    One(Method),
    Batch,
}

/// What a method came to: its result as JSON, or its error.
type Outcome = Result<Box<RawValue>, Problem>;

/// An error, with the usual text of its code or one that says more.
#[derive(Clone, Copy)]
struct Problem {
    code: ErrorCode,
    message: &'static str,
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Problem {
        let message = match code {
            // The server API has another text for it than the client protocol.
            ErrorCode::MethodNotFound => "not found",
            code => code.message(),
        };
        Problem { code, message }
    }
}

fn done<T: Serialize>(result: Result<T, impl Into<Problem>>) -> Outcome {
    let result = result.map_err(Into::into)?;
    serde_json::value::to_raw_value(&result).map_err(|_| ErrorCode::Internal.into())
}

/// `{"result":…}` or `{"error":…}`; by status, the error stands alone.
fn told(outcome: &Outcome, by_status: bool) -> (StatusCode, String) {
    match outcome {
        Ok(result) => (StatusCode::OK, format!(r#"{{"result":{result}}}"#)),
        Err(problem) if by_status => (status_of(problem.code), error_text(*problem)),
        Err(problem) => (StatusCode::OK, format!(r#"{{"error":{}}}"#, error_text(*problem))),
    }
}

fn error_text(Problem { code, message }: Problem) -> String {
    format!(r#"{{"code":{},"message":"{message}"}}"#, code.code())
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UnknownChannel | ErrorCode::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorCode::BadRequest | ErrorCode::NotAvailable => StatusCode::BAD_REQUEST,
        ErrorCode::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::ConcurrentPagination => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
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
    Subscribe,
    Unsubscribe,
    Disconnect,
    Refresh,
    Channels,
    Rpc,
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
            "subscribe" => Method::Subscribe,
            "unsubscribe" => Method::Unsubscribe,
            "disconnect" => Method::Disconnect,
            "refresh" => Method::Refresh,
            "channels" => Method::Channels,
            "rpc" => Method::Rpc,
            "info" => Method::Info,
            _ => return None,
        })
    }

    /// What it comes to; an error only if the request cannot be read.
    async fn answer(
        self,
        app: &App,
        caller: &ServerApi,
        body: &[u8],
    ) -> Result<Outcome, StatusCode> {
        Ok(match self {
            Method::Publish => done(publish::publish(app, caller, parse(body)?).await),
            Method::Broadcast => done(publish::broadcast(app, caller, parse(body)?).await),
            Method::Presence => done(channel::presence(app, parse(body)?).await),
            Method::PresenceStats => done(channel::presence_stats(app, parse(body)?).await),
            Method::History => done(channel::history(app, parse(body)?).await),
            Method::HistoryRemove => done(channel::history_remove(app, parse(body)?).await),
            Method::Subscribe => done(connection::subscribe(app, caller, parse(body)?).await),
            Method::Unsubscribe => done(connection::unsubscribe(app, parse(body)?).await),
            Method::Disconnect => done(connection::disconnect(app, parse(body)?)),
            Method::Refresh => done(connection::refresh(app, parse(body)?)),
            Method::Channels => done(channel::channels(app, parse(body)?)),
            Method::Rpc => {
                parse::<Anything>(body)?;
                // There is nothing that an rpc could reach.
                done(Err::<(), _>(ErrorCode::MethodNotFound))
            }
            Method::Info => {
                parse::<Anything>(body)?;
                done(Ok::<_, ErrorCode>(info(app)))
            }
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
    let most = limits.frame_bytes.saturating_mul(4);
    // A length that is told beforehand need not be waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reading = Limited::new(body, most).collect();
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

/// A member that is an object or `null`, and nothing that serde would take for one.
fn object<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let Some(written) = Option::<&RawValue>::deserialize(from)? else { return Ok(None) };
    if !written.get().starts_with('{') {
        return Err(D::Error::custom("not an object"));
    }
    serde_json::from_str(written.get()).map(Some).map_err(D::Error::custom)
}

/// A request of which no member is looked at.
#[derive(Default, Deserialize)]
struct Anything {}

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

/// A position in a stream, as a backend gives it.
#[derive(Deserialize)]
struct Position {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
}

impl Position {
    fn since(&self) -> Since {
        Since { offset: self.offset, epoch: Epoch::from(self.epoch.as_str()) }
    }
}

/// A channel by its name, and its namespace.
fn find<'a>(app: &'a App, name: Option<&str>) -> Result<(Channel, &'a Namespace), ErrorCode> {
    let channel = Channel::parse(name.unwrap_or_default()).map_err(|_| ErrorCode::BadRequest)?;
    let namespace = app.policy.namespaces.of(&channel).ok_or(ErrorCode::UnknownChannel)?;
    Ok((channel, namespace))
}
