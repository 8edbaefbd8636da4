//! From a method's name and its request to what it comes to.

use axum::http::StatusCode;
use sealcast_wire::ErrorCode;

use super::answer::{Outcome, done};
use super::request::parse;
use super::{ApiMethod, App, ServerApi, absent, channel, connection, limits, node, publish};

/// Calls a method, if the caller's key allows it, and counts the call. An `Err`
/// only if the request cannot be read.
pub(super) async fn call(
    method: ApiMethod,
    app: &App,
    caller: &ServerApi,
    body: &[u8],
) -> Result<Outcome, StatusCode> {
    let answer = match caller.admit(method) {
        Ok(()) => carry_out(method, app, caller, body).await,
        Err(denied) => Ok(Err(ErrorCode::from(denied).into())),
    };
    let error = match &answer {
        Ok(Ok(_)) => None,
        Ok(Err(problem)) => Some(problem.code.code()),
        Err(_) => Some(ErrorCode::BadRequest.code()),
    };
    app.metrics().api_call(caller.name(), method.name(), error);
    answer
}

async fn carry_out(
    method: ApiMethod,
    app: &App,
    caller: &ServerApi,
    body: &[u8],
) -> Result<Outcome, StatusCode> {
    use ApiMethod as M;
    Ok(match method {
        M::Publish => done(publish::publish(app, caller, parse(body)?).await),
        M::Broadcast => done(publish::broadcast(app, caller, parse(body)?).await),
        M::Subscribe => done(connection::subscribe(app, caller, parse(body)?).await),
        M::Unsubscribe => done(connection::unsubscribe(app, caller, parse(body)?).await),
        M::Disconnect => done(connection::disconnect(app, caller, parse(body)?).await),
        M::Refresh => done(connection::refresh(app, caller, parse(body)?).await),
        M::Presence => done(channel::presence(app, caller, parse(body)?).await),
        M::PresenceStats => done(channel::presence_stats(app, caller, parse(body)?).await),
        M::History => done(channel::history(app, caller, parse(body)?).await),
        M::HistoryRemove => done(channel::history_remove(app, caller, parse(body)?).await),
        M::Channels => done(channel::channels(app, caller, parse(body)?).await),
        M::Info => done(Ok::<_, ErrorCode>(node::info(app, parse(body)?))),
        M::Rpc => done(node::rpc(parse(body)?)),
        M::LimitsSet => done(limits::set(app, caller, parse(body)?).await),
        M::LimitsList => done(limits::list(app, parse(body)?).await),
        M::LimitsRemove => done(limits::remove(app, caller, parse(body)?).await),
        M::MapPublish
        | M::MapRemove
        | M::MapReadState
        | M::MapReadStream
        | M::MapStats
        | M::MapClear => done(absent::map(app, caller, parse(body)?)),
        M::SharedPollPublish => done(absent::shared_poll(app, caller, parse(body)?)),
    })
}
