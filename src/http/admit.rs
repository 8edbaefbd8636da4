//! The limits that a new connection passes before anything is done for it: of its
//! address, and of the node.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;

use super::App;
use crate::broker::Holder;
use crate::limit::{self, Scope, Share, Stage, TooMany, Wait};
use crate::session::{AddressPlace, Policy};

/// How long a full node is left alone, nanoseconds.
const FULL: Wait = Wait(5_000_000_000);

/// A place among the connections of the client's address.
///
/// # Errors
/// If the connection is one too many; counted.
pub(super) async fn admit(app: &App, client: IpAddr) -> Result<Box<AddressPlace>, TooMany> {
    let policy = &app.policy;
    let hub = policy.relay.hub();
    let now = limit::nanos(hub.clock().precise());
    let admitted = if hub.stage() >= Stage::Refusing {
        app.metrics().shedding.connections.increment(1);
        Err(TooMany { scope: Scope::NodeFull, wait: FULL })
    } else {
        match policy.usage.connect(client, &policy.limits, now) {
            Ok(here) => in_cluster(policy, client, here).await,
            Err(too_many) => Err(too_many),
        }
    };
    admitted.inspect_err(|too_many| app.metrics().rate_limited(too_many.scope.name()))
}

async fn in_cluster(
    policy: &Policy,
    client: IpAddr,
    here: Share,
) -> Result<Box<AddressPlace>, TooMany> {
    let mut lease = None;
    if policy.relay.has_leases() {
        let holder = Holder::Address(client.into());
        lease = policy.relay.lease(holder, Some(policy.limits.ip_connections)).await;
        if lease.is_none() {
            return Err(TooMany { scope: Scope::AddressConnections, wait: Wait(0) });
        }
    }
    Ok(Box::new(AddressPlace { here, lease: lease.map(Box::new) }))
}

/// What it is answered with: the status says whether the address asks too much, the
/// node has enough, or an operator does not want it.
pub(super) fn refusal(too_many: &TooMany) -> (StatusCode, &'static str) {
    match too_many.scope {
        Scope::Blocked => (StatusCode::FORBIDDEN, "this address is blocked"),
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

/// `Retry-After`: when it is worth trying again, and not at the same time for all.
pub(super) fn retry_after(wait: Wait) -> Duration {
    let wait = wait.0.div_ceil(1_000_000_000);
    Duration::from_secs(wait + rand::random_range(1..=5))
}
