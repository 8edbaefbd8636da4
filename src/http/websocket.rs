//! WebSockets: who may open one, and what follows the handshake.

mod handshake;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get};
use sealcast_wire::Encoding;

use super::{App, Live, address, admit, door, health, stream, told};
use crate::hub::{Connection, Format, Framing, Pings, Registration};
use crate::limit::TooMany;
use crate::metrics::Attempt;
use crate::net::{self, Peer, Upgrade};
use crate::session::{Client, Listener, Places, connect_command};
use handshake::{Granted, choose_encoding, choose_pings};

/// Where they are opened.
pub(super) const PATH: &str = "/connection/websocket";
/// The same for clients that only listen.
pub(super) const LISTENERS_PATH: &str = "/connection/uni_websocket";

/// Answers handshakes and starts connections; those of clients that only listen choose
/// no sub-protocol, and their connect request may stand in the query.
pub(super) fn route(listens: bool) -> MethodRouter<Live> {
    let upgrade = async move |State(app): State<Arc<App>>,
                              Extension(Peer(peer)): Extension<Peer>,
                              request: Request| {
        if listens && !app.transports.uni_websocket {
            return StatusCode::NOT_FOUND.into_response();
        }
        answer(app, peer, request, listens).await
    };
    get(upgrade).on(MethodFilter::CONNECT, upgrade)
}

async fn answer(app: Arc<App>, peer: SocketAddr, mut request: Request, listens: bool) -> Response {
    let format = |encoding| match listens {
        true => Format::unidirectional(Framing::Frames),
        false => Format::websocket(encoding),
    };
    let client = app.proxies.client(peer.ip(), request.headers());
    let accepted = match accept(&app, client, &mut request, listens).await {
        Ok(accepted) => redeem(&app, client, request.headers(), accepted).await,
        Err(refusal) => Err(refusal),
    };
    match accepted {
        Ok(accepted) => {
            let response = granting(&accepted.granted, accepted.subprotocol);
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
    let granted = handshake::check(request)?;
    let query = request.uri().query().unwrap_or("");
    let (_, subprotocol) = choose_encoding(request.headers(), query)?;
    let upgrade = Upgrade::of(request.extensions_mut()).ok_or(Refusal::Origin)?;
    app.tasks.spawn(told::origin_refused(upgrade, request.headers()));
    Ok(granting(&granted, subprotocol))
}

/// A handshake that is granted.
struct Accepted {
    upgrade: Upgrade,
    granted: Granted,
    encoding: Encoding,
    pings: Pings,
    subprotocol: Option<&'static str>,
    /// The connect command of one that only listens, if its query brought it.
    first: Option<Vec<u8>>,
    /// What the query of one that only listens brought in the place of a token.
    ticket: Option<String>,
    places: Places,
}

/// A handshake that is refused, and the reason in the answer's body.
enum Refusal {
    Origin,
    Client(StatusCode, &'static str),
    Stream(stream::Refusal),
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
    let granted = handshake::check(request)?;
    let query = request.uri().query().unwrap_or("");
    let (mut first, mut ticket) = (None, None);
    let (encoding, subprotocol, pings) = if listens {
        if let Some(asked) = stream::in_url(app, Some(query), true).map_err(Refusal::Stream)? {
            let bad = Refusal::Client(StatusCode::BAD_REQUEST, "cf_connect is no connect request");
            first = Some(connect_command(&asked).ok_or(bad)?);
        }
        ticket = stream::ticket_in_query(Some(query)).map_err(Refusal::Stream)?;
        (Encoding::Json, None, Pings::Frames)
    } else {
        let (encoding, subprotocol) = choose_encoding(headers, query)?;
        (encoding, subprotocol, choose_pings(query))
    };
    let (Some(connection), Some(waiting)) = (app.connections.take(), app.waiting.take()) else {
        return Err(Refusal::Full);
    };
    let upgrade = Upgrade::of(request.extensions_mut())
        .ok_or(Refusal::Client(StatusCode::BAD_REQUEST, "not an upgrade"))?;
    let places = Places { connection, waiting, address: Some(address) };
    Ok(Accepted { upgrade, granted, encoding, pings, subprotocol, first, ticket, places })
}

/// Uses the ticket, if there is one: its connect request is then in the query, or empty.
async fn redeem(
    app: &App,
    client: IpAddr,
    headers: &HeaderMap,
    accepted: Accepted,
) -> Result<Accepted, Refusal> {
    let Some(ticket) = accepted.ticket.as_deref() else { return Ok(accepted) };
    let ticket = ("uni_websocket", ticket);
    let redeemed = stream::redeem(app, client, headers, ticket).await.map_err(Refusal::Stream)?;
    let first = accepted.first.or_else(|| connect_command(b"{}")).unwrap_or_default();
    let first = stream::with_token(Encoding::Json, &first, redeemed.token);
    Ok(Accepted { first: Some(first.map_err(Refusal::Stream)?), ticket: None, ..accepted })
}

fn granting(granted: &Granted, subprotocol: Option<&'static str>) -> Response {
    let mut response = Response::new(Body::empty());
    if let Granted::Socket(answer) = granted {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(answer) = HeaderValue::from_str(answer) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
        }
    }
    if let Some(subprotocol) = subprotocol {
        let subprotocol = HeaderValue::from_static(subprotocol);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

/// Takes the socket out of hyper and hands it to the connection's own task; this
/// one, with what the handshake needed, is gone then.
async fn start(app: Arc<App>, accepted: Accepted, format: Format, client: IpAddr) {
    let Accepted { upgrade, encoding, pings, first, places, .. } = accepted;
    let Some((socket, leftover)) = upgrade.socket().await else { return };
    let policy = &app.policy;
    let hub = Arc::clone(policy.relay.hub());
    let connection = Connection::new(uuid::Uuid::new_v4(), format, pings, socket);
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

impl Refusal {
    fn attempt(&self) -> Attempt {
        match self {
            Refusal::Origin | Refusal::Client(..) => Attempt::ClientError,
            Refusal::Stream(refusal) => refusal.attempt(),
            Refusal::TooMany(_) | Refusal::Full | Refusal::Leaving => Attempt::Limited,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::Origin => "origin not allowed",
            Refusal::Client(_, reason) => reason,
            Refusal::Stream(refusal) => refusal.reason,
            Refusal::TooMany(too_many) => admit::refusal(too_many).1,
            Refusal::Full => "the node has as many connections as it takes",
            Refusal::Leaving => "the node is stopping",
        }
    }

    /// The answer, whose body is the reason, or what explains it.
    fn response(self, explained: Option<String>) -> Response {
        if let Refusal::Stream(refusal) = self {
            return refusal.response("GET");
        }
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
            Refusal::Stream(_) => {}
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
