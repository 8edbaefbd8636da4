//! The connect request of a stream: in the body, or for an `EventSource`, which has
//! none, in the query.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use sealcast_wire::command::{Connect, Subscribe, Token};
use sealcast_wire::{Command, Encoding, Request};
use url::form_urlencoded;

use super::super::{App, body};
use super::{Refusal, Transport, read_body};
use crate::hub::{Marks, OVER};
use crate::session::connect_command;

/// The query's parameter.
const PARAMETER: &str = "cf_connect";
/// Another, in the place of `Last-Event-ID`: of an `EventSource` that a page made anew,
/// because its URL was good once, nothing can set that header.
const LAST: &str = "last_event_id";
const BODY_WITH_GET: &str = "a GET has no body here; the connect request is in cf_connect";

/// What a stream begins with.
pub(super) struct Asked {
    pub(super) encoding: Encoding,
    /// Commands, of which the first should be connect.
    pub(super) first: Vec<u8>,
}

/// What is asked for; `None` if the stream is over for good, and its reader came back
/// only because an `EventSource` does.
pub(super) async fn asked(
    app: &App,
    parts: &Parts,
    content: Body,
    transport: Transport,
) -> Result<Option<Asked>, Refusal> {
    let headers = &parts.headers;
    let last = if transport == Transport::UniSse { last_event(parts) } else { String::new() };
    if last == OVER {
        return Ok(None);
    }
    let (encoding, content) = if parts.method == Method::GET {
        let length = headers.get(header::CONTENT_LENGTH);
        if length.is_some_and(|length| length != "0")
            || headers.contains_key(header::TRANSFER_ENCODING)
        {
            return Err(bad(BODY_WITH_GET));
        }
        read_none(app, content).await?;
        let asked = in_url(app, parts.uri.query(), transport.is_unidirectional())?;
        if asked.is_none() && !transport.is_unidirectional() {
            return Err(bad("the connect command is missing: put it into cf_connect"));
        }
        (Encoding::Json, asked.unwrap_or_else(|| b"{}".to_vec()))
    } else {
        let (encoding, content) = read_body(app, headers, content, usize::MAX).await?;
        (encoding, content.to_vec())
    };
    if encoding == Encoding::Protobuf && transport != Transport::HttpStream {
        return Err(super::explained(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let mut first = if transport.is_unidirectional() {
        connect_command(&content).ok_or(bad("the connect request must be one JSON object"))?
    } else {
        content
    };
    if !last.is_empty() {
        first = changed(encoding, &first, |connect| put_positions(connect, &last));
    }
    if let Some(token) = bearer(headers) {
        first = changed(encoding, &first, |connect| {
            if connect.token.0.is_empty() {
                connect.token = Token(token.to_owned().into());
            }
        });
    }
    Ok(Some(Asked { encoding, first }))
}

/// The frame with this token, for which a ticket stood.
///
/// # Errors
/// 400 if it has one.
pub(in crate::http) fn with_token(
    encoding: Encoding,
    frame: &[u8],
    token: String,
) -> Result<Vec<u8>, Refusal> {
    let mut twice = false;
    let frame = changed(encoding, frame, |connect| {
        twice = !connect.token.0.is_empty();
        connect.token = Token(token.into());
    });
    if twice { Err(bad("a ticket and a token: one of them is enough")) } else { Ok(frame) }
}

/// The connect request that a URL carries: of a client that only listens the request
/// alone, else a command. A token in it is refused (R-11): URLs end up in histories
/// and logs.
pub(in crate::http) fn in_url(
    app: &App,
    query: Option<&str>,
    unidirectional: bool,
) -> Result<Option<Vec<u8>>, Refusal> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut found = pairs.filter(|(name, _)| name == PARAMETER).map(|(_, value)| value);
    let Some(asked) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(bad("cf_connect stands twice"));
    }
    let asked = asked.into_owned().into_bytes();
    let command = if unidirectional { connect_command(&asked) } else { None };
    let bears_token = |command: Command<'_>| match command.request {
        Request::Connect(connect) => !connect.token.0.is_empty(),
        Request::Refresh { token } => !token.0.is_empty(),
        _ => false,
    };
    let commands = Encoding::Json.commands(command.as_ref().unwrap_or(&asked));
    if !app.transports.token_in_url && commands.flatten().any(bears_token) {
        return Err(bad(
            "a token in the URL is refused, because URLs are kept in logs: send the connect \
             request by POST, or set compat.sse_token_in_url",
        ));
    }
    Ok(Some(asked))
}

/// Over HTTP/2 a body need not be announced.
async fn read_none(app: &App, content: Body) -> Result<(), Refusal> {
    match body::read(&app.policy.limits, content, 0).await {
        Ok(_) => Ok(()),
        Err(StatusCode::PAYLOAD_TOO_LARGE) => Err(bad(BODY_WITH_GET)),
        Err(status) => Err(super::explained(status)),
    }
}

fn bad(reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason)
}

/// The id of the last event that a reader saw.
fn last_event(parts: &Parts) -> String {
    if let Some(id) = parts.headers.get("last-event-id") {
        return id.to_str().unwrap_or_default().to_owned();
    }
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == LAST).map(|(_, id)| id.into_owned()).unwrap_or_default()
}

/// The token of programs that can send headers.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The frame with another connect command; as it was if it does not begin with one.
fn changed(encoding: Encoding, frame: &[u8], change: impl FnOnce(&mut Connect<'_>)) -> Vec<u8> {
    let mut commands = encoding.commands(frame);
    let Some(Ok(Command { id, request: Request::Connect(mut connect) })) = commands.next() else {
        return frame.to_vec();
    };
    change(&mut connect);
    let mut out = Vec::new();
    encoding.put_command(&mut out, &Command { id, request: Request::Connect(connect) });
    let rest = commands.rest();
    if encoding == Encoding::Json && !rest.is_empty() {
        out.push(b'\n');
    }
    out.extend_from_slice(rest);
    out
}

/// Has the channels recovered that the last event's id names, from where it says.
fn put_positions(connect: &mut Connect<'_>, id: &str) {
    for (channel, position) in Marks::parse(id) {
        let name = channel.as_str();
        connect.subs.retain(|(known, _)| known != name);
        let from = Subscribe {
            recover: true,
            offset: position.offset,
            epoch: Cow::Owned(position.epoch.to_string()),
            ..Subscribe::default()
        };
        connect.subs.push((name.to_owned().into(), from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: Vec<u8>) -> String {
        String::from_utf8(frame).expect("text")
    }

    #[test]
    fn a_header_brings_the_token_and_what_follows_stays() {
        let frame = b"{\"id\":1,\"connect\":{\"name\":\"a\"}}\n{\"id\":2,\"unsubscribe\":{\"channel\":\"c\"}}";
        let frame = changed(Encoding::Json, frame, |connect| connect.token = Token("t".into()));
        assert_eq!(
            text(frame),
            "{\"id\":1,\"connect\":{\"token\":\"t\",\"name\":\"a\"}}\n\
             {\"id\":2,\"unsubscribe\":{\"channel\":\"c\"}}"
        );
        let frame = b"{\"id\":1,\"refresh\":{}}";
        assert_eq!(changed(Encoding::Json, frame, |_| unreachable!()), frame);
    }

    #[test]
    fn an_event_id_takes_the_place_of_older_positions() {
        let frame =
            br#"{"id":1,"connect":{"subs":{"room":{"recover":true,"epoch":"e","offset":1}}}}"#;
        let frame = changed(Encoding::Json, frame, |connect| {
            put_positions(connect, "5:e:room 2:e:ns:b");
        });
        let read = Encoding::Json.commands(&frame).next().expect("one").expect("valid");
        let Request::Connect(connect) = read.request else { panic!("{read:?}") };
        let subs: Vec<_> = connect.subs.iter().map(|(name, at)| (&**name, at.offset)).collect();
        assert_eq!(subs, [("room", 5), ("ns:b", 2)]);
        assert!(connect.subs.iter().all(|(_, at)| at.recover && at.epoch == "e"));
    }
}
