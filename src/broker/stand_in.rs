//! A broker for tests of the rooms above: it answers when the test says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Position};
use tokio::sync::Semaphore;

use super::{
    Away, Broker, HistoryError, HistoryQuery, Holder, IdempotencyKey, Outgoing, OverrideList, Page,
    Presence, PresenceStats, Unavailable,
};
use crate::limit::{Override, Subject};

/// Notes every call when it begins; each waits for one answer.
pub(crate) struct StandIn {
    pub(crate) calls: Mutex<Vec<String>>,
    /// Messages to other nodes, which are taken at once.
    pub(crate) told: Mutex<Vec<Bytes>>,
    answers: Semaphore,
    pub(crate) fails: Mutex<bool>,
    /// How far its clock is off.
    pub(crate) skew: Mutex<Duration>,
    /// What every stream has; nothing unless said.
    pub(crate) page: Mutex<Option<Page>>,
}

impl StandIn {
    /// Gives the first `answers` answers without being asked.
    pub(crate) fn new(answers: usize) -> Arc<StandIn> {
        Arc::new(StandIn {
            calls: Mutex::default(),
            told: Mutex::default(),
            answers: Semaphore::new(answers),
            fails: Mutex::new(false),
            skew: Mutex::default(),
            page: Mutex::new(None),
        })
    }

    /// Lets `count` calls be answered.
    pub(crate) fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }

    fn call(&self, name: &str, channel: &Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        let call = format!("{name} {channel}");
        Box::pin(async move {
            self.calls.lock().push(call);
            self.answers.acquire().await.map_err(|_| Unavailable)?.forget();
            if *self.fails.lock() { Err(Unavailable) } else { Ok(()) }
        })
    }
}

impl Broker for StandIn {
    fn publish(
        &self,
        channel: Channel,
        _: Outgoing,
    ) -> BoxFuture<'_, Result<Option<Position>, Unavailable>> {
        Box::pin(async move { self.call("publish", &channel).await.map(|()| None) })
    }

    fn answered(
        &self,
        _: Channel,
        _: IdempotencyKey,
    ) -> BoxFuture<'_, Result<Option<Option<Position>>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn announce(
        &self,
        channel: Channel,
        _: Arc<ClientInfo>,
        came: bool,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call(if came { "join" } else { "leave" }, &channel)
    }

    fn history(
        &self,
        channel: Channel,
        _: HistoryQuery,
        _: Duration,
    ) -> BoxFuture<'_, Result<Page, HistoryError>> {
        Box::pin(async move {
            self.call("history", &channel).await?;
            let position = Position { offset: 0, epoch: "epoch".into() };
            let empty = Page { publications: Vec::new(), position };
            Ok(self.page.lock().clone().unwrap_or(empty))
        })
    }

    fn remove_history(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("remove_history", &channel)
    }

    fn enter(
        &self,
        channel: Channel,
        _: Arc<ClientInfo>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("enter", &channel)
    }

    fn exit(&self, channel: Channel, _: String) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("exit", &channel)
    }

    fn presence(&self, channel: Channel) -> BoxFuture<'_, Result<Presence, Unavailable>> {
        Box::pin(async move { self.call("presence", &channel).await.map(|()| Presence::new()) })
    }

    fn presence_stats(
        &self,
        channel: Channel,
    ) -> BoxFuture<'_, Result<PresenceStats, Unavailable>> {
        Box::pin(async move {
            self.call("presence_stats", &channel).await.map(|()| PresenceStats::default())
        })
    }

    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("subscribe", &channel)
    }

    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("unsubscribe", &channel)
    }

    fn put_once(
        &self,
        _: [u8; 32],
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn take_once(&self, _: [u8; 32]) -> BoxFuture<'_, Result<Option<Bytes>, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn tell(&self, message: Bytes) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.told.lock().push(message);
            Ok(())
        })
    }

    fn is_shared(&self) -> bool {
        false
    }

    // Who is the only one has counted them already.
    fn hold(&self, _: Holder, _: Option<usize>) -> BoxFuture<'_, Result<bool, Away>> {
        Box::pin(async { Ok(true) })
    }

    fn release(&self, _: &Holder) {}

    fn set_override(&self, _: Override, _: Duration) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(true) })
    }

    fn remove_override(&self, _: Subject) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }

    fn overrides(&self, _: String) -> BoxFuture<'_, Result<Option<OverrideList>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn probe(&self, _: u64) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }

    fn skew(&self) -> Duration {
        *self.skew.lock()
    }
}
