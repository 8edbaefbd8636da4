//! The claims of a token whose signature holds, with strict types (T-03): a date
//! that is a text, or any member that stands twice, makes the token invalid;
//! unknown members are ignored.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use sealcast_wire::{Channel, Tenant, User};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refused;
use super::json::{Members, members_are_unique, object, present, strict};
use super::subscription::{self, SubscriptionOptions, WrittenOptions};

/// How far clocks may be apart when `exp` and `nbf` are compared, seconds.
const LEEWAY: f64 = 10.0;
/// How far in the future `iat` may lie, seconds.
const MAX_IAT_AHEAD: f64 = 30.0;

/// What a verified connection token says. `Debug` leaves out what the token says
/// of the user.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user; anonymous only where that is allowed.
    pub user: User,
    /// Of which tenant of the application the user is, if of any.
    pub tenant: Option<Tenant>,
    /// When the connection expires, Unix seconds; `None` if never.
    pub expires_at: Option<u64>,
    /// What others are told of the user; one JSON value, or empty.
    pub info: Bytes,
    /// Server-side subscriptions, from `subs` or `channels`; at most 128.
    pub subscriptions: BTreeMap<Channel, SubscriptionOptions>,
    /// What only the application's own backend is told; one JSON object, or empty.
    pub meta: Bytes,
}

/// What a verified subscription token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionClaims {
    /// Whose subscription; anonymous only where that is allowed.
    pub user: User,
    /// To what.
    pub channel: Channel,
    /// The one connection that may use the token, if it names one.
    pub client: Option<String>,
    /// When the subscription expires, Unix seconds; `None` if never.
    pub expires_at: Option<u64>,
    /// How to subscribe.
    pub options: SubscriptionOptions,
}

impl Claims {
    /// What stands for a token where none is needed.
    #[must_use]
    pub fn anonymous() -> Claims {
        Claims {
            user: User::anonymous(),
            tenant: None,
            expires_at: None,
            info: Bytes::new(),
            subscriptions: BTreeMap::new(),
            meta: Bytes::new(),
        }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("user", &self.user)
            .field("expires_at", &self.expires_at)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// What claims are measured against.
pub(super) struct Rules<'a> {
    pub(super) audience: Option<&'a str>,
    pub(super) max_lifetime: Option<u64>,
    /// The claim that names the user, where it is not `sub`.
    pub(super) user_claim: Option<&'a str>,
    pub(super) compat: bool,
    pub(super) now: f64,
}

/// A connection token, which never has a `channel`.
pub(super) fn connection(payload: &[u8], rules: &Rules<'_>) -> Result<Claims, Refused> {
    let registered = registered(payload)?;
    let own: Connection<'_> = object(payload).ok_or(Refused::Invalid("bad_claims"))?;
    if own.channel.is_some() {
        return Err(Refused::Invalid("wrong_purpose"));
    }
    let (user, expires_at) = registered.check(payload, rules)?;
    let tenant = own.tenant.as_deref().map(Tenant::parse).transpose();
    let meta = own.meta.map(subscription::bytes).unwrap_or_default();
    if !meta.is_empty() && !meta.starts_with(b"{") {
        return Err(Refused::Invalid("bad_claims"));
    }
    Ok(Claims {
        user,
        tenant: tenant.map_err(|_| Refused::Invalid("bad_tenant"))?,
        expires_at,
        info: subscription::info(own.info, own.b64info.as_deref())?,
        subscriptions: subscription::granted(
            own.subs.as_ref(),
            own.channels.as_deref().unwrap_or_default(),
        )?,
        meta,
    })
}

/// A subscription token, which always has a `channel`.
pub(super) fn subscription(
    payload: &[u8],
    rules: &Rules<'_>,
) -> Result<SubscriptionClaims, Refused> {
    let registered = registered(payload)?;
    let own: Subscription = object(payload).ok_or(Refused::Invalid("bad_claims"))?;
    let written: WrittenOptions<'_> = object(payload).ok_or(Refused::Invalid("bad_claims"))?;
    let channel = own.channel.ok_or(Refused::Invalid("wrong_purpose"))?;
    let (user, expires_at) = registered.check(payload, rules)?;
    Ok(SubscriptionClaims {
        user,
        channel: subscription::channel(&channel)?,
        client: own.client,
        expires_at,
        options: written.options()?,
    })
}

fn registered(payload: &[u8]) -> Result<Registered, Refused> {
    object(payload).filter(|_| members_are_unique(payload)).ok_or(Refused::Invalid("bad_claims"))
}

#[derive(Deserialize)]
struct Connection<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    channel: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "strict")]
    tenant: Option<String>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(default)]
    b64info: Option<String>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(borrow, default)]
    subs: Option<Members<'a>>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(default, deserialize_with = "strict")]
    channel: Option<String>,
    #[serde(default, deserialize_with = "strict")]
    client: Option<String>,
}

/// The claims that both purposes share.
#[derive(Deserialize)]
struct Registered {
    #[serde(default, deserialize_with = "strict")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "strict")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    iat: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    expire_at: Option<f64>,
    #[serde(default, deserialize_with = "strict")]
    aud: Option<Audience>,
}

impl Registered {
    /// Whose the token is, and when what it grants expires, Unix seconds.
    fn check(&self, payload: &[u8], rules: &Rules<'_>) -> Result<(User, Option<u64>), Refused> {
        if let Some(wanted) = rules.audience
            && !self.aud.as_ref().is_some_and(|audience| audience.names(wanted))
        {
            return Err(Refused::Invalid("wrong_audience"));
        }
        let user = match rules.user_claim {
            None => self.sub.clone(),
            Some(claim) => text(payload, claim)?,
        };
        let user = User::parse(user.as_deref().unwrap_or_default())
            .ok()
            .filter(|user| rules.compat || !user.is_anonymous())
            .ok_or(Refused::Invalid("bad_subject"))?;
        self.check_times(rules)?;
        let expires_at = match self.expire_at.or(self.exp) {
            Some(at) if at > 0.0 => Some(at as u64),
            _ => None,
        };
        Ok((user, expires_at))
    }

    fn check_times(&self, rules: &Rules<'_>) -> Result<(), Refused> {
        let now = rules.now;
        if self.exp.is_none() && !rules.compat {
            return Err(Refused::Invalid("no_expiry"));
        }
        if self.exp.is_some_and(|exp| exp + LEEWAY <= now) {
            return Err(Refused::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf - LEEWAY > now) {
            return Err(Refused::Expired);
        }
        if self.iat.is_some_and(|iat| iat - MAX_IAT_AHEAD > now) {
            return Err(Refused::Invalid("issued_in_future"));
        }
        if let (Some(exp), Some(most)) = (self.exp, rules.max_lifetime)
            && exp - self.iat.unwrap_or(now) > most as f64 + LEEWAY
        {
            return Err(Refused::Invalid("lives_too_long"));
        }
        Ok(())
    }
}

/// The text of a member; any other type makes the token invalid.
fn text(payload: &[u8], claim: &str) -> Result<Option<String>, Refused> {
    let members: Members<'_> = object(payload).ok_or(Refused::Invalid("bad_claims"))?;
    let found = members.0.iter().find(|(name, _)| name == claim);
    let parse = |(_, value): &(String, &RawValue)| serde_json::from_str(value.get());
    found.map(parse).transpose().map_err(|_| Refused::Invalid("bad_claims"))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Audience::One(one) => one == wanted,
            Audience::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}
