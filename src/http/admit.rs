//! The limits that a new connection passes before anything is done for it: of its
//! address, and of the node.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;

use super::App;
use crate::limit::{self, Scope, Share, Stage, TooMany, Wait};

/// How long a full node is left alone, nanoseconds.
const FULL: Wait = Wait(5_000_000_000);

/// A place among the connections of the client's address.
///
/// # Errors
/// If the connection is one too many; counted.
pub(super) fn admit(app: &App, client: IpAddr) -> Result<Share, TooMany> {
    let policy = &app.policy;
    let hub = policy.relay.hub();
    let taken = if hub.stage() >= Stage::Refusing {
        app.metrics().shedding.connections.increment(1);
        Err(TooMany { scope: Scope::NodeFull, wait: FULL })
    } else {
        policy.usage.connect(client, &policy.limits, limit::nanos(hub.clock().precise()))
    };
    taken.inspect_err(|too_many| app.metrics().rate_limited(too_many.scope.name()))
}

/// What it is answered with: the status says whether the address asks too much or the
/// node has enough.
pub(super) fn refusal(too_many: &TooMany) -> (StatusCode, &'static str) {
    match too_many.scope {
        Scope::Address => (StatusCode::TOO_MANY_REQUESTS, "too many connects from this address"),
        Scope::AddressConnections => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many connections from this address")
        }
        Scope::NodeFull => {
            (StatusCode::SERVICE_UNAVAILABLE, "the node is short of memory or of descriptors")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "too many connects to the node"),
    }
}

/// One call of the server API, by a key of this name.
///
/// # Errors
/// If it is one too many; counted.
pub(super) fn admit_call(app: &App, key: &str) -> Result<(), Wait> {
    let Some(rate) = app.api_rates.get(key) else { return Ok(()) };
    let policy = &app.policy;
    let now = limit::nanos(policy.relay.hub().clock().precise());
    policy.usage.call(key, rate, now).inspect_err(|_| {
        app.metrics().rate_limited(Scope::ApiKey.name());
    })
}

/// `Retry-After`: when it is worth trying again, and not at the same time for all.
pub(super) fn retry_after(wait: Wait) -> Duration {
    let wait = wait.0.div_ceil(1_000_000_000);
    Duration::from_secs(wait + rand::random_range(1..=5))
}
