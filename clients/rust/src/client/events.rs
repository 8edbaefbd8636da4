//! Events on their way to the application: bounded in number and in bytes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sealcast_wire::Publication;
use sealcast_wire::reply::ClientInfo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{Event, SubscriptionEvent};

/// What an event takes besides its payload, in bytes, about.
const OVERHEAD: usize = 128;

/// The events of a client or of a subscription, in order. Also a
/// [`futures_core::Stream`].
///
/// Read them all the time. While more wait than
/// [`crate::Config::event_buffer`] or [`crate::Config::event_bytes`] allow, the
/// client takes nothing more from the server, so that nothing grows: replies
/// wait behind the events, calls run into their timeouts, and after some time the
/// server ends the connection, because it gets no answer to its pings, or has too
/// much waiting for this client. Nothing is left out by that: when the events are
/// read again, the client comes back and recovers like after any lost connection.
///
/// Who wants no events drops this; they are thrown away then.
#[must_use = "without a reader the client stops; drop it to throw events away"]
pub struct Events<T> {
    queue: mpsc::Receiver<Held<T>>,
}

impl<T> Events<T> {
    /// The next event; none when the client is gone or the subscription was
    /// removed.
    pub async fn next(&mut self) -> Option<T> {
        self.queue.recv().await.map(|held| held.event)
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<T> {
        self.queue.try_recv().ok().map(|held| held.event)
    }
}

impl<T> Stream for Events<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let held = ready!(self.queue.poll_recv(context));
        Poll::Ready(held.map(|held| held.event))
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} unread)", self.queue.len())
    }
}

/// The bytes that unread events may hold, shared by all streams of a client.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    most: u32,
}

impl Budget {
    pub(super) fn new(most: usize) -> Budget {
        let most = most.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Budget {
            bytes: Arc::new(Semaphore::new(most)),
            most: u32::try_from(most).unwrap_or(u32::MAX),
        }
    }

    fn price(&self, event: &impl Weight) -> u32 {
        u32::try_from(event.weight()).unwrap_or(u32::MAX).min(self.most)
    }
}

/// Where events go in.
#[derive(Debug)]
pub(super) struct Sink<T> {
    queue: mpsc::Sender<Held<T>>,
    budget: Budget,
}

struct Held<T> {
    event: T,
    _bytes: OwnedSemaphorePermit,
}

/// Room for one event.
pub(super) struct Slot<'a, T> {
    queue: mpsc::Permit<'a, Held<T>>,
    bytes: OwnedSemaphorePermit,
}

pub(super) fn stream<T>(most: usize, budget: &Budget) -> (Sink<T>, Events<T>) {
    let (sender, receiver) = mpsc::channel(most.clamp(1, Semaphore::MAX_PERMITS));
    (Sink { queue: sender, budget: budget.clone() }, Events { queue: receiver })
}

impl<T: Weight> Sink<T> {
    /// Hands the event over, or back if there is no room now. Where nobody reads
    /// any more, it is thrown away.
    pub(super) fn offer(&self, event: T) -> Result<(), T> {
        let queue = match self.queue.try_reserve() {
            Ok(queue) => queue,
            Err(mpsc::error::TrySendError::Full(())) => return Err(event),
            Err(mpsc::error::TrySendError::Closed(())) => return Ok(()),
        };
        let price = self.budget.price(&event);
        match Arc::clone(&self.budget.bytes).try_acquire_many_owned(price) {
            Ok(bytes) => queue.send(Held { event, _bytes: bytes }),
            Err(_) => return Err(event),
        }
        Ok(())
    }

    /// Waits for room for this event. None if nobody reads any more.
    pub(super) async fn room(&self, event: &T) -> Option<Slot<'_, T>> {
        let queue = self.queue.reserve().await.ok()?;
        let bytes = Arc::clone(&self.budget.bytes).acquire_many_owned(self.budget.price(event));
        tokio::select! {
            bytes = bytes => Some(Slot { queue, bytes: bytes.ok()? }),
            () = self.queue.closed() => None,
        }
    }
}

impl<T> Slot<'_, T> {
    pub(super) fn fill(self, event: T) {
        self.queue.send(Held { event, _bytes: self.bytes });
    }
}

/// How much memory an event holds, in bytes, about.
pub(super) trait Weight {
    fn weight(&self) -> usize;
}

impl Weight for Event {
    fn weight(&self) -> usize {
        OVERHEAD
            + match self {
                Event::Message(data) => data.len(),
                Event::Connected(connected) => connected.data.len(),
                Event::ServerSubscribed { subscribed, .. } => subscribed.data.len(),
                Event::ServerPublication { publication, .. } => of_publication(publication),
                Event::ServerJoin { info, .. } | Event::ServerLeave { info, .. } => of_info(info),
                _ => 0,
            }
    }
}

impl Weight for SubscriptionEvent {
    fn weight(&self) -> usize {
        OVERHEAD
            + match self {
                SubscriptionEvent::Subscribed(subscribed) => subscribed.data.len(),
                SubscriptionEvent::Publication(publication) => of_publication(publication),
                SubscriptionEvent::Join(info) | SubscriptionEvent::Leave(info) => of_info(info),
                _ => 0,
            }
    }
}

fn of_publication(publication: &Publication) -> usize {
    let tags = publication.tags.iter().map(|(key, value)| OVERHEAD + key.len() + value.len());
    publication.data.len() + publication.info.as_ref().map_or(0, of_info) + tags.sum::<usize>()
}

fn of_info(info: &ClientInfo) -> usize {
    info.user.len() + info.client.len() + info.conn_info.len() + info.chan_info.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Event {
        Event::Message(vec![0; size].into())
    }

    #[tokio::test]
    async fn both_bounds_bind() {
        let budget = Budget::new(3 * OVERHEAD + 100);
        let (sink, mut events) = stream(2, &budget);
        let (other, others) = stream::<SubscriptionEvent>(9, &budget);
        assert_eq!(sink.offer(message(0)), Ok(()));
        assert_eq!(sink.offer(message(0)), Ok(()));
        assert_eq!(sink.offer(message(0)), Err(message(0)), "two in number");
        let refused = Publication { data: vec![0; 101].into(), ..Publication::default() };
        let refused = SubscriptionEvent::Publication(refused);
        assert_eq!(other.offer(refused.clone()), Err(refused.clone()), "bytes");
        assert_eq!(events.next().await, Some(message(0)));
        assert_eq!(other.offer(refused), Ok(()));
        drop(others);
        assert_eq!(sink.offer(message(0)), Ok(()), "what was dropped holds nothing");
    }

    #[tokio::test]
    async fn what_is_too_large_waits_for_all_others() {
        let (sink, mut events) = stream(9, &Budget::new(1000));
        assert_eq!(sink.offer(message(0)), Ok(()));
        let large = message(1 << 20);
        assert_eq!(sink.offer(large.clone()), Err(large.clone()));
        assert_eq!(events.next().await, Some(message(0)));
        sink.room(&large).await.unwrap().fill(large.clone());
        assert_eq!(events.try_next(), Some(large));
    }

    #[tokio::test]
    async fn without_a_reader_there_is_always_room() {
        let (sink, events) = stream(1, &Budget::new(1));
        assert_eq!(sink.offer(message(0)), Ok(()));
        drop(events);
        for _ in 0..100 {
            assert_eq!(sink.offer(message(0)), Ok(()));
        }
        assert!(sink.room(&message(0)).await.is_none());
    }
}
