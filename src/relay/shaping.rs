//! Shaping: what clients publish to channels of cursors and drawing goes out more
//! seldom than it comes in.
//!
//! It happens on the publisher's node, before the broker, so that neither the
//! broker nor any other node sees more. A client is connected to one node only, so
//! what holds for it here holds in the cluster. What is shaped goes out of one task
//! for each shard of channels, in the order in which it came in; nobody who
//! publishes has a task or a timer of its own.

mod waits;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Publication};
use tokio::sync::Notify;

use super::Relay;
use crate::auth::Shaping;
use crate::broker::{Outgoing, Unavailable};
use crate::limit::Cap;
use crate::metrics::Shaped;
use waits::{Message, Outcome, Ready, Waits};

/// The shortest time between two turns of a shard: what comes within goes out
/// together, and is written to each subscriber at once.
const GRAIN: Duration = Duration::from_millis(5);
/// Publications of a shard that the broker has not answered. With so many it gets no
/// more, and what waits is merged, or holds back who publishes.
const MOST_ON_THE_WAY: usize = 1_024;
/// Bytes that wait in the node, of everybody together.
const MOST_WAITING: usize = 64 << 20;
/// What counts for a message beside its payload.
const OVERHEAD: usize = 512;

/// How a publication is shaped.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The namespace's option.
    pub shaping: Shaping,
    /// The most bytes of a joined publication.
    pub most_bytes: usize,
}

/// What waits in the channels of each shard.
pub(super) struct Shaper {
    shards: Vec<Shard>,
    bytes: Cap,
}

#[derive(Default)]
struct Shard {
    waits: Mutex<Waits>,
    /// Something is due earlier than the task knows.
    wake: Notify,
}

impl Shaper {
    pub(super) fn new(shards: usize) -> Shaper {
        let shards = (0..shards).map(|_| Shard::default()).collect();
        Shaper { shards, bytes: Cap::new(MOST_WAITING) }
    }

    /// Whether nothing waits, nor is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.taken() == 0
    }
}

impl Relay {
    /// Takes a publication in that will go out in its turn. Of what may be merged
    /// that is all; what is kept in any case is answered when the broker has it.
    ///
    /// # Errors
    /// If too much waits, or the broker could not take it in time.
    pub(super) async fn shape(
        &self,
        channel: Channel,
        (publication, publisher): (Publication, ClientInfo),
        shape: Shape,
    ) -> Result<(), Unavailable> {
        let shaper = &self.shaper;
        let shard = shaper.shards.get(self.sharding.of(&channel)).ok_or(Unavailable)?;
        let weight = publication.data.len() + OVERHEAD;
        let permit = shaper.bytes.take_many(weight).ok_or(Unavailable)?;
        let (message, answer) = Message::new(publication, permit, shape.shaping);
        let now = self.hub.clock().precise();
        let counters = self.counters(shape.shaping);
        counters.taken.increment(1);
        let taken = shard.waits.lock().take(channel, publisher, message, shape, now);
        counters.merged.increment(taken.merged);
        if taken.earlier {
            shard.wake.notify_one();
        }
        match answer {
            Some(answer) => answer.await.unwrap_or(Err(Unavailable)),
            None => Ok(()),
        }
    }

    /// Sends what is due in the channels of a shard, for ever.
    pub(super) async fn send_shaped(self: Arc<Self>, shard: usize) {
        let Some(shard) = self.shaper.shards.get(shard) else { return };
        let clock = *self.hub.clock();
        let mut on_the_way: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let mut last = Duration::ZERO;
        loop {
            let room = MOST_ON_THE_WAY.saturating_sub(on_the_way.len());
            let due = shard.waits.lock().due().filter(|_| room > 0);
            let now = clock.precise();
            let rest = due.map(|due| due.max(last + GRAIN).saturating_sub(now));
            if rest == Some(Duration::ZERO) {
                last = now;
                let mut ready = Vec::new();
                shard.waits.lock().go(now, room, &mut ready);
                for ready in ready {
                    let mut sent: BoxFuture<'_, ()> = Box::pin(self.send(shard, ready));
                    // Each is begun before the next, which is what the broker's order
                    // goes by.
                    let begun = std::future::poll_fn(|context| {
                        Poll::Ready(sent.as_mut().poll(context).is_pending())
                    });
                    if begun.await {
                        on_the_way.push(sent);
                    }
                }
                continue;
            }
            tokio::select! {
                () = shard.wake.notified() => {}
                () = tokio::time::sleep(rest.unwrap_or_default()), if rest.is_some() => {}
                Some(()) = on_the_way.next(), if !on_the_way.is_empty() => {}
            }
        }
    }

    /// Waits until nothing of shaped channels waits any more.
    pub async fn settle(&self) {
        while !self.shaper.is_empty() {
            tokio::time::sleep(GRAIN).await;
        }
    }

    async fn send(&self, shard: &Shard, mut ready: Ready) {
        let Ready { channel, publication, .. } = &ready;
        // Of drawing every point counts.
        let passing = matches!(ready.shape.shaping, Shaping::Latest { .. });
        let outgoing =
            Outgoing { publication: publication.clone(), passing, ..Outgoing::default() };
        let published = self.broker.publish(channel.clone(), outgoing).await;
        let (states, counters) = (&self.hub.metrics().states, self.counters(ready.shape.shaping));
        let count = ready.messages.len() as u64;
        match published {
            Ok(_) => {
                counters.sent.increment(1);
                counters.joined.increment(count.saturating_sub(1));
                states.published.increment(count);
            }
            Err(_) => {
                let now = self.hub.clock().precise();
                if shard.waits.lock().again(&mut ready, now) {
                    return;
                }
                counters.failed.increment(count);
                states.failed.increment(count);
            }
        }
        let outcome: Outcome = published.map(drop);
        ready.messages.into_iter().for_each(|message| message.answer(outcome));
    }

    fn counters(&self, shaping: Shaping) -> &Shaped {
        let states = &self.hub.metrics().states;
        match shaping {
            Shaping::Latest { .. } => &states.latest,
            Shaping::Batch { .. } => &states.batch,
        }
    }
}

#[cfg(test)]
mod tests;
