//! The response of a stream, and what happens when its head is out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use sealcast_wire::{Encoding, chunk};

use super::super::{App, address};
use crate::hub::{Connection, Format, Framing, Pings, Registration, Socket};
use crate::net::{self, Opening, Takeover};
use crate::session::{Binding, Client, Emulated, Places};

/// Between which times an `EventSource` comes back after its stream has ended,
/// milliseconds: not all at once.
const RETRY_MS: std::ops::RangeInclusive<u32> = 1_000..=5_000;

/// The head of a stream, with a body that `begin` goes on with.
pub(super) fn response(
    format: Format,
    takeover: Takeover,
    begin: impl FnOnce(Socket, usize) + Send + 'static,
) -> Response {
    let is_last = takeover.is_last();
    let mut response = Response::new(Body::new(takeover.body(begin)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(format)));
    put_uncached(headers);
    if is_last {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Begins the connection on what carries it, in a task of its own that needs nothing of
/// what the request did.
pub(super) fn begin(
    app: Arc<App>,
    format: Format,
    first: Vec<u8>,
    places: Places,
    (client, binding): (IpAddr, Binding),
) -> impl FnOnce(Socket, usize) + Send + 'static {
    move |socket, stray| {
        let hub = Arc::clone(app.policy.relay.hub());
        let listens = format.is_unidirectional();
        let pings = if listens { Pings::Pushes } else { Pings::Replies };
        let connection = Connection::new(uuid::Uuid::new_v4(), format, pings, socket);
        tracing::debug!(
            event = "opened",
            client = %connection.id(),
            address = %address::prefix(client),
            transport = format.transport(),
            encoding = ?format.encoding(),
            "a stream was opened"
        );
        let registration = Registration::new(&hub, Arc::clone(&connection)).coming_from(client);
        let policies = Arc::clone(&app.policies);
        let session = Client::new(policies, Arc::clone(&connection), registration, places);
        let opening = Opening { greeting: greeting(format), first, stray };
        if listens {
            app.tasks.spawn(net::drive_stream(hub, connection, session, opening));
        } else {
            let sessions = app.cluster.sessions();
            let node = app.cluster.id();
            let session = Emulated::new(session, sessions, (&hub, &connection), node, binding);
            app.tasks.spawn(net::drive_stream(hub, connection, session, opening));
        }
    }
}

fn content_type(format: Format) -> &'static str {
    match (format.framing(), format.encoding()) {
        (Framing::Events, _) => "text/event-stream; charset=utf-8",
        (_, Encoding::Protobuf) => "application/octet-stream",
        (_, Encoding::Json) => "text/plain; charset=utf-8",
    }
}

/// Whatever stands between may neither keep nor gather what is said.
fn put_uncached(headers: &mut HeaderMap) {
    const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");
    let cached = "private, no-cache, no-store, must-revalidate, max-age=0";
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL, HeaderValue::from_static("no"));
}

/// Bytes that make an event stream known as such before anything happens.
fn greeting(format: Format) -> Bytes {
    let mut greeting = Vec::new();
    if format.framing() == Framing::Events {
        chunk::put_chunk(&mut greeting, &[b"\r\n"]);
        if format.is_unidirectional() {
            let retry = format!("retry: {}\n\n", rand::random_range(RETRY_MS));
            chunk::put_chunk(&mut greeting, &[retry.as_bytes()]);
        }
    }
    greeting.into()
}
