//! What a backend does to a user's connections.

use sealcast_wire::{Disconnect, ErrorCode, User};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{App, Object, Position, Problem, ServerApi, find};
use crate::auth::WrittenOptions;
use crate::cluster::{Answer, Command, Opaque, Target, Terms};

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
    disconnect: Option<Object<Code>>,
    recover_since: Option<Object<Position>>,
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
pub(super) struct Code {
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
    let (reach, _) = find(app, caller, request.channel.as_deref())?;
    let terms = Box::new(terms(app, &mut request)?);
    let Some(target) = target(&request)? else { return Ok(Done {}) };
    let channel = reach.channel().as_str().to_owned();
    everywhere(app, caller, Command::Subscribe { target, channel, terms }).await
}

pub(super) async fn unsubscribe(
    app: &App,
    caller: &ServerApi,
    request: Request<'_>,
) -> Result<Done, Problem> {
    let (reach, _) = find(app, caller, request.channel.as_deref())?;
    let Some(target) = target(&request)? else { return Ok(Done {}) };
    let channel = reach.channel().as_str().to_owned();
    everywhere(app, caller, Command::Unsubscribe { target, channel }).await
}

/// The code must be one that an application may close with, and the reason must
/// fit a close frame.
pub(super) async fn disconnect(
    app: &App,
    caller: &ServerApi,
    request: Request<'_>,
) -> Result<Done, Problem> {
    let default = Disconnect::FORCE_DISCONNECT;
    let (code, reason) = match &request.disconnect {
        None => (default.code, default.reason),
        Some(Object(Code { code, reason })) => {
            let code = u16::try_from(*code).map_err(|_| ErrorCode::BadRequest)?;
            if !(3001..=4999).contains(&code)
                || reason.len() > MAX_REASON
                || reason.starts_with('{')
            {
                return Err(ErrorCode::BadRequest.into());
            }
            (code, reason.as_str())
        }
    };
    let Some(target) = target(&request)? else { return Ok(Done {}) };
    let (reason, spared) = (reason.to_owned(), request.whitelist.unwrap_or_default());
    everywhere(app, caller, Command::Disconnect { target, spared, code, reason }).await
}

/// `info` takes the place of what the token says of the user, for what is told to
/// others from then on.
pub(super) async fn refresh(
    app: &App,
    caller: &ServerApi,
    request: Request<'_>,
) -> Result<Done, Problem> {
    let written = WrittenOptions { info: request.info, ..WrittenOptions::default() };
    let info = written.options().map_err(|_| ErrorCode::BadRequest)?.info;
    let Some(target) = target(&request)? else { return Ok(Done {}) };
    // Without a time, or with 0, it never expires.
    let at = request.expire_at.filter(|at| *at != 0);
    let at = at.map(|at| u64::try_from(at).unwrap_or(1));
    let expired = request.expired.unwrap_or(false);
    let info = (!info.is_empty()).then_some(Opaque(info));
    everywhere(app, caller, Command::Refresh { target, expired, at, info }).await
}

/// Carries it out on every node. It is done when every node says so.
async fn everywhere(app: &App, caller: &ServerApi, command: Command) -> Result<Done, Problem> {
    let answers = app.cluster.run(&caller.backend(), command).await;
    for answer in answers.map_err(|_| ErrorCode::Internal)? {
        if let Answer::Failed(code) = answer {
            return Err(ErrorCode::from_code(code).unwrap_or(ErrorCode::Internal).into());
        }
    }
    Ok(Done {})
}

/// How to subscribe. What is over before it begins is a mistake of the caller.
fn terms(app: &App, request: &mut Request<'_>) -> Result<Terms, Problem> {
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
    let since = request.recover_since.as_ref().map(|Object(position)| position.since());
    Ok(Terms {
        info: (!options.info.is_empty()).then_some(Opaque(options.info)),
        data: options.data.map(|data| Opaque(data.bytes().clone())),
        expire_at: expires_at,
        since: since.map(|since| (since.offset, since.epoch.to_string())),
        overrides: options.overrides,
    })
}

/// `None` if there can be no such connection: those over WebSocket have no
/// session id, so none has the one asked for.
fn target(request: &Request<'_>) -> Result<Option<Target>, ErrorCode> {
    let user = request.user.as_deref().unwrap_or_default();
    User::parse(user).map_err(|_| ErrorCode::BadRequest)?;
    if request.session.as_ref().is_some_and(|session| !session.is_empty()) {
        return Ok(None);
    }
    let client = request.client.clone().filter(|client| !client.is_empty());
    Ok(Some(Target { user: user.to_owned(), client }))
}
