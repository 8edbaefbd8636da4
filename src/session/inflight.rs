//! Operations of one connection that are under way.
//!
//! Those of one channel take effect in the order in which they came, those of
//! different channels run side by side. An operation that is done at once, as
//! nearly all are, leaves no trace here.

use std::collections::VecDeque;
use std::task::Context;

use futures_util::future::BoxFuture;
use sealcast_wire::Channel;

use super::operation::{Actor, Operation};

/// Operations under way at most. Beyond no more input is read; what had been read
/// before waits for its turn, as many as one read holds.
const MOST: usize = 32;
/// By how many bytes it must differ before the connection is told what they hold.
const GRAIN: usize = 4 << 10;

#[derive(Default)]
pub(super) struct InFlight(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    /// As they began. Few, mostly one: on a wake all are looked at.
    running: Vec<(Busy, BoxFuture<'static, ()>)>,
    waiting: VecDeque<Operation>,
    /// Bytes of memory that all of them hold.
    bytes: usize,
    /// What the connection knows of those.
    noted: usize,
}

struct Busy {
    channel: Channel,
    exclusive: bool,
    bytes: usize,
}

impl Busy {
    fn with(operation: &Operation) -> Busy {
        Busy {
            channel: operation.channel.clone(),
            exclusive: operation.kind.is_exclusive(),
            bytes: operation.bytes(),
        }
    }
}

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
        if let Some(inner) = &mut self.0
            && inner.must_wait(&operation, &inner.waiting)
        {
            inner.bytes += operation.bytes();
            inner.waiting.push_back(operation);
            inner.note(actor);
            return;
        }
        let busy = Busy::with(&operation);
        let mut future = operation.begin(actor);
        if future.as_mut().poll(context).is_pending() {
            let inner = self.0.get_or_insert_default();
            inner.run(busy, future);
            inner.note(actor);
        }
    }

    /// Goes on with what is running, and begins what no longer has to wait.
    pub(super) fn resume(&mut self, actor: &Actor, context: &mut Context<'_>) {
        let Some(inner) = &mut self.0 else { return };
        let mut at = 0;
        while let Some((_, future)) = inner.running.get_mut(at) {
            if future.as_mut().poll(context).is_pending() {
                at += 1;
                continue;
            }
            inner.bytes -= inner.running.remove(at).0.bytes;
            let mut still_waiting = VecDeque::new();
            while let Some(operation) = inner.waiting.pop_front() {
                if inner.must_wait(&operation, &still_waiting) {
                    still_waiting.push_back(operation);
                    continue;
                }
                let busy = Busy::with(&operation);
                inner.bytes -= busy.bytes;
                let mut future = operation.begin(actor);
                if future.as_mut().poll(context).is_pending() {
                    inner.run(busy, future);
                }
            }
            inner.waiting = still_waiting;
        }
        inner.note(actor);
        if inner.running.is_empty() && inner.waiting.is_empty() {
            self.0 = None;
        }
    }
}

impl Inner {
    /// Whether as many run as may, or an operation of the same channel is running or
    /// waiting before it, and one of the two must have the channel alone.
    fn must_wait(&self, operation: &Operation, before: &VecDeque<Operation>) -> bool {
        if self.running.len() >= MOST {
            return true;
        }
        let exclusive = operation.kind.is_exclusive();
        let running = self
            .running
            .iter()
            .any(|(busy, _)| busy.channel == operation.channel && (busy.exclusive || exclusive));
        running || before.iter().any(|earlier| earlier.channel == operation.channel)
    }

    fn run(&mut self, mut busy: Busy, future: BoxFuture<'static, ()>) {
        busy.bytes += size_of_val(&*future);
        self.bytes += busy.bytes;
        self.running.push((busy, future));
    }

    /// Tells the connection what they hold, where that is much.
    fn note(&mut self, actor: &Actor) {
        let over = self.bytes.abs_diff(self.noted) >= GRAIN;
        if over || self.bytes == 0 && self.noted > 0 {
            self.noted = self.bytes;
            actor.connection.set_running(actor.policy.relay.hub(), self.bytes);
        }
    }
}
