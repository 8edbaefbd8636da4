//! Work that is begun in order before what went ahead of it has ended, so that the
//! trips to the broker of many publications are one.

use std::collections::VecDeque;
use std::task::Poll;

use futures_util::future::BoxFuture;

/// How many may be under way.
const AT_ONCE: usize = 64;

/// Outcomes in the order in which the work was begun.
pub(super) struct Ahead<'a, T> {
    done: Vec<T>,
    begun: VecDeque<Begun<'a, T>>,
}

enum Begun<'a, T> {
    Done(T),
    Waits(BoxFuture<'a, T>),
}

impl<'a, T> Ahead<'a, T> {
    /// For about so many.
    pub(super) fn of(count: usize) -> Ahead<'a, T> {
        Ahead { done: Vec::with_capacity(count), begun: VecDeque::new() }
    }

    /// Begins some work: all of it up to where it has to wait. A publication is on
    /// its way then, behind those that were begun earlier.
    pub(super) async fn begin(&mut self, mut work: BoxFuture<'a, T>) {
        if self.begun.len() >= AT_ONCE {
            self.end_first().await;
        }
        match futures_util::poll!(&mut work) {
            Poll::Ready(outcome) if self.begun.is_empty() => self.done.push(outcome),
            Poll::Ready(outcome) => self.begun.push_back(Begun::Done(outcome)),
            Poll::Pending => self.begun.push_back(Begun::Waits(work)),
        }
    }

    /// Waits for everything that was begun; all outcomes so far.
    pub(super) async fn end(&mut self) -> &[T] {
        while !self.begun.is_empty() {
            self.end_first().await;
        }
        &self.done
    }

    async fn end_first(&mut self) {
        let outcome = match self.begun.pop_front() {
            Some(Begun::Done(outcome)) => outcome,
            Some(Begun::Waits(work)) => work.await,
            None => return,
        };
        self.done.push(outcome);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn all_is_begun_at_once_and_ends_in_order() {
        let (log, gate) = (parking_lot::Mutex::new(Vec::new()), Semaphore::new(0));
        let (log, gate) = (&log, &gate);
        let mut ahead = Ahead::of(3);
        for number in 0..3 {
            ahead
                .begin(Box::pin(async move {
                    log.lock().push(number);
                    if number != 1 {
                        let _ = gate.acquire().await;
                    }
                    number
                }))
                .await;
        }
        assert_eq!(*log.lock(), [0, 1, 2], "none waited for another");
        gate.add_permits(1);
        assert_eq!(ahead.end().await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn no_more_than_some_are_under_way() {
        let count = parking_lot::Mutex::new((0_usize, 0_usize));
        let mut ahead = Ahead::of(0);
        for _ in 0..AT_ONCE * 3 {
            ahead
                .begin(Box::pin(async {
                    {
                        let mut count = count.lock();
                        count.0 += 1;
                        count.1 = count.1.max(count.0);
                    }
                    tokio::task::yield_now().await;
                    count.lock().0 -= 1;
                }))
                .await;
        }
        assert_eq!(ahead.end().await.len(), AT_ONCE * 3);
        assert_eq!(*count.lock(), (0, AT_ONCE));
    }
}
