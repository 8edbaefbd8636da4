//! Connections over HTTP streams, where WebSocket does not get through, and for
//! those who only listen: `/connection/sse`, `/connection/http_stream`, and their
//! unidirectional sisters. What follows the opening is the same as over a WebSocket.

mod connect;
mod emulation;
mod opening;
mod ticket;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use sealcast_wire::Encoding;

use super::{App, Live, address, admit, body, cors, door, health};
use crate::hub::{Format, Framing};
use crate::limit::{TooMany, Wait};
use crate::metrics::Attempt;
use crate::net::{Peer, Takeover};
use crate::session::Places;
use connect::Asked;

pub(super) use connect::{in_url, with_token};
pub(super) use emulation::emulate;
pub(super) use ticket::{in_query as ticket_in_query, issue as issue_ticket, redeem};

/// By which transports beside WebSocket clients may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transports {
    /// Server-sent events, in both directions.
    pub sse: bool,
    /// HTTP streaming, in both directions.
    pub http_stream: bool,
    /// Server-sent events for clients that only listen.
    pub uni_sse: bool,
    /// HTTP streaming for clients that only listen.
    pub uni_http_stream: bool,
    /// WebSocket for clients that only listen.
    pub uni_websocket: bool,
    /// A token may stand in a URL.
    pub token_in_url: bool,
}

/// The transports of this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Sse,
    HttpStream,
    UniSse,
    UniHttpStream,
}

/// A stream that is refused, and the reason in the answer's body.
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) reason: &'static str,
    /// When it may be worth trying again, if a limit says so.
    wait: Option<Wait>,
}

/// What opens streams of this transport.
pub(super) fn route(transport: Transport) -> MethodRouter<Live> {
    any(
        async move |State(app): State<Arc<App>>,
                    Extension(Peer(peer)): Extension<Peer>,
                    request: Request| { answer(app, peer, request, transport).await },
    )
}

/// Answers with a stream, or says why not. Order: switched off 404, preflight,
/// method 405, address 429 or 503, origin 403, leaving 503, form, body, full 503,
/// ticket 401, 403, 429 or 503.
async fn answer(
    app: Arc<App>,
    peer: SocketAddr,
    request: Request,
    transport: Transport,
) -> Response {
    if !transport.is_enabled(&app.transports) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = request.headers().clone();
    if request.method() == Method::OPTIONS {
        return cors::preflight(&app, &headers, transport.methods());
    }
    let response = match open(&app, peer, request, transport).await {
        Ok(response) => response,
        Err(refusal) => {
            app.metrics().attempt(transport.name(), refusal.attempt());
            tracing::info!(
                event = "handshake_refused",
                reason = refusal.reason,
                address = %address::prefix(app.proxies.client(peer.ip(), &headers)),
                origin = door::origin(&headers),
                transport = transport.name(),
                "a stream was refused"
            );
            refusal.response(transport.methods())
        }
    };
    cors::permit(&app, &headers, response)
}

async fn open(
    app: &Arc<App>,
    peer: SocketAddr,
    request: Request,
    transport: Transport,
) -> Result<Response, Refusal> {
    if request.method() != Method::POST
        && (request.method() != Method::GET || !transport.takes_get())
    {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method opens no stream"));
    }
    let client = app.proxies.client(peer.ip(), request.headers());
    let address = admit::admit(app, client).await;
    let address = address.map_err(|too_many| Refusal::too_many(&too_many))?;
    door::check_origin(app, request.headers())
        .map_err(|status| Refusal::new(status, "origin not allowed"))?;
    if app.health.is_leaving() {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"));
    }
    let (mut parts, body) = request.into_parts();
    // Chunks do not exist before.
    if parts.version < Version::HTTP_11 {
        let text = "a stream needs HTTP/1.1 or HTTP/2; a proxy in front may have to be told so";
        return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, text));
    }
    let text = "nothing carries a stream here";
    let takeover = Takeover::of(&mut parts.extensions)
        .ok_or(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text))?;
    let ticket = ticket::in_query(parts.uri.query())?;
    let asked = connect::asked(app, &parts, body, transport).await?;
    let Asked { encoding, mut first } = match asked {
        Some(asked) => asked,
        None => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let (Some(connection), Some(waiting)) = (app.streams.take(), app.waiting.take()) else {
        let text = "the node has as many streams as it takes";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let format = transport.format(encoding);
    let places = Places { connection, waiting, address: Some(address) };
    let mut binding = door::binding(&parts.headers);
    if let Some(ticket) = ticket {
        let ticket = (transport.name(), &*ticket);
        let redeemed = ticket::redeem(app, client, &parts.headers, ticket).await?;
        first = connect::with_token(encoding, &first, redeemed.token)?;
        binding = redeemed.binding;
    }
    let begin = opening::begin(Arc::clone(app), format, first, places, (client, binding));
    Ok(opening::response(format, takeover, begin))
}

impl Transport {
    fn is_enabled(self, transports: &Transports) -> bool {
        match self {
            Transport::Sse => transports.sse,
            Transport::HttpStream => transports.http_stream,
            Transport::UniSse => transports.uni_sse,
            Transport::UniHttpStream => transports.uni_http_stream,
        }
    }

    fn format(self, encoding: Encoding) -> Format {
        match self {
            Transport::Sse => Format::emulated(Framing::Events, encoding),
            Transport::HttpStream => Format::emulated(Framing::Lines, encoding),
            Transport::UniSse => Format::unidirectional(Framing::Events),
            Transport::UniHttpStream => Format::unidirectional(Framing::Lines),
        }
    }

    fn name(self) -> &'static str {
        self.format(Encoding::Json).transport()
    }

    /// An `EventSource` can only ask by GET.
    fn takes_get(self) -> bool {
        matches!(self, Transport::Sse | Transport::UniSse)
    }

    fn methods(self) -> &'static str {
        if self.takes_get() { "GET, POST, OPTIONS" } else { "POST, OPTIONS" }
    }

    fn is_unidirectional(self) -> bool {
        matches!(self, Transport::UniSse | Transport::UniHttpStream)
    }
}

impl Refusal {
    fn new(status: StatusCode, reason: &'static str) -> Refusal {
        Refusal { status, reason, wait: None }
    }

    fn too_many(too_many: &TooMany) -> Refusal {
        let (status, reason) = admit::refusal(too_many);
        Refusal { status, reason, wait: Some(too_many.wait) }
    }

    pub(super) fn attempt(&self) -> Attempt {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Attempt::Limited,
            StatusCode::INTERNAL_SERVER_ERROR => Attempt::ServerError,
            _ => Attempt::ClientError,
        }
    }

    pub(super) fn response(self, methods: &'static str) -> Response {
        let Refusal { status, reason, wait } = self;
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        let mut response = (status, kind, format!("{reason}\n")).into_response();
        let headers = response.headers_mut();
        // A body that was not read must not be taken for another request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, admit::retry_after(wait).as_secs().into());
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, health::retry_after().as_secs().into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

/// The reason in words that a status alone does not say.
fn explained(status: StatusCode) -> Refusal {
    Refusal::new(
        status,
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            StatusCode::REQUEST_TIMEOUT => "the body took too long",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "the body must be application/json, or application/octet-stream where Protobuf is \
                 spoken, and not packed"
            }
            _ => "the body was cut off",
        },
    )
}

/// Reads the body of a request of at most `most` bytes, if not fewer are allowed, and
/// how it is written.
async fn read_body(
    app: &App,
    headers: &HeaderMap,
    content: axum::body::Body,
    most: usize,
) -> Result<(Encoding, bytes::Bytes), Refusal> {
    let encoding = body::encoding(headers).map_err(explained)?;
    let limits = &app.policy.limits;
    let read =
        body::read(limits, content, limits.frame_bytes.min(most)).await.map_err(explained)?;
    Ok((encoding, read))
}
