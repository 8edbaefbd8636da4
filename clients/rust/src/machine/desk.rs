//! What the parts of the machine share: the way out, and the clocks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_wire::{Command, Encoding, Request};

use super::batch::{Batch, Ids, encode};
use super::port::{Fetch, Moment, Output, SubscriptionId, Ticket};
use super::timers::Timers;
use crate::{Backoff, Event, SubscriptionEvent};

/// How long to wait before a failed refresh is tried again.
const REFRESH: Backoff = Backoff { min: Duration::from_secs(5), max: Duration::from_secs(10) };

/// How much of a token's time is left, at most, when it is refreshed.
const REFRESH_LEAD: Duration = Duration::from_secs(30);

/// What can become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// A wait before connecting is over.
    Reconnect,
    /// Nothing was heard of the server for long.
    Ping,
    /// The connection's token is to be refreshed.
    Refresh,
    /// A wait before subscribing is over.
    Resubscribe(SubscriptionId),
    /// A subscription's token is to be refreshed.
    SubRefresh(SubscriptionId),
    /// The reply to one of the machine's own commands is late.
    Command(u32),
}

/// The machine's own commands that wait for their replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Connect,
    Refresh,
    Subscribe(SubscriptionId),
    Unsubscribe,
    SubRefresh(SubscriptionId),
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) encoding: Encoding,
    pub(super) timers: Timers<Timer>,
    pub(super) batch: Batch,
    pub(super) outputs: VecDeque<Output>,
    pending: HashMap<u32, Pending>,
    timeout: Duration,
    ids: Ids,
    random: StdRng,
    tickets: u64,
}

impl Desk {
    pub(super) fn new(encoding: Encoding, timeout: Duration, ids: Ids, seed: u64) -> Desk {
        Desk {
            encoding,
            timers: Timers::new(),
            batch: Batch::new(encoding),
            outputs: VecDeque::new(),
            pending: HashMap::new(),
            timeout,
            ids,
            random: StdRng::seed_from_u64(seed),
            tickets: 0,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn tell_of(&mut self, subscription: SubscriptionId, event: SubscriptionEvent) {
        self.outputs.push_back(Output::SubscriptionEvent(subscription, event));
    }

    /// Sends a command of the machine's own; gives its number.
    pub(super) fn send(&mut self, now: Moment, request: Request<'_>, pending: Pending) -> u32 {
        let id = self.ids.next();
        self.batch.put(&encode(self.encoding, &Command { id, request }));
        self.pending.insert(id, pending);
        self.timers.set(Timer::Command(id), now.saturating_add(self.timeout));
        id
    }

    /// Whose reply this is, if it is still waited for.
    pub(super) fn answered(&mut self, id: u32) -> Option<Pending> {
        self.timers.clear(Timer::Command(id));
        self.pending.remove(&id)
    }

    /// Whoever sent these commands has got new time to wait for them.
    pub(super) fn grant_time(&mut self, now: Moment) {
        for id in self.pending.keys() {
            self.timers.set(Timer::Command(*id), now.saturating_add(self.timeout));
        }
    }

    /// The connection is gone, and no reply will come.
    pub(super) fn lose(&mut self) {
        for (id, _) in self.pending.drain() {
            self.timers.clear(Timer::Command(id));
        }
        self.batch.clear();
    }

    /// Asks the application for something.
    pub(super) fn fetch(&mut self, what: Fetch) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.outputs.push_back(Output::Fetch(ticket, what));
        ticket
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.outputs.push_back(Output::Abandon(ticket));
    }

    pub(super) fn delay(&mut self, backoff: Backoff, failures: u32) -> Duration {
        backoff.delay(failures, self.random.random())
    }

    /// When a token that is good for so many seconds is to be refreshed: while it
    /// is still good, and not all clients at the same time.
    pub(super) fn refresh_at(&mut self, now: Moment, ttl: u32) -> Moment {
        let ttl = Duration::from_secs(ttl.into());
        let lead = (ttl / 4).min(REFRESH_LEAD);
        let lead = lead.mul_f64(self.random.random_range(0.5..=1.0));
        now.saturating_add(ttl.saturating_sub(lead))
    }

    /// When a refresh that failed is tried again.
    pub(super) fn refresh_again_at(&mut self, now: Moment) -> Moment {
        now.saturating_add(self.delay(REFRESH, 0))
    }
}
