//! A broker for tests of the rooms above: it answers when the test says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sealcast_wire::{Channel, Publication};
use tokio::sync::Semaphore;

use super::{Broker, Unavailable};

/// Notes every call when it begins; each waits for one answer.
pub(crate) struct StandIn {
    pub(crate) calls: Mutex<Vec<String>>,
    answers: Semaphore,
    pub(crate) fails: Mutex<bool>,
}

impl StandIn {
    /// Gives the first `answers` answers without being asked.
    pub(crate) fn new(answers: usize) -> Arc<StandIn> {
        Arc::new(StandIn {
            calls: Mutex::default(),
            answers: Semaphore::new(answers),
            fails: Mutex::new(false),
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
        _: Arc<Publication>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("publish", &channel)
    }

    fn subscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("subscribe", &channel)
    }

    fn unsubscribe(&self, channel: Channel) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.call("unsubscribe", &channel)
    }

    fn probe(&self, _: u64) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}
