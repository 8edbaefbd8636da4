//! Which part a reply or a push is for.

use sealcast_wire::reply::{self, Body, Reply};

use super::Machine;
use super::code::own;
use super::desk::Pending;
use super::port::{Loss, Moment, Verdict};
use crate::event::Connected;
use crate::{Event, Failure};

impl Machine {
    pub(crate) fn reply(&mut self, now: Moment, reply: Reply) {
        let Reply { id, body } = reply;
        if let Body::Push(push) = body {
            return self.push(now, push);
        }
        match self.desk.answered(id) {
            Some(pending) => self.answer(now, id, pending, body),
            None => drop(self.calls.finish(id, body)),
        }
    }

    pub(super) fn late_reply(&mut self, now: Moment, id: u32, pending: Pending) {
        match pending {
            Pending::Connect => {
                self.desk.tell(Event::Error(Failure::Timeout));
                self.obey(now, Verdict::Reconnect(own::TRANSPORT_CLOSED));
            }
            Pending::Refresh => {
                self.connection.refresh_later(&mut self.desk, now, Failure::Timeout)
            }
            Pending::Subscribe(_) => self.obey(now, Verdict::Reconnect(own::SUBSCRIBE_TIMEOUT)),
            Pending::Unsubscribe => self.obey(now, Verdict::Reconnect(own::UNSUBSCRIBE_ERROR)),
            Pending::SubRefresh(subscription) => {
                if let Some(subscription) = self.subscriptions.get_mut(&subscription) {
                    subscription.refresh_timed_out(&mut self.desk, now, id);
                }
            }
        }
    }

    fn answer(&mut self, now: Moment, id: u32, pending: Pending, body: Body) {
        let desk = &mut self.desk;
        match (pending, body) {
            (Pending::Connect, Body::Connect(result)) => self.greeted(now, *result),
            (Pending::Connect, Body::Error(error)) => {
                let verdict = self.connection.refused(desk, error);
                self.obey(now, verdict);
            }
            (Pending::Refresh, Body::Refresh(expiry)) => {
                self.connection.plan_refresh(desk, now, expiry);
            }
            (Pending::Refresh, Body::Error(error)) => {
                let verdict = self.connection.refresh_refused(desk, now, error);
                self.obey(now, verdict);
            }
            (Pending::Subscribe(at), Body::Subscribe(result)) => {
                if let Some(subscription) = self.subscriptions.get_mut(&at) {
                    subscription.subscribed(desk, now, id, &mut self.late, *result);
                    self.flush_calls(now, Some(at));
                }
            }
            (Pending::Subscribe(at), Body::Error(error)) => {
                if let Some(subscription) = self.subscriptions.get_mut(&at) {
                    subscription.refused(desk, now, id, error);
                    self.fail_calls_of_ended();
                }
            }
            (Pending::SubRefresh(at), body @ (Body::SubRefresh(_) | Body::Error(_))) => {
                let outcome = match body {
                    Body::SubRefresh(expiry) => Ok(expiry),
                    Body::Error(error) => Err(error),
                    _ => return,
                };
                if let Some(subscription) = self.subscriptions.get_mut(&at) {
                    subscription.refreshed(desk, now, id, outcome);
                    self.fail_calls_of_ended();
                }
            }
            (Pending::Unsubscribe, Body::Unsubscribe) => {}
            // Nobody knows what the server holds then.
            (Pending::Unsubscribe, Body::Error(_)) => {
                self.obey(now, Verdict::Reconnect(own::UNSUBSCRIBE_ERROR));
            }
            _ => self.obey(now, Verdict::Stop(own::BAD_PROTOCOL)),
        }
    }

    fn greeted(&mut self, now: Moment, result: reply::ConnectResult) {
        let desk = &mut self.desk;
        self.connection.greeted(desk, now, &result);
        let reply::ConnectResult { client, version, data, subs, .. } = result;
        desk.tell(Event::Connected(Connected { client, version, data }));
        self.server_side.connected(desk, &mut self.late, subs);
        for subscription in self.subscriptions.values_mut() {
            subscription.begin(desk, now);
        }
        self.flush_calls(now, None);
    }

    fn push(&mut self, now: Moment, push: reply::Push) {
        let reply::Push { channel, event } = push;
        match event {
            reply::Event::Message(data) => self.desk.tell(Event::Message(data)),
            reply::Event::Refresh(expiry) => {
                self.connection.plan_refresh(&mut self.desk, now, expiry);
            }
            reply::Event::Disconnect { code, reason } => {
                let loss = match u16::try_from(code) {
                    Ok(code) => Loss::Closed { code, reason: reason.into_owned() },
                    Err(_) => Loss::Ended,
                };
                let number = self.connection.number();
                self.lost(now, number, loss);
            }
            event => {
                let own = self.by_channel.get(&channel);
                match own.and_then(|id| self.subscriptions.get_mut(id)) {
                    // The server's own subscription may be told of beside it.
                    Some(subscription) if subscription.is_subscribed() => {
                        subscription.push(&mut self.desk, now, event);
                        if subscription.ended().is_some() {
                            self.fail_calls_of_ended();
                        }
                    }
                    _ => self.server_side.push(&mut self.desk, &mut self.late, channel, event),
                }
            }
        }
    }
}
