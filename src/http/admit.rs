//! The limits that a new connection passes before anything is done for it: of its
//! address, and of the node.

use std::net::IpAddr;
use std::time::Duration;

use super::App;
use crate::limit::{Scope, Share, TooMany};

/// A place among the connections of the client's address.
///
/// # Errors
/// If the connection is one too many; counted.
pub(super) fn admit(app: &App, client: IpAddr) -> Result<Share, TooMany> {
    let policy = &app.policy;
    let now = policy.relay.hub().clock().nanos();
    policy.usage.connect(client, &policy.limits, now).inspect_err(|too_many| {
        app.metrics().rate_limited(too_many.scope.name());
    })
}

/// Whether it is the address that asks too much, or the node that has enough.
pub(super) fn is_of_address(too_many: &TooMany) -> bool {
    too_many.scope == Scope::Address
}

/// `Retry-After`: when it is worth trying again, and not at the same time for all.
pub(super) fn retry_after(too_many: &TooMany) -> Duration {
    let wait = too_many.wait.0.div_ceil(1_000_000_000);
    Duration::from_secs(wait + rand::random_range(1..=5))
}
