//! What every request passes first: its form, and for a client's the
//! Origin rule.

use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};

use super::{App, websocket};
use crate::net::HEADERS;
use crate::session::Binding;

/// Longest request target, bytes.
const MAX_TARGET: usize = 8 << 10;
/// Most parameters of a query.
const MAX_PARAMETERS: usize = 32;

/// What a browser says of the page that asks (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// Longest origin that is shown, characters: a host's name has at most 253.
const LONGEST_ORIGIN: usize = 300;

/// Lets a request through that is not too large, names one host, and would not have a
/// tunnel where there is none.
///
/// # Errors
/// What it is refused with, which ends its connection.
pub(super) fn check_form<B>(request: &Request<B>) -> Result<(), StatusCode> {
    let target = request.uri();
    let parameters = target.query().map_or(0, |query| query.split('&').count());
    let path = target.path();
    let tunnels = path == websocket::PATH || path == websocket::LISTENERS_PATH;
    if target.path_and_query().map_or(0, |all| all.as_str().len()) > MAX_TARGET {
        Err(StatusCode::URI_TOO_LONG)
    } else if request.headers().len() > HEADERS {
        Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else if parameters > MAX_PARAMETERS || !names_host(request) {
        Err(StatusCode::BAD_REQUEST)
    } else if request.method() == Method::CONNECT && !tunnels {
        Err(StatusCode::METHOD_NOT_ALLOWED)
    } else {
        Ok(())
    }
}

/// HTTP/2 has the host in the target. HTTP/1.0 has none; load balancers still ask for
/// health that way.
fn names_host<B>(request: &Request<B>) -> bool {
    match (request.headers().get_all(header::HOST).iter().count(), request.version()) {
        (0, Version::HTTP_10) => true,
        (0, Version::HTTP_2) => request.uri().authority().is_some(),
        (count, _) => count == 1,
    }
}

/// Lets a request in whose origin is on the list. Without an `Origin` header it
/// is no browser's page; it may pass if it brings no cookie either, because then
/// nothing of a person's browser is used.
///
/// # Errors
/// 403, and counted.
pub(super) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), StatusCode> {
    let allowed = if headers.contains_key(header::ORIGIN) {
        allowed_origin(app, headers).is_some()
    } else {
        // A browser leaves the origin out when a page gets something of its own node,
        // and says so in a header that pages cannot set.
        match headers.contains_key(FETCH_SITE) {
            false => !headers.contains_key(header::COOKIE),
            true => is_own(headers),
        }
    };
    if allowed {
        return Ok(());
    }
    app.metrics().origin_rejected.increment(1);
    Err(StatusCode::FORBIDDEN)
}

/// Whether a browser says that a page of the node's own origin asks; it need not name
/// that origin then.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin")
}

/// The origin that a request names, if it is on the list.
pub(super) fn allowed_origin<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    origin.to_str().is_ok_and(|origin| app.origins.allow(origin)).then_some(origin)
}

/// What the session of a stream is bound to that is opened by a request with these
/// headers (T-14): their origin, and their cookies in any order.
pub(super) fn binding(headers: &HeaderMap) -> Binding {
    let all = headers.get_all(header::COOKIE).iter();
    let mut cookies: Vec<&[u8]> = all
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .collect();
    cookies.sort_unstable();
    let cookies = (!cookies.is_empty()).then(|| cookies.join(&b';'));
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    Binding::new(origin, cookies.as_deref())
}

/// The origin that a request names, cut where it is too long to be one, for people;
/// empty if there is none.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let origin = headers.get(header::ORIGIN).map(|value| String::from_utf8_lossy(value.as_bytes()));
    origin.unwrap_or_default().chars().take(LONGEST_ORIGIN).collect()
}
