//! One subscription: its states, its token and its place in the stream.

mod terms;

use std::collections::VecDeque;
use std::sync::Arc;

use sealcast_wire::command::{SubRefresh, Token};
use sealcast_wire::reply::{self, Expiry, SubscribeResult};
use sealcast_wire::{ErrorCode, Position, Publication, Request, Unsubscribed, joined};

pub(crate) use self::terms::Terms;

use super::code::{self, own};
use super::delta::Base;
use super::desk::{Desk, Pending, Timer};
use super::port::{Fetch, Late, Moment, Owner, SubscriptionId, Ticket, advance};
use crate::event::Subscribed;
use crate::token::TokenError;
use crate::{Cause, Failure, SubscriptionEvent};

pub(super) struct Subscription {
    id: SubscriptionId,
    channel: Arc<str>,
    terms: Terms,
    state: State,
    token: Option<String>,
    /// Where to recover from.
    position: Option<Position>,
    base: Base,
    /// A delta did not apply, and nothing has been handed out since.
    spoiled: bool,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Unsubscribed(Cause),
    Subscribing(Step),
    Subscribed(Refresh),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Waits for the connection.
    Idle,
    /// Waits before the next attempt.
    Resting,
    /// Waits for a token or a state.
    Fetching(Ticket),
    /// The command is sent.
    Sent(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresh {
    None,
    Fetching(Ticket),
    Sent(u32),
}

impl Subscription {
    pub(super) fn new(id: SubscriptionId, channel: Arc<str>, terms: Terms) -> Subscription {
        Subscription {
            id,
            channel,
            state: State::Unsubscribed(own::UNSUBSCRIBE_CALLED),
            token: terms.token.clone(),
            position: terms.since.clone(),
            base: Base::default(),
            spoiled: false,
            failures: 0,
            terms,
        }
    }

    pub(super) fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.state, State::Subscribed(_))
    }

    /// Why it is unsubscribed, if it is.
    pub(super) fn ended(&self) -> Option<&Cause> {
        match &self.state {
            State::Unsubscribed(cause) => Some(cause),
            _ => None,
        }
    }

    /// The application subscribes.
    pub(super) fn subscribe(&mut self, desk: &mut Desk, now: Moment, connected: bool) {
        if self.ended().is_some() {
            self.failures = 0;
            self.enter_subscribing(desk, own::SUBSCRIBE_CALLED);
            if connected {
                self.begin(desk, now);
            }
        }
    }

    /// The application unsubscribes. `open` tells whether commands can be sent.
    pub(super) fn unsubscribe(&mut self, desk: &mut Desk, now: Moment, open: bool) {
        self.end(desk, now, own::UNSUBSCRIBE_CALLED, open);
    }

    /// Whether the subscribe command can be sent without asking the application
    /// for anything, so also together with the connect command.
    pub(super) fn is_at_hand(&self) -> bool {
        matches!(self.state, State::Subscribing(Step::Idle))
            && !self.needs_token()
            && !self.needs_state()
    }

    /// Goes on with subscribing, now that there is a connection.
    pub(super) fn begin(&mut self, desk: &mut Desk, now: Moment) {
        if !matches!(self.state, State::Subscribing(Step::Idle)) {
            return;
        }
        let step = if self.needs_token() {
            Step::Fetching(desk.fetch(Fetch::SubscriptionToken(self.id)))
        } else if self.needs_state() {
            Step::Fetching(desk.fetch(Fetch::State(self.id)))
        } else {
            let token = self.token.as_deref();
            let request =
                self.terms.request(desk.encoding, &self.channel, token, self.position.as_ref());
            Step::Sent(desk.send(now, request, Pending::Subscribe(self.id)))
        };
        self.state = State::Subscribing(step);
    }

    /// A wait before the next attempt is over.
    pub(super) fn rested(&mut self, desk: &mut Desk, now: Moment, connected: bool) {
        if matches!(self.state, State::Subscribing(Step::Resting)) {
            self.state = State::Subscribing(Step::Idle);
            if connected {
                self.begin(desk, now);
            }
        }
    }

    /// The application has answered with a token.
    pub(super) fn token(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        ticket: Ticket,
        token: Result<String, TokenError>,
    ) {
        let refreshing =
            matches!(self.state, State::Subscribed(Refresh::Fetching(it)) if it == ticket);
        if refreshing {
            self.state = State::Subscribed(Refresh::None);
        } else if self.waits_for(ticket) {
            self.state = State::Subscribing(Step::Idle);
        } else {
            return;
        }
        match token {
            Ok(token) if !token.is_empty() => {
                self.token = Some(token.clone());
                if refreshing {
                    let request = Request::SubRefresh(SubRefresh {
                        channel: (&*self.channel).into(),
                        token: Token(token.into()),
                        kind: 0,
                    });
                    let id = desk.send(now, request, Pending::SubRefresh(self.id));
                    self.state = State::Subscribed(Refresh::Sent(id));
                } else {
                    self.begin(desk, now);
                }
            }
            Ok(_) | Err(TokenError::Unauthorized) => {
                self.end(desk, now, own::UNAUTHORIZED, true);
            }
            Err(TokenError::Other(text)) => {
                let failure = Failure::Token(text);
                if refreshing {
                    self.refresh_later(desk, now, failure);
                } else {
                    self.rest(desk, now, failure);
                }
            }
        }
    }

    /// The application has answered with the position of its state.
    pub(super) fn state(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        ticket: Ticket,
        state: Result<Position, TokenError>,
    ) {
        if !self.waits_for(ticket) {
            return;
        }
        self.state = State::Subscribing(Step::Idle);
        match state {
            Ok(position) => {
                self.position = Some(position);
                self.base.forget();
                self.begin(desk, now);
            }
            Err(TokenError::Unauthorized) => self.end(desk, now, own::UNAUTHORIZED, true),
            Err(TokenError::Other(text)) => self.rest(desk, now, Failure::State(text)),
        }
    }

    /// The reply to the subscribe command. What was missed is handed out later.
    pub(super) fn subscribed(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        id: u32,
        late: &mut VecDeque<Late>,
        result: SubscribeResult,
    ) {
        if !self.waits_for_reply(id) {
            return;
        }
        self.state = State::Subscribed(Refresh::None);
        self.failures = 0;
        let subscribed = Subscribed::from(&result);
        self.position = subscribed.position.clone().filter(|_| result.recoverable);
        self.base.granted = result.delta;
        if !result.recovered {
            self.base.forget();
        }
        desk.tell_of(self.id, SubscriptionEvent::Subscribed(subscribed));
        let owner = Owner::Subscription(self.id);
        late.extend(
            result
                .publications
                .into_iter()
                .map(|publication| Late { owner: owner.clone(), publication }),
        );
        self.plan_refresh(desk, now, result.expiry);
    }

    /// The server refused the subscribe command.
    pub(super) fn refused(&mut self, desk: &mut Desk, now: Moment, id: u32, error: reply::Error) {
        if !self.waits_for_reply(id) {
            return;
        }
        let unrecoverable = error.code == ErrorCode::UnrecoverablePosition.code();
        if unrecoverable && self.terms.has_state_source {
            self.forget_place();
        } else if code::asks_for_token(&error) && !self.terms.has_token_source {
            return self.end(desk, now, own::UNAUTHORIZED, false);
        } else if code::asks_for_token(&error) {
            self.drop_token();
        } else if !code::is_retried(&error) {
            // Told to subscribe again, it comes with another.
            self.drop_token();
            let cause = Cause { code: error.code, reason: error.message };
            return self.end(desk, now, cause, false);
        }
        self.rest(desk, now, error.into());
    }

    /// The reply to a refresh.
    pub(super) fn refreshed(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        id: u32,
        outcome: Result<Expiry, reply::Error>,
    ) {
        if !matches!(self.state, State::Subscribed(Refresh::Sent(it)) if it == id) {
            return;
        }
        match outcome {
            Ok(expiry) => {
                self.state = State::Subscribed(Refresh::None);
                self.plan_refresh(desk, now, expiry);
            }
            Err(error) if code::is_passing(&error) => self.refresh_later(desk, now, error.into()),
            Err(error) => {
                let cause = Cause { code: error.code, reason: error.message };
                self.end(desk, now, cause, true);
            }
        }
    }

    /// No reply to a refresh.
    pub(super) fn refresh_timed_out(&mut self, desk: &mut Desk, now: Moment, id: u32) {
        if matches!(self.state, State::Subscribed(Refresh::Sent(it)) if it == id) {
            self.refresh_later(desk, now, Failure::Timeout);
        }
    }

    /// It is time to refresh the token.
    pub(super) fn refresh(&mut self, desk: &mut Desk) {
        if matches!(self.state, State::Subscribed(Refresh::None)) {
            let ticket = desk.fetch(Fetch::SubscriptionToken(self.id));
            self.state = State::Subscribed(Refresh::Fetching(ticket));
        }
    }

    /// Something was published. Messages that the server has joined are told one by
    /// one.
    pub(super) fn publication(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        mut publication: Publication,
    ) {
        if !self.is_subscribed() {
            return;
        }
        match self.base.apply(&mut publication, desk.encoding, self.terms.most) {
            Ok(()) => {
                self.spoiled = false;
                advance(&mut self.position, &publication);
                for message in joined::split(publication) {
                    desk.tell_of(self.id, SubscriptionEvent::Publication(message));
                }
            }
            Err(why) => self.spoil(desk, now, why),
        }
    }

    /// A push of the channel other than a publication.
    pub(super) fn push(&mut self, desk: &mut Desk, now: Moment, event: reply::Event) {
        if !self.is_subscribed() {
            return;
        }
        match event {
            reply::Event::Publication(publication) => {
                self.publication(desk, now, publication);
            }
            reply::Event::Join(info) => desk.tell_of(self.id, SubscriptionEvent::Join(info)),
            reply::Event::Leave(info) => desk.tell_of(self.id, SubscriptionEvent::Leave(info)),
            reply::Event::Unsubscribe { code, reason } => {
                let cause = Cause { code, reason };
                if !code::resubscribes(code) {
                    return self.end(desk, now, cause, false);
                }
                if code == Unsubscribed::StateInvalidated.code() {
                    self.reset();
                }
                if code == Unsubscribed::Expired.code() {
                    self.drop_token();
                }
                self.leave(desk);
                self.enter_subscribing(desk, cause);
                self.wait(desk, now);
            }
            _ => {}
        }
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self, desk: &mut Desk) {
        match self.state {
            State::Unsubscribed(_) => {}
            State::Subscribing(_) => {
                self.leave(desk);
                self.state = State::Subscribing(Step::Idle);
            }
            State::Subscribed(_) => {
                self.leave(desk);
                self.enter_subscribing(desk, own::TRANSPORT_CLOSED);
            }
        }
    }

    /// All state is void: token, place in the stream, base.
    pub(super) fn reset(&mut self) {
        self.drop_token();
        self.forget_place();
    }

    fn needs_token(&self) -> bool {
        self.terms.has_token_source && self.token.is_none()
    }

    fn needs_state(&self) -> bool {
        self.terms.has_state_source && self.position.is_none()
    }

    fn waits_for(&self, ticket: Ticket) -> bool {
        matches!(self.state, State::Subscribing(Step::Fetching(it)) if it == ticket)
    }

    fn waits_for_reply(&self, id: u32) -> bool {
        matches!(self.state, State::Subscribing(Step::Sent(it)) if it == id)
    }

    fn enter_subscribing(&mut self, desk: &mut Desk, cause: Cause) {
        self.state = State::Subscribing(Step::Idle);
        desk.tell_of(self.id, SubscriptionEvent::Subscribing(cause));
    }

    /// Ends whatever is under way in the present state.
    fn leave(&mut self, desk: &mut Desk) {
        desk.timers.clear(Timer::Resubscribe(self.id));
        desk.timers.clear(Timer::SubRefresh(self.id));
        match self.state {
            State::Subscribing(Step::Fetching(ticket))
            | State::Subscribed(Refresh::Fetching(ticket)) => desk.abandon(ticket),
            State::Subscribing(Step::Sent(id)) | State::Subscribed(Refresh::Sent(id)) => {
                desk.answered(id);
            }
            _ => {}
        }
    }

    /// Becomes unsubscribed. `tell` has the server told of it.
    fn end(&mut self, desk: &mut Desk, now: Moment, cause: Cause, tell: bool) {
        if self.ended().is_some() {
            return;
        }
        let known = matches!(self.state, State::Subscribed(_) | State::Subscribing(Step::Sent(_)));
        self.leave(desk);
        if tell && known {
            self.tell_server(desk, now);
        }
        self.state = State::Unsubscribed(cause.clone());
        desk.tell_of(self.id, SubscriptionEvent::Unsubscribed(cause));
    }

    fn tell_server(&self, desk: &mut Desk, now: Moment) {
        let request = Request::Unsubscribe { channel: (&*self.channel).into() };
        desk.send(now, request, Pending::Unsubscribe);
    }

    /// An attempt has failed; there will be another.
    fn rest(&mut self, desk: &mut Desk, now: Moment, failure: Failure) {
        desk.tell_of(self.id, SubscriptionEvent::Error(failure));
        self.wait(desk, now);
    }

    fn wait(&mut self, desk: &mut Desk, now: Moment) {
        let delay = desk.delay(self.terms.backoff, self.failures);
        self.failures = self.failures.saturating_add(1);
        desk.timers.set(Timer::Resubscribe(self.id), now.saturating_add(delay));
        self.state = State::Subscribing(Step::Resting);
    }

    fn plan_refresh(&mut self, desk: &mut Desk, now: Moment, expiry: Expiry) {
        // Without a source, the server ends the subscription when it is time.
        if let Some(ttl) = expiry.ttl.filter(|_| self.terms.has_token_source) {
            let at = desk.refresh_at(now, ttl.get());
            desk.timers.set(Timer::SubRefresh(self.id), at);
        }
    }

    fn refresh_later(&mut self, desk: &mut Desk, now: Moment, failure: Failure) {
        desk.tell_of(self.id, SubscriptionEvent::Error(failure));
        let at = desk.refresh_again_at(now);
        desk.timers.set(Timer::SubRefresh(self.id), at);
        self.state = State::Subscribed(Refresh::None);
    }

    /// A delta did not apply. Recovering from the last good publication brings
    /// the next one whole; if that has been of no use, nothing is kept.
    fn spoil(&mut self, desk: &mut Desk, now: Moment, why: String) {
        self.base.forget();
        if std::mem::replace(&mut self.spoiled, true) {
            self.forget_place();
        }
        desk.tell_of(self.id, SubscriptionEvent::Error(Failure::Delta(why)));
        self.leave(desk);
        self.tell_server(desk, now);
        self.enter_subscribing(desk, own::BAD_DELTA);
        self.wait(desk, now);
    }

    fn drop_token(&mut self) {
        if self.terms.has_token_source {
            self.token = None;
        }
    }

    fn forget_place(&mut self) {
        self.position = None;
        self.base.forget();
    }
}
