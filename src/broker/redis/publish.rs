//! How a publication goes to Redis, and within which limits over all nodes.

use std::time::Duration;

use redis::{Cmd, Value};
use sealcast_wire::{Channel, Position};

use super::super::{
    Broker as _, Charge, IDEMPOTENCY_WINDOW, IdempotencyKey, NotPublished, Outgoing, Retention,
    Unavailable,
};
use super::keys::{Kind, Name};
use super::primary::Way;
use super::{Redis, count, credit, epoch, millis, position, record, scripts};
use crate::limit::{TooMany, Wait, nanos};

impl Redis {
    /// See [`super::Broker::publish`].
    pub(super) async fn publish_freely(
        &self,
        channel: Channel,
        outgoing: Outgoing,
    ) -> Result<Option<Position>, Unavailable> {
        let fresh = fresh(&outgoing);
        let (name, command, bytes) = self.publish_command(&channel, outgoing, &fresh);
        self.published(self.router.call(Way::Kept, name, command, bytes).await?, &fresh)
    }

    /// See [`super::Broker::publish_within`].
    pub(super) async fn publish_limited(
        &self,
        channel: Channel,
        outgoing: Outgoing,
        charges: Vec<Charge>,
    ) -> Result<Option<Position>, NotPublished> {
        if charges.is_empty() {
            return Ok(self.publish_freely(channel, outgoing).await?);
        }
        if !self.alone {
            if let Err(refused) = self.charge(charges).await {
                // A retry is never refused.
                let Some(key) = &outgoing.idempotency else { return Err(refused.into()) };
                return self.known(&channel, key).await?.ok_or(refused.into());
            }
            return Ok(self.publish_freely(channel, outgoing).await?);
        }
        let once = outgoing.idempotency.is_some();
        let fresh = fresh(&outgoing);
        let (name, command, bytes) = self.publish_command(&channel, outgoing, &fresh);
        let bucket = |of: &Charge| self.names.bucket(of.scope.name(), &of.subject);
        let buckets: Vec<_> = charges.iter().map(|of| bucket(of).key(Kind::Bucket)).collect();
        let rates = charges.iter().flat_map(|charge| credit::numbers(&charge.rate));
        let counts = [u8::from(once).to_string(), buckets.len().to_string()];
        let numbers: Vec<_> = rates.chain(counts).collect();
        let command = scripts::limited(&command, &buckets, &numbers);
        match self.router.call(Way::Kept, name, command, bytes).await? {
            Value::Array(refused) => {
                let (at, wait): (usize, u64) =
                    redis::from_redis_value(Value::Array(refused)).map_err(|_| Unavailable)?;
                let charge = charges.get(at.wrapping_sub(1)).ok_or(Unavailable)?;
                let wait = Wait(nanos(Duration::from_micros(wait)));
                Err(TooMany { scope: charge.scope, wait }.into())
            }
            answer => Ok(self.published(answer, &fresh)?),
        }
    }

    /// What publishes it, under which name that lies, and of how many bytes it is.
    pub(super) fn publish_command(
        &self,
        channel: &Channel,
        outgoing: Outgoing,
        fresh: &str,
    ) -> (Name, Cmd, usize) {
        let Outgoing { publication, keep, idempotency, version, delta, passing } = outgoing;
        let flags = record::flags(delta, passing && keep.is_none());
        let name = self.names.channel(channel);
        let topic = name.key(Kind::Topic);
        match (keep, idempotency) {
            (None, None) => {
                let record = record::unkept(channel, &publication, flags);
                let bytes = record.len();
                let verb = self.mode.publish();
                let mut command = Cmd::with_capacity(3, verb.len() + topic.len() + bytes);
                command.arg(verb).arg(topic).arg(record);
                (name, command, bytes)
            }
            (None, Some(key)) => {
                let record = record::unkept(channel, &publication, flags);
                let bytes = record.len();
                let keys = [name.answer(&key)];
                let mut command = scripts::publish(self.mode).call_with(&keys, (3, bytes));
                command.arg(topic).arg(record).arg(millis(IDEMPOTENCY_WINDOW));
                (name, command, bytes)
            }
            (Some(keep), key) => {
                let body = record::flagged(channel, &publication, flags);
                let bytes = body.len();
                let mut keys = vec![name.key(Kind::Meta), name.key(Kind::Stream)];
                keys.extend(key.as_ref().map(|key| name.answer(key)));
                let mut command = scripts::publish(self.mode).call_with(&keys, (9, bytes));
                let asked = asked(&keep, self.router.incarnation(name));
                let tag: [u8; 8] = rand::random();
                command.arg(topic).arg(body).arg(count(keep.entries)).arg(&asked[..]);
                command.arg(fresh).arg(&tag);
                if key.is_some() || version.is_some() {
                    let version = version.map(|(version, of)| (format!("{version:020}"), of));
                    let (version, counts_in) = version.unwrap_or_default();
                    command.arg(millis(IDEMPOTENCY_WINDOW)).arg(version).arg(counts_in);
                }
                (name, command, bytes)
            }
        }
    }

    /// What a publish with this key was answered; `None` if there was none.
    pub(super) async fn known(
        &self,
        channel: &Channel,
        key: &IdempotencyKey,
    ) -> Result<Option<Option<Position>>, Unavailable> {
        let name = self.names.channel(channel);
        let mut command = redis::cmd("GET");
        command.arg(name.answer(key));
        match self.router.call(Way::Read, name, command, 0).await? {
            Value::Nil => Ok(None),
            answer => self.published(answer, "").map(Some),
        }
    }

    /// What a publish was answered, with this epoch for a stream that had none.
    pub(super) fn published(
        &self,
        answer: Value,
        fresh: &str,
    ) -> Result<Option<Position>, Unavailable> {
        match answer {
            Value::Int(_) => Ok(None),
            Value::BulkString(at) if at.is_empty() => Ok(None),
            Value::BulkString(at) => {
                let position = position(self.head(at)?);
                self.note_epoch(fresh, &position.epoch);
                Ok(Some(position))
            }
            _ => Err(Unavailable),
        }
    }
}

/// An epoch for the stream that it may begin; empty if it is not kept.
fn fresh(outgoing: &Outgoing) -> String {
    outgoing.keep.as_ref().map(|_| epoch::new()).unwrap_or_default()
}

/// What a publication asks for of its stream, in the form that the script compares
/// with what was asked for before: big-endian, so that a script reads it in one call.
pub(super) fn asked(keep: &Retention, incarnation: u64) -> [u8; 32] {
    let numbers = [incarnation, millis(keep.meta_ttl), count(keep.bytes), millis(keep.ttl)];
    let mut asked = [0; 32];
    for (part, number) in asked.chunks_exact_mut(8).zip(numbers) {
        part.copy_from_slice(&number.to_be_bytes());
    }
    asked
}
