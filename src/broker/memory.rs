//! The embedded broker: one process, nothing outside it.

mod once;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use futures_util::TryFutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Position};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout};

use super::feed::{Delivery, Feed, Place};
use super::stream::Stream;
use super::{
    Away, Broker, CALL_TIMEOUT, Charge, HistoryError, HistoryQuery, Holder, IDEMPOTENCY_WINDOW,
    IdempotencyKey, NotPublished, Outgoing, OverrideList, Page, Presence, PresenceStats,
    Unavailable,
};
use crate::limit::{Override, Subject};
use once::Once;
use overrides::Overrides;

/// Most idempotency keys that are remembered; beyond, the oldest go early.
const MOST_KEYS: usize = 100_000;

/// What a stream costs besides its entries, roughly: it is made by whoever looks at
/// it, and stays for long.
const STREAM_BYTES: usize = 512;

/// See [`Broker`]. The order of a channel is the order in which its publications
/// are appended, which happens under one lock with the delivery to the feed.
pub struct Memory {
    feed: Feed,
    began: Instant,
    /// Bytes that all streams together may hold.
    most_bytes: usize,
    state: Mutex<State>,
    once: Mutex<Once>,
}

#[derive(Default)]
struct State {
    // Hashed under keys of their own, so that nobody can choose names that fall together.
    wanted: HashSet<Channel, RandomState>,
    streams: HashMap<Channel, Stream, RandomState>,
    bytes: usize,
    present: HashMap<Channel, BTreeMap<String, Arc<ClientInfo>>>,
    answered: HashMap<(Channel, IdempotencyKey), Option<Position>>,
    /// In order of time.
    answered_until: VecDeque<(Duration, (Channel, IdempotencyKey))>,
    overrides: Overrides,
}

impl Memory {
    /// A broker that delivers to `feed`, and keeps at most `most_bytes` of history.
    #[must_use]
    pub fn new(feed: Feed, most_bytes: usize) -> Memory {
        Memory {
            feed,
            began: Instant::now(),
            most_bytes,
            state: Mutex::default(),
            once: Mutex::default(),
        }
    }

    /// A place in the feed, if anyone here listens, and the state under which that
    /// stays so: nobody can begin to listen and miss what follows.
    async fn enter_feed(
        &self,
        channel: &Channel,
    ) -> Result<(Option<Place<'_>>, MutexGuard<'_, State>), Unavailable> {
        if let Some(entered) = self.enter_feed_now(channel) {
            return Ok(entered);
        }
        // Apart, so that it does not make larger what need not wait.
        Box::pin(async {
            loop {
                let place = self.place(channel).await?;
                let state = self.state.lock();
                if place.is_some() || !state.wanted.contains(channel) {
                    return Ok((place, state));
                }
            }
        })
        .await
    }

    /// The same where nobody here listens, or there is a place that nobody waits for.
    fn enter_feed_now(
        &self,
        channel: &Channel,
    ) -> Option<(Option<Place<'_>>, MutexGuard<'_, State>)> {
        let state = self.state.lock();
        if !state.wanted.contains(channel) {
            return Some((None, state));
        }
        let place = self.feed.shard(channel)?.place_now()?;
        Some((Some(place), state))
    }

    /// Waits for a place in the feed, if anyone here listens.
    async fn place(&self, channel: &Channel) -> Result<Option<Place<'_>>, Unavailable> {
        if !self.state.lock().wanted.contains(channel) {
            return Ok(None);
        }
        let shard = self.feed.shard(channel).ok_or(Unavailable)?;
        // Outside of tokio's budget, which would let a wait end before it has queued.
        let waiting = unconstrained(shard.place());
        let place = timeout(CALL_TIMEOUT, waiting).await.map_err(|_| Unavailable)?;
        place.map(Some)
    }

    /// See [`Broker::publish`].
    async fn put(
        &self,
        channel: Channel,
        outgoing: Outgoing,
    ) -> Result<Option<Position>, Unavailable> {
        let (place, mut state) = self.enter_feed(&channel).await?;
        let now = self.now();
        let key = outgoing.idempotency.map(|key| (channel.clone(), key));
        if let Some(answer) = key.as_ref().and_then(|key| state.answered.get(key)) {
            return Ok(answer.clone());
        }
        if let (Some((version, epoch)), Some(keep)) = (&outgoing.version, &outgoing.keep) {
            let stream = state.stream(&channel, now, keep.meta_ttl);
            if stream.is_outdated(*version, epoch) {
                return Ok(Some(stream.position()));
            }
        }
        let (publication, position) = match &outgoing.keep {
            None => (Arc::new(outgoing.publication), None),
            Some(keep) => {
                let stream = state.stream(&channel, now, keep.meta_ttl);
                let before = stream.bytes();
                let publication = stream.append(outgoing.publication, keep, now);
                let (after, position) = (stream.bytes(), stream.position());
                state.bytes = state.bytes - before + after;
                (publication, Some(position))
            }
        };
        state.shed_above(self.most_bytes, now);
        if let Some(key) = key {
            state.remember(key, position.clone(), now);
        }
        // Under the lock, so that the order of offsets is the order of the feed.
        if let Some(place) = place {
            let epoch = position.as_ref().map(|position| Arc::clone(&position.epoch));
            let (delta, passing) = (outgoing.delta, outgoing.passing && epoch.is_none());
            place.send(Delivery::Publication { channel, publication, epoch, delta, passing });
        }
        Ok(position)
    }

    /// Forgets what is over: entries by age, streams and keys by time. Called
    /// every second or so.
    pub fn sweep(&self) {
        let now = self.now();
        self.state.lock().sweep(now);
        self.once.lock().sweep(now);
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Broker for Memory {
    fn publish(
        &self,
        channel: Channel,
        outgoing: Outgoing,
    ) -> BoxFuture<'_, Result<Option<Position>, Unavailable>> {
        Box::pin(self.put(channel, outgoing))
    }

    fn publish_within(
        &self,
        channel: Channel,
        outgoing: Outgoing,
        _: Vec<Charge>,
    ) -> BoxFuture<'_, Result<Option<Position>, NotPublished>> {
        Box::pin(self.put(channel, outgoing).map_err(NotPublished::from))
    }

    fn answered(
        &self,
        channel: Channel,
        key: IdempotencyKey,
    ) -> BoxFuture<'_, Result<Option<Option<Position>>, Unavailable>> {
        Box::pin(async move { Ok(self.state.lock().answered.get(&(channel, key)).cloned()) })
    }

    fn announce(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
        came: bool,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let (place, _state) = self.enter_feed(&channel).await?;
            if let Some(place) = place {
                place.send(Delivery::Membership { channel, who, came });
            }
            Ok(())
        })
    }

    fn history(
        &self,
        channel: Channel,
        query: HistoryQuery,
        meta_ttl: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>> {
        Box::pin(async move {
            let now = self.now();
            let mut state = self.state.lock();
            let stream = state.stream(&channel, now, meta_ttl);
            let before = stream.bytes();
            stream.expire(now);
            let (after, page) = (stream.bytes(), stream.page(&query));
            state.bytes = state.bytes - before + after;
            // Looking at a stream may have made it.
            state.shed_above(self.most_bytes, now);
            Ok(page?)
        })
    }

    fn remove_history(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            if let Some(stream) = state.streams.get_mut(&channel) {
                let freed = stream.bytes();
                stream.clear();
                state.bytes -= freed;
            }
            self.feed.tails().forget(&channel);
            Ok(())
        })
    }

    fn enter(
        &self,
        channel: Channel,
        who: Arc<ClientInfo>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.state.lock().present.entry(channel).or_default().insert(who.client.clone(), who);
            Ok(())
        })
    }

    fn exit(&self, channel: Channel, client: String) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            if let Some(present) = state.present.get_mut(&channel) {
                present.remove(&client);
                if present.is_empty() {
                    state.present.remove(&channel);
                }
            }
            Ok(())
        })
    }

    fn presence(&self, channel: Channel) -> BoxFuture<'_, Result<Presence, Unavailable>> {
        Box::pin(
            async move { Ok(self.state.lock().present.get(&channel).cloned().unwrap_or_default()) },
        )
    }

    fn presence_stats(
        &self,
        channel: Channel,
    ) -> BoxFuture<'_, Result<PresenceStats, Unavailable>> {
        Box::pin(async move {
            let state = self.state.lock();
            let Some(present) = state.present.get(&channel) else {
                return Ok(PresenceStats::default());
            };
            let users: HashSet<&str> = present.values().map(|who| who.user.as_str()).collect();
            Ok(PresenceStats { clients: present.len(), users: users.len() })
        })
    }

    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            if state.wanted.insert(channel.clone()) {
                let opening = self.feed.tails().open(&channel);
                self.feed.tails().begin(&channel, opening);
            }
            Ok(())
        })
    }

    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            self.feed.tails().close(&channel);
            state.wanted.remove(&channel);
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
            let mut once = self.once.lock();
            let now = self.now();
            once.put(id, value, now.saturating_add(ttl), now)
        })
    }

    fn take_once(&self, id: [u8; 32]) -> BoxFuture<'_, Result<Option<Bytes>, Unavailable>> {
        Box::pin(async move { Ok(self.once.lock().take(&id, self.now())) })
    }

    fn tell(&self, _: Bytes) -> BoxFuture<'_, Result<(), Unavailable>> {
        // There is no other node.
        Box::pin(async { Ok(()) })
    }

    fn is_shared(&self) -> bool {
        false
    }

    // Who is the only one has counted them already.
    fn hold(&self, _: Holder, _: Option<usize>) -> BoxFuture<'_, Result<bool, Away>> {
        Box::pin(async { Ok(true) })
    }

    fn release(&self, _: &Holder) {}

    fn set_override(
        &self,
        one: Override,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let now = self.now();
        let until = now.saturating_add(ttl);
        Box::pin(async move { Ok(self.state.lock().overrides.set(one, until, now)) })
    }

    fn remove_override(&self, of: Subject) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move { Ok(self.state.lock().overrides.remove(&of, self.now())) })
    }

    fn overrides(&self, known: String) -> BoxFuture<'_, Result<Option<OverrideList>, Unavailable>> {
        Box::pin(async move { Ok(self.state.lock().overrides.list(&known, self.now())) })
    }

    fn probe(&self, mark: u64) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let sent = async {
                for shard in self.feed.shards() {
                    shard.place().await?.send(Delivery::Probe(mark));
                }
                Ok(())
            };
            timeout(CALL_TIMEOUT, sent).await.map_err(|_| Unavailable)?
        })
    }
}

impl State {
    fn stream(&mut self, channel: &Channel, now: Duration, meta_ttl: Duration) -> &mut Stream {
        self.streams.entry(channel.clone()).or_insert_with(|| Stream::new(now, meta_ttl))
    }

    fn remember(
        &mut self,
        key: (Channel, IdempotencyKey),
        answer: Option<Position>,
        now: Duration,
    ) {
        self.answered_until.push_back((now.saturating_add(IDEMPOTENCY_WINDOW), key.clone()));
        self.answered.insert(key, answer);
        while self.answered_until.len() > MOST_KEYS {
            self.forget_oldest_key();
        }
    }

    fn forget_oldest_key(&mut self) {
        if let Some((_, key)) = self.answered_until.pop_front() {
            self.answered.remove(&key);
        }
    }

    fn sweep(&mut self, now: Duration) {
        while self.answered_until.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest_key();
        }
        self.streams.retain(|_, stream| stream.forgotten_at > now);
        self.streams.values_mut().for_each(|stream| stream.expire(now));
        self.bytes = self.streams.values().map(Stream::bytes).sum();
    }

    /// What is held: entries, and the streams themselves.
    fn held(&self) -> usize {
        self.bytes + self.streams.len() * STREAM_BYTES
    }

    /// Over `most` bytes, what is too old goes first, then streams without entries,
    /// and then the oldest entries of the largest streams, until a tenth is free.
    fn shed_above(&mut self, most: usize, now: Duration) {
        if self.held() <= most {
            return;
        }
        self.sweep(now);
        let goal = most - most / 10;
        while self.held() > goal {
            if !self.drop_empty_streams(goal) && !self.halve_largest_stream() {
                return;
            }
        }
    }

    /// Those that are forgotten first go first. Whoever holds a position in one is
    /// told that it is of another stream. `false` if there were none.
    fn drop_empty_streams(&mut self, goal: usize) -> bool {
        let empty = self.streams.iter().filter(|(_, stream)| stream.bytes() == 0);
        let mut empty: Vec<_> =
            empty.map(|(channel, stream)| (stream.forgotten_at, channel.clone())).collect();
        empty.sort_unstable_by_key(|(forgotten_at, _)| *forgotten_at);
        let found = !empty.is_empty();
        for (_, channel) in empty {
            if self.held() <= goal {
                break;
            }
            self.streams.remove(&channel);
        }
        found
    }

    fn halve_largest_stream(&mut self) -> bool {
        let largest = self.streams.values_mut().max_by_key(|stream| stream.bytes());
        let Some(largest) = largest.filter(|largest| largest.bytes() > 0) else { return false };
        let before = largest.bytes();
        while largest.bytes() > before / 2 {
            largest.drop_oldest();
        }
        self.bytes -= before - largest.bytes();
        true
    }
}

mod overrides;
#[cfg(test)]
mod tests;
