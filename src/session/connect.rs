//! Authentication: the connect command, and later tokens.

use std::num::NonZeroU32;

use sealcast_wire::command::Connect;
use sealcast_wire::reply::{ConnectResult, Expiry};
use sealcast_wire::{Channel, Disconnect, ErrorCode};

use super::Policy;
use super::client::Refusal;
use super::operation::Actor;
use crate::auth::{
    Authorized, Claims, Identity, Refused, Subscribe, SubscriptionClaims, TokenDenied,
};
use crate::hub::{Connection, Deadline, Millis};

/// The longest time that is told to a client, seconds.
const MAX_TTL: u64 = 365 * 24 * 3600;

/// How far a token's time may be over while the verifier still takes it, seconds.
const CLOCK_LEEWAY: u64 = 11;

/// The subscriptions that a connection token makes.
pub(super) type Grants = Vec<(Authorized<Subscribe>, SubscriptionClaims)>;

/// Decides a connect command, and starts the connection's pings and expiry.
pub(super) fn connect(
    policy: &Policy,
    connection: &Connection,
    request: &Connect<'_>,
) -> Result<(Identity, ConnectResult, Grants), Refusal> {
    let token = request.token.0.as_ref();
    let now = (policy.unix_now)();
    let claims = if token.is_empty() {
        if !policy.allow_anonymous {
            policy.relay.hub().metrics().auth("failure", "no_token");
            return Err(Disconnect::BAD_REQUEST.into());
        }
        Claims::anonymous()
    } else {
        verify(policy, token, now).map_err(|refused| match refused {
            Refused::Expired => Refusal::Reply(ErrorCode::TokenExpired),
            Refused::Invalid(_) => Refusal::Close(Disconnect::INVALID_TOKEN),
        })?
    };
    match claims.expires_at {
        // The verifier allows for clocks that differ; an error 110 would end the
        // client for good, where it only needs another token.
        Some(at) if at <= now && at + CLOCK_LEEWAY > now => {
            return Err(ErrorCode::TokenExpired.into());
        }
        Some(at) if at <= now => return Err(ErrorCode::Expired.into()),
        _ => {}
    }
    let expiry = expire(policy, connection, claims.expires_at, now);
    connection.set_deadline(Deadline::Connect, Millis::NEVER);
    let interval = policy.limits.ping_interval;
    // Not all at once, so that a restart's reconnects do not ping in step.
    let first = interval.mul_f64(rand::random_range(0.5..=1.0));
    connection.set_deadline(Deadline::Ping, policy.relay.hub().clock().now().after(first.into()));
    let result = ConnectResult {
        client: connection.id().to_string(),
        version: policy.version.clone(),
        expiry,
        ping: u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(1),
        pong: true,
        ..ConnectResult::default()
    };
    let grants = claims.grants();
    Ok((Identity { user: claims.user, info: claims.info }, result, grants))
}

/// Decides a refresh command: the new token must be of the same user, and make
/// the same subscriptions as `granted`, which is sorted.
pub(super) fn refresh(
    policy: &Policy,
    connection: &Connection,
    identity: &Identity,
    granted: &[Channel],
    token: &str,
) -> Result<Expiry, Refusal> {
    if token.is_empty() {
        return Err(Disconnect::BAD_REQUEST.into());
    }
    let now = (policy.unix_now)();
    match verify(policy, token, now) {
        Ok(claims) if claims.user == identity.user => {
            if !claims.subscriptions.keys().eq(granted) {
                // Another set of subscriptions: a new connection gets it.
                return Err(Disconnect::INSUFFICIENT_STATE.into());
            }
            Ok(expire(policy, connection, claims.expires_at, now))
        }
        Ok(_) | Err(Refused::Invalid(_)) => Err(Disconnect::INVALID_TOKEN.into()),
        Err(Refused::Expired) => Err(Disconnect::EXPIRED.into()),
    }
}

fn verify(policy: &Policy, token: &str, now: u64) -> Result<Claims, Refused> {
    let verified = match &policy.verifier {
        Some(verifier) => verifier.connection(token, now),
        None => Err(Refused::Invalid("no_key")),
    };
    let metrics = policy.relay.hub().metrics();
    match &verified {
        Ok(_) => metrics.auth("success", "ok"),
        Err(refused) => metrics.auth("failure", refused.reason()),
    }
    verified
}

impl Actor {
    /// Verifies a subscription token of this connection for `channel`.
    pub(super) fn verify(
        &self,
        token: &str,
        channel: &Channel,
    ) -> Result<(Authorized<Subscribe>, SubscriptionClaims), Refusal> {
        let now = (self.policy.unix_now)();
        let Some(verifier) = &self.policy.verifier else {
            return Err(ErrorCode::PermissionDenied.into());
        };
        let client = self.connection.id().to_string();
        let verified =
            verifier.authorize_subscribe(token, now, &self.identity.user, &client, channel);
        verified.map_err(|denied| match denied {
            TokenDenied::Expired => ErrorCode::TokenExpired.into(),
            TokenDenied::Invalid => ErrorCode::PermissionDenied.into(),
            TokenDenied::Mismatch => Disconnect::INVALID_TOKEN.into(),
        })
    }

    /// When a subscription ends whose token is good until `at`, and what to tell
    /// the client of it.
    pub(super) fn expiry(&self, at: Option<u64>) -> (Option<Millis>, Expiry) {
        let Some(at) = at else { return (None, Expiry { ttl: None }) };
        let left = at.saturating_sub((self.policy.unix_now)());
        let grace = Millis::from(self.policy.limits.expired_close_delay);
        let now = self.policy.relay.hub().clock().now();
        let ends = now.after(Millis(left.saturating_mul(1_000))).after(grace);
        let ttl = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        (Some(ends), Expiry { ttl: NonZeroU32::new(ttl) })
    }
}

/// Sets when the connection ends unless it brings a new token, and what to tell
/// the client of it.
pub(super) fn expire(
    policy: &Policy,
    connection: &Connection,
    at: Option<u64>,
    now: u64,
) -> Expiry {
    let Some(at) = at else {
        connection.set_deadline(Deadline::Expiry, Millis::NEVER);
        return Expiry { ttl: None };
    };
    let left = at.saturating_sub(now);
    let grace = Millis::from(policy.limits.expired_close_delay);
    let deadline = policy.relay.hub().clock().now().after(Millis(left.saturating_mul(1_000)));
    connection.set_deadline(Deadline::Expiry, deadline.after(grace));
    let ttl = u32::try_from(left.clamp(1, MAX_TTL)).unwrap_or(u32::MAX);
    Expiry { ttl: NonZeroU32::new(ttl) }
}
