//! Carrying out a command on this node.

use std::sync::Arc;

use sealcast_wire::{Channel, Data, Disconnect, Epoch, ErrorCode, Payload, Unsubscribed, User};

use super::message::{Answer, Command, Target, Terms};
use crate::auth::{Backend, ChannelPattern, SubscriptionOptions};
use crate::broker::Since;
use crate::hub::Standing;
use crate::session::{Actor, Grant, Policy};

/// Most channels of one answer, so that it fits a message.
const CHANNELS_AT_A_TIME: usize = 800;

/// What a command comes to here; the last answer says that there are no more.
pub(super) async fn execute(
    policy: &Arc<Policy>,
    backend: &Backend,
    command: &Command,
) -> Vec<Answer> {
    let done = match command {
        Command::Subscribe { target, channel, terms } => {
            subscribe(policy, backend, target, channel, terms).await
        }
        Command::Unsubscribe { target, channel } => unsubscribe(policy, target, channel).await,
        Command::Disconnect { target, spared, code, reason } => {
            disconnect(policy, target, spared, (*code, reason))
        }
        Command::Refresh { target, expired, at, info } => actors(policy, target).map(|actors| {
            for actor in actors {
                if let Some(info) = info {
                    actor.set_info(info.0.clone());
                }
                if *expired {
                    actor.connection().close(policy.relay.hub(), Disconnect::EXPIRED);
                } else {
                    actor.refresh(*at);
                }
            }
        }),
        Command::Standing { user } => return vec![standing(policy, user)],
        Command::Displace { user, client } => {
            return vec![Answer::Displaced(displace(policy, user, client))];
        }
        Command::Channels { pattern } => match channels(policy, pattern.as_deref()) {
            Ok(mut answers) => {
                answers.push(Answer::Done);
                return answers;
            }
            Err(code) => Err(code),
        },
    };
    vec![match done {
        Ok(()) => Answer::Done,
        Err(code) => Answer::Failed(code.code()),
    }]
}

/// How many connections of a user there are here, and which is the oldest.
pub(super) fn standing(policy: &Policy, user: &str) -> Answer {
    let hub = policy.relay.hub();
    let Ok(user) = User::parse(user) else { return Answer::Standing { taken: 0, oldest: None } };
    let Standing { taken, oldest } = hub.standing(&user);
    let now = hub.clock().now();
    let oldest = oldest
        .map(|(connection, since)| (connection.id().to_string(), now.0.saturating_sub(since.0)));
    Answer::Standing { taken, oldest }
}

/// Ends a connection for a newer one; `false` if it is not here, or was ending already.
pub(super) fn displace(policy: &Policy, user: &str, client: &str) -> bool {
    let hub = policy.relay.hub();
    let Ok(user) = User::parse(user) else { return false };
    let mut connections = hub.connections_of(&user).into_iter().map(|(connection, _)| connection);
    let wanted = connections.find(|connection| connection.id().to_string() == client);
    wanted.is_some_and(|connection| connection.displace(hub))
}

/// One that cannot have it does not keep it from the others.
async fn subscribe(
    policy: &Arc<Policy>,
    backend: &Backend,
    target: &Target,
    channel: &str,
    terms: &Terms,
) -> Result<(), ErrorCode> {
    let channel = parse(channel)?;
    let mut done = Ok(());
    for actor in actors(policy, target)? {
        let since = terms.since.as_ref();
        let since = since
            .map(|(offset, epoch)| Since { offset: *offset, epoch: Epoch::from(epoch.as_str()) });
        let wish = backend.subscribe(channel.clone());
        done = done.and(actor.subscribe(wish, grant(terms), since).await);
    }
    done
}

async fn unsubscribe(
    policy: &Arc<Policy>,
    target: &Target,
    channel: &str,
) -> Result<(), ErrorCode> {
    let channel = parse(channel)?;
    for actor in actors(policy, target)? {
        actor.unsubscribe_with(channel.clone(), Unsubscribed::Server).await;
    }
    Ok(())
}

fn disconnect(
    policy: &Arc<Policy>,
    target: &Target,
    spared: &[String],
    (code, reason): (u16, &str),
) -> Result<(), ErrorCode> {
    for actor in actors(policy, target)? {
        let connection = actor.connection();
        if !spared.contains(&connection.id().to_string()) {
            connection.close_with(policy.relay.hub(), code, reason);
        }
    }
    Ok(())
}

fn channels(policy: &Policy, pattern: Option<&str>) -> Result<Vec<Answer>, ErrorCode> {
    let pattern = pattern.filter(|text| !text.is_empty()).map(ChannelPattern::parse).transpose();
    let pattern = pattern.map_err(|_| ErrorCode::BadRequest)?;
    let all = policy.relay.hub().channels().into_iter();
    let matching: Vec<_> = all
        .filter(|(channel, _)| pattern.as_ref().is_none_or(|one| one.matches(channel.as_str())))
        .map(|(channel, clients)| (channel.as_str().to_owned(), clients))
        .collect();
    Ok(matching.chunks(CHANNELS_AT_A_TIME).map(|some| Answer::Channels(some.to_vec())).collect())
}

fn actors(policy: &Arc<Policy>, target: &Target) -> Result<Vec<Actor>, ErrorCode> {
    let user = User::parse(&target.user).map_err(|_| ErrorCode::BadRequest)?;
    let wanted = target.client.as_deref();
    let connections = policy.relay.hub().connections_of(&user).into_iter();
    Ok(connections
        .filter(|(connection, _)| wanted.is_none_or(|id| connection.id().to_string() == id))
        .map(|(connection, client)| Actor::new(policy, connection, client))
        .collect())
}

fn grant(terms: &Terms) -> Grant {
    let data = terms.data.as_ref().map(|data| {
        let data = Data::Opaque(&data.0);
        Payload::json(data).unwrap_or_else(|_| Payload::binary(data))
    });
    let info = terms.info.as_ref().map(|info| info.0.clone()).unwrap_or_default();
    Grant {
        expires_at: terms.expire_at,
        options: SubscriptionOptions { info, data, overrides: terms.overrides },
    }
}

fn parse(channel: &str) -> Result<Channel, ErrorCode> {
    Channel::parse(channel).map_err(|_| ErrorCode::BadRequest)
}
