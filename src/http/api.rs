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

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealcast_wire::ErrorCode;

use super::{App, admit, body, health};
use crate::auth::{ApiMethod, ServerApi};
use crate::limit::{Scope, TooMany};
use admission::Admitted;
use answer::{Problem, done, told};
use request::{Object, Position, find, parse};

pub use answer::ErrorMode;
pub(super) use document::document;

/// Answers one call. Order: unknown method 404, not POST 405, key 401, body 400.
pub(super) async fn call(
    State(app): State<Arc<App>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let call = match ApiMethod::parse(&method) {
        Some(method) => Call::One(method),
        None if method == "batch" => Call::Batch,
        None => return refused(StatusCode::NOT_FOUND),
    };
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
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let answered = match call {
        Call::Batch => {
            let Ok(_turn) = app.policy.relay.batch_turn().await else { return busy() };
            batch::answer(&app, &caller, &body).await.map(|text| (StatusCode::OK, text))
        }
        Call::One(method) => {
            let called = match admission::admit(method, &app, &caller, &body).await {
                Admitted::Once => method::call(method, &app, &caller, &body).await,
                Admitted::Again(outcome) => Ok(outcome),
                Admitted::Refused(too_many) => return not_admitted(&too_many),
            };
            called.map(|outcome| told(&outcome, mode))
        }
    };
    match answered {
        Ok((status, text)) => (status, kind, text).into_response(),
        Err(status) => refused(status),
    }
}

enum Call {
    One(ApiMethod),
    Batch,
}

/// Error 111, or 103 for a key that is blocked, by the status whatever the mode is: a
/// proxy and a client that know nothing of this API understand it too.
fn not_admitted(too_many: &TooMany) -> Response {
    let (status, code) = match too_many.scope {
        Scope::Blocked => (StatusCode::FORBIDDEN, ErrorCode::PermissionDenied),
        _ => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
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
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    };
    if headers.contains_key("x-api-key") {
        return only("x-api-key");
    }
    let (scheme, key) = only(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("apikey").then_some(key.trim())
}
