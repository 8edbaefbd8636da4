//! The connection: its states, its token, its pings.

use std::borrow::Cow;
use std::time::Duration;

use sealcast_wire::command::{Connect, Subscribe, Token};
use sealcast_wire::reply::{self, ConnectResult, Expiry};
use sealcast_wire::{Data, Encoding, Request};

use super::code::{self, Close, own};
use super::desk::{Desk, Pending, Timer};
use super::port::{Fetch, Loss, Moment, Output, Settings, Ticket, Verdict};
use crate::token::TokenError;
use crate::{Cause, Event, Failure};

/// The codes after which more than the connection changes.
const EXPIRED: u32 = 3005;
const STATE_INVALIDATED: u32 = 3014;
const INVALID_TOKEN: u32 = 3500;

/// The longest wait that a server may ask for.
const MOST_ASKED: Duration = Duration::from_secs(300);

pub(super) struct Connection {
    settings: Settings,
    pub(super) phase: Phase,
    /// Of the last connection that was opened.
    number: u64,
    failures: u32,
    /// How long the server asks to wait before the next attempt.
    asked: Duration,
    token: Option<String>,
    refreshing: Option<Ticket>,
    /// How long the server may be silent.
    patience: Option<Duration>,
    heard: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Disconnected(Cause),
    Connecting(Step),
    Connected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Waits before the next attempt.
    Resting,
    /// Waits for a token.
    Fetching(Ticket),
    /// Waits for the connection.
    Opening,
    /// Waits for the reply to the connect command.
    Greeting,
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Connection {
        Connection {
            phase: Phase::Disconnected(own::DISCONNECT_CALLED),
            number: 0,
            failures: 0,
            asked: Duration::ZERO,
            token: settings.token.clone(),
            refreshing: None,
            patience: None,
            heard: Duration::ZERO,
            settings,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    pub(super) fn is_disconnected(&self) -> bool {
        matches!(self.phase, Phase::Disconnected(_))
    }

    /// Whether commands can be sent, or are being sent already.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Connecting(Step::Greeting))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The application connects.
    pub(super) fn connect(&mut self, desk: &mut Desk) {
        if self.is_disconnected() {
            self.failures = 0;
            desk.tell(Event::Connecting(own::CONNECT_CALLED));
            self.dial(desk);
        }
    }

    /// Opens a connection, or first asks for a token.
    pub(super) fn dial(&mut self, desk: &mut Desk) {
        self.phase = Phase::Connecting(if self.settings.has_token_source && self.token.is_none() {
            Step::Fetching(desk.fetch(Fetch::ConnectionToken))
        } else {
            self.number += 1;
            desk.outputs.push_back(Output::Open(self.number));
            Step::Opening
        });
    }

    /// The connection is open: sends the connect command.
    pub(super) fn opened(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        number: u64,
        positions: Vec<(Cow<'_, str>, Subscribe<'_>)>,
    ) -> bool {
        if number != self.number || self.phase != Phase::Connecting(Step::Opening) {
            return false;
        }
        self.phase = Phase::Connecting(Step::Greeting);
        self.heard = now;
        let settings = &self.settings;
        let request = Request::Connect(Box::new(Connect {
            token: Token(self.token.as_deref().unwrap_or_default().into()),
            data: settings.data.as_deref().map(|data| match settings.encoding {
                Encoding::Json => Data::Json(data),
                Encoding::Protobuf => Data::Opaque(data),
            }),
            subs: positions,
            name: (&*settings.name).into(),
            version: (&*settings.version).into(),
        }));
        desk.send(now, request, Pending::Connect);
        true
    }

    /// The server accepted the connect command.
    pub(super) fn greeted(&mut self, desk: &mut Desk, now: Moment, result: &ConnectResult) {
        self.phase = Phase::Connected;
        self.failures = 0;
        self.patience = (result.ping > 0).then(|| {
            Duration::from_secs(result.ping.into()).saturating_add(self.settings.max_ping_delay)
        });
        self.heard(now);
        if let Some(patience) = self.patience {
            desk.timers.set(Timer::Ping, now.saturating_add(patience));
        }
        self.plan_refresh(desk, now, result.expiry);
    }

    /// The server refused the connect command.
    pub(super) fn refused(&mut self, desk: &mut Desk, error: reply::Error) -> Verdict {
        if code::asks_for_token(&error) {
            if !self.settings.has_token_source {
                return Verdict::Stop(own::UNAUTHORIZED);
            }
            self.drop_token();
        } else if !code::is_retried(&error) {
            // Told to connect again, it comes with another.
            self.drop_token();
            return Verdict::Stop(Cause { code: error.code, reason: error.message });
        }
        desk.tell(Event::Error(error.into()));
        Verdict::Retry
    }

    /// The connection with this number is gone.
    pub(super) fn lost(&mut self, desk: &mut Desk, number: u64, loss: Loss) -> Verdict {
        let connecting = match self.phase {
            Phase::Connected => false,
            Phase::Connecting(Step::Opening | Step::Greeting) => true,
            _ => return Verdict::Stay,
        };
        if number != self.number {
            return Verdict::Stay;
        }
        let close = match loss {
            Loss::NotOpened(why, asked) => {
                self.asked = asked.min(MOST_ASKED);
                desk.tell(Event::Error(Failure::Transport(why)));
                return Verdict::Retry;
            }
            Loss::Ended => Close::Reconnect(own::TRANSPORT_CLOSED),
            Loss::Broken => Close::Terminal(own::BAD_PROTOCOL),
            Loss::TooLarge => Close::Terminal(own::SIZE_LIMIT),
            Loss::Closed { code, reason } => code::close(code, reason),
        };
        match close {
            Close::Terminal(cause) => {
                if cause.code == INVALID_TOKEN {
                    self.drop_token();
                }
                Verdict::Stop(cause)
            }
            Close::Reconnect(cause) => {
                if connecting {
                    desk.tell(Event::Error(Failure::Closed(cause.clone())));
                }
                if cause.code == EXPIRED {
                    self.drop_token();
                }
                match cause.code {
                    STATE_INVALIDATED => Verdict::Reset(cause),
                    _ => Verdict::Reconnect(cause),
                }
            }
        }
    }

    /// Forgets what belongs to the connection of now, and has it closed.
    pub(super) fn leave(&mut self, desk: &mut Desk) {
        for timer in [Timer::Reconnect, Timer::Ping, Timer::Refresh] {
            desk.timers.clear(timer);
        }
        if let Phase::Connecting(Step::Fetching(ticket)) = self.phase {
            desk.abandon(ticket);
        }
        if let Some(ticket) = self.refreshing.take() {
            desk.abandon(ticket);
        }
        if matches!(
            self.phase,
            Phase::Connected | Phase::Connecting(Step::Opening | Step::Greeting)
        ) {
            desk.outputs.push_back(Output::Close);
        }
    }

    /// Waits before the next attempt.
    pub(super) fn rest(&mut self, desk: &mut Desk, now: Moment) {
        // Beside what the server asks, so that not all come back together.
        let delay = desk.delay(self.settings.backoff, self.failures);
        let delay = delay.saturating_add(std::mem::take(&mut self.asked));
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Connecting(Step::Resting);
        desk.timers.set(Timer::Reconnect, now.saturating_add(delay));
    }

    pub(super) fn heard(&mut self, now: Moment) {
        self.heard = now;
    }

    /// The server may have been silent for too long.
    pub(super) fn check_ping(&mut self, desk: &mut Desk, now: Moment) -> Verdict {
        let Some(patience) = self.patience.filter(|_| self.is_connected()) else {
            return Verdict::Stay;
        };
        let until = self.heard.saturating_add(patience);
        if now >= until {
            return Verdict::Reconnect(own::NO_PING);
        }
        desk.timers.set(Timer::Ping, until);
        Verdict::Stay
    }

    /// The application has answered with a token.
    pub(super) fn token(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        ticket: Ticket,
        token: Result<String, TokenError>,
    ) -> Verdict {
        let refreshing = self.refreshing == Some(ticket);
        if refreshing {
            self.refreshing = None;
        } else if self.phase == Phase::Connecting(Step::Fetching(ticket)) {
            self.phase = Phase::Connecting(Step::Resting);
        } else {
            return Verdict::Stay;
        }
        match token {
            Ok(token) if !token.is_empty() => {
                self.token = Some(token.clone());
                if refreshing {
                    let request = Request::Refresh { token: Token(token.into()) };
                    desk.send(now, request, Pending::Refresh);
                } else {
                    self.dial(desk);
                }
                Verdict::Stay
            }
            Ok(_) | Err(TokenError::Unauthorized) => Verdict::Stop(own::UNAUTHORIZED),
            Err(TokenError::Other(text)) if refreshing => {
                self.refresh_later(desk, now, Failure::Token(text));
                Verdict::Stay
            }
            Err(TokenError::Other(text)) => {
                desk.tell(Event::Error(Failure::Token(text)));
                Verdict::Retry
            }
        }
    }

    /// It is time to refresh the token.
    pub(super) fn refresh(&mut self, desk: &mut Desk) {
        if self.is_connected() && self.refreshing.is_none() {
            self.refreshing = Some(desk.fetch(Fetch::ConnectionToken));
        }
    }

    pub(super) fn plan_refresh(&mut self, desk: &mut Desk, now: Moment, expiry: Expiry) {
        desk.timers.clear(Timer::Refresh);
        // Without a source, the server ends the connection when it is time.
        if let Some(ttl) = expiry.ttl.filter(|_| self.settings.has_token_source) {
            let at = desk.refresh_at(now, ttl.get());
            desk.timers.set(Timer::Refresh, at);
        }
    }

    /// The server refused a refresh.
    pub(super) fn refresh_refused(
        &mut self,
        desk: &mut Desk,
        now: Moment,
        error: reply::Error,
    ) -> Verdict {
        if !code::is_passing(&error) {
            return Verdict::Stop(Cause { code: error.code, reason: error.message });
        }
        self.refresh_later(desk, now, error.into());
        Verdict::Stay
    }

    pub(super) fn refresh_later(&mut self, desk: &mut Desk, now: Moment, failure: Failure) {
        desk.tell(Event::Error(failure));
        let at = desk.refresh_again_at(now);
        desk.timers.set(Timer::Refresh, at);
    }

    /// Asks for a new one next time, if the application can give one.
    pub(super) fn drop_token(&mut self) {
        if self.settings.has_token_source {
            self.token = None;
        }
    }
}
