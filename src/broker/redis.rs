//! The broker on Redis: any number of nodes, one truth.
//!
//! Commands go through lanes ([`primary`], [`lane`]), publications come in by the
//! link ([`link`]). Whatever must be one step at Redis is a script ([`scripts`]).

mod agreement;
mod at_rest;
mod behind;
mod breaker;
mod cluster;
mod credit;
mod durability;
mod endpoint;
mod epoch;
mod fit;
mod follow;
mod health;
mod hello;
mod keys;
mod lane;
mod leases;
mod life;
mod link;
mod overrides;
mod patience;
mod place;
mod present;
mod primary;
mod publish;
mod record;
mod ring;
mod router;
mod scripts;
mod seen;
mod sentinel;
mod skew;
mod slots;
mod source;
mod start;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::{Cmd, Value};
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Epoch, Position, Publication};
use tokio::time::Instant;

use super::{
    Away, Broker, CALL_TIMEOUT, Charge, HistoryError, HistoryQuery, Holder, IdempotencyKey,
    NotPublished, Outgoing, OverrideList, Page, Presence, PresenceStats, Since, Tails, Unavailable,
    Unrecoverable,
};
use crate::limit::{self, Override, TooMany};
use crate::metrics::Metrics;
use credit::Credits;
use health::Health;
use hello::Mode;
use keys::{Kind, Name, Names};
use leases::Leases;
use link::Subject;
use patience::within;
use present::Present;
use primary::{Way, answered};
use record::{Head, Record};
use router::Router;
use seen::Seen;

pub use durability::Durability;
pub use endpoint::{BadEndpoint, Credentials, Endpoint, Tls};
pub use fit::Fault;
pub use place::Unfit;
pub use sentinel::Sentinels;
pub use start::{RedisConfig, Topology, Work};

/// The largest number that scripts are given: sums of them are still exact there.
const MOST: u64 = 1 << 50;

/// See [`Broker`] and the module's text.
pub struct Redis {
    names: Names,
    mode: Mode,
    /// Where nodes listen to each other.
    controls: Vec<Name>,
    router: Arc<Router>,
    health: Arc<Health>,
    present: Present,
    leases: Leases,
    /// For what is no publish, and for all where a publish cannot see the limits.
    credits: Credits,
    /// There is one primary, whose scripts see every limit.
    alone: bool,
    tails: Arc<Tails>,
    seen: Arc<Seen>,
    metrics: Arc<Metrics>,
}

impl Redis {
    /// The publications of a stream's entries.
    fn publications(
        &self,
        channel: &Channel,
        entries: Vec<Value>,
    ) -> Result<Vec<Arc<Publication>>, Unavailable> {
        let mut publications = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = stored(entry).ok_or(Unavailable)?;
            match record::read(channel, record) {
                Ok(Record::Publication(stored)) => publications.push(Arc::new(stored.publication)),
                other => {
                    let error = other.err().unwrap_or(record::BadRecord::Broken);
                    link::bad_record(error, &self.metrics);
                    return Err(Unavailable);
                }
            }
        }
        Ok(publications)
    }

    /// What scripts that read a stream answer: where it stands, and what comes behind.
    fn page(&self, read: Value) -> Result<(Head, std::vec::IntoIter<Value>), Unavailable> {
        let Value::Array(parts) = read else { return Err(Unavailable) };
        let mut parts = parts.into_iter();
        let Some(Value::BulkString(at)) = parts.next() else { return Err(Unavailable) };
        Ok((self.head(at)?, parts))
    }

    fn head(&self, at: Vec<u8>) -> Result<Head, Unavailable> {
        record::read_head(at).map_err(|error| {
            link::bad_record(error, &self.metrics);
            Unavailable
        })
    }

    /// A call that answers nothing worth knowing.
    async fn done(&self, name: Name, command: Cmd, bytes: usize) -> Result<(), Unavailable> {
        self.router.call(Way::Write, name, command, bytes).await.map(|_| ())
    }
}

impl Broker for Redis {
    fn publish(
        &self,
        channel: Channel,
        outgoing: Outgoing,
    ) -> BoxFuture<'_, Result<Option<Position>, Unavailable>> {
        Box::pin(self.publish_freely(channel, outgoing))
    }

    fn publish_within(
        &self,
        channel: Channel,
        outgoing: Outgoing,
        charges: Vec<Charge>,
    ) -> BoxFuture<'_, Result<Option<Position>, NotPublished>> {
        Box::pin(self.publish_limited(channel, outgoing, charges))
    }

    fn answered(
        &self,
        channel: Channel,
        key: IdempotencyKey,
    ) -> BoxFuture<'_, Result<Option<Option<Position>>, Unavailable>> {
        Box::pin(async move { self.known(&channel, &key).await })
    }

    fn charge(&self, charges: Vec<Charge>) -> BoxFuture<'_, Result<(), TooMany>> {
        Box::pin(async move { self.credits.take((&self.names, &self.router), &charges).await })
    }

    fn announce(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
        came: bool,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            let record = record::membership(&channel, &who, came);
            let bytes = record.len();
            let mut command = redis::cmd(self.mode.publish());
            command.arg(name.key(Kind::Topic)).arg(record);
            self.done(name, command, bytes).await
        })
    }

    fn history(
        &self,
        channel: Channel,
        query: HistoryQuery,
        meta_ttl: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            let incarnation = self.router.incarnation(name);
            let fresh = epoch::new();
            let command = history_command(name, &query, (&fresh, meta_ttl, incarnation));
            let read = self.router.call(Way::Read, name, command, 0).await?;
            let (head, mut rest) = self.page(read)?;
            self.note_epoch(&fresh, &head.epoch);
            let entries = match rest.next() {
                None => return Err(Unrecoverable.into()),
                Some(Value::Array(entries)) => entries,
                Some(_) => return Err(Unavailable.into()),
            };
            let publications = self.publications(&channel, entries)?;
            Ok(Page { publications, position: position(head) })
        })
    }

    fn behind(
        &self,
        channel: Channel,
        from: Position,
        most: usize,
        meta_ttl: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>> {
        Box::pin(async move { self.read_behind(&channel, from, most, meta_ttl).await })
    }

    fn remove_history(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            // The key stays as long as it would have, which is what its position says.
            let mut command = redis::cmd("XTRIM");
            command.arg(name.key(Kind::Stream)).arg("MAXLEN").arg(0);
            let erased = record::erased();
            let bytes = erased.len();
            let mut tell = redis::cmd(self.mode.publish());
            tell.arg(name.key(Kind::Topic)).arg(erased);
            // In one lane, so behind each other. A node that is not told forgets
            // what it kept when it is too old.
            let removed = self.done(name, command, 0);
            let (removed, _) = futures_util::join!(removed, self.done(name, tell, bytes));
            self.tails.forget(&channel);
            removed
        })
    }

    fn enter(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let entered = self.present.enter((&self.names, &self.router), &channel, who)?;
            answered(entered).await.map(|_| ())
        })
    }

    fn exit(&self, channel: Channel, client: String) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let left = self.present.exit((&self.names, &self.router), &channel, client)?;
            answered(left).await.map(|_| ())
        })
    }

    fn presence(&self, channel: Channel) -> BoxFuture<'_, Result<Presence, Unavailable>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            let command = present::ask(&scripts::PRESENCE, name);
            let read = self.router.call(Way::Read, name, command, 0).await?;
            let Value::Array(parts) = read else { return Err(Unavailable) };
            let mut presence = Presence::new();
            for part in parts.chunks_exact(2) {
                let [_, Value::BulkString(record)] = part else { return Err(Unavailable) };
                match present::read(&channel, record) {
                    Ok(who) => drop(presence.insert(who.client.clone(), Arc::new(who))),
                    Err(error) => {
                        link::bad_record(error, &self.metrics);
                        return Err(Unavailable);
                    }
                }
            }
            Ok(presence)
        })
    }

    fn presence_stats(
        &self,
        channel: Channel,
    ) -> BoxFuture<'_, Result<PresenceStats, Unavailable>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            let command = present::ask(&scripts::STATS, name);
            let read = self.router.call(Way::Read, name, command, 0).await?;
            match redis::from_redis_value(read) {
                Ok((clients, users)) => Ok(PresenceStats { clients, users }),
                Err(_) => Err(Unavailable),
            }
        })
    }

    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let name = self.names.channel(&channel);
            self.seen.open(&channel);
            self.router.subscribe(name, Subject::Channel(channel)).await
        })
    }

    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.router.unsubscribe(self.names.channel(&channel));
            self.tails.close(&channel);
            self.seen.close(&channel);
            Ok(())
        })
    }

    fn put_once(
        &self,
        id: [u8; 32],
        value: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let name = self.names.once(&id);
            let mut command = redis::cmd("SET");
            command.arg(name.key(Kind::Once)).arg(&*value).arg("NX").arg("PX").arg(millis(ttl));
            match self.router.call(Way::Write, name, command, value.len()).await? {
                Value::Okay => Ok(()),
                _ => Err(Unavailable),
            }
        })
    }

    fn take_once(&self, id: [u8; 32]) -> BoxFuture<'_, Result<Option<Bytes>, Unavailable>> {
        Box::pin(async move {
            let name = self.names.once(&id);
            let mut command = redis::cmd("GETDEL");
            command.arg(name.key(Kind::Once));
            match self.router.call(Way::Write, name, command, 0).await? {
                Value::Nil => Ok(None),
                Value::BulkString(value) => Ok(Some(value.into())),
                _ => Err(Unavailable),
            }
        })
    }

    /// By one primary, the same for all nodes; if that is away by the next. Every
    /// node listens at each. What was sent twice bears one counter, and is taken once.
    fn tell(&self, message: Bytes) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut told = Err(Unavailable);
            let mut rest = CALL_TIMEOUT;
            let controls = self.router.one_each(self.controls.iter().copied());
            for (left, control) in (0..controls.len()).rev().zip(controls) {
                let mut command = redis::cmd(self.mode.publish());
                command.arg(control.key(Kind::Topic)).arg(&*message);
                let done = self.done(control, command, message.len());
                // Half of the time that is left, as long as there is a next.
                let (most, began) = (if left > 0 { rest / 2 } else { rest }, Instant::now());
                told = within(most, done).await.unwrap_or(Err(Unavailable));
                rest -= began.elapsed().min(most);
                if told.is_ok() {
                    break;
                }
            }
            told
        })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn hold(&self, of: Holder, most: Option<usize>) -> BoxFuture<'_, Result<bool, Away>> {
        Box::pin(async move { self.leases.hold((&self.names, &self.router), &of, most).await })
    }

    fn release(&self, of: &Holder) {
        self.leases.release((&self.names, &self.router), of);
    }

    fn set_override(
        &self,
        one: Override,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move { overrides::set(&self.names, &self.router, &one, ttl).await })
    }

    fn remove_override(&self, of: limit::Subject) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move { overrides::remove(&self.names, &self.router, &of).await })
    }

    fn overrides(&self, known: String) -> BoxFuture<'_, Result<Option<OverrideList>, Unavailable>> {
        Box::pin(
            async move { overrides::list(&self.names, &self.router, &self.metrics, &known).await },
        )
    }

    fn probe(&self, mark: u64) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.router.probe(mark))
    }

    fn skew(&self) -> Duration {
        self.health.skews.worst()
    }
}

fn history_command(
    name: Name,
    query: &HistoryQuery,
    (fresh, meta_ttl, incarnation): (&str, Duration, u64),
) -> Cmd {
    let keys = [name.key(Kind::Meta), name.key(Kind::Stream)];
    let mut command = scripts::HISTORY.call(&keys);
    let (epoch, since) = match &query.since {
        Some(Since { offset, epoch }) => (&**epoch, Some(*offset)),
        None => ("", None),
    };
    let (first, last) = match (query.reverse, since) {
        (false, None) => ("-".to_owned(), "+"),
        (false, Some(offset)) => (offset.saturating_add(1).to_string(), "+"),
        (true, None) => ("+".to_owned(), "-"),
        (true, Some(offset)) => (offset.saturating_sub(1).to_string(), "-"),
    };
    // The largest count that Redis reads.
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    command.arg(fresh).arg(millis(meta_ttl)).arg(incarnation).arg(epoch).arg(limit);
    command.arg(first).arg(last).arg(u8::from(query.reverse));
    command
}

/// The record of a stream's entry: its only field.
fn stored(entry: Value) -> Option<Vec<u8>> {
    let Value::Array(entry) = entry else { return None };
    let Some(Value::Array(fields)) = entry.into_iter().nth(1) else { return None };
    match fields.into_iter().nth(1) {
        Some(Value::BulkString(record)) => Some(record),
        _ => None,
    }
}

fn position(head: Head) -> Position {
    Position { offset: head.offset, epoch: Epoch::from(head.epoch) }
}

/// Redis counts in milliseconds, and does not take none for an age.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(MOST, |millis| millis.clamp(1, MOST))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).map_or(MOST, |number| number.min(MOST))
}
