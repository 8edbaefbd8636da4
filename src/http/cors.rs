//! What a browser is told of requests from pages of other origins (WHATWG Fetch,
//! 3.3): origins on the list may read answers, and send cookies; others learn
//! nothing.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{App, door};

/// How long a browser may remember what a preflight said, seconds.
const MAX_AGE: u16 = 300;

/// Answers a preflight for `methods`, which names OPTIONS too.
pub(super) fn preflight(app: &App, headers: &HeaderMap, methods: &'static str) -> Response {
    if door::allowed_origin(app, headers).is_none() {
        app.metrics().origin_rejected.increment(1);
        return permit(app, headers, StatusCode::FORBIDDEN.into_response());
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE.into());
    // Applications may have the SDK send headers of theirs.
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    permit(app, headers, response)
}

/// Lets a page whose origin is on the list read the answer.
pub(super) fn permit(app: &App, headers: &HeaderMap, mut response: Response) -> Response {
    let answer = response.headers_mut();
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = door::allowed_origin(app, headers) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let yes = HeaderValue::from_static("true");
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        let told = HeaderValue::from_static("Retry-After");
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, told);
    }
    response
}
