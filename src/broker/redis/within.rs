//! Publishing within limits over all nodes.

use std::time::Duration;

use redis::Value;
use sealcast_wire::{Channel, Position};

use super::super::{Broker as _, Charge, IdempotencyKey, NotPublished, Outgoing, Unavailable};
use super::keys::Kind;
use super::primary::Way;
use super::{Redis, credit, epoch, position, scripts};
use crate::limit::{TooMany, Wait, nanos};

impl Redis {
    /// See [`super::Broker::publish_within`].
    pub(super) async fn publish_limited(
        &self,
        channel: Channel,
        outgoing: Outgoing,
        charges: Vec<Charge>,
    ) -> Result<Option<Position>, NotPublished> {
        if charges.is_empty() {
            return Ok(self.publish(channel, outgoing).await?);
        }
        if let Some(credits) = &self.credits {
            let taken = credits.take((&self.names, &self.router), &charges).await;
            if let Err(refused) = taken {
                // A retry is never refused.
                let known = self.known(&channel, outgoing.idempotency.as_ref()).await?;
                return known.ok_or(refused);
            }
            return Ok(self.publish(channel, outgoing).await?);
        }
        let once = outgoing.idempotency.is_some();
        let fresh = epoch::new();
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

    /// What a publish with this key was answered; `None` if there was none.
    async fn known(
        &self,
        channel: &Channel,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Option<Position>>, Unavailable> {
        let Some(key) = key else { return Ok(None) };
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
