//! `POST /connection/ticket`: a ticket for a connection token, to stand in a URL
//! where no header can be sent; and what becomes of it there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealcast_wire::Encoding;
use serde::Deserialize;
use url::form_urlencoded;

use super::super::{App, address, admit, cors, door};
use super::{Refusal, Transports, connect, read_body};
use crate::auth::{Asker, Refused, Stub, Ticket};
use crate::limit::{self, Scope, Wait};
use crate::net::Peer;
use crate::session::Binding;

/// How long a ticket is good.
const LIFETIME: Duration = Duration::from_secs(30);
/// Largest request, bytes: the longest token is 8 KiB.
const MOST_BYTES: usize = 16 << 10;
const METHODS: &str = "POST, OPTIONS";
/// The query's parameter.
const PARAMETER: &str = "ticket";
/// Where what a client says names the ticket of its stream (T-14).
const HEADER: &str = "x-sealcast-ticket";

/// What the ticket in a URL stood for.
pub(in crate::http) struct Redeemed {
    /// The connection token.
    pub(in crate::http) token: String,
    /// What the connection is bound to.
    pub(in crate::http) binding: Binding,
}

/// Answers with a ticket, or says why not. Order: switched off 404, preflight, method
/// 405, address 429 or 503, origin 403, leaving 503, body 415, 413, 408, 400, token 401,
/// user 429, broker 503.
pub(in crate::http) async fn issue(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    if !takers(&app.transports).iter().any(|(_, is_enabled)| *is_enabled) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = request.headers().clone();
    if request.method() == Method::OPTIONS {
        return cors::preflight(&app, &headers, METHODS);
    }
    let client = app.proxies.client(peer.ip(), &headers);
    let response = match make(&app, client, request).await {
        Ok(ticket) => {
            let seconds = LIFETIME.as_secs();
            let body = serde_json::json!({ "ticket": ticket.text(), "expires_in": seconds });
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Err(refusal) => {
            tracing::info!(
                event = "ticket_refused",
                reason = refusal.reason,
                address = %address::prefix(client),
                origin = door::origin(&headers),
                "nobody was given a ticket"
            );
            refusal.response(METHODS)
        }
    };
    cors::permit(&app, &headers, response)
}

/// The ticket that a query brings.
///
/// # Errors
/// 400 if it brings several.
pub(in crate::http) fn in_query(query: Option<&str>) -> Result<Option<String>, Refusal> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut found = pairs.filter(|(name, _)| name == PARAMETER).map(|(_, value)| value);
    let ticket = found.next().map(std::borrow::Cow::into_owned);
    if found.next().is_some() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "ticket stands twice"));
    }
    Ok(ticket)
}

/// Takes what a ticket stands for: whatever the outcome, it is used.
///
/// # Errors
/// 401 if it is not there, which is all that is told; 403 if it is for another
/// transport or page; 429 if the address names too many that are not there; 503 if the
/// broker is away.
pub(in crate::http) async fn redeem(
    app: &App,
    client: IpAddr,
    headers: &HeaderMap,
    (transport, ticket): (&str, &str),
) -> Result<Redeemed, Refusal> {
    may_name(app, client).map_err(|wait| too_fast(wait, "too many unknown tickets"))?;
    let metrics = app.metrics();
    let mut kept = None;
    if let Some(ticket) = Ticket::parse(ticket) {
        let taken = app.policy.relay.broker().take_once(*ticket.id().bytes()).await;
        let sealed = taken.map_err(|_| {
            metrics.ticket("failure", "unavailable");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "tickets cannot be looked up now")
        })?;
        kept = sealed.and_then(|sealed| Some((ticket.open(&sealed)?, ticket)));
    }
    let Some((stub, ticket)) = kept else {
        guessed(app, client);
        metrics.ticket("failure", "unknown");
        let text = "the ticket is not known, was used, or its time is over";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, text));
    };
    if stub.transport != transport {
        metrics.ticket("failure", "transport");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the ticket is for another transport"));
    }
    if !stub.is_for(&asker(headers)) {
        metrics.ticket("failure", "origin");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the ticket is for another origin"));
    }
    metrics.ticket("success", "ok");
    let mut binding = door::binding(headers).with_ticket(*ticket.id().bytes());
    if let Asker::Page(origin) = stub.asker {
        binding = binding.with_origin(origin);
    }
    Ok(Redeemed { token: stub.token, binding })
}

/// What a request of a client that has a stream came with.
pub(super) fn binding(headers: &HeaderMap) -> Binding {
    let binding = door::binding(headers);
    let mut tickets = headers.get_all(HEADER).iter();
    let ticket = tickets.next().filter(|_| tickets.next().is_none());
    match ticket.and_then(|ticket| Ticket::parse(ticket.to_str().ok()?)) {
        Some(ticket) => binding.with_ticket(*ticket.id().bytes()),
        None => binding,
    }
}

/// Whether an address may name a session or a ticket; counted if not.
pub(super) fn may_name(app: &App, client: IpAddr) -> Result<(), Wait> {
    let (usage, limits) = (&app.policy.usage, &app.policy.limits);
    usage.may_name(client, limits, now(app)).inspect_err(|_| {
        app.metrics().rate_limited(Scope::Guesses.name());
    })
}

/// An address has named one that is not there.
pub(super) fn guessed(app: &App, client: IpAddr) {
    app.policy.usage.guessed(client, &app.policy.limits, now(app));
}

/// The transports that a ticket may be for, those that a browser opens without headers,
/// and whether each is enabled.
fn takers(transports: &Transports) -> [(&'static str, bool); 3] {
    let Transports { sse, uni_sse, uni_websocket, .. } = *transports;
    [("sse", sse), ("uni_sse", uni_sse), ("uni_websocket", uni_websocket)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    transport: String,
    #[serde(default)]
    token: String,
}

async fn make(app: &App, client: IpAddr, request: Request) -> Result<Ticket, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a ticket is asked for by POST"));
    }
    let _place =
        admit::admit(app, client).await.map_err(|too_many| Refusal::too_many(&too_many))?;
    door::check_origin(app, request.headers())
        .map_err(|status| Refusal::new(status, "origin not allowed"))?;
    if app.health.is_leaving() {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"));
    }
    let (parts, body) = request.into_parts();
    let (encoding, body) = read_body(app, &parts.headers, body, MOST_BYTES).await?;
    if encoding != Encoding::Json {
        return Err(super::explained(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let bad = |reason| Refusal::new(StatusCode::BAD_REQUEST, reason);
    let form = "the body must be an object with transport, and token where no header brings it";
    let mut wish: Wish = serde_json::from_slice(&body).map_err(|_| bad(form))?;
    if !takers(&app.transports).contains(&(&*wish.transport, true)) {
        return Err(bad("no transport of this name takes tickets here"));
    }
    if let Some(token) = connect::bearer(&parts.headers) {
        if !wish.token.is_empty() {
            return Err(bad("the token stands twice"));
        }
        token.clone_into(&mut wish.token);
    }
    admit_token(app, &wish.token)?;
    let own = door::is_own(&parts.headers);
    let asker = asker(&parts.headers);
    let stub = Stub { transport: wish.transport, asker, own, token: wish.token };
    let ticket = Ticket::generate();
    let failed = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the ticket cannot be sealed");
    let sealed = ticket.seal(&stub).ok_or(failed)?;
    let kept = app.policy.relay.broker().put_once(*ticket.id().bytes(), sealed.into(), LIFETIME);
    kept.await
        .map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no ticket can be kept now"))?;
    Ok(ticket)
}

/// Whether the token would let someone connect, who may have one more ticket.
fn admit_token(app: &App, token: &str) -> Result<(), Refusal> {
    let policy = &app.policy;
    let verified = match &policy.verifier {
        Some(verifier) => verifier.connection(token, policy.unix_now()),
        None => Err(Refused::Invalid("no_key")),
    };
    let refused = |reason| Refusal::new(StatusCode::UNAUTHORIZED, reason);
    let claims = match verified {
        Ok(claims) => claims,
        Err(why) => {
            app.metrics().auth("failure", why.reason());
            return Err(refused(match why {
                Refused::Expired => "the token is expired",
                Refused::Invalid(_) => "the token is not valid",
            }));
        }
    };
    app.metrics().auth("success", "ok");
    // The anonymous user is not one person; their addresses are bounded.
    if !claims.user.is_anonymous() {
        let taken = policy.usage.ticket(claims.user.as_str(), &policy.limits, now(app));
        taken.map_err(|wait| {
            app.metrics().rate_limited(Scope::Tickets.name());
            too_fast(wait, "too many tickets of this user")
        })?;
    }
    Ok(())
}

fn asker(headers: &HeaderMap) -> Asker {
    match headers.get(header::ORIGIN) {
        Some(origin) => Asker::page(origin.as_bytes()),
        None if door::is_own(headers) => Asker::Own,
        None => Asker::Program,
    }
}

fn too_fast(wait: Wait, reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::TOO_MANY_REQUESTS, reason, wait: Some(wait) }
}

fn now(app: &App) -> limit::Nanos {
    limit::nanos(app.policy.relay.hub().clock().precise())
}
