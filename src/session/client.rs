//! A client of the Centrifuge protocol over a bidirectional transport.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sealcast_wire::command::{Command, Connect, Request};
use sealcast_wire::reply::Body;
use sealcast_wire::{Channel, Disconnect, Encoding, ErrorCode, Reply, User};

use super::answer::{About, push, refuse};
use super::connect::{self, Admitted};
use super::connecting::Connecting;
use super::form::channel_of;
use super::inflight::InFlight;
use super::meter::Meter;
use super::operation::{Actor, Kind, Operation};
use super::places::{Held, Taken, Wanted};
pub(super) use super::refusal::Refusal;
use super::{AddressPlace, Message, Places, Policies, Policy, Session, form, listener};
use crate::auth::Identity;
use crate::hub::{self, Connection, Deadline, Millis, Notes, Pings, Registration, UserPlace};
use crate::limit::{Permit, nanos};
use crate::metrics::{Attempt, Metrics};

/// How long a refused client has to close by itself.
const REFUSED_TIMEOUT: Millis = Millis(5_000);

/// See [`Session`].
pub struct Client {
    /// The one in force when the connection last said something, or woke.
    policy: Arc<Policy>,
    policies: Arc<Policies>,
    connection: Arc<Connection>,
    state: State,
    inflight: InFlight,
    /// Channels that the connection token made, and the user's own; sorted.
    granted: Vec<Channel>,
    registration: Registration,
    /// Made with the first command, so that it need not lie in the task.
    meter: Option<Box<Meter>>,
    _place: Permit,
    _address: Option<Box<AddressPlace>>,
    /// Its places among those of its user and of its tenant.
    _held: Option<Box<Held>>,
}

/// A connection waits until it has connected; only then are there commands.
enum State {
    Waiting {
        _place: Permit,
        /// The session's secret id and the node's, for the connect reply.
        emulated: Option<Box<(String, String)>>,
    },
    /// Its server-side subscriptions are being made; what it says meanwhile waits.
    Connecting(Box<Connecting>),
    Active(Actor),
    /// Its connect was answered with an error: it is expected to close.
    Refused,
}

/// Whether a command has its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Given,
    /// What was begun gives it later, or none is awaited.
    NotHere,
}

impl Session for Client {
    fn message(&mut self, message: Message<'_>, context: &mut Context<'_>) {
        self.renew_policy();
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
        self.renew_policy();
        self.go_on_connecting(context);
        if let State::Active(actor) = &mut self.state {
            let now = self.policy.relay.hub().clock().now();
            let Notes { expired, client_changed } = self.connection.take_notes(now);
            if client_changed && let Some(client) = self.registration.client() {
                let hub::Client { user, tenant, info } = client;
                actor.identity = Arc::new(Identity { user, tenant, info });
            }
            self.inflight.resume(actor, context);
            for channel in expired {
                let operation = Operation { id: 0, channel, kind: Kind::Expire, began: None };
                self.inflight.submit(operation, actor, context);
            }
        }
    }

    fn wants_input(&self) -> bool {
        !matches!(self.state, State::Connecting(_)) && self.inflight.has_room()
    }

    fn pseudonym(&self) -> Option<String> {
        self.policy.pseudonym(self.user()?)
    }
}

impl Client {
    /// A connection that has to authenticate before the deadline.
    #[must_use]
    pub fn new(
        policies: Arc<Policies>,
        connection: Arc<Connection>,
        registration: Registration,
        places: Places,
    ) -> Client {
        let policy = policies.current();
        let now = policy.relay.hub().clock().now();
        connection
            .set_deadline(Deadline::Connect, now.after(policy.limits.connect_deadline.into()));
        policy.relay.hub().metrics().connections_waiting.increment(1.0);
        Client {
            policy,
            policies,
            connection,
            state: State::Waiting { _place: places.waiting, emulated: None },
            inflight: InFlight::default(),
            granted: Vec::new(),
            registration,
            meter: None,
            _place: places.connection,
            _address: places.address,
            _held: None,
        }
    }

    /// What its connect reply tells of a session whose commands come by requests.
    pub(super) fn emulated(mut self, session: String, node: String) -> Client {
        if let State::Waiting { emulated, .. } = &mut self.state {
            *emulated = Some(Box::new((session, node)));
        }
        self
    }

    /// What begins from now on begins under the policy in force.
    fn renew_policy(&mut self) {
        if !self.policies.renew(&mut self.policy) {
            return;
        }
        match &mut self.state {
            State::Active(actor) => actor.policy = Arc::clone(&self.policy),
            State::Connecting(connecting) => connecting.actor.policy = Arc::clone(&self.policy),
            State::Waiting { .. } | State::Refused => {}
        }
    }

    fn frame(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut commands = self.connection.encoding().commands(bytes);
        // One time for all commands of a frame: they came together.
        let began = self.policy.relay.hub().clock().precise();
        if let State::Active(_) = self.state {
            self.meter.get_or_insert_default().frame(
                bytes.len(),
                &self.policy.limits,
                nanos(began),
            );
        }
        loop {
            if let State::Connecting(connecting) = &mut self.state {
                let rest = commands.rest();
                if !rest.is_empty() {
                    connecting.wait(rest, &self.connection, self.policy.relay.hub());
                }
                return;
            }
            let done = match commands.next() {
                None => return,
                Some(Ok(command)) => self.command(command, began, context),
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
        let (id, began) = (connecting.id, connecting.began);
        let waiting = std::mem::take(&mut connecting.waiting);
        self.connection.set_running(self.policy.relay.hub(), 0);
        let user_place = connecting.user_place.take();
        let actor = connecting.actor.clone();
        match done {
            Ok(held) => {
                self._held = held;
                self.connected(actor, user_place);
                self.policy.relay.hub().observe_command("connect", began);
                for frame in waiting {
                    self.frame(&frame, context);
                }
            }
            Err(refusal) => {
                clean_up(&actor);
                match self.refused(refusal) {
                    Refusal::Reply(code) | Refusal::Explained(code, _) => {
                        self.refuse(id, "connect", code);
                    }
                    Refusal::Close(disconnect) => {
                        // What has come to its end must not be asked again.
                        self.leave_waiting(State::Refused);
                        self.close(disconnect);
                    }
                }
            }
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        began: Duration,
        context: &mut Context<'_>,
    ) -> Result<(), Disconnect> {
        let (id, method) = (command.id, command.request.method());
        self.metrics().command(method);
        let done = match &self.state {
            State::Refused | State::Connecting(_) => Ok(Answer::NotHere),
            State::Waiting { .. } => match command.request {
                Request::Connect(connect) => self.connect((id, began), &connect, context),
                _ => Err(Disconnect::BAD_REQUEST.into()),
            },
            State::Active(actor) => {
                let actor = actor.clone();
                self.meter
                    .get_or_insert_default()
                    .admit(&command.request, &actor, nanos(began))
                    .and_then(|()| self.active((id, began), command.request, &actor, context))
            }
        };
        if done != Ok(Answer::NotHere) {
            self.policy.relay.hub().observe_command(method, began);
        }
        match done {
            Ok(_) => Ok(()),
            // What has no id cannot be answered.
            Err(Refusal::Reply(_)) if id == 0 => Ok(()),
            Err(Refusal::Reply(code) | Refusal::Explained(code, _)) => {
                self.refuse(id, method, code);
                Ok(())
            }
            Err(Refusal::Close(disconnect)) => Err(disconnect),
        }
    }

    fn connect(
        &mut self,
        (id, began): (u32, Duration),
        request: &Connect<'_>,
        context: &mut Context<'_>,
    ) -> Result<Answer, Refusal> {
        let admitted =
            connect::connect(&self.policy, &self.connection, &self.registration, request)
                .map_err(|refusal| self.refused(refusal))?;
        let Admitted { identity, mut result, places, granted, subscriptions } = admitted;
        let Taken { user: user_place, tenant: tenant_place } = places;
        if let State::Waiting { emulated, .. } = &mut self.state
            && let Some(told) = emulated.take()
        {
            (result.session, result.node) = *told;
        }
        let actor = Actor {
            policy: Arc::clone(&self.policy),
            connection: Arc::clone(&self.connection),
            identity: Arc::new(identity),
        };
        let wanted = Wanted::of(&self.policy, &actor.identity);
        if subscriptions.is_empty() && wanted.is_nothing() {
            self._held = Held::here(tenant_place);
            // Before anyone else can find the connection and push to it.
            self.reply(&Reply { id, body: Body::Connect(Box::new(result)) });
            self.connected(actor, user_place);
            return Ok(Answer::Given);
        }
        self.granted = granted;
        let connecting = actor.clone();
        let future = async move {
            let held = connecting.hold(wanted, tenant_place).await?;
            connecting.connect(id, result, subscriptions).await.map(|()| held)
        };
        let waiting = std::mem::replace(&mut self.state, State::Refused);
        let State::Waiting { _place, .. } = waiting else { return Ok(Answer::NotHere) };
        self.state = State::Connecting(Box::new(Connecting {
            id,
            began,
            actor,
            future: Box::pin(future),
            waiting: Default::default(),
            user_place,
            _place,
        }));
        self.go_on_connecting(context);
        Ok(Answer::NotHere)
    }

    fn connected(&mut self, actor: Actor, user_place: Option<UserPlace>) {
        self.metrics().attempt(self.transport(), Attempt::Ok);
        tracing::debug!(
            event = "connected",
            client = %self.connection.id(),
            user = self.policy.pseudonym(&actor.identity.user),
            anonymous = actor.identity.user.is_anonymous(),
            "connected"
        );
        connect::begin(&self.policy, &self.connection);
        let Identity { user, tenant, info } = Identity::clone(&actor.identity);
        let personal = self.policy.admission.personal.as_ref();
        let own = personal.filter(|personal| personal.single_connection);
        let own = own.and_then(|personal| personal.of(&user)?.ok());
        self.registration.authenticated(hub::Client { user, tenant, info }, user_place);
        if let Some(known) = self.registration.known() {
            self.policy.relay.apply_overrides(&known, &self.policy.usage);
        }
        if let Some(own) = own {
            // In the order in which they authenticated, so that of several that
            // come at once exactly the last one stays.
            for older in self.registration.older() {
                if older.is_server_side(&own) {
                    older.close(self.policy.relay.hub(), Disconnect::CONNECTION_LIMIT);
                }
            }
        }
        self.leave_waiting(State::Active(actor));
    }

    /// A connect command is refused: with an error, the client is given a while to
    /// close by itself. One that only listens can get no error, so its connection ends.
    fn refused(&mut self, refusal: Refusal) -> Refusal {
        let refusal = match refusal {
            Refusal::Reply(code) if self.connection.format().is_unidirectional() => {
                Refusal::Close(listener::disconnect_by(code))
            }
            refusal => refusal,
        };
        self.metrics().attempt(self.transport(), Attempt::ClientError);
        if let Refusal::Reply(_) = refusal {
            let now = self.policy.relay.hub().clock().now();
            self.connection.set_deadline(Deadline::Close, now.after(REFUSED_TIMEOUT));
            self.connection.set_deadline(Deadline::Expiry, Millis::NEVER);
            self.leave_waiting(State::Refused);
        }
        refusal
    }

    fn active(
        &mut self,
        (id, began): (u32, Duration),
        request: Request<'_>,
        actor: &Actor,
        context: &mut Context<'_>,
    ) -> Result<Answer, Refusal> {
        let (channel, kind) = match request {
            Request::Pong => {
                let hub = self.policy.relay.hub();
                self.connection.pong(hub, Pings::Replies, hub.clock().now());
                return Ok(Answer::NotHere);
            }
            Request::Subscribe(request) => form::subscribe(&request)?,
            Request::Unsubscribe { channel } => match channel_of(&channel) {
                Ok(channel) => (channel, Kind::Unsubscribe),
                Err(Refusal::Reply(_) | Refusal::Explained(..)) => {
                    // An error would make an SDK reconnect; there is no such subscription.
                    self.reply(&Reply { id, body: Body::Unsubscribe });
                    return Ok(Answer::Given);
                }
                Err(close) => return Err(close),
            },
            Request::Publish(request) => form::publish(&self.policy, &request)?,
            Request::Refresh { token } => {
                let expiry = actor.refresh_by(&self.granted, &token.0)?;
                self.reply(&Reply { id, body: Body::Refresh(expiry) });
                return Ok(Answer::Given);
            }
            Request::Presence { channel } => (channel_of(&channel)?, Kind::Presence),
            Request::PresenceStats { channel } => (channel_of(&channel)?, Kind::PresenceStats),
            Request::History(request) => form::history(&self.policy, &request)?,
            Request::SubRefresh(request) => {
                let expiry = actor.sub_refresh(&request)?;
                self.reply(&Reply { id, body: Body::SubRefresh(expiry) });
                return Ok(Answer::Given);
            }
            Request::Rpc { .. } => return Err(ErrorCode::NotAvailable.into()),
            Request::Send { .. } => return Err(Disconnect::NOT_AVAILABLE.into()),
            Request::Connect(_) | Request::Ping => return Err(Disconnect::BAD_REQUEST.into()),
        };
        let operation = Operation { id, channel, kind, began: Some(began) };
        self.inflight.submit(operation, actor, context);
        Ok(Answer::NotHere)
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

    fn refuse(&self, id: u32, method: &'static str, code: ErrorCode) {
        let about = About { user: self.user(), ..About::default() };
        refuse(&self.policy, &self.connection, (id, method), code, about);
    }

    /// Who speaks, once that is known.
    fn user(&self) -> Option<&User> {
        match &self.state {
            State::Active(actor) => Some(&actor.identity.user),
            State::Waiting { .. } | State::Connecting(_) | State::Refused => None,
        }
    }

    fn close(&self, disconnect: Disconnect) {
        self.connection.close(self.policy.relay.hub(), disconnect);
    }

    fn transport(&self) -> &'static str {
        self.connection.format().transport()
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
