//! The form of commands that concern one channel: what can be said of them before
//! anything of them begins.

use sealcast_wire::command::{History, Publish, Subscribe};
use sealcast_wire::name::BadName;
use sealcast_wire::{Channel, Data, Disconnect, ErrorCode};

use super::Policy;
use super::client::Refusal;
use super::operation::Kind;
use super::subscribe;
use crate::broker::HistoryQuery;

/// Shared poll, a `type` of subscriptions.
const SHARED_POLL: i32 = 4;

/// Checks a subscribe's form. What depends on the connection, its subscriptions
/// and the channel's namespace is decided when it begins.
pub(super) fn subscribe(request: &Subscribe<'_>) -> Result<(Channel, Kind), Refusal> {
    if request.kind == SHARED_POLL {
        return Err(ErrorCode::NotAvailable.into());
    }
    if !matches!(request.delta.as_ref(), "" | "fossil") {
        return Err(Disconnect::BAD_REQUEST.into());
    }
    let channel = channel_of(&request.channel)?;
    let wish = subscribe::Request {
        kind: request.kind,
        recover: request.recover.then(|| subscribe::since(request.offset, &request.epoch)),
        positioned: request.positioned,
        recoverable: request.recoverable,
        join_leave: request.join_leave,
        delta: !request.delta.is_empty(),
        filter: request.filter.clone(),
        flag: request.flag,
        token: request.token.0.to_string(),
    };
    Ok((channel, Kind::Subscribe(Box::new(wish))))
}

/// Checks a publish's form. Who may publish is decided when it begins.
pub(super) fn publish(policy: &Policy, request: &Publish<'_>) -> Result<(Channel, Kind), Refusal> {
    let channel = channel_of(&request.channel)?;
    let namespace = policy.namespaces.of(&channel)?;
    if request.kind == 1 {
        return Err(ErrorCode::PermissionDenied.into());
    }
    // Protobuf does not write an empty payload.
    let empty = namespace.data_format.takes_empty().then_some(Data::Opaque(b""));
    let payload = request
        .data
        .or(empty)
        .filter(|data| data.bytes().len() <= policy.message_bytes(namespace))
        .and_then(|data| namespace.data_format.payload(data))
        .ok_or(ErrorCode::BadRequest)?;
    Ok((channel, Kind::Publish(payload)))
}

/// Checks a history request's form.
pub(super) fn history(policy: &Policy, request: &History<'_>) -> Result<(Channel, Kind), Refusal> {
    let channel = channel_of(&request.channel)?;
    if request.reverse && matches!(request.since, Some((0, _))) {
        return Err(ErrorCode::BadRequest.into());
    }
    let most = policy.limits.history_publications;
    // A negative limit asks for all.
    let limit = usize::try_from(request.limit).map_or(most, |limit| limit.min(most));
    let since = request.since.as_ref().map(|(offset, epoch)| subscribe::since(*offset, epoch));
    Ok((channel, Kind::History(HistoryQuery { limit, since, reverse: request.reverse })))
}

/// A name from a command: an empty one ends the connection, another bad one is
/// answered with 107.
pub(super) fn channel_of(name: &str) -> Result<Channel, Refusal> {
    Channel::parse(name).map_err(|bad| match bad {
        BadName::Empty => Disconnect::BAD_REQUEST.into(),
        BadName::TooLong | BadName::Character => ErrorCode::BadRequest.into(),
    })
}
