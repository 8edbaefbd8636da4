//! What every request passes first: its form, and for a client's the
//! Origin rule.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;

/// Longest request target, bytes.
const MAX_TARGET: usize = 8 << 10;
/// Most parameters of a query.
const MAX_PARAMETERS: usize = 32;

/// Longest origin that is shown, characters: a host's name has at most 253.
const LONGEST_ORIGIN: usize = 300;

/// Refuses a request that is too large, or that names no host or several, and
/// ends its connection.
pub(super) async fn check_form(request: Request, next: Next) -> Response {
    let target = request.uri();
    let parameters = target.query().map_or(0, |query| query.split('&').count());
    let hosts = request.headers().get_all(header::HOST).iter().count();
    // HTTP/1.0 has no Host; load balancers still ask for health that way.
    let hosts_allowed = hosts == 1 || hosts == 0 && request.version() == Version::HTTP_10;
    let refused = if target.path_and_query().map_or(0, |all| all.as_str().len()) > MAX_TARGET {
        StatusCode::URI_TOO_LONG
    } else if parameters > MAX_PARAMETERS || !hosts_allowed {
        StatusCode::BAD_REQUEST
    } else {
        return next.run(request).await;
    };
    let mut response = refused.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Lets a request in whose origin is on the list. Without an `Origin` header it
/// is no browser's page; it may pass if it brings no cookie either, because then
/// nothing of a person's browser is used.
///
/// # Errors
/// 403, and counted.
pub(super) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), StatusCode> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let allowed = match (origins.next(), origins.next()) {
        (None, _) => !headers.contains_key(header::COOKIE),
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| app.origins.allow(origin)),
        (Some(_), Some(_)) => false,
    };
    if allowed {
        return Ok(());
    }
    app.metrics().origin_rejected.increment(1);
    Err(StatusCode::FORBIDDEN)
}

/// The origin that a request names, cut where it is too long to be one, for people;
/// empty if there is none.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let origin = headers.get(header::ORIGIN).map(|value| String::from_utf8_lossy(value.as_bytes()));
    origin.unwrap_or_default().chars().take(LONGEST_ORIGIN).collect()
}
