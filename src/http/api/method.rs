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
        // What comes seldom has storage of its own: its state is large.
        M::Broadcast => done(Box::pin(publish::broadcast(app, caller, parse(body)?)).await),
        M::Subscribe => done(Box::pin(connection::subscribe(app, caller, parse(body)?)).await),
        M::Unsubscribe => done(Box::pin(connection::unsubscribe(app, caller, parse(body)?)).await),
        M::Disconnect => done(Box::pin(connection::disconnect(app, caller, parse(body)?)).await),
        M::Refresh => done(Box::pin(connection::refresh(app, caller, parse(body)?)).await),
        M::Presence => done(Box::pin(channel::presence(app, caller, parse(body)?)).await),
        M::PresenceStats => {
            done(Box::pin(channel::presence_stats(app, caller, parse(body)?)).await)
        }
        M::History => done(Box::pin(channel::history(app, caller, parse(body)?)).await),
        M::HistoryRemove => {
            done(Box::pin(channel::history_remove(app, caller, parse(body)?)).await)
        }
        M::Channels => done(Box::pin(channel::channels(app, caller, parse(body)?)).await),
        M::Info => done(Ok::<_, ErrorCode>(node::info(app, parse(body)?))),
        M::Rpc => done(node::rpc(parse(body)?)),
        M::LimitsSet => done(Box::pin(limits::set(app, caller, parse(body)?)).await),
        M::LimitsList => done(Box::pin(limits::list(app, parse(body)?)).await),
        M::LimitsRemove => done(Box::pin(limits::remove(app, caller, parse(body)?)).await),
        M::MapPublish
        | M::MapRemove
        | M::MapReadState
        | M::MapReadStream
        | M::MapStats
        | M::MapClear => done(absent::map(app, caller, parse(body)?)),
        M::SharedPollPublish => done(absent::shared_poll(app, caller, parse(body)?)),
    })
}
