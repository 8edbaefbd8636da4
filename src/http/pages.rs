//! The demo page and the page of the server API, in development mode only. Their
//! files are part of the binary.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use sealcast_wire::User;
use serde::Deserialize;

use super::{App, door};

/// How long the demo page's tokens live, seconds.
const TOKEN_LIFETIME: u64 = 15 * 60;
/// Largest body of a token request, bytes.
const TOKEN_REQUEST: usize = 1 << 10;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

macro_rules! files {
    ($($path:literal: $kind:literal,)*) => {
        /// Path below `/assets/`, content type, content.
        const ASSETS: &[(&str, &str, &[u8])] = &[
            // What applications use with the SDK, and this page too.
            ("batch.js", "text/javascript; charset=utf-8", include_bytes!("../../clients/js/batch.js")),
            $(($path, $kind, include_bytes!(concat!("../../web/", $path))),)*
        ];
    };
}

files! {
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "board.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "chat.js": "text/javascript; charset=utf-8",
    "connection.js": "text/javascript; charset=utf-8",
    "cursors.js": "text/javascript; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "elements.js": "text/javascript; charset=utf-8",
    "frames.js": "text/javascript; charset=utf-8",
    "inspector.js": "text/javascript; charset=utf-8",
    "names.js": "text/javascript; charset=utf-8",
    "notice.js": "text/javascript; charset=utf-8",
    "numbers.js": "text/javascript; charset=utf-8",
    "outbox.js": "text/javascript; charset=utf-8",
    "pace.js": "text/javascript; charset=utf-8",
    "pen.js": "text/javascript; charset=utf-8",
    "presence.js": "text/javascript; charset=utf-8",
    "room.js": "text/javascript; charset=utf-8",
    "sheet.js": "text/javascript; charset=utf-8",
    "streams.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "tabs.js": "text/javascript; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "vendor/centrifuge.js": "text/javascript; charset=utf-8",
    "vendor/centrifuge.LICENSE": "text/plain; charset=utf-8",
}

/// The same for what applications use too.
const CLIENT: &[(&str, &str, &[u8])] = &[(
    "tickets.js",
    "text/javascript; charset=utf-8",
    include_bytes!("../../clients/js/tickets.js"),
)];

const HTML: &str = "text/html; charset=utf-8";

/// The demo page.
pub(super) async fn demo() -> Response {
    file(HTML, include_bytes!("../../web/index.html"))
}

/// The page of the server API.
pub(super) async fn api() -> Response {
    file(HTML, include_bytes!("../../web/api.html"))
}

/// What the pages are made of.
pub(super) async fn asset(Path(path): Path<String>) -> Response {
    match ASSETS.iter().chain(CLIENT).find(|(name, _, _)| *name == path) {
        Some((_, kind, content)) => file(kind, content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    user: String,
}

/// A token for whatever user is asked for: development mode has no accounts, and
/// listens on loopback only.
pub(super) async fn token(State(app): State<Arc<App>>, request: Request) -> Response {
    match issue(&app, request).await {
        Ok(token) => {
            let body = serde_json::json!({ "token": token }).to_string();
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(status) => status.into_response(),
    }
}

async fn issue(app: &App, request: Request) -> Result<String, StatusCode> {
    let issuer = app.dev.as_ref().ok_or(StatusCode::NOT_FOUND)?;
    door::check_origin(app, request.headers())?;
    if !is_json(request.headers()) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let reading = Limited::new(request.into_body(), TOKEN_REQUEST).collect();
    let body = tokio::time::timeout(app.policy.limits.body_timeout, reading)
        .await
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|_| StatusCode::BAD_REQUEST)?
        .to_bytes();
    let wish: TokenRequest = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let user = User::parse(&wish.user).map_err(|_| StatusCode::BAD_REQUEST)?;
    if user.is_anonymous() {
        return Err(StatusCode::BAD_REQUEST);
    }
    issuer
        .connection(&user, app.policy.unix_now(), TOKEN_LIFETIME)
        .ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A page elsewhere cannot send this content type without a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn file(kind: &'static str, content: &'static [u8]) -> Response {
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    response
}
