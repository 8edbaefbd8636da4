//! Authentication: the connect command, and the tokens.

use std::collections::BTreeMap;

use sealcast_wire::command::Connect;
use sealcast_wire::reply::ConnectResult;
use sealcast_wire::{Channel, Disconnect, Encoding, ErrorCode};

use super::Policy;
use super::client::Refusal;
use super::expiry::{expire, still_good};
use super::operation::Actor;
use super::places::Taken;
use super::subscribe::{self, Grant};
use crate::auth::{
    Authorized, Claims, DataFormat, Denied, Identity, Refused, Subscribe, SubscriptionOptions,
    TokenDenied,
};
use crate::hub::{Connection, Deadline, Known, Millis, Pings, Registration};
use crate::limit::{Scope, Whose, nanos};

/// Someone who may connect.
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) result: ConnectResult,
    pub(super) places: Taken,
    /// The channels that the token makes, and the user's own; sorted.
    pub(super) granted: Vec<Channel>,
    /// Those, and what the client chose.
    pub(super) subscriptions: Vec<ServerSide>,
}

/// A subscription that is to be made before the connect reply.
pub(super) struct ServerSide {
    pub(super) wish: Authorized<Subscribe>,
    pub(super) request: subscribe::Request,
    pub(super) grant: Option<Grant>,
}

/// Decides a connect command.
pub(super) fn connect(
    policy: &Policy,
    connection: &Connection,
    registration: &Registration,
    request: &Connect<'_>,
) -> Result<Admitted, Refusal> {
    let now = policy.unix_now();
    let claims = authenticate(policy, connection, &request.token.0, now)?;
    still_good(claims.expires_at, now)?;
    not_blocked(policy, registration, &claims)?;
    let places = Taken::take(policy, registration, &claims)?;
    let granted = granted(policy, &claims)?;
    let most = policy.limits.channels_per_connection;
    if granted.len() > most {
        return Err(Disconnect::CHANNEL_LIMIT.into());
    }
    let mut result = ConnectResult {
        client: connection.id().to_string(),
        version: policy.version.clone(),
        expiry: expire(policy, connection, claims.expires_at, now),
        ..ConnectResult::default()
    };
    if connection.pings() != Pings::Frames || connection.format().is_unidirectional() {
        let interval = policy.limits.ping_interval.as_secs();
        result.ping = u32::try_from(interval).unwrap_or(u32::MAX).max(1);
        result.pong = connection.pings() == Pings::Replies;
    }
    if policy.admission.tells_time {
        let millis = (policy.unix_time)().as_millis();
        result.time = i64::try_from(millis).unwrap_or(i64::MAX);
    }
    let identity = Identity { user: claims.user, tenant: claims.tenant, info: claims.info };
    let channels = granted.keys().cloned().collect();
    // One that only listens cannot ask for it later.
    let recoverable = connection.format().is_unidirectional();
    let mut positions = positions(request, recoverable);
    let own = granted.into_iter().map(|(channel, (wish, options))| ServerSide {
        wish,
        request: positions
            .remove(channel.as_str())
            .unwrap_or_else(|| subscribe::Request { recoverable, ..subscribe::Request::default() }),
        grant: Some(Grant { expires_at: None, options }),
    });
    let mut subscriptions: Vec<_> = own.collect();
    for (name, asked) in positions {
        if let Some(wish) = chosen(policy, connection, &identity, name)?
            && subscriptions.len() < most
        {
            subscriptions.push(ServerSide { wish, request: asked, grant: None });
        }
    }
    Ok(Admitted { identity, result, places, granted: channels, subscriptions })
}

/// Starts the pings of a connection that has connected, and stops the clock that
/// ends those which have not.
pub(super) fn begin(policy: &Policy, connection: &Connection) {
    connection.set_deadline(Deadline::Connect, Millis::NEVER);
    // Not all at once, so that a restart's reconnects do not ping in step.
    let first = policy.limits.ping_interval.mul_f64(rand::random_range(0.5..=1.0));
    let now = policy.relay.hub().clock().now();
    connection.set_deadline(Deadline::Ping, now.after(first.into()));
    // For the same reason.
    let age = policy.limits.connection_max_age.mul_f64(rand::random_range(0.9..=1.1));
    connection.set_deadline(Deadline::Age, now.after(age.into()));
}

/// The channels that a token makes and the user's own, by name.
pub(super) fn granted(
    policy: &Policy,
    claims: &Claims,
) -> Result<BTreeMap<Channel, (Authorized<Subscribe>, SubscriptionOptions)>, ErrorCode> {
    claims.grants(policy.admission.personal.as_ref()).map_err(|_| {
        let event = "personal_channel_unnamed";
        tracing::debug!(event, "a user id cannot stand in the name of the user's own channel");
        ErrorCode::BadRequest
    })
}

/// Verifies a connection token; counts it, and logs why it is refused.
pub(super) fn verify(
    policy: &Policy,
    connection: &Connection,
    token: &str,
    now: u64,
) -> Result<Claims, Refused> {
    let verified = match &policy.verifier {
        Some(verifier) => verifier.connection(token, now),
        None => Err(Refused::Invalid("no_key")),
    };
    let metrics = policy.relay.hub().metrics();
    match &verified {
        Ok(_) => metrics.auth("success", "ok"),
        Err(refused) => {
            metrics.auth("failure", refused.reason());
            log_refused(connection, "connection", refused.reason());
            if let Refused::Invalid(why) = refused {
                close_with_why(policy, connection, Disconnect::INVALID_TOKEN, why);
            }
        }
    }
    verified
}

/// Ends a connection with more than the protocol's word for it, if clients are told
/// why; what ends it otherwise comes too late then, and changes nothing.
fn close_with_why(policy: &Policy, connection: &Connection, with: Disconnect, why: &str) {
    if policy.admission.tells_why {
        let Disconnect { code, reason } = with;
        connection.close_with(policy.relay.hub(), code, &format!("{reason}: {why}"));
    }
}

fn log_refused(connection: &Connection, kind: &'static str, reason: &'static str) {
    let (event, client) = ("token_refused", connection.id());
    tracing::info!(event, %client, kind, reason, "a token was refused");
}

fn authenticate(
    policy: &Policy,
    connection: &Connection,
    token: &str,
    now: u64,
) -> Result<Claims, Refusal> {
    if token.is_empty() {
        if !policy.admission.anonymous {
            policy.relay.hub().metrics().auth("failure", "no_token");
            log_refused(connection, "connection", "no_token");
            let why = "connect came without a token";
            close_with_why(policy, connection, Disconnect::BAD_REQUEST, why);
            return Err(Disconnect::BAD_REQUEST.into());
        }
        return Ok(Claims::anonymous());
    }
    let claims = verify(policy, connection, token, now).map_err(|refused| match refused {
        Refused::Expired => Refusal::Reply(ErrorCode::TokenExpired),
        Refused::Invalid(_) => Refusal::Close(Disconnect::INVALID_TOKEN),
    })?;
    if claims.user.is_anonymous() && policy.admission.no_anonymous_tokens {
        return Err(Disconnect::PERMISSION_DENIED.into());
    }
    Ok(claims)
}

/// An operator may have blocked the user, the tenant, or where the connection comes from.
fn not_blocked(
    policy: &Policy,
    registration: &Registration,
    claims: &Claims,
) -> Result<(), Disconnect> {
    let hub = policy.relay.hub();
    let Some(Known { connection, address, .. }) = registration.known() else { return Ok(()) };
    let user = (!claims.user.is_anonymous()).then(|| claims.user.as_str());
    let tenant = claims.tenant.as_ref().map(|tenant| tenant.as_str());
    let whose = Whose { client: connection.id(), user, tenant, address };
    let now = nanos(hub.clock().precise());
    if policy.usage.overrides().blocks(whose, now) {
        hub.metrics().rate_limited(Scope::Blocked.name());
        return Err(Disconnect::FORCE_DISCONNECT);
    }
    Ok(())
}

/// What the client asks of its server-side subscriptions, by channel; `recoverable`
/// if it wants to recover later whatever it asks for now.
fn positions(request: &Connect<'_>, recoverable: bool) -> BTreeMap<String, subscribe::Request> {
    let asked = request.subs.iter().map(|(channel, asked)| {
        let position = subscribe::Request {
            recover: asked.recover.then(|| subscribe::since(asked.offset, &asked.epoch)),
            recoverable: recoverable || asked.recover,
            delta: asked.delta == "fossil",
            ..subscribe::Request::default()
        };
        (channel.to_string(), position)
    });
    asked.collect()
}

/// A channel that the client names in its connect command and that nobody granted:
/// one that it could subscribe to by itself, without a token, is subscribed
/// server-side; any other is passed over, because SDKs go on naming the server-side
/// subscriptions that they once had.
///
/// # Errors
/// If the namespace is not known.
fn chosen(
    policy: &Policy,
    connection: &Connection,
    identity: &Identity,
    name: String,
) -> Result<Option<Authorized<Subscribe>>, Refusal> {
    let Ok(channel) = Channel::parse(&name) else { return Ok(None) };
    let namespace = match policy.namespaces.of(&channel) {
        Ok(namespace) => namespace,
        Err(Denied::BadName) => return Ok(None),
        Err(_) => return Err(Disconnect::BAD_REQUEST.into()),
    };
    if namespace.data_format == DataFormat::Binary && connection.encoding() == Encoding::Json {
        // A subscribe of its own would be refused, and this would end the connect.
        return Ok(None);
    }
    let wish = Subscribe { channel };
    Ok(identity.authorize_subscribe(&policy.namespaces, wish).ok())
}

impl Actor {
    /// Verifies a subscription token of this connection for `channel`.
    pub(super) fn verify(
        &self,
        token: &str,
        channel: &Channel,
    ) -> Result<(Authorized<Subscribe>, Grant), Refusal> {
        let now = self.policy.unix_now();
        let Some(verifier) = &self.policy.verifier else {
            return Err(ErrorCode::PermissionDenied.into());
        };
        let client = self.connection.id().to_string();
        let verified =
            verifier.authorize_subscribe(token, now, &self.identity.user, &client, channel);
        let (wish, claims) = verified.map_err(|denied| {
            log_refused(&self.connection, "subscription", denied.reason());
            match denied {
                TokenDenied::Expired => Refusal::Reply(ErrorCode::TokenExpired),
                TokenDenied::Invalid(why) if self.policy.admission.tells_why => {
                    Refusal::Explained(ErrorCode::PermissionDenied, why)
                }
                TokenDenied::Invalid(_) => ErrorCode::PermissionDenied.into(),
                TokenDenied::Mismatch => Disconnect::INVALID_TOKEN.into(),
            }
        })?;
        still_good(claims.expires_at, now)?;
        Ok((wish, Grant { expires_at: claims.expires_at, options: claims.options }))
    }
}
