//! The client as a state machine: no socket, no clock, no task. What happens is
//! passed in with its time; what is to be done comes out, in order, by
//! [`Machine::next_output`]. With the same seed and inputs it does the same.
//!
//! After any input, take all outputs, and call again at [`Machine::deadline`].

mod batch;
mod calls;
mod code;
mod connection;
mod delta;
mod desk;
mod port;
mod replies;
mod server_side;
mod subscription;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sealcast_wire::Position;

pub(crate) use self::batch::{Ids, encode};
use self::calls::Calls;
pub(crate) use self::calls::{Call, Room};
use self::code::own;
use self::connection::{Connection, Phase};
use self::desk::{Desk, Timer};
pub(crate) use self::port::{Fetch, Loss, Moment, Output, Settings, SubscriptionId, Ticket};
use self::port::{Late, Owner, Verdict};
use self::server_side::ServerSide;
use self::subscription::Subscription;
pub(crate) use self::subscription::Terms;
use crate::token::TokenError;
use crate::{CallError, Cause, Event};

pub(crate) struct Machine {
    connection: Connection,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    by_channel: HashMap<Arc<str>, SubscriptionId>,
    server_side: ServerSide,
    calls: Calls,
    late: VecDeque<Late>,
    desk: Desk,
}

impl Machine {
    pub(crate) fn new(settings: Settings, ids: Ids, seed: u64) -> Machine {
        Machine {
            calls: Calls::new(settings.room, settings.timeout),
            desk: Desk::new(settings.encoding, settings.timeout, ids, seed),
            connection: Connection::new(settings),
            subscriptions: HashMap::new(),
            by_channel: HashMap::new(),
            server_side: ServerSide::default(),
            late: VecDeque::new(),
        }
    }

    // ---- What is to be done. ----

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.desk.outputs.pop_front()
    }

    /// The payload of the next frame to send.
    pub(crate) fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.desk.batch.take()
    }

    /// When [`Machine::elapse`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.desk.timers.next().into_iter().chain(self.calls.deadline()).min()
    }

    /// When [`Machine::expire_calls`] has something to do.
    pub(crate) fn calls_deadline(&self) -> Option<Moment> {
        self.calls.deadline()
    }

    /// How many calls wait for their replies.
    pub(crate) fn calls_under_way(&self) -> usize {
        self.calls.under_way()
    }

    // ---- What the application does. ----

    pub(crate) fn connect(&mut self) {
        self.connection.connect(&mut self.desk);
    }

    pub(crate) fn disconnect(&mut self) {
        if !self.connection.is_disconnected() {
            self.stop(own::DISCONNECT_CALLED);
        }
    }

    /// Subscribes; `terms` count when the subscription is new.
    pub(crate) fn subscribe(
        &mut self,
        now: Moment,
        id: SubscriptionId,
        channel: &Arc<str>,
        terms: &Terms,
    ) {
        let connected = self.connection.is_connected();
        let subscription = self.subscriptions.entry(id).or_insert_with(|| {
            self.by_channel.insert(Arc::clone(channel), id);
            Subscription::new(id, Arc::clone(channel), terms.clone())
        });
        subscription.subscribe(&mut self.desk, now, connected);
    }

    pub(crate) fn unsubscribe(&mut self, now: Moment, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.unsubscribe(&mut self.desk, now, self.connection.is_open());
            self.fail_calls_of_ended();
        }
    }

    /// Unsubscribes and forgets.
    pub(crate) fn remove(&mut self, now: Moment, id: SubscriptionId) {
        self.unsubscribe(now, id);
        if let Some(subscription) = self.subscriptions.remove(&id)
            && self.by_channel.get(subscription.channel()) == Some(&id)
        {
            self.by_channel.remove(subscription.channel());
        }
    }

    pub(crate) fn call(&mut self, now: Moment, call: Call) {
        let ready = match self.readiness(call.within) {
            Ok(ready) => ready,
            Err(error) => {
                let _ = call.reply.send(Err(error));
                return;
            }
        };
        if !ready {
            self.calls.keep(now, call);
        } else if let Some(command) = self.calls.begin(now, call).filter(|it| !it.is_empty()) {
            self.desk.batch.put(&command);
        }
    }

    /// The application's answer to a [`Fetch`] for a token.
    pub(crate) fn token(
        &mut self,
        now: Moment,
        ticket: Ticket,
        what: Fetch,
        token: Result<String, TokenError>,
    ) {
        match what {
            Fetch::ConnectionToken => {
                let verdict = self.connection.token(&mut self.desk, now, ticket, token);
                self.obey(now, verdict);
            }
            Fetch::SubscriptionToken(id) | Fetch::State(id) => {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.token(&mut self.desk, now, ticket, token);
                    self.fail_calls_of_ended();
                }
            }
        }
    }

    /// The application's answer to a [`Fetch::State`].
    pub(crate) fn state(
        &mut self,
        now: Moment,
        ticket: Ticket,
        id: SubscriptionId,
        state: Result<Position, TokenError>,
    ) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.state(&mut self.desk, now, ticket, state);
            self.fail_calls_of_ended();
        }
    }

    // ---- What the connection does. ----

    /// A connection is open.
    pub(crate) fn opened(&mut self, now: Moment, number: u64) {
        let positions = self.server_side.positions();
        if self.connection.opened(&mut self.desk, now, number, positions) {
            // With the connect command in one frame: a round trip less.
            let at_hand = self.subscriptions.values_mut().filter(|it| it.is_at_hand());
            at_hand.for_each(|subscription| subscription.begin(&mut self.desk, now));
        }
    }

    /// A connection is gone, or could not be opened.
    pub(crate) fn lost(&mut self, now: Moment, number: u64, loss: Loss) {
        let verdict = self.connection.lost(&mut self.desk, number, loss);
        self.obey(now, verdict);
    }

    /// Something came from the server, be it a ping.
    pub(crate) fn heard(&mut self, now: Moment) {
        self.connection.heard(now);
    }

    /// Hands out the next of the publications that came with a reply. Call until
    /// it says no, before the next reply.
    pub(crate) fn hand_out(&mut self, now: Moment) -> bool {
        let Some(Late { owner, publication }) = self.late.pop_front() else { return false };
        match owner {
            Owner::Subscription(id) => {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.publication(&mut self.desk, now, publication);
                }
            }
            Owner::Server(channel) => {
                self.server_side.publication(&mut self.desk, channel, publication);
            }
        }
        true
    }

    // ---- What time does. ----

    /// Does all that is due.
    pub(crate) fn elapse(&mut self, now: Moment) {
        self.calls.expire(now);
        while let Some(timer) = self.desk.timers.take_due(now) {
            self.due(now, timer);
        }
    }

    /// Does what is due for calls only. Nothing comes out but their ends.
    pub(crate) fn expire_calls(&mut self, now: Moment) {
        self.calls.expire(now);
    }

    /// For some time nothing was read, because the application did not take its
    /// events. The server is not to blame for what did not come meanwhile.
    pub(crate) fn resumed(&mut self, now: Moment) {
        self.connection.heard(now);
        self.desk.grant_time(now);
    }

    fn due(&mut self, now: Moment, timer: Timer) {
        match timer {
            Timer::Reconnect => self.connection.dial(&mut self.desk),
            Timer::Ping => {
                let verdict = self.connection.check_ping(&mut self.desk, now);
                self.obey(now, verdict);
            }
            Timer::Refresh => self.connection.refresh(&mut self.desk),
            Timer::Resubscribe(id) => {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.rested(&mut self.desk, now, self.connection.is_connected());
                }
            }
            Timer::SubRefresh(id) => {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.refresh(&mut self.desk);
                }
            }
            Timer::Command(id) => {
                if let Some(pending) = self.desk.answered(id) {
                    self.late_reply(now, id, pending);
                }
            }
        }
    }

    /// Does what a part has decided about the connection.
    fn obey(&mut self, now: Moment, verdict: Verdict) {
        match verdict {
            Verdict::Stay => {}
            Verdict::Retry => {
                self.leave_connection();
                self.connection.rest(&mut self.desk, now);
            }
            Verdict::Reconnect(cause) => {
                let was_connected = self.leave_connection();
                if was_connected {
                    self.desk.tell(Event::Connecting(cause));
                    self.lose_subscriptions();
                    self.server_side.lose(&mut self.desk);
                }
                self.connection.rest(&mut self.desk, now);
            }
            Verdict::Reset(cause) => {
                self.connection.drop_token();
                self.server_side.reset();
                self.subscriptions.values_mut().for_each(Subscription::reset);
                self.obey(now, Verdict::Reconnect(cause));
            }
            Verdict::Stop(cause) => self.stop(cause),
        }
    }

    fn stop(&mut self, cause: Cause) {
        let was_connected = self.leave_connection();
        self.connection.phase = Phase::Disconnected(cause.clone());
        self.desk.tell(Event::Disconnected(cause.clone()));
        if was_connected {
            self.lose_subscriptions();
            self.server_side.lose(&mut self.desk);
        }
        self.calls.drop_waiting(|_| Some(CallError::Disconnected(cause.clone())));
    }

    /// Closes the connection, if there is one; says whether it was connected.
    fn leave_connection(&mut self) -> bool {
        let was_connected = self.connection.is_connected();
        self.connection.leave(&mut self.desk);
        self.desk.lose();
        self.calls.lose();
        self.late.clear();
        if !was_connected {
            // What was sent together with the connect command.
            self.lose_subscriptions();
        }
        was_connected
    }

    fn lose_subscriptions(&mut self) {
        self.subscriptions.values_mut().for_each(|it| it.lose(&mut self.desk));
    }

    /// Whether a call can be sent now; if not now, whether later.
    fn readiness(&self, within: Option<SubscriptionId>) -> Result<bool, CallError> {
        if let Phase::Disconnected(cause) = &self.connection.phase {
            return Err(CallError::Disconnected(cause.clone()));
        }
        let Some(id) = within else { return Ok(self.connection.is_connected()) };
        let subscription = self.subscriptions.get(&id);
        let subscription = subscription.ok_or(CallError::Unsubscribed(own::UNSUBSCRIBE_CALLED))?;
        match subscription.ended() {
            Some(cause) => Err(CallError::Unsubscribed(cause.clone())),
            None => Ok(subscription.is_subscribed()),
        }
    }

    fn flush_calls(&mut self, now: Moment, within: Option<SubscriptionId>) {
        for call in self.calls.take_waiting(within) {
            self.call(now, call);
        }
    }

    fn fail_calls_of_ended(&mut self) {
        let subscriptions = &self.subscriptions;
        self.calls.drop_waiting(|call| {
            let cause = subscriptions.get(&call.within?)?.ended()?;
            Some(CallError::Unsubscribed(cause.clone()))
        });
    }
}
