//! Reading a stream for a subscription: from the node's tail if that reaches back
//! far enough, else at the broker, once for everyone who asks the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sealcast_wire::Channel;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::Relay;
use crate::broker::{
    CALL_TIMEOUT, HistoryError, HistoryQuery, Page, Retention, Since, Unavailable,
};

impl Relay {
    /// Everything of the stream behind `since`, at most `most` publications; the
    /// page's position is where live publications go on for a subscriber that has
    /// joined before the call.
    ///
    /// # Errors
    /// If `since` is of another stream, or the broker could not tell in time.
    pub async fn recover(
        &self,
        channel: &Channel,
        since: Since,
        keep: &Retention,
        most: usize,
    ) -> Result<Page, HistoryError> {
        let tail = || {
            // A node that may be deaf must not say that nothing is missing.
            let hears = self.is_ready(self.hub.clock().now());
            self.tails.behind(channel, &since, keep, most).filter(|_| hears)
        };
        if let Some(page) = tail() {
            self.hub.metrics().recoveries_from_tail.increment(1);
            return Ok(page);
        }
        let query = HistoryQuery { limit: most, since: Some(since.clone()), reverse: false };
        let asked = AtomicBool::new(false);
        let read = self.reads.read((channel.clone(), query));
        let answer = read.answer(|(_, query)| {
            Box::pin(async {
                // Whoever read just before has left it there.
                if let Some(page) = tail() {
                    return Ok(page);
                }
                asked.store(true, Ordering::Relaxed);
                let mark = self.tails.mark(channel);
                let page = self.broker.history(channel.clone(), query, keep.meta_ttl).await?;
                self.tails.fill(channel, mark, &since, &page, keep);
                Ok(page)
            })
        });
        let page = answer.await?;
        // Also of those who got what somebody else has read.
        if !asked.load(Ordering::Relaxed) {
            self.hub.metrics().recoveries_from_tail.increment(1);
        }
        Ok(page)
    }

    /// A page of the stream as it is after the call began.
    ///
    /// # Errors
    /// As [`crate::broker::Broker::history`].
    pub async fn read(
        &self,
        channel: &Channel,
        query: HistoryQuery,
        keep: &Retention,
    ) -> Result<Page, HistoryError> {
        let read = self.reads.read((channel.clone(), query));
        let answer =
            read.answer(|(channel, query)| self.broker.history(channel, query, keep.meta_ttl));
        answer.await
    }
}

type Key = (Channel, HistoryQuery);
type Answer = Result<Page, HistoryError>;

/// Reads under way. After a crowd has been cut off, most of it asks for the same.
#[derive(Default)]
pub(super) struct Reads(Mutex<HashMap<Key, Arc<Line>>>);

/// Those who ask the same: one read runs, and everyone who comes meanwhile shares
/// the next one. Nobody shares a read that began before they asked, for what was
/// published in between would be missing from both the page and their queue.
#[derive(Default)]
struct Line {
    running: tokio::sync::Mutex<()>,
    next: Mutex<Arc<OnceCell<Answer>>>,
}

/// Someone who asks; the line goes with the last of them.
struct Read<'a> {
    reads: &'a Reads,
    key: Key,
    line: Option<Arc<Line>>,
}

impl Reads {
    fn read(&self, key: Key) -> Read<'_> {
        let line = Arc::clone(self.0.lock().entry(key.clone()).or_default());
        Read { reads: self, key, line: Some(line) }
    }
}

impl Read<'_> {
    async fn answer<'b>(
        &self,
        ask: impl FnOnce(Key) -> futures_util::future::BoxFuture<'b, Answer>,
    ) -> Answer {
        let Some(line) = &self.line else { return Err(Unavailable.into()) };
        let mine = Arc::clone(&line.next.lock());
        let turn = timeout(CALL_TIMEOUT, line.running.lock()).await.map_err(|_| Unavailable)?;
        let answer = mine.get_or_init(|| {
            *line.next.lock() = Arc::default();
            ask(self.key.clone())
        });
        let answer = answer.await.clone();
        drop(turn);
        answer
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        let mut lines = self.reads.0.lock();
        self.line = None;
        // The map's own reference is the last.
        if lines.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use sealcast_wire::{Position, Publication};
    use tokio::sync::oneshot;

    use super::*;
    use crate::broker::{Broker, Sharding, StandIn, Tails};
    use crate::hub::{Clock, Hub};
    use crate::limit::Profile;
    use crate::metrics::Metrics;

    fn key() -> Key {
        (Channel::parse("room").expect("valid"), HistoryQuery::default())
    }

    fn page(offset: u64) -> Answer {
        let position = Position { offset, epoch: "e".into() };
        Ok(Page { publications: Vec::new(), position })
    }

    fn ask(
        answered: oneshot::Receiver<Answer>,
    ) -> impl FnOnce(Key) -> futures_util::future::BoxFuture<'static, Answer> {
        |_| Box::pin(async { answered.await.expect("answered") })
    }

    fn never(_: Key) -> futures_util::future::BoxFuture<'static, Answer> {
        panic!("shares another's read")
    }

    #[tokio::test]
    async fn those_who_come_while_one_runs_share_the_next() {
        let reads = Reads::default();
        let (one, first) = oneshot::channel();
        let (two, second) = oneshot::channel();
        let (a, b, c) = (reads.read(key()), reads.read(key()), reads.read(key()));
        let mut a = Box::pin(a.answer(ask(first)));
        assert!(poll!(a.as_mut()).is_pending(), "its read runs");
        let mut b = Box::pin(b.answer(ask(second)));
        let mut c = Box::pin(c.answer(never));
        assert!(poll!(b.as_mut()).is_pending() && poll!(c.as_mut()).is_pending());
        one.send(page(1)).expect("awaited");
        assert_eq!(a.await, page(1));
        assert!(poll!(b.as_mut()).is_pending() && poll!(c.as_mut()).is_pending());
        two.send(page(2)).expect("awaited");
        assert_eq!((b.await, c.await), (page(2), page(2)), "not the read from before they asked");
    }

    #[tokio::test]
    async fn those_who_waited_find_in_the_tail_what_was_read() {
        let (broker, sharding) = (StandIn::new(0), Sharding::new(1));
        let hub = Hub::new(1, &Profile::Standard.limits(), Clock::start(), Metrics::new("test"));
        let (tails, (room, _)) = (Arc::new(Tails::new(&sharding, 1 << 20)), key());
        tails.begin(&room, tails.open(&room));
        let relay = Relay::new(hub, Arc::clone(&broker) as Arc<dyn Broker>, tails, sharding);
        relay.probes.came_back(0, relay.probes.begin(relay.hub.clock().now()));
        let publication = |offset| Arc::new(Publication { offset, ..Publication::default() });
        let position = Position { offset: 3, epoch: "e".into() };
        let page = Page { publications: (2..=3).map(publication).collect(), position };
        *broker.page.lock() = Some(page.clone());
        let long = std::time::Duration::from_secs(300);
        let keep = Retention { entries: 200, bytes: 1 << 20, ttl: long, meta_ttl: long };
        let since = || Since { offset: 1, epoch: "e".into() };
        let mut first = std::pin::pin!(relay.recover(&room, since(), &keep, 100));
        let mut second = std::pin::pin!(relay.recover(&room, since(), &keep, 100));
        assert!(poll!(first.as_mut()).is_pending() && poll!(second.as_mut()).is_pending());
        broker.answer(1);
        assert_eq!((first.await, second.await), (Ok(page.clone()), Ok(page)));
        assert_eq!(*broker.calls.lock(), ["history room"], "once");
        let told = relay.hub.metrics().render();
        assert!(told.contains("sealcast_recover_from_tail_total 1"), "{told}");
    }

    #[tokio::test]
    async fn one_that_gives_up_leaves_the_read_to_the_next() {
        let reads = Reads::default();
        {
            let (_gone, unanswered) = oneshot::channel();
            let (two, second) = oneshot::channel();
            let (a, b) = (reads.read(key()), reads.read(key()));
            let mut b = Box::pin(b.answer(ask(second)));
            {
                let mut a = Box::pin(a.answer(ask(unanswered)));
                assert!(poll!(a.as_mut()).is_pending());
                assert!(poll!(b.as_mut()).is_pending());
            }
            assert!(poll!(b.as_mut()).is_pending());
            two.send(page(2)).expect("awaited");
            assert_eq!(b.await, page(2));
        }
        assert_eq!(reads.0.lock().len(), 0, "nothing is left");
    }
}
