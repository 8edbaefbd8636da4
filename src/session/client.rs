//! A client of the Centrifuge protocol over a bidirectional transport.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use sealcast_wire::command::{Command, Connect, History, Publish, Request, SubRefresh, Subscribe};
use sealcast_wire::name::BadName;
use sealcast_wire::reply::{Body, Expiry};
use sealcast_wire::{Channel, Data, Disconnect, Encoding, ErrorCode, Reply};

use super::inflight::InFlight;
use super::operation::{Actor, Kind, Operation};
use super::{Message, Places, Policy, Session, connect, subscribe};
use crate::auth::{DataFormat, Identity};
use crate::broker::HistoryQuery;
use crate::hub::{self, Connection, Deadline, Millis, Registration};
use crate::limit::Permit;
use crate::metrics::{Attempt, Metrics};

/// How long a refused client has to close by itself.
const REFUSED_TIMEOUT: Millis = Millis(5_000);

/// See [`Session`].
pub struct Client {
    policy: Arc<Policy>,
    connection: Arc<Connection>,
    state: State,
    inflight: InFlight,
    /// Channels that the connection token subscribed, sorted.
    granted: Vec<Channel>,
    registration: Registration,
    _place: Permit,
}

/// A connection waits until it has connected; only then are there commands.
enum State {
    Waiting {
        _place: Permit,
    },
    /// Its server-side subscriptions are being made; what it says meanwhile waits.
    Connecting(Box<Connecting>),
    Active(Actor),
    /// Its connect was answered with an error: it is expected to close.
    Refused,
}

struct Connecting {
    id: u32,
    actor: Actor,
    future: BoxFuture<'static, Result<(), Refusal>>,
    /// Frames that came behind the connect command, in order.
    waiting: VecDeque<Vec<u8>>,
    _place: Permit,
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is answered with an error.
    Reply(ErrorCode),
    /// It ends the whole connection.
    Close(Disconnect),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Reply(code)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Refusal {
        Refusal::Close(disconnect)
    }
}

impl Session for Client {
    fn message(&mut self, message: Message<'_>, context: &mut Context<'_>) {
        let bytes = match (message, self.connection.encoding()) {
            (Message::Text(text), Encoding::Json) => text.as_bytes(),
            (Message::Binary(bytes), Encoding::Protobuf) => bytes,
            _ => {
                self.metrics().violation("frame_type");
                self.close(Disconnect::INAPPROPRIATE_PROTOCOL);
                return;
            }
        };
        self.frame(bytes, context);
    }

    fn resume(&mut self, context: &mut Context<'_>) {
        self.go_on_connecting(context);
        if let State::Active(actor) = &self.state {
            self.inflight.resume(actor, context);
            let now = self.policy.relay.hub().clock().now();
            for channel in self.connection.take_expired(now) {
                let operation = Operation { id: 0, channel, kind: Kind::Expire };
                self.inflight.submit(operation, actor, context);
            }
        }
    }

    fn wants_input(&self) -> bool {
        !matches!(self.state, State::Connecting(_)) && self.inflight.has_room()
    }
}

impl Client {
    /// A connection that has to authenticate before the deadline.
    #[must_use]
    pub fn new(
        policy: Arc<Policy>,
        connection: Arc<Connection>,
        registration: Registration,
        places: Places,
    ) -> Client {
        let now = policy.relay.hub().clock().now();
        connection
            .set_deadline(Deadline::Connect, now.after(policy.limits.connect_deadline.into()));
        policy.relay.hub().metrics().connections_waiting.increment(1.0);
        Client {
            policy,
            connection,
            state: State::Waiting { _place: places.waiting },
            inflight: InFlight::default(),
            granted: Vec::new(),
            registration,
            _place: places.connection,
        }
    }

    fn frame(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut commands = self.connection.encoding().commands(bytes);
        loop {
            if let State::Connecting(connecting) = &mut self.state {
                let rest = commands.rest();
                if !rest.is_empty() {
                    connecting.waiting.push_back(rest.to_vec());
                }
                return;
            }
            let done = match commands.next() {
                None => return,
                Some(Ok(command)) => self.command(command, context),
                Some(Err(_)) => {
                    self.metrics().violation("undecodable");
                    Err(Disconnect::BAD_REQUEST)
                }
            };
            if let Err(disconnect) = done {
                self.close(disconnect);
                return;
            }
        }
    }

    /// Makes the server-side subscriptions, and then takes up what waits.
    fn go_on_connecting(&mut self, context: &mut Context<'_>) {
        let State::Connecting(connecting) = &mut self.state else { return };
        let Poll::Ready(done) = connecting.future.as_mut().poll(context) else { return };
        let id = connecting.id;
        let waiting = std::mem::take(&mut connecting.waiting);
        let actor = connecting.actor.clone();
        match done {
            Ok(()) => {
                self.connected(actor);
                for frame in waiting {
                    self.frame(&frame, context);
                }
            }
            Err(refusal) => {
                clean_up(&actor);
                match self.refused(refusal) {
                    Refusal::Reply(code) => {
                        self.metrics().command_error("connect", code.code());
                        self.reply(&Reply::error(id, code));
                    }
                    Refusal::Close(disconnect) => self.close(disconnect),
                }
            }
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Disconnect> {
        let (id, method) = (command.id, command.request.method());
        self.metrics().command(method);
        let done = match &self.state {
            State::Refused | State::Connecting(_) => Ok(()),
            State::Waiting { .. } => match command.request {
                Request::Connect(connect) => self.connect(id, &connect, context),
                _ => Err(Disconnect::BAD_REQUEST.into()),
            },
            State::Active(actor) => {
                let actor = actor.clone();
                self.active(id, command.request, &actor, context)
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(Refusal::Reply(code)) => {
                self.metrics().command_error(method, code.code());
                self.reply(&Reply::error(id, code));
                Ok(())
            }
            Err(Refusal::Close(disconnect)) => Err(disconnect),
        }
    }

    fn connect(
        &mut self,
        id: u32,
        request: &Connect<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let (identity, result, grants) = connect::connect(&self.policy, &self.connection, request)
            .map_err(|refusal| self.refused(refusal))?;
        let actor = Actor {
            policy: Arc::clone(&self.policy),
            connection: Arc::clone(&self.connection),
            identity: Arc::new(identity),
        };
        if grants.is_empty() {
            self.connected(actor);
            self.reply(&Reply { id, body: Body::Connect(Box::new(result)) });
            return Ok(());
        }
        self.granted = grants.iter().map(|(wish, _)| wish.get().channel.clone()).collect();
        let positions = request.subs.iter().map(|(channel, asked)| {
            let position = subscribe::Request {
                recover: asked.recover.then(|| subscribe::since(asked.offset, &asked.epoch)),
                recoverable: asked.recover,
                delta: !asked.delta.is_empty(),
                ..subscribe::Request::default()
            };
            (channel.to_string(), position)
        });
        let future = actor.clone().connect(id, result, grants, positions.collect());
        let waiting = std::mem::replace(&mut self.state, State::Refused);
        let State::Waiting { _place } = waiting else { return Ok(()) };
        self.state = State::Connecting(Box::new(Connecting {
            id,
            actor,
            future: Box::pin(future),
            waiting: VecDeque::new(),
            _place,
        }));
        self.go_on_connecting(context);
        Ok(())
    }

    fn connected(&mut self, actor: Actor) {
        self.metrics().attempt(Attempt::Ok);
        let Identity { user, info } = Identity::clone(&actor.identity);
        self.registration.authenticated(hub::Client { user, info });
        self.leave_waiting(State::Active(actor));
    }

    /// A connect command is refused: with an error, the client is given a while to
    /// close by itself.
    fn refused(&mut self, refusal: Refusal) -> Refusal {
        self.metrics().attempt(Attempt::ClientError);
        if let Refusal::Reply(_) = refusal {
            let now = self.policy.relay.hub().clock().now();
            self.connection.set_deadline(Deadline::Close, now.after(REFUSED_TIMEOUT));
            self.leave_waiting(State::Refused);
        }
        refusal
    }

    fn active(
        &mut self,
        id: u32,
        request: Request<'_>,
        actor: &Actor,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let (channel, kind) = match request {
            Request::Pong => {
                self.connection.pong();
                return Ok(());
            }
            Request::Subscribe(request) => self.subscribe(&request)?,
            Request::Unsubscribe { channel } => match channel_of(&channel) {
                Ok(channel) => (channel, Kind::Unsubscribe),
                Err(Refusal::Reply(_)) => {
                    // An error would make an SDK reconnect; there is no such subscription.
                    self.reply(&Reply { id, body: Body::Unsubscribe });
                    return Ok(());
                }
                Err(close) => return Err(close),
            },
            Request::Publish(request) => self.publish(&request)?,
            Request::Refresh { token } => {
                let expiry = connect::refresh(
                    &self.policy,
                    &self.connection,
                    &actor.identity,
                    &self.granted,
                    &token.0,
                )?;
                self.reply(&Reply { id, body: Body::Refresh(expiry) });
                return Ok(());
            }
            Request::Presence { channel } => (channel_of(&channel)?, Kind::Presence),
            Request::PresenceStats { channel } => (channel_of(&channel)?, Kind::PresenceStats),
            Request::History(request) => self.history(&request)?,
            Request::SubRefresh(request) => {
                let expiry = sub_refresh(actor, &request)?;
                self.reply(&Reply { id, body: Body::SubRefresh(expiry) });
                return Ok(());
            }
            Request::Rpc { .. } => return Err(ErrorCode::NotAvailable.into()),
            Request::Send { .. } => return Err(Disconnect::NOT_AVAILABLE.into()),
            Request::Connect(_) | Request::Ping => return Err(Disconnect::BAD_REQUEST.into()),
        };
        let operation = Operation { id, channel, kind };
        self.inflight.submit(operation, actor, context);
        Ok(())
    }

    /// Checks a subscribe's form (protocol: subscribe, decision order).
    fn subscribe(&self, request: &Subscribe<'_>) -> Result<(Channel, Kind), Refusal> {
        if !matches!(request.delta.as_ref(), "" | "fossil") {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let channel = channel_of(&request.channel)?;
        if self.policy.namespaces.of(&channel).is_none() {
            return Err(ErrorCode::UnknownChannel.into());
        }
        match request.kind {
            ..=0 => {}
            1..=3 => return Err(ErrorCode::PermissionDenied.into()),
            4 => return Err(ErrorCode::NotAvailable.into()),
            5.. => return Err(ErrorCode::BadRequest.into()),
        }
        let filter = match &request.filter {
            Some(Err(_)) => return Err(ErrorCode::BadRequest.into()),
            Some(Ok(filter)) => Some(filter.clone()),
            None => None,
        };
        let wish = subscribe::Request {
            recover: request.recover.then(|| subscribe::since(request.offset, &request.epoch)),
            positioned: request.positioned,
            recoverable: request.recoverable,
            join_leave: request.join_leave,
            delta: !request.delta.is_empty(),
            filter,
            flag: request.flag,
            token: request.token.0.to_string(),
        };
        Ok((channel, Kind::Subscribe(Box::new(wish))))
    }

    /// Checks a publish's form.
    fn publish(&self, request: &Publish<'_>) -> Result<(Channel, Kind), Refusal> {
        let channel = channel_of(&request.channel)?;
        let namespace = self.policy.namespaces.of(&channel).ok_or(ErrorCode::UnknownChannel)?;
        if request.kind == 1 {
            return Err(ErrorCode::PermissionDenied.into());
        }
        // Protobuf does not write an empty payload, which only binary ones may be.
        let empty = (namespace.data_format == DataFormat::Binary).then_some(Data::Opaque(b""));
        let payload = request
            .data
            .or(empty)
            .filter(|data| data.bytes().len() <= self.policy.limits.message_bytes)
            .and_then(|data| namespace.data_format.payload(data))
            .ok_or(ErrorCode::BadRequest)?;
        Ok((channel, Kind::Publish(payload)))
    }

    /// Checks a history request's form.
    fn history(&self, request: &History<'_>) -> Result<(Channel, Kind), Refusal> {
        let channel = channel_of(&request.channel)?;
        if request.reverse && matches!(request.since, Some((0, _))) {
            return Err(ErrorCode::BadRequest.into());
        }
        let most = self.policy.limits.history_publications;
        // A negative limit asks for all.
        let limit = usize::try_from(request.limit).map_or(most, |limit| limit.min(most));
        let since = request.since.as_ref().map(|(offset, epoch)| subscribe::since(*offset, epoch));
        Ok((channel, Kind::History(HistoryQuery { limit, since, reverse: request.reverse })))
    }

    fn leave_waiting(&mut self, state: State) {
        if let State::Waiting { .. } | State::Connecting(_) = self.state {
            self.metrics().connections_waiting.decrement(1.0);
        }
        self.state = state;
    }

    fn reply(&self, reply: &Reply) {
        push(&self.policy, &self.connection, reply);
    }

    fn close(&self, disconnect: Disconnect) {
        self.connection.close(self.policy.relay.hub(), disconnect);
    }

    fn metrics(&self) -> &Metrics {
        self.policy.relay.hub().metrics()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let actor = match &self.state {
            State::Active(actor) => Some(actor.clone()),
            State::Connecting(connecting) => Some(connecting.actor.clone()),
            State::Waiting { .. } | State::Refused => None,
        };
        // Stops what is being made, before what was made is taken back.
        self.leave_waiting(State::Refused);
        self.policy.relay.unsubscribe_all(&self.connection);
        if let Some(actor) = actor {
            clean_up(&actor);
        }
    }
}

/// Cleans up at the broker, in the background, what subscriptions left there.
fn clean_up(actor: &Actor) {
    // Without a runtime the process is ending, and what is left expires.
    if actor.connection.has_traces()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        runtime.spawn(actor.clone().clean_up());
    }
}

/// Brings a subscription another token (protocol: expiration and refresh).
fn sub_refresh(actor: &Actor, request: &SubRefresh<'_>) -> Result<Expiry, Refusal> {
    let channel = channel_of(&request.channel)?;
    if !actor.connection.is_subscribed(&channel) {
        return Err(ErrorCode::PermissionDenied.into());
    }
    if request.kind != 0 || request.token.0.is_empty() {
        return Err(ErrorCode::BadRequest.into());
    }
    let (_, claims) =
        actor.verify(&request.token.0, &channel).map_err(|refusal| match refusal {
            Refusal::Reply(ErrorCode::TokenExpired) => ErrorCode::Expired.into(),
            Refusal::Reply(_) => Disconnect::INVALID_TOKEN.into(),
            close => close,
        })?;
    let (expires, expiry) = actor.expiry(claims.expires_at);
    actor.connection.extend_subscription(&channel, expires);
    Ok(expiry)
}

/// Puts a reply on the connection's outbox.
pub(super) fn push(policy: &Policy, connection: &Connection, reply: &Reply) {
    connection.push(policy.relay.hub(), connection.frame(reply), 1);
}

/// A name from a command: an empty one ends the connection, another bad one is
/// answered with 107.
fn channel_of(name: &str) -> Result<Channel, Refusal> {
    Channel::parse(name).map_err(|bad| match bad {
        BadName::Empty => Disconnect::BAD_REQUEST.into(),
        BadName::TooLong | BadName::Character => ErrorCode::BadRequest.into(),
    })
}
