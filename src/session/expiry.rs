//! When connections and subscriptions end unless they are refreshed (protocol:
//! expiration and refresh).

use std::num::NonZeroU32;

use sealcast_wire::command::SubRefresh;
use sealcast_wire::reply::Expiry;
use sealcast_wire::{Channel, Disconnect, ErrorCode};

use super::Policy;
use super::client::Refusal;
use super::connect::{granted, verify};
use super::form::channel_of;
use super::operation::Actor;
use crate::auth::Refused;
use crate::hub::{Connection, Deadline, Millis};

/// The longest time that is told to a client of its connection, seconds.
const MAX_TTL: u64 = 365 * 24 * 3600;

/// How far a token's time may be over while the verifier still takes it, seconds.
const CLOCK_LEEWAY: u64 = 11;

/// Whether what ends at `at` has not ended yet, Unix seconds.
///
/// # Errors
/// 109 within what the verifier allows for clocks that differ, because the client
/// only needs another token, where an error 110 would end it for good.
pub(super) fn still_good(at: Option<u64>, now: u64) -> Result<(), ErrorCode> {
    match at {
        Some(at) if at <= now && at + CLOCK_LEEWAY > now => Err(ErrorCode::TokenExpired),
        Some(at) if at <= now => Err(ErrorCode::Expired),
        _ => Ok(()),
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

impl Actor {
    /// Decides a refresh command: the new token must be of the same user, and make
    /// the same subscriptions. If it names another tenant, or now names one, the client
    /// connects anew, because its place is counted for the tenant before.
    ///
    /// `before` are the channels that the token before made, sorted; of these those
    /// count that still stand, so that a client that left one gets it again by
    /// reconnecting. What the client chose by itself when it connected does not
    /// count: no token says anything of it, and an unchanged token would end every
    /// such connection.
    pub(super) fn refresh_by(&self, before: &[Channel], token: &str) -> Result<Expiry, Refusal> {
        let Actor { policy, connection, identity } = self;
        if token.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let now = policy.unix_now();
        let claims = match verify(policy, connection, token, now) {
            Ok(claims) if claims.user == identity.user => claims,
            Ok(_) | Err(Refused::Invalid(_)) => return Err(Disconnect::INVALID_TOKEN.into()),
            Err(Refused::Expired) => return Err(Disconnect::EXPIRED.into()),
        };
        still_good(claims.expires_at, now).map_err(|code| match code {
            ErrorCode::TokenExpired => Refusal::Close(Disconnect::EXPIRED),
            code => code.into(),
        })?;
        if claims.tenant != identity.tenant {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        let standing = before.iter().filter(|channel| connection.is_server_side(channel));
        if !standing.eq(granted(policy, &claims)?.keys()) {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        Ok(expire(policy, connection, claims.expires_at, now))
    }

    /// Brings a subscription of the client itself another token.
    pub(super) fn sub_refresh(&self, request: &SubRefresh<'_>) -> Result<Expiry, Refusal> {
        let channel = channel_of(&request.channel)?;
        if !self.connection.is_subscribed(&channel) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if self.connection.is_server_side(&channel) {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        if request.kind != 0 || request.token.0.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        let (_, grant) =
            self.verify(&request.token.0, &channel).map_err(|refusal| match refusal {
                Refusal::Reply(ErrorCode::TokenExpired | ErrorCode::Expired) => {
                    ErrorCode::Expired.into()
                }
                Refusal::Reply(_) | Refusal::Explained(..) => Disconnect::INVALID_TOKEN.into(),
                close => close,
            })?;
        let (expires, expiry) = self.expiry(grant.expires_at);
        self.connection.extend_subscription(&channel, expires);
        Ok(expiry)
    }

    /// When a subscription ends that is good until `at`, and what to tell the
    /// client of it.
    pub(super) fn expiry(&self, at: Option<u64>) -> (Option<Millis>, Expiry) {
        let Some(at) = at else { return (None, Expiry { ttl: None }) };
        let left = at.saturating_sub(self.policy.unix_now());
        let grace = Millis::from(self.policy.limits.expired_sub_close_delay);
        let now = self.policy.relay.hub().clock().now();
        let ends = now.after(Millis(left.saturating_mul(1_000))).after(grace);
        let ttl = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        (Some(ends), Expiry { ttl: NonZeroU32::new(ttl) })
    }
}
