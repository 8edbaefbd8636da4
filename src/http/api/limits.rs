//! `limits_set`, `limits_list` and `limits_remove`: what an operator sets for one
//! user, tenant, client, address or API key, on every node at once.

use std::time::Duration;

use sealcast_wire::{ErrorCode, Tenant, User};
use serde::{Deserialize, Serialize};

use super::node::Nothing;
use super::{App, Problem, ServerApi};
use crate::limit::{BadRate, LONGEST_OVERRIDE, Override, QueueCap, Rate, Subject, Terms};

/// Longest name of an API key, bytes.
const MAX_KEY_NAME: usize = 64;

/// What is set; whom it is about as with [`Whom`].
#[derive(Default, Deserialize)]
pub(super) struct Wish {
    user: Option<String>,
    tenant: Option<String>,
    client: Option<String>,
    address: Option<String>,
    key: Option<String>,
    rate: Option<String>,
    queue_messages: Option<u64>,
    queue_bytes: Option<u64>,
    block: Option<bool>,
    ttl: Option<u64>,
    reason: Option<String>,
}

/// Exactly one of these.
#[derive(Default, Deserialize)]
pub(super) struct Whom {
    user: Option<String>,
    tenant: Option<String>,
    client: Option<String>,
    address: Option<String>,
    key: Option<String>,
}

/// One that is in force; `ttl` is what is left, in seconds.
#[derive(Default, Serialize)]
struct InForce {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_messages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_bytes: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    block: bool,
    ttl: u64,
    reason: String,
    by: String,
}

#[derive(Serialize)]
pub(super) struct Set {}

#[derive(Serialize)]
pub(super) struct List {
    limits: Vec<InForce>,
}

#[derive(Serialize)]
pub(super) struct Removed {
    removed: bool,
}

/// When it is answered it holds here; on the other nodes a moment later, a second
/// at most.
pub(super) async fn set(app: &App, caller: &ServerApi, wish: Wish) -> Result<Set, Problem> {
    let Wish { user, tenant, client, address, key, .. } = wish;
    let subject = subject(Whom { user, tenant, client, address, key })?;
    let block = wish.block.unwrap_or(false);
    if block && matches!(&subject, Subject::ApiKey(name) if name == caller.name()) {
        return Err(bad("a key cannot block itself"));
    }
    let rate = wish.rate.as_deref().map(Rate::parse).transpose().map_err(|why| bad(about(why)))?;
    let queue = QueueCap { messages: size(wish.queue_messages), bytes: size(wish.queue_bytes) };
    let terms = Terms { rate, queue, block };
    let (reason, by) = (wish.reason.unwrap_or_default(), caller.name().to_owned());
    let one = Override { subject, terms, reason, by };
    one.check().map_err(|why| bad(why.message()))?;
    let ttl = Duration::from_secs(wish.ttl.unwrap_or(0));
    if ttl.is_zero() || ttl > LONGEST_OVERRIDE {
        return Err(bad("ttl is needed: 1 to 31622400 seconds"));
    }
    let kind = one.subject.kind();
    if !broker(app).set_override(one, ttl).await.map_err(|_| ErrorCode::Internal)? {
        let message = "10000 limits are set already, and there is no place for another";
        return Err(Problem { code: ErrorCode::LimitExceeded, message });
    }
    changed(app, caller, "set", kind).await;
    Ok(Set {})
}

/// All that hold in the cluster, and why.
pub(super) async fn list(app: &App, Nothing {}: Nothing) -> Result<List, ErrorCode> {
    let read = broker(app).overrides("-".to_owned()).await.map_err(|_| ErrorCode::Internal)?;
    let mut all = read.unwrap_or_default().all;
    all.sort_by(|(one, _), (other, _)| one.subject.cmp(&other.subject));
    let limits = all.into_iter().map(|(one, rest)| in_force(one, rest)).collect();
    Ok(List { limits })
}

/// It says whether there was one.
pub(super) async fn remove(app: &App, caller: &ServerApi, whom: Whom) -> Result<Removed, Problem> {
    let subject = subject(whom)?;
    let kind = subject.kind();
    let removed = broker(app).remove_override(subject).await.map_err(|_| ErrorCode::Internal)?;
    if removed {
        changed(app, caller, "removed", kind).await;
    }
    Ok(Removed { removed })
}

fn broker(app: &App) -> &dyn crate::broker::Broker {
    app.policy.relay.broker()
}

async fn changed(app: &App, caller: &ServerApi, what: &'static str, kind: &'static str) {
    let (event, by) = ("limit_override", caller.name());
    tracing::info!(event, what, kind, by, "a limit for one subject was changed");
    // If the broker is gone again the next look tells.
    let own = app.policy.relay.renew_overrides(&app.policy.usage);
    let (_, ()) = futures_util::join!(own, app.cluster.say_overrides_changed());
}

fn bad(message: &'static str) -> Problem {
    Problem { code: ErrorCode::BadRequest, message }
}

fn about(why: Option<BadRate>) -> &'static str {
    match why {
        None => "rate is not a rate, such as 10/s, 60/10s or 100/m burst 20",
        Some(BadRate::Zero) => "a rate of 0 would refuse everything: set block",
        Some(BadRate::Count | BadRate::Burst) => {
            "the hard cap of a rate is 10000/s, also for its burst, which is 1 at least"
        }
        Some(BadRate::Period) => "a rate is meant for 1ms to 24h",
    }
}

/// What is too large for this machine stays too large.
fn size(given: Option<u64>) -> Option<usize> {
    given.map(|given| usize::try_from(given).unwrap_or(usize::MAX))
}

fn subject(whom: Whom) -> Result<Subject, Problem> {
    let all = [
        ("user", whom.user),
        ("tenant", whom.tenant),
        ("client", whom.client),
        ("address", whom.address),
        ("key", whom.key),
    ];
    let mut given = all.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
    let (Some((kind, name)), None) = (given.next(), given.next()) else {
        return Err(bad("exactly one of user, tenant, client, address and key is needed"));
    };
    let known = match kind {
        "user" => User::parse(&name).is_ok_and(|user| !user.is_anonymous()),
        "tenant" => Tenant::parse(&name).is_ok(),
        "key" => !name.is_empty() && name.len() <= MAX_KEY_NAME,
        _ => true,
    };
    Subject::of(kind, &name).filter(|_| known).ok_or(bad(match kind {
        "user" => "user is no user id; the anonymous user has no limits of its own",
        "tenant" => "tenant is no name of a tenant",
        "client" => "client is no client id",
        "address" => "address is no IP address, and no /64 of IPv6",
        _ => "key is no name of an API key",
    }))
}

fn in_force(one: Override, rest: Duration) -> InForce {
    let Override { subject, terms, reason, by } = one;
    let name = Some(subject.name());
    let mut told = InForce {
        rate: terms.rate.map(|rate| rate.to_string()),
        queue_messages: terms.queue.messages,
        queue_bytes: terms.queue.bytes,
        block: terms.block,
        ttl: rest.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX),
        reason,
        by,
        ..InForce::default()
    };
    match subject {
        Subject::User(_) => told.user = name,
        Subject::Tenant(_) => told.tenant = name,
        Subject::Client(_) => told.client = name,
        Subject::Address(_) => told.address = name,
        Subject::ApiKey(_) => told.key = name,
    }
    told
}
