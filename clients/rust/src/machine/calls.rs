//! Calls of the application: those that wait for a connection, and those that
//! wait for their reply. No call is in both, and none is sent twice.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sealcast_wire::Body;
use tokio::sync::oneshot;

use super::port::{Moment, SubscriptionId};
use super::timers::Timers;
use crate::CallError;

/// How many may wait without end.
const MOST_PATIENT: usize = 1024;

/// One command of the application; or none, to know when there could be one.
#[derive(Debug)]
pub(crate) struct Call {
    /// The command's number; 0 if it has no reply.
    pub(crate) id: u32,
    /// From [`super::encode`]; empty if nothing is to be sent.
    pub(crate) command: Vec<u8>,
    /// Whether it waits for a connection without end.
    pub(crate) patient: bool,
    /// The subscription that it is made on; it waits until that stands.
    pub(crate) within: Option<SubscriptionId>,
    /// Who waits. If nobody does any more, what was not sent is not sent.
    pub(crate) reply: oneshot::Sender<Result<Body, CallError>>,
}

/// What may wait for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

#[derive(Debug)]
pub(super) struct Calls {
    room: Room,
    timeout: Duration,
    /// In the order in which they came, which is that of their deadlines.
    waiting: VecDeque<(Moment, Call)>,
    waiting_bytes: usize,
    /// Those that wait without end.
    patient: VecDeque<(Moment, Call)>,
    sent: HashMap<u32, oneshot::Sender<Result<Body, CallError>>>,
    deadlines: Timers<u32>,
}

impl Calls {
    pub(super) fn new(room: Room, timeout: Duration) -> Calls {
        Calls {
            room,
            timeout,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            patient: VecDeque::new(),
            sent: HashMap::new(),
            deadlines: Timers::new(),
        }
    }

    /// How many wait for their reply.
    pub(super) fn under_way(&self) -> usize {
        self.sent.len()
    }

    /// Keeps one for later, if there is room.
    pub(super) fn keep(&mut self, now: Moment, call: Call) {
        if !self.has_room(&call) {
            self.drop_waiting(|call| call.reply.is_closed().then_some(CallError::Gone));
        }
        if !self.has_room(&call) {
            let _ = call.reply.send(Err(CallError::BufferFull));
        } else if call.patient {
            self.patient.push_back((Moment::MAX, call));
        } else {
            self.waiting_bytes += call.command.len();
            self.waiting.push_back((now.saturating_add(self.room.time), call));
        }
    }

    fn has_room(&self, call: &Call) -> bool {
        if call.patient {
            return self.patient.len() < MOST_PATIENT;
        }
        self.waiting.len() < self.room.calls
            && self.waiting_bytes.saturating_add(call.command.len()) <= self.room.bytes
    }

    /// Takes those that waited on this (a subscription, or the connection), in
    /// order.
    pub(super) fn take_waiting(&mut self, within: Option<SubscriptionId>) -> Vec<Call> {
        let mut taken = Vec::new();
        for queue in [&mut self.patient, &mut self.waiting] {
            for (deadline, call) in std::mem::take(queue) {
                if call.within == within {
                    taken.push(call);
                } else {
                    queue.push_back((deadline, call));
                }
            }
        }
        self.waiting_bytes -= taken.iter().map(|call| call.command.len()).sum::<usize>();
        taken
    }

    /// Notes one that is being sent; gives its bytes, unless nobody waits for it
    /// any more.
    pub(super) fn begin(&mut self, now: Moment, call: Call) -> Option<Vec<u8>> {
        if call.reply.is_closed() {
            return None;
        }
        if call.id == 0 {
            // There is no more to know than that it is on its way.
            let _ = call.reply.send(Ok(Body::Ping));
        } else {
            self.deadlines.set(call.id, now.saturating_add(self.timeout));
            self.sent.insert(call.id, call.reply);
        }
        Some(call.command)
    }

    /// Gives a reply to who waits for it; says whether someone did.
    pub(super) fn finish(&mut self, id: u32, body: Body) -> bool {
        self.deadlines.clear(id);
        let Some(reply) = self.sent.remove(&id) else { return false };
        let _ = reply.send(match body {
            Body::Error(error) => Err(error.into()),
            body => Ok(body),
        });
        true
    }

    /// The connection is gone: what was sent has no answer any more.
    pub(super) fn lose(&mut self) {
        self.deadlines = Timers::new();
        for (_, reply) in self.sent.drain() {
            let _ = reply.send(Err(CallError::Unanswered));
        }
    }

    /// Ends those that wait, where `why` has a reason.
    pub(super) fn drop_waiting(&mut self, why: impl Fn(&Call) -> Option<CallError>) {
        for queue in [&mut self.patient, &mut self.waiting] {
            for (deadline, call) in std::mem::take(queue) {
                match why(&call) {
                    None => queue.push_back((deadline, call)),
                    Some(error) => {
                        self.waiting_bytes -= call.command.len();
                        let _ = call.reply.send(Err(error));
                    }
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let waiting = self.waiting.front().map(|(deadline, _)| *deadline);
        waiting.into_iter().chain(self.deadlines.next()).min()
    }

    /// Ends those whose time is over.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some(id) = self.deadlines.take_due(now) {
            if let Some(reply) = self.sent.remove(&id) {
                let _ = reply.send(Err(CallError::Timeout));
            }
        }
        while self.waiting.front().is_some_and(|(deadline, _)| *deadline <= now)
            && let Some((_, call)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= call.command.len();
            let _ = call.reply.send(Err(CallError::NotConnected));
        }
    }
}
