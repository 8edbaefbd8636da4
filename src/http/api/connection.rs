//! What a backend does to a user's connections.

use sealcast_wire::{Disconnect, ErrorCode, Unsubscribed, User};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{App, Position, Problem, ServerApi, find, object};
use crate::auth::{Subscribe, WrittenOptions};
use crate::session::{Actor, Grant};

/// Longest reason of a close frame, bytes (RFC 6455 5.5).
const MAX_REASON: usize = 123;

/// What is to be done, and to which connections: those of the user, and if `client`
/// is given only that one. A missing user is the anonymous one, not all.
#[derive(Default, Deserialize)]
pub(super) struct Request<'a> {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
    channel: Option<String>,
    expire_at: Option<i64>,
    expired: Option<bool>,
    whitelist: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object")]
    disconnect: Option<Code>,
    #[serde(default, deserialize_with = "object")]
    recover_since: Option<Position>,
    // Serde cannot both flatten and borrow, so the options are repeated here.
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(default)]
    b64info: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    b64data: Option<String>,
    #[serde(borrow, default, rename = "override")]
    overrides: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Code {
    code: u32,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
pub(super) struct Done {}

pub(super) async fn subscribe(
    app: &App,
    caller: &ServerApi,
    mut request: Request<'_>,
) -> Result<Done, Problem> {
    let (channel, _) = find(app, request.channel.as_deref())?;
    let grant = grant(app, &mut request)?;
    let mut outcome = Ok(Done {});
    for actor in actors(app, &request)? {
        let wish = caller.authorize(Subscribe { channel: channel.clone() });
        let since = request.recover_since.as_ref().map(Position::since);
        // One that cannot have it does not keep it from the others.
        if let Err(code) = actor.subscribe(wish, grant.clone(), since).await {
            outcome = Err(code.into());
        }
    }
    outcome
}

pub(super) async fn unsubscribe(app: &App, request: Request<'_>) -> Result<Done, ErrorCode> {
    let (channel, _) = find(app, request.channel.as_deref())?;
    for actor in actors(app, &request)? {
        actor.unsubscribe_with(channel.clone(), Unsubscribed::Server).await;
    }
    Ok(Done {})
}

/// The code must be one that an application may close with, and the reason must
/// fit a close frame.
pub(super) fn disconnect(app: &App, request: Request<'_>) -> Result<Done, ErrorCode> {
    let default = Disconnect::FORCE_DISCONNECT;
    let (code, reason) = match &request.disconnect {
        None => (default.code, default.reason),
        Some(Code { code, reason }) => {
            let code = u16::try_from(*code).map_err(|_| ErrorCode::BadRequest)?;
            if !(3001..=4999).contains(&code)
                || reason.len() > MAX_REASON
                || reason.starts_with('{')
            {
                return Err(ErrorCode::BadRequest);
            }
            (code, reason.as_str())
        }
    };
    let spared = request.whitelist.as_deref().unwrap_or_default();
    for actor in actors(app, &request)? {
        let connection = actor.connection();
        if !spared.contains(&connection.id().to_string()) {
            connection.close_with(app.policy.relay.hub(), code, reason);
        }
    }
    Ok(Done {})
}

/// `info` takes the place of what the token says of the user, for what is told to
/// others from then on.
pub(super) fn refresh(app: &App, request: Request<'_>) -> Result<Done, ErrorCode> {
    let written = WrittenOptions { info: request.info, ..WrittenOptions::default() };
    let options = written.options().map_err(|_| ErrorCode::BadRequest)?;
    for actor in actors(app, &request)? {
        if !options.info.is_empty() {
            actor.set_info(options.info.clone());
        }
        if request.expired.unwrap_or(false) {
            actor.connection().close(app.policy.relay.hub(), Disconnect::EXPIRED);
        } else {
            // Without a time, or with 0, it never expires.
            let at = request.expire_at.filter(|at| *at != 0);
            actor.refresh(at.map(|at| u64::try_from(at).unwrap_or(1)));
        }
    }
    Ok(Done {})
}

/// How to subscribe. What is over before it begins is a mistake of the caller.
fn grant(app: &App, request: &mut Request<'_>) -> Result<Grant, Problem> {
    let bad = |message| Problem { code: ErrorCode::BadRequest, message };
    let written = WrittenOptions {
        info: request.info,
        b64info: request.b64info.take(),
        data: request.data,
        b64data: request.b64data.take(),
        overrides: request.overrides,
    };
    let options = written
        .options()
        .map_err(|_| bad("info, data or override is malformed, or info is too long"))?;
    let length = options.data.as_ref().map_or(0, |data| data.bytes().len());
    if length > app.policy.limits.message_bytes {
        return Err(bad("data is too long"));
    }
    let expires_at = match request.expire_at {
        None | Some(0) => None,
        Some(at) => {
            let at = u64::try_from(at).ok().filter(|at| *at > app.policy.unix_now());
            Some(at.ok_or(bad("expire_at is over already"))?)
        }
    };
    Ok(Grant { expires_at, options })
}

fn actors(app: &App, request: &Request<'_>) -> Result<Vec<Actor>, ErrorCode> {
    let user = request.user.as_deref().unwrap_or_default();
    let user = User::parse(user).map_err(|_| ErrorCode::BadRequest)?;
    // WebSocket connections have no session id, so none has the one asked for.
    if request.session.as_ref().is_some_and(|session| !session.is_empty()) {
        return Ok(Vec::new());
    }
    let wanted = request.client.as_deref().filter(|client| !client.is_empty());
    let connections = app.policy.relay.hub().connections_of(&user).into_iter();
    Ok(connections
        .filter(|(connection, _)| wanted.is_none_or(|id| connection.id().to_string() == id))
        .map(|(connection, client)| Actor::new(&app.policy, connection, client))
        .collect())
}
