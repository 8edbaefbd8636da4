//! Subscribing: what is granted, what is recovered, and going live.

use std::sync::Arc;

use bytes::Bytes;
use sealcast_wire::filter::{BadFilter, Filter};
use sealcast_wire::reply::{Body, ClientInfo, SubscribeResult};
use sealcast_wire::{
    Channel, Disconnect, Encoding, Epoch, ErrorCode, Position, Publication, Reply, json,
};

use super::client::Refusal;
use super::operation::Actor;
use crate::auth::{
    Authorized, DataFormat, Identity, Namespace, RecoveryMode, Subscribe, SubscriptionOptions,
};
use crate::broker::{HistoryError, HistoryQuery, Page, Retention, Since};
use crate::hub::{NotAdded, Noted, Selection, Terms, Traces, Wants, for_delta};
use crate::relay::Joined;

/// Bit of `flag`: an error instead of a subscription that is not recovered.
const REJECT_UNRECOVERED: i64 = 2;

/// What a client asks for with a subscribe.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// 0 and below is a stream.
    pub(super) kind: i32,
    pub(super) recover: Option<Since>,
    pub(super) positioned: bool,
    pub(super) recoverable: bool,
    pub(super) join_leave: bool,
    pub(super) delta: bool,
    pub(super) filter: Option<Result<Box<Filter>, BadFilter>>,
    pub(super) flag: i64,
    /// A subscription token; empty if there is none.
    pub(super) token: String,
}

impl Request {
    /// Bytes of memory beside its own.
    pub(super) fn bytes(&self) -> usize {
        let filter = self.filter.as_ref().and_then(|filter| filter.as_ref().ok());
        self.token.len() + filter.map_or(0, |filter| filter.bytes())
    }
}

/// What a token or a backend says of a subscription.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// When it ends, Unix seconds; `None` if never.
    pub expires_at: Option<u64>,
    /// How to subscribe.
    pub options: SubscriptionOptions,
}

/// How often it is read again if something may have been missed meanwhile; then the
/// client is told to subscribe anew.
const READ_AGAIN: usize = 3;

/// What is granted of it (protocol: options granted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Granted {
    positioned: bool,
    recoverable: bool,
    membership: bool,
    delta: bool,
}

/// A subscription that is made, with what to tell of it, and that is not live yet.
pub(super) struct Made {
    joined: Joined,
    channel: Channel,
    position: Option<Position>,
    pub(super) result: SubscribeResult,
    traces: Traces,
    who: Arc<ClientInfo>,
    server_side: bool,
    terms: Option<Terms>,
}

/// Makes a subscription of the client itself, and replies (protocol: subscribe,
/// decision order).
pub(super) async fn subscribe(
    actor: &Actor,
    id: u32,
    channel: Channel,
    request: Request,
) -> Result<(), Refusal> {
    let Actor { policy, connection, identity } = actor;
    if connection.is_subscribed(&channel) {
        return Err(ErrorCode::AlreadySubscribed.into());
    }
    if connection.subscription_count() >= policy.limits.channels_per_connection {
        return Err(ErrorCode::LimitExceeded.into());
    }
    policy.namespaces.of(&channel)?;
    match request.kind {
        ..=0 => {}
        1..=3 => return Err(ErrorCode::PermissionDenied.into()),
        4.. => return Err(ErrorCode::BadRequest.into()),
    }
    let (wish, grant) = if request.token.is_empty() {
        let wish = Subscribe { channel };
        (identity.authorize_subscribe(&policy.namespaces, wish).map_err(ErrorCode::from)?, None)
    } else {
        let (wish, grant) = actor.verify(&request.token, &channel)?;
        (wish, Some(grant))
    };
    let reject = request.flag & REJECT_UNRECOVERED != 0;
    let made = make(actor, wish, request, grant, false).await?;
    let caching =
        policy.namespaces.of(&made.channel).map(|one| one.recovery_mode) == Ok(RecoveryMode::Cache);
    let SubscribeResult { was_recovering, recoverable, recovered, .. } = made.result;
    if reject && !caching && was_recovering && recoverable && !recovered {
        let Made { joined, channel, traces, who, .. } = made;
        drop(joined);
        withdraw(actor, channel, traces, &who).await;
        return Err(ErrorCode::UnrecoverablePosition.into());
    }
    let body = Body::Subscribe(Box::new(made.result.clone()));
    let reply = connection.frame(&Reply { id, body });
    made.go_live(actor, Some(reply)).await
}

/// Makes a subscription: joins, and reads what is to be recovered.
pub(super) async fn make(
    actor: &Actor,
    wish: Authorized<Subscribe>,
    request: Request,
    grant: Option<Grant>,
    server_side: bool,
) -> Result<Made, Refusal> {
    let Actor { policy, connection, identity } = actor;
    let channel = wish.get().channel.clone();
    let namespace = policy.namespaces.of(&channel)?;
    let overridden = grant.as_ref().map(|grant| namespace.with(grant.options.overrides));
    let namespace = overridden.as_ref().unwrap_or(namespace);
    if !actor.may_get(namespace.data_format) {
        return Err(ErrorCode::BadRequest.into());
    }
    let keep = policy.retention(namespace);
    let granted = decide(namespace, identity, &request);
    let filter = match request.filter {
        None => None,
        Some(Ok(filter)) if namespace.allow_tags_filter => {
            let kept = policy.relay.hub().select(*filter);
            Some(kept.ok_or(ErrorCode::LimitExceeded)?)
        }
        Some(_) => return Err(ErrorCode::BadRequest.into()),
    };
    let wants = Wants {
        positioned: granted.positioned && keep.is_some(),
        delta: granted.delta,
        filter,
        membership: granted.membership,
        server_side,
        json_only: actor.reads_json() && !namespace.data_format.is_json(),
    };
    let filter = wants.filter.clone();
    let joined = policy.relay.subscribe(wish, connection, wants).await?;

    let mut result = SubscribeResult {
        was_recovering: request.recover.is_some(),
        delta: granted.delta,
        ..SubscribeResult::default()
    };
    let mut terms = None;
    if let Some(Grant { expires_at, options }) = grant {
        let (expires, expiry) = actor.expiry(expires_at);
        if !server_side {
            result.expiry = expiry;
        }
        let data = options.data.filter(|data| data.is_json() || !actor.reads_json());
        result.data = data.map(|data| data.bytes().clone()).unwrap_or_default();
        let says_something = expires.is_some() || !options.info.is_empty();
        terms = says_something.then_some(Terms { expires, info: options.info });
    }
    let keep = keep.filter(|_| granted.positioned);
    let reading = keep.map(|keep| {
        let since = request.recover.filter(|_| granted.recoverable);
        Reading { actor, channel: &channel, namespace, granted, filter, since, keep }
    });
    let mut position = match &reading {
        Some(reading) => Some(reading.put_into(&mut result).await?),
        None => None,
    };

    let traces = Traces { present: namespace.presence, announced: namespace.join_leave };
    let info = terms.as_ref().map(|terms| terms.info.clone()).unwrap_or_default();
    let who = Arc::new(actor.info(info));
    // Before it enters, so that it is cleaned up whatever happens meanwhile.
    if traces != Traces::default() {
        connection.note_traces(&channel, traces);
    }
    if traces.present {
        let entered = policy.relay.broker().enter(channel.clone(), Arc::clone(&who)).await;
        if position.is_some() {
            entered?;
        }
        // Without a position it stands also while the broker is away, which lets the
        // client in when it is back.
    }
    // What was missed while it was read, or since, is in what is read now.
    for _ in 0..READ_AGAIN {
        let Some(reading) = reading.as_ref().filter(|_| joined.reads_again()) else { break };
        match reading.put_into(&mut result).await {
            Ok(read) => position = Some(read),
            Err(refusal) => {
                withdraw(actor, channel, traces, &who).await;
                return Err(refusal);
            }
        }
    }
    if result.was_recovering && granted.positioned && granted.recoverable {
        policy.relay.hub().metrics().recovery(result.recovered);
    }
    Ok(Made { joined, channel, position, result, traces, who, server_side, terms })
}

/// What a subscription with a position reads before it is told.
struct Reading<'a> {
    actor: &'a Actor,
    channel: &'a Channel,
    namespace: &'a Namespace,
    granted: Granted,
    filter: Option<Arc<Selection>>,
    /// Where it wants to go on.
    since: Option<Since>,
    keep: Retention,
}

impl Reading<'_> {
    /// Reads it, and answers where the subscription goes on.
    async fn put_into(&self, result: &mut SubscribeResult) -> Result<Position, Refusal> {
        let Reading { actor, channel, namespace, granted, filter, since, keep } = self;
        let automatic = namespace.auto_cache_recover && granted.recoverable;
        let caching = namespace.recovery_mode == RecoveryMode::Cache;
        let read = match since.clone() {
            None if caching && automatic => {
                result.was_recovering = true;
                cached(actor, channel, None, keep).await
            }
            None => top(actor, channel, keep).await,
            Some(since) if caching => cached(actor, channel, Some(since), keep).await,
            Some(since) => missed(actor, channel, since, keep).await,
        }?;
        let wanted =
            |one: &&Arc<Publication>| filter.as_ref().is_none_or(|filter| filter.takes(one));
        let publications = read.publications.iter().filter(wanted);
        actor.can_read(namespace.data_format, publications.clone())?;
        result.publications = written(publications, granted.delta, actor.connection.encoding());
        result.recovered = read.recovered;
        result.positioned = true;
        result.recoverable = granted.recoverable;
        result.epoch = read.top.epoch.to_string();
        result.offset = read.told;
        Ok(read.top)
    }
}

impl Made {
    /// Writes the reply or push that tells of it, goes live, and announces it.
    pub(super) async fn go_live(self, actor: &Actor, told: Option<Bytes>) -> Result<(), Refusal> {
        let Made { joined, channel, position, traces, who, server_side, terms, .. } = self;
        let Actor { policy, connection, .. } = actor;
        let noted = Noted { most: policy.limits.channels_per_connection, server_side, terms };
        match joined.go_live(connection, noted, position, told) {
            Ok(()) => {}
            // Nobody waits for the reply; the traces are cleaned up with the connection.
            Err(NotAdded::Ending) => return Ok(()),
            Err(NotAdded::Twice) => return Err(ErrorCode::AlreadySubscribed.into()),
            Err(NotAdded::TooMany) => {
                // Subscribes that ran side by side: this one came too late.
                withdraw(actor, channel, traces, &who).await;
                return Err(ErrorCode::LimitExceeded.into());
            }
        }
        if traces.announced {
            // Others may miss it when the broker is away; the subscription stands.
            let _ = policy.relay.broker().announce(channel, who, true).await;
        }
        Ok(())
    }
}

impl Actor {
    pub(super) fn reads_json(&self) -> bool {
        self.connection.encoding() == Encoding::Json
    }

    /// Whether the client could read publications of this format.
    pub(super) fn may_get(&self, format: DataFormat) -> bool {
        format != DataFormat::Binary || !self.reads_json()
    }

    /// Whether the client can read all of these, of a channel of this format.
    pub(super) fn can_read<'a>(
        &self,
        format: DataFormat,
        mut publications: impl Iterator<Item = &'a Arc<Publication>>,
    ) -> Result<(), Disconnect> {
        let fine = format.is_json()
            || !self.reads_json()
            || publications.all(|one| json::is_value(&one.data));
        if fine { Ok(()) } else { Err(Disconnect::INAPPROPRIATE_PROTOCOL) }
    }
}

/// Takes back what a subscription that never became one left at the broker.
async fn withdraw(actor: &Actor, channel: Channel, traces: Traces, who: &Arc<ClientInfo>) {
    actor.connection.take_traces(&channel);
    // Nobody was told that it came.
    let traces = Traces { announced: false, ..traces };
    let _ = actor.policy.relay.clean_up(channel, traces, who).await;
}

fn decide(namespace: &Namespace, identity: &Identity, request: &Request) -> Granted {
    // What only a subscriber may read, it may once it is one.
    let may_read_history = identity.may_read(namespace.read_history, true);
    let may_read_presence = identity.may_read(namespace.read_presence, true);
    let recoverable = namespace.history.is_some()
        && (namespace.force_recovery
            || request.recoverable && (namespace.allow_recovery || may_read_history));
    let positioned = namespace.history.is_some()
        && (recoverable
            || namespace.force_positioning
            || request.positioned && (namespace.allow_positioning || may_read_history));
    Granted {
        positioned,
        recoverable,
        membership: namespace.join_leave
            && (namespace.force_push_join_leave || request.join_leave && may_read_presence),
        delta: request.delta && namespace.allow_delta && request.filter.is_none(),
    }
}

/// What was read of a stream for a subscription.
struct Read {
    publications: Vec<Arc<Publication>>,
    recovered: bool,
    /// Where the subscription goes on.
    top: Position,
    /// The offset that the client is told.
    told: u64,
}

impl Read {
    fn nothing(top: Position) -> Read {
        Read { publications: Vec::new(), recovered: false, told: top.offset, top }
    }
}

/// The stream's top, and nothing else.
async fn top(actor: &Actor, channel: &Channel, keep: &Retention) -> Result<Read, Refusal> {
    let page = actor.policy.relay.read(channel, HistoryQuery::default(), keep).await?;
    Ok(Read::nothing(page.position))
}

/// Everything since a position, if it can be had without a hole.
async fn missed(
    actor: &Actor,
    channel: &Channel,
    since: Since,
    keep: &Retention,
) -> Result<Read, Refusal> {
    let from = since.offset;
    let most = actor.policy.limits.recovery_publications;
    let page = match actor.policy.relay.recover(channel, since, keep, most).await {
        Ok(page) => page,
        Err(HistoryError::Unrecoverable(_)) => return top(actor, channel, keep).await,
        Err(error) => return Err(error.into()),
    };
    let (first, last) = (page.publications.first(), page.publications.last());
    let recovered = match (first, last) {
        (Some(first), Some(last)) => {
            first.offset == from + 1 && last.offset == page.position.offset
        }
        _ => page.position.offset == from,
    };
    if !recovered {
        return Ok(Read::nothing(page.position));
    }
    Ok(Read { publications: page.publications, recovered, top: page.position, told: from })
}

/// The latest publication, unless the client has it.
async fn cached(
    actor: &Actor,
    channel: &Channel,
    since: Option<Since>,
    keep: &Retention,
) -> Result<Read, Refusal> {
    let query = HistoryQuery { limit: 1, since: None, reverse: true };
    let page = actor.policy.relay.read(channel, query, keep).await?;
    let Page { mut publications, position } = page;
    let recovered = publications.first().is_some_and(|latest| latest.offset == position.offset);
    let has = |since: &Since| since.offset == position.offset && *since.epoch == *position.epoch;
    if !recovered || since.as_ref().is_some_and(has) {
        publications.clear();
    }
    let told = since.map_or(0, |since| since.offset);
    Ok(Read { publications, recovered, told, top: position })
}

/// As the subscriber reads them: for deltas the first whole, the others against
/// the one before.
fn written<'a>(
    publications: impl Iterator<Item = &'a Arc<Publication>>,
    delta: bool,
    encoding: Encoding,
) -> Vec<Publication> {
    if !delta {
        return publications.map(|one| (**one).clone()).collect();
    }
    let mut before: Option<&Publication> = None;
    publications
        .map(|one| {
            let written = for_delta(one, before, encoding);
            before = Some(one);
            written
        })
        .collect()
}

/// A position as a command gives it.
pub(super) fn since(offset: u64, epoch: &str) -> Since {
    Since { offset, epoch: Epoch::from(epoch) }
}
