//! What a call passes before it is carried out: the limit of its key.
//!
//! The order is that of R-46: who is blocked does nothing; what repeats an idempotency key
//! is answered as before, however many came; and only then the limit, before anything is
//! written. A publish counts over all nodes when it is written, in one step with that; other
//! calls take credit that was drawn ahead: they write nothing that could carry it, or, like a
//! broadcast, so much that no one step of it could speak for the rest.

use super::answer::Outcome;
use super::{ApiMethod, App, ServerApi, publish};
use crate::broker::Charge;
use crate::limit::{Nanos, Rate, Scope, TooMany, nanos};

/// What becomes of a call.
pub(super) enum Admitted {
    /// It is carried out.
    Once,
    /// It was, and this was its answer.
    Again(Outcome),
    /// It is one too many; counted.
    Refused(TooMany),
}

/// Decides about a call, whose request is `body`. A publish is decided without waiting,
/// unless it is one too many.
pub(super) async fn admit(
    method: ApiMethod,
    app: &App,
    caller: &ServerApi,
    body: &[u8],
) -> Admitted {
    let publishes = matches!(method, ApiMethod::Publish | ApiMethod::Broadcast);
    let Err(refused) = count(method, app, caller).await else { return Admitted::Once };
    if publishes && refused.scope == Scope::ApiKey {
        let before = Box::pin(publish::answered(method, app, caller, body)).await;
        if let Some(outcome) = before {
            app.metrics().api_call(caller.name(), method.name(), None);
            return Admitted::Again(outcome);
        }
    }
    app.metrics().rate_limited(refused.scope.name());
    Admitted::Refused(refused)
}

/// Where the key's calls are counted over all nodes.
pub(super) fn charge(app: &App, caller: &ServerApi) -> Option<Charge> {
    let relay = &app.policy.relay;
    // Where this node is all there is, nothing need be looked up.
    relay
        .has_leases()
        .then(|| rate(app, caller.name()))
        .and_then(|rate| relay.charge(Scope::ApiKey, caller.name(), rate))
}

/// Over all nodes the key's limit is used up for so long: so it is here too, and a flood
/// goes no further.
pub(super) fn exhaust(app: &App, caller: &ServerApi, too_many: &TooMany) {
    let (of, rate) = ((too_many.scope, caller.name()), rate(app, caller.name()));
    app.policy.usage.exhaust(of, &rate, too_many.wait, now(app));
}

async fn count(method: ApiMethod, app: &App, caller: &ServerApi) -> Result<(), TooMany> {
    let configured = app.api_rates.get(caller.name()).unwrap_or(&Rate::NONE);
    app.policy.usage.call(caller.name(), configured, now(app))?;
    match charge(app, caller) {
        Some(charge) if method != ApiMethod::Publish => {
            app.policy.relay.broker().charge(vec![charge]).await
        }
        _ => Ok(()),
    }
}

/// How fast a key may call.
fn rate(app: &App, key: &str) -> Rate {
    let own = app.policy.usage.overrides().api_key(key, now(app)).and_then(|terms| terms.rate);
    own.or(app.api_rates.get(key).copied()).unwrap_or(Rate::NONE)
}

fn now(app: &App) -> Nanos {
    nanos(app.policy.relay.hub().clock().precise())
}
