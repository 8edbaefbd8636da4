//! Places of a connection among those of its user and of its tenant: on this node when
//! it authenticates, and in the cluster, if there is one, right after.

use sealcast_wire::Disconnect;

use super::client::Refusal;
use super::operation::Actor;
use super::{OneTooMany, Policy};
use crate::auth::{Claims, Identity};
use crate::broker::Holder;
use crate::hub::{Registration, UserPlace};
use crate::limit::{Scope, Share};
use crate::relay::Lease;

/// What a connection has taken on this node.
pub(super) struct Taken {
    /// Until it counts itself; `None` where the number of a user's connections is not
    /// bounded.
    pub(super) user: Option<UserPlace>,
    /// `None` where the number of a tenant's is not.
    pub(super) tenant: Option<Share>,
}

/// How many there may be in the cluster, where that is counted.
pub(super) struct Wanted {
    user: Option<usize>,
    tenant: Option<usize>,
}

/// What a connection holds as long as it lasts.
pub(super) struct Held {
    _tenant: Option<Share>,
    _leases: [Option<Lease>; 2],
}

impl Taken {
    /// Takes a place of each kind on this node.
    ///
    /// # Errors
    /// If all are taken; counted.
    pub(super) fn take(
        policy: &Policy,
        registration: &Registration,
        claims: &Claims,
    ) -> Result<Taken, Refusal> {
        let user = user_place(policy, registration, claims)?;
        Ok(Taken { user, tenant: tenant_place(policy, claims)? })
    }
}

impl Wanted {
    /// Of whom this is.
    pub(super) fn of(policy: &Policy, identity: &Identity) -> Wanted {
        let limits = &policy.limits;
        let wanted = |counts: bool, most: usize| {
            (most > 0 && counts && policy.relay.has_leases()).then_some(most)
        };
        Wanted {
            user: wanted(!identity.user.is_anonymous(), limits.user_connections),
            tenant: wanted(identity.tenant.is_some(), limits.tenant_connections),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.user.is_none() && self.tenant.is_none()
    }
}

impl Held {
    /// What is held where nothing is counted in the cluster.
    pub(super) fn here(tenant: Option<Share>) -> Option<Box<Held>> {
        tenant.is_some().then(|| Box::new(Held { _tenant: tenant, _leases: [None, None] }))
    }
}

impl Actor {
    /// Takes the places in the cluster.
    ///
    /// # Errors
    /// If all are taken; counted.
    pub(super) async fn hold(
        &self,
        wanted: Wanted,
        tenant: Option<Share>,
    ) -> Result<Option<Box<Held>>, Refusal> {
        if wanted.is_nothing() {
            return Ok(Held::here(tenant));
        }
        let user = match wanted.user {
            Some(most) => Some(self.lease_of_user(most).await?),
            None => None,
        };
        let lease = match wanted.tenant {
            Some(most) => self.lease_of_tenant(most).await?,
            None => None,
        };
        Ok(Some(Box::new(Held { _tenant: tenant, _leases: [user, lease] })))
    }

    /// Which of the user's goes if there is no place the configuration says: the newest,
    /// or the oldest, on whatever node it is.
    async fn lease_of_user(&self, most: usize) -> Result<Lease, Refusal> {
        let (relay, user) = (&self.policy.relay, &self.identity.user);
        let holder = Holder::User(user.as_str().to_owned());
        if let Some(lease) = relay.lease(holder.clone(), Some(most)).await {
            return Ok(lease);
        }
        let refused = too_many(&self.policy, Scope::UserConnections);
        if self.policy.admission.one_too_many == OneTooMany::Replace
            && relay.make_room(user, most).await
            // It takes a place that is about to be given back.
            && let Some(lease) = relay.lease(holder, None).await
        {
            return Ok(lease);
        }
        Err(refused.into())
    }

    async fn lease_of_tenant(&self, most: usize) -> Result<Option<Lease>, Refusal> {
        let Some(tenant) = &self.identity.tenant else { return Ok(None) };
        let holder = Holder::Tenant(tenant.as_str().to_owned());
        let lease = self.policy.relay.lease(holder, Some(most)).await;
        lease.map(Some).ok_or_else(|| too_many(&self.policy, Scope::TenantConnections).into())
    }
}

/// The anonymous user's are not counted: they are not one person's.
fn user_place(
    policy: &Policy,
    registration: &Registration,
    claims: &Claims,
) -> Result<Option<UserPlace>, Refusal> {
    let (user, most) = (&claims.user, policy.limits.user_connections);
    if most == 0 || user.is_anonymous() {
        return Ok(None);
    }
    if let Some(place) = registration.take_place(user, most) {
        return Ok(Some(place));
    }
    if policy.admission.one_too_many != OneTooMany::Replace {
        return Err(too_many(policy, Scope::UserConnections).into());
    }
    if policy.relay.has_leases() {
        // Who goes is decided where all of them are known.
        return Ok(registration.take_place(user, usize::MAX));
    }
    let refused = too_many(policy, Scope::UserConnections);
    let hub = policy.relay.hub();
    if let Some((oldest, _)) = hub.standing(user).oldest {
        // Otherwise somebody else has, and takes its place.
        let _ = oldest.displace(hub);
    }
    // Without a place all others are only about to connect.
    registration.take_place(user, most).map(Some).ok_or(refused.into())
}

fn tenant_place(policy: &Policy, claims: &Claims) -> Result<Option<Share>, Refusal> {
    let most = policy.limits.tenant_connections;
    let Some(tenant) = claims.tenant.as_ref().filter(|_| most > 0) else { return Ok(None) };
    let place = policy.usage.tenant_connection(tenant.as_str(), most);
    place.map(Some).ok_or_else(|| too_many(policy, Scope::TenantConnections).into())
}

/// How the newest is told, which is counted here. Nobody's place is taken for one of
/// another user.
fn too_many(policy: &Policy, scope: Scope) -> Disconnect {
    policy.relay.hub().metrics().rate_limited(scope.name());
    match policy.admission.one_too_many {
        OneTooMany::Refuse => Disconnect::CONNECTION_LIMIT,
        OneTooMany::Retry | OneTooMany::Replace => Disconnect::TOO_MANY_REQUESTS,
    }
}
