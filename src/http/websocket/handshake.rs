//! The form of a WebSocket's handshake, over HTTP/1.1 (RFC 6455, 4.2) and over HTTP/2
//! (RFC 8441), and what it chooses.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use hyper::ext::Protocol;
use sealcast_wire::{Encoding, ws};

use super::Refusal;
use crate::hub::Pings;

pub(super) const JSON: &str = "centrifuge-json";
pub(super) const PROTOBUF: &str = "centrifuge-protobuf";

/// How a handshake is granted.
pub(super) enum Granted {
    /// The socket changes its protocol: 101, with what answers the key.
    Socket(String),
    /// A stream of HTTP/2 begins: 200.
    Stream,
}

/// The request's form.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn check(request: &Request) -> Result<Granted, Refusal> {
    match request.version() {
        Version::HTTP_11 => check_upgrade(request),
        Version::HTTP_2 => check_extended_connect(request),
        _ => Err(bad("a WebSocket begins with HTTP/1.1 or HTTP/2")),
    }
}

fn check_upgrade(request: &Request) -> Result<Granted, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(bad("over HTTP/1.1 a WebSocket begins with GET"));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(bad("the header Connection must say upgrade"));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(bad("the header Upgrade must say websocket"));
    }
    check_rest(headers)?;
    let key = only(headers, header::SEC_WEBSOCKET_KEY).filter(|key| ws::is_key(key));
    let key = key.ok_or(bad("the header Sec-WebSocket-Key must be 16 bytes in base64"))?;
    Ok(Granted::Socket(ws::accept_key(key)))
}

/// RFC 8441, 5: it names the protocol in a pseudo-header, and has no key.
fn check_extended_connect(request: &Request) -> Result<Granted, Refusal> {
    let protocol = request.extensions().get::<Protocol>();
    let (Some(protocol), &Method::CONNECT) = (protocol, request.method()) else {
        return Err(bad("over HTTP/2 a WebSocket begins with CONNECT and a :protocol"));
    };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        let text = "the :protocol must be websocket";
        return Err(Refusal::Client(StatusCode::NOT_IMPLEMENTED, text));
    }
    check_rest(request.headers())?;
    Ok(Granted::Stream)
}

/// What is the same over both.
fn check_rest(headers: &HeaderMap) -> Result<(), Refusal> {
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
    Ok(())
}

fn bad(reason: &'static str) -> Refusal {
    Refusal::Client(StatusCode::BAD_REQUEST, reason)
}

/// The encoding: by the first sub-protocol of the client's list that we know, or
/// by the query; JSON otherwise. An empty list counts as none.
pub(super) fn choose_encoding(
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
pub(super) fn choose_pings(query: &str) -> Pings {
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
