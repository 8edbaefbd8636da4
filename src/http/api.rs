//! The server API: `POST /api/<method>` (Centrifugo's server API, section
//! "Transport"). Answers are 200 with `result` or `error`; 401 has no body.

mod absent;
mod admission;
mod ahead;
mod answer;
mod batch;
mod channel;
mod connection;
mod document;
mod limits;
mod method;
mod node;
mod publish;
mod request;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sealcast_wire::ErrorCode;

use super::{App, admit, body, health};
use crate::auth::{ApiMethod, ServerApi};
use crate::limit::{Scope, TooMany};
use admission::Admitted;
use answer::{Problem, done, told};
use request::{Object, Position, find, parse};

pub use answer::ErrorMode;
pub(super) use document::document;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Which call a path asks for.
pub(super) enum Call {
    One(ApiMethod),
    Batch,
}

impl Call {
    /// The call of this name.
    pub(super) fn parse(name: &str) -> Option<Call> {
        match ApiMethod::parse(name) {
            Some(method) => Some(Call::One(method)),
            None => (name == "batch").then_some(Call::Batch),
        }
    }
}

/// Answers a call of what is no method: before it is known who calls.
pub(super) async fn unknown() -> Response {
    refused(StatusCode::NOT_FOUND)
}

/// Answers one call. Order: not POST 405, key 401, body 400.
pub(super) async fn call<B>(app: &App, call: Call, request: Request<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    if request.method() != Method::POST {
        let allow = [(header::ALLOW, "POST")];
        return (allow, refused(StatusCode::METHOD_NOT_ALLOWED)).into_response();
    }
    let headers = request.headers();
    let Some(caller) = presented_key(headers).and_then(|key| app.api_keys.check(key)) else {
        app.metrics().api_unauthorized.increment(1);
        tracing::info!(event = "api_unauthorized", "a call of the server API had no valid key");
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let mode = app.api_errors.asked_by(headers);
    let limits = &app.policy.limits;
    let most = limits.frame_bytes.saturating_mul(4);
    let body = match body::read(limits, request.into_body(), most).await {
        Ok(body) => body,
        Err(status) => return refused(status),
    };
    let answered = match call {
        Call::Batch => {
            let Ok(_turn) = app.policy.relay.batch_turn().await else { return busy() };
            // Apart, so that it does not make a single call's state larger.
            let answered = Box::pin(batch::answer(app, &caller, &body)).await;
            answered.map(|text| (StatusCode::OK, text))
        }
        Call::One(method) => {
            let called = match admission::admit(method, app, &caller, &body).await {
                Admitted::Once => method::call(method, app, &caller, &body).await,
                Admitted::Again(outcome) => Ok(outcome),
                Admitted::Refused(too_many) => return not_admitted(&too_many),
            };
            called.map(|outcome| told(&outcome, mode))
        }
    };
    match answered {
        Ok((status, text)) => {
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        }
        Err(status) => refused(status),
    }
}

/// Error 111, or 103 for a key that is blocked, by the status whatever the mode is: a
/// proxy and a client that know nothing of this API understand it too.
fn not_admitted(too_many: &TooMany) -> Response {
    let (status, code) = match too_many.scope {
        Scope::Blocked => (StatusCode::FORBIDDEN, ErrorCode::PermissionDenied),
        _ => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
    };
    let headers = [
        (header::CONTENT_TYPE, JSON),
        (header::RETRY_AFTER, admit::retry_after(too_many.wait).as_secs().into()),
    ];
    let body = format!(r#"{{"error":{}}}"#, answer::error_text(code));
    (status, headers, body).into_response()
}

/// As many batches run as may, and others wait: nothing of this one was done.
fn busy() -> Response {
    let retry = health::retry_after().as_secs();
    ([(header::RETRY_AFTER, HeaderValue::from(retry))], refused(StatusCode::SERVICE_UNAVAILABLE))
        .into_response()
}

/// A request that is none: the status, and its name as text.
fn refused(status: StatusCode) -> Response {
    (status, status.canonical_reason().unwrap_or_default()).into_response()
}

/// The key in `X-API-Key`, or in `Authorization: apikey KEY`. Not in the query,
/// where it would end up in logs (R-11). Two of one header are none: which of them
/// counts would depend on who reads.
fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let only = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    };
    if headers.contains_key(&KEY) {
        return only(&KEY);
    }
    let (scheme, key) = only(&header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("apikey").then_some(key.trim())
}
