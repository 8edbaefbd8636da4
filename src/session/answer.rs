//! Answers on a connection's outbox; errors are counted and logged.

use sealcast_wire::reply::Body;
use sealcast_wire::{ErrorCode, Reply, User};

use super::Policy;
use crate::hub::Connection;

/// What is told of a refusal besides its code: to the log, and why also to the
/// client.
#[derive(Default)]
pub(super) struct About<'a> {
    pub(super) user: Option<&'a User>,
    pub(super) namespace: Option<&'a str>,
    pub(super) why: Option<&'static str>,
}

/// Answers a command, which is named by its id and method, with an error; counts
/// and logs it. Of a user the log only has a pseudonym, and of a channel only the
/// namespace: what follows may name a user.
pub(super) fn refuse(
    policy: &Policy,
    connection: &Connection,
    (id, method): (u32, &'static str),
    code: ErrorCode,
    about: About<'_>,
) {
    policy.relay.hub().metrics().command_error(method, code.code());
    let (event, client, number, reason) =
        ("command_refused", connection.id(), code.code(), code.message());
    match code {
        ErrorCode::Internal => {
            tracing::warn!(event, %client, method, code = number, reason, "a command failed");
        }
        ErrorCode::PermissionDenied | ErrorCode::UnknownChannel => {
            let namespace = about.namespace.unwrap_or_default();
            tracing::info!(
                event,
                %client,
                user = about.user.and_then(|user| policy.pseudonym(user)),
                method,
                code = number,
                reason,
                namespace,
                "a client may not do this"
            );
        }
        _ => {
            tracing::debug!(event, %client, method, code = number, reason, "a command was refused");
        }
    }
    let mut reply = Reply::error(id, code);
    if let (Body::Error(error), Some(why)) = (&mut reply.body, about.why) {
        error.message = format!("{}: subscription token: {why}", error.message).into();
    }
    push(policy, connection, &reply);
}

/// Puts a reply on the connection's outbox.
pub(super) fn push(policy: &Policy, connection: &Connection, reply: &Reply) {
    connection.push(policy.relay.hub(), connection.frame(reply), 1);
}
