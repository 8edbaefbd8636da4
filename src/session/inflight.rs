//! Operations of one connection that are under way.
//!
//! Those of one channel take effect in the order in which they came, those of
//! different channels run side by side. An operation that is done at once, as
//! nearly all are, leaves no trace here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sealcast_wire::Channel;

use super::operation::{Actor, Operation};

/// Operations under way or waiting, beyond which no more input is read. What had
/// been read before is still taken up, so there can be more, by as many as one
/// read holds.
const MOST: usize = 32;

#[derive(Default)]
pub(super) struct InFlight(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    running: FuturesUnordered<Running>,
    /// Channels of what is running.
    busy: Vec<Busy>,
    waiting: VecDeque<Operation>,
}

struct Busy {
    channel: Channel,
    exclusive: bool,
}

/// Resolves to its channel.
type Running = BoxFuture<'static, Channel>;

impl InFlight {
    /// Whether more input may be read.
    pub(super) fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|inner| inner.running.len() + inner.waiting.len() < MOST)
    }

    /// Begins an operation, or keeps it until its turn.
    pub(super) fn submit(
        &mut self,
        operation: Operation,
        actor: &Actor,
        context: &mut Context<'_>,
    ) {
        if self.0.as_ref().is_some_and(|inner| inner.must_wait(&operation, &inner.waiting)) {
            self.0.get_or_insert_default().waiting.push_back(operation);
            return;
        }
        let busy =
            Busy { channel: operation.channel.clone(), exclusive: operation.kind.is_exclusive() };
        let mut future = operation.begin(actor);
        if future.as_mut().poll(context).is_pending() {
            self.0.get_or_insert_default().run(busy, future);
        }
    }

    /// Goes on with what is running, and begins what no longer has to wait.
    pub(super) fn resume(&mut self, actor: &Actor, context: &mut Context<'_>) {
        let Some(inner) = &mut self.0 else { return };
        while let Poll::Ready(Some(channel)) = Pin::new(&mut inner.running).poll_next(context) {
            if let Some(at) = inner.busy.iter().position(|busy| busy.channel == channel) {
                inner.busy.swap_remove(at);
            }
            let mut still_waiting = VecDeque::new();
            while let Some(operation) = inner.waiting.pop_front() {
                if inner.must_wait(&operation, &still_waiting) {
                    still_waiting.push_back(operation);
                    continue;
                }
                let busy = Busy {
                    channel: operation.channel.clone(),
                    exclusive: operation.kind.is_exclusive(),
                };
                let mut future = operation.begin(actor);
                if future.as_mut().poll(context).is_pending() {
                    inner.run(busy, future);
                }
            }
            inner.waiting = still_waiting;
        }
        if inner.running.is_empty() && inner.waiting.is_empty() {
            self.0 = None;
        }
    }
}

impl Inner {
    /// Whether an operation of the same channel is running or waiting before it,
    /// and one of the two must have the channel alone.
    fn must_wait(&self, operation: &Operation, before: &VecDeque<Operation>) -> bool {
        let exclusive = operation.kind.is_exclusive();
        let running = self
            .busy
            .iter()
            .any(|busy| busy.channel == operation.channel && (busy.exclusive || exclusive));
        running || before.iter().any(|earlier| earlier.channel == operation.channel)
    }

    fn run(&mut self, busy: Busy, future: BoxFuture<'static, ()>) {
        let channel = busy.channel.clone();
        self.busy.push(busy);
        self.running.push(Box::pin(async move {
            future.await;
            channel
        }));
    }
}
