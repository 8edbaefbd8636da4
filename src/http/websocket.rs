//! The WebSocket handshake (RFC 6455, 4.2), and what follows it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use sealcast_wire::{Encoding, ws};

use super::{App, address, admit, door, health, stream, told};
use crate::hub::{Connection, Format, Framing, Pings, Registration};
use crate::limit::TooMany;
use crate::metrics::Attempt;
use crate::net::{self, Peer};
use crate::session::{Client, Listener, Places, connect_command};

const JSON: &str = "centrifuge-json";
const PROTOBUF: &str = "centrifuge-protobuf";

/// Answers the handshake and starts the connection.
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    answer(app, peer, request, false).await
}

/// The same for clients that only listen: no sub-protocol is chosen, and the connect
/// request may stand in the query.
pub(super) async fn upgrade_listener(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    if !app.transports.uni_websocket {
        return StatusCode::NOT_FOUND.into_response();
    }
    answer(app, peer, request, true).await
}

async fn answer(app: Arc<App>, peer: SocketAddr, mut request: Request, listens: bool) -> Response {
    let format = |encoding| match listens {
        true => Format::unidirectional(Framing::Frames),
        false => Format::websocket(encoding),
    };
    let client = app.proxies.client(peer.ip(), request.headers());
    match accept(&app, client, &mut request, listens).await {
        Ok(accepted) => {
            let response = switching(&accepted.answer, accepted.subprotocol);
            let format = format(accepted.encoding);
            app.tasks.spawn(start(Arc::clone(&app), accepted, format, client));
            response
        }
        Err(refusal) => {
            let transport = format(Encoding::Json).transport();
            app.metrics().attempt(transport, refusal.attempt());
            log_refusal(client, request.headers(), &refusal);
            if let (Refusal::Origin, true) = (&refusal, app.dev.is_some())
                && let Ok(response) = tell_of_origin(&app, &mut request)
            {
                return response;
            }
            let explained = app.dev.is_some().then(|| explain(&refusal, request.headers()));
            refusal.response(explained.flatten())
        }
    }
}

/// See [`told`]; an error if the handshake is none that could be granted.
fn tell_of_origin(app: &App, request: &mut Request) -> Result<Response, Refusal> {
    let answer = ws::accept_key(check_handshake(request)?);
    let query = request.uri().query().unwrap_or("");
    let (_, subprotocol) = choose_encoding(request.headers(), query)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refusal::Origin)?;
    app.tasks.spawn(told::origin_refused(upgrade, request.headers()));
    Ok(switching(&answer, subprotocol))
}

/// A handshake that is granted.
struct Accepted {
    upgrade: OnUpgrade,
    answer: String,
    encoding: Encoding,
    pings: Pings,
    subprotocol: Option<&'static str>,
    /// The connect command of one that only listens, if its query brought it.
    first: Option<Vec<u8>>,
    places: Places,
}

/// A handshake that is refused, and the reason in the answer's body.
enum Refusal {
    Origin,
    Client(StatusCode, &'static str),
    TooMany(TooMany),
    Full,
    Leaving,
}

async fn accept(
    app: &App,
    client: IpAddr,
    request: &mut Request,
    listens: bool,
) -> Result<Accepted, Refusal> {
    let address = admit::admit(app, client).await.map_err(Refusal::TooMany)?;
    let headers = request.headers();
    door::check_origin(app, headers).map_err(|_| Refusal::Origin)?;
    if app.health.is_leaving() {
        return Err(Refusal::Leaving);
    }
    let key = check_handshake(request)?;
    let answer = ws::accept_key(key);
    let query = request.uri().query().unwrap_or("");
    let mut first = None;
    let (encoding, subprotocol, pings) = if listens {
        if let Some(asked) = stream::in_url(app, Some(query), true).map_err(Refusal::from)? {
            let bad = Refusal::Client(StatusCode::BAD_REQUEST, "cf_connect is no connect request");
            first = Some(connect_command(&asked).ok_or(bad)?);
        }
        (Encoding::Json, None, Pings::Frames)
    } else {
        let (encoding, subprotocol) = choose_encoding(headers, query)?;
        (encoding, subprotocol, choose_pings(query))
    };
    let (Some(connection), Some(waiting)) = (app.connections.take(), app.waiting.take()) else {
        return Err(Refusal::Full);
    };
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or(Refusal::Client(StatusCode::BAD_REQUEST, "not an upgrade"))?;
    let places = Places { connection, waiting, address: Some(address) };
    Ok(Accepted { upgrade, answer, encoding, pings, subprotocol, first, places })
}

/// The request's form; gives its key.
fn check_handshake(request: &Request) -> Result<&str, Refusal> {
    let bad = |text| Refusal::Client(StatusCode::BAD_REQUEST, text);
    let headers = request.headers();
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket begins with GET and HTTP/1.1"));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(bad("the header Connection must say upgrade"));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(bad("the header Upgrade must say websocket"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::Client(
            StatusCode::UPGRADE_REQUIRED,
            "the header Sec-WebSocket-Version must be 13",
        ));
    }
    if headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
    {
        return Err(bad("a WebSocket handshake has no body"));
    }
    only(headers, header::SEC_WEBSOCKET_KEY)
        .filter(|key| ws::is_key(key))
        .ok_or(bad("the header Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// The encoding: by the first sub-protocol of the client's list that we know, or
/// by the query; JSON otherwise. An empty list counts as none.
fn choose_encoding(
    headers: &HeaderMap,
    query: &str,
) -> Result<(Encoding, Option<&'static str>), Refusal> {
    let mut offered = false;
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let list = value.to_str().map_err(|_| {
            Refusal::Client(
                StatusCode::BAD_REQUEST,
                "the header Sec-WebSocket-Protocol is not text",
            )
        })?;
        for name in list.split(',').map(str::trim) {
            match name {
                JSON => return Ok((Encoding::Json, Some(JSON))),
                PROTOBUF => return Ok((Encoding::Protobuf, Some(PROTOBUF))),
                name => offered |= !name.is_empty(),
            }
        }
    }
    if offered {
        return Err(Refusal::Client(
            StatusCode::BAD_REQUEST,
            "no known sub-protocol offered; known are centrifuge-json and centrifuge-protobuf",
        ));
    }
    let protobuf =
        query.split('&').any(|pair| matches!(pair, "format=protobuf" | "cf_protocol=protobuf"));
    Ok((if protobuf { Encoding::Protobuf } else { Encoding::Json }, None))
}

/// A client may ask for WebSocket ping frames in the place of the protocol's pings.
fn choose_pings(query: &str) -> Pings {
    let frames = query.split('&').any(|pair| pair == "cf_ws_frame_ping_pong=true");
    if frames { Pings::Frames } else { Pings::Replies }
}

/// Whether a header that is a list of tokens names `wanted`, in any case.
fn has_token(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// The value of a header that stands exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn switching(answer: &str, subprotocol: Option<&'static str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(answer) = HeaderValue::from_str(answer) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

/// Takes the socket out of hyper and hands it to the connection's own task; this
/// one, with what the handshake needed, is gone then.
async fn start(app: Arc<App>, accepted: Accepted, format: Format, client: IpAddr) {
    let Accepted { upgrade, encoding, pings, first, places, .. } = accepted;
    let Ok(upgraded) = upgrade.await else { return };
    let Some((stream, leftover)) = net::into_socket(upgraded) else {
        tracing::error!(event = "upgrade_failed", "the socket is not of the expected kind");
        return;
    };
    let policy = &app.policy;
    let hub = Arc::clone(policy.relay.hub());
    let connection = Connection::new(uuid::Uuid::new_v4(), format, pings, stream);
    tracing::debug!(
        event = "opened",
        client = %connection.id(),
        address = %address::prefix(client),
        ?encoding,
        "a WebSocket was opened"
    );
    let registration = Registration::new(&hub, Arc::clone(&connection)).coming_from(client);
    let policies = Arc::clone(&app.policies);
    let session = Client::new(policies, Arc::clone(&connection), registration, places);
    let limits = net::receiver_limits(&policy.limits);
    let deadline = policy.limits.message_deadline.into();
    if format.is_unidirectional() {
        let session = Listener::new(session, first);
        app.tasks.spawn(net::drive(hub, connection, session, limits, deadline, leftover));
    } else {
        app.tasks.spawn(net::drive(hub, connection, session, limits, deadline, leftover));
    }
}

impl From<stream::Refusal> for Refusal {
    fn from(refusal: stream::Refusal) -> Refusal {
        Refusal::Client(refusal.status, refusal.reason)
    }
}

impl Refusal {
    fn attempt(&self) -> Attempt {
        match self {
            Refusal::Origin | Refusal::Client(..) => Attempt::ClientError,
            Refusal::TooMany(_) | Refusal::Full | Refusal::Leaving => Attempt::Limited,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::Origin => "origin not allowed",
            Refusal::Client(_, reason) => reason,
            Refusal::TooMany(too_many) => admit::refusal(too_many).1,
            Refusal::Full => "the node has as many connections as it takes",
            Refusal::Leaving => "the node is stopping",
        }
    }

    /// The answer, whose body is the reason, or what explains it.
    fn response(self, explained: Option<String>) -> Response {
        let text = explained.as_deref().unwrap_or(self.reason());
        let mut response = Response::new(Body::from(format!("{text}\n")));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // What comes behind a failed handshake is not a request to answer.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        match self {
            Refusal::Origin => *response.status_mut() = StatusCode::FORBIDDEN,
            Refusal::Client(status, _) => *response.status_mut() = status,
            Refusal::TooMany(too_many) => {
                headers.insert(
                    header::RETRY_AFTER,
                    admit::retry_after(too_many.wait).as_secs().into(),
                );
                *response.status_mut() = admit::refusal(&too_many).0;
            }
            Refusal::Full | Refusal::Leaving => {
                headers.insert(header::RETRY_AFTER, health::retry_after().as_secs().into());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        response
    }
}

/// The origin is the sender's text: the log escapes it.
fn log_refusal(client: IpAddr, headers: &HeaderMap, refusal: &Refusal) {
    tracing::info!(
        event = "handshake_refused",
        reason = refusal.reason(),
        address = %address::prefix(client),
        origin = door::origin(headers),
        "a WebSocket handshake was refused"
    );
}

/// What someone who develops against the node should know of a refused origin.
fn explain(refusal: &Refusal, headers: &HeaderMap) -> Option<String> {
    let Refusal::Origin = refusal else { return None };
    let origin = door::origin(headers);
    let what = if origin.is_empty() {
        "a request with cookies must have an Origin header".to_owned()
    } else {
        format!("the origin {origin:?} is not allowed")
    };
    Some(format!(
        "{what}; with --dev only the pages of this node may connect. For others run it with \
         --config, and put their origin into client.allowed_origins."
    ))
}
