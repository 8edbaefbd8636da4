//! `POST /emulation`: what a client of an emulated transport says. The answer to it
//! is on its stream; here it only learns whether it was taken.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::{App, admit, cors, door};
use super::{read_body, ticket};
use crate::cluster::NotEmulated;
use crate::limit::Wait;
use crate::net::Peer;
use crate::session::{Frame, SessionKey, Undelivered};

/// Largest request, bytes: it must fit a message between nodes (see
/// [`crate::auth::MOST_BODY`]).
const MOST_BYTES: usize = 128 << 10;
const METHODS: &str = "POST, OPTIONS";

/// Takes commands for a session. Order: switched off 404, preflight, method 405,
/// origin 403, body 415, 413, 408, 400, an address that guesses 429; then 204, or 404
/// without saying whether the node, the session, or what it is bound to is not the one.
pub(in crate::http) async fn emulate(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    if !(app.transports.sse || app.transports.http_stream) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = request.headers().clone();
    if request.method() == Method::OPTIONS {
        return cors::preflight(&app, &headers, METHODS);
    }
    let client = app.proxies.client(peer.ip(), &headers);
    let response = match take(&app, client, request).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.response(),
    };
    cors::permit(&app, &headers, response)
}

/// Commands that are not taken.
struct Refusal {
    status: StatusCode,
    /// When it may be worth trying again, if the address guesses.
    wait: Option<Wait>,
}

async fn take(app: &App, client: IpAddr, request: Request) -> Result<(), Refusal> {
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED.into());
    }
    door::check_origin(app, request.headers())?;
    let (parts, body) = request.into_parts();
    let read = read_body(app, &parts.headers, body, MOST_BYTES).await;
    let (encoding, body) = read.map_err(|it| it.status)?;
    let emulated = encoding.emulation(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let frame = Frame {
        key: SessionKey::of(&emulated.session),
        from: ticket::binding(&parts.headers),
        encoding,
        bytes: emulated.data.into_owned(),
    };
    ticket::may_name(app, client)
        .map_err(|wait| Refusal { status: StatusCode::TOO_MANY_REQUESTS, wait: Some(wait) })?;
    app.cluster.emulate(&emulated.node, frame).await.map_err(|why| match why {
        NotEmulated::Undelivered(Undelivered::NoSession) => {
            app.metrics().violation("no_session");
            ticket::guessed(app, client);
            StatusCode::NOT_FOUND.into()
        }
        NotEmulated::Undelivered(Undelivered::TooMany) => StatusCode::TOO_MANY_REQUESTS.into(),
        NotEmulated::Silent => StatusCode::INTERNAL_SERVER_ERROR.into(),
    })
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Refusal {
        Refusal { status, wait: None }
    }
}

impl Refusal {
    fn response(self) -> Response {
        let Refusal { status, wait } = self;
        let text = match status {
            StatusCode::NOT_FOUND => "no such session",
            status => status.canonical_reason().unwrap_or_default(),
        };
        let mut response = (status, format!("{text}\n")).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, admit::retry_after(wait).as_secs().into());
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
        }
        if status != StatusCode::NOT_FOUND {
            // A body that was not read must not be taken for another request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
