//! The client: what an application holds, and calls.

mod events;
mod fetches;
mod link;
mod place;
mod subscription;
mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sealcast_wire::command::{self, Publish};
use sealcast_wire::reply::{ClientInfo, HistoryResult};
use sealcast_wire::{Body, Command, Data, Encoding, Position, Request};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::events::Budget;
pub use self::events::Events;
use self::place::Place;
pub use self::subscription::Subscription;
use self::task::{Ask, Ends, Task};
use crate::config::check_data;
use crate::machine::{Call, Ids, Machine, SubscriptionId, encode};
use crate::{CallError, Config, Event, State, SubscriptionConfig, SubscriptionEvent};

/// How much longer than its deadline a call may wait for the task.
const GRACE: Duration = Duration::from_secs(1);

/// How many asks may wait for the task.
const MAX_ASKS: usize = 256;

/// How many events of a subscription wait unread, unless it says otherwise.
const EVENT_BUFFER: usize = 1024;

/// A client that stays connected: it comes back by itself when the connection is
/// lost, brings its subscriptions back, and recovers what they missed.
///
/// It begins disconnected; [`Client::connect`] starts it. What happens to it
/// comes by its [`Events`]. All methods can be called from several tasks, and
/// copies share one connection. When the last copy is dropped, the connection is
/// closed, and the subscriptions end with code 2; [`Subscription`]s do not keep
/// the client.
///
/// While it connects, calls wait ([`Config::offline`]). None is ever sent twice:
/// where it is not known whether a call took effect, its error says so.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// Which part of a channel's stream to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// How many publications at most; 0 none, only the position of the stream's
    /// top; negative as many as the server gives at once.
    pub limit: i32,
    /// Where to begin: after this, or before it if `reverse`.
    pub since: Option<Position>,
    /// Newest first.
    pub reverse: bool,
}

/// How many are subscribed to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceStats {
    /// Distinct connections.
    pub clients: u32,
    /// Distinct users.
    pub users: u32,
}

type Answer = oneshot::Receiver<Result<Body, CallError>>;

struct Shared {
    asks: mpsc::Sender<Ask>,
    state: watch::Receiver<State>,
    budget: Budget,
    ids: Ids,
    next_subscription: AtomicU64,
    /// Held for moments only, never while waiting for anything.
    places: Mutex<HashMap<Arc<str>, Arc<Place>>>,
    encoding: Encoding,
    timeout: Duration,
    offline: Duration,
    command_limit: usize,
    message_limit: usize,
    /// Tells the task, by its end, that the application has dropped the client.
    _alive: oneshot::Sender<Infallible>,
}

impl Client {
    /// A client, disconnected, and its events. Must be called within a Tokio
    /// runtime, which then runs the client's task.
    ///
    /// # Errors
    /// [`CallError::Invalid`] for an address or header that cannot be, for
    /// `wss://` without the feature `tls`, and without a runtime.
    pub fn new(config: Config) -> Result<(Client, Events<Event>), CallError> {
        config.check()?;
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| CallError::Invalid("a client needs a Tokio runtime"))?;
        let budget = Budget::new(config.event_bytes);
        let (sink, events) = events::stream(config.event_buffer, &budget);
        let (asks, asked) = mpsc::channel(MAX_ASKS);
        let (to_state, state) = watch::channel(State::Disconnected);
        let (alive, until_dropped) = oneshot::channel();
        let ids = Ids::default();
        let shared = Shared {
            asks,
            state,
            budget,
            ids: ids.clone(),
            next_subscription: AtomicU64::new(0),
            places: Mutex::default(),
            encoding: config.encoding,
            timeout: config.timeout,
            offline: config.offline.timeout,
            command_limit: config.command_limit,
            message_limit: config.message_limit,
            _alive: alive,
        };
        let machine = Machine::new(config.settings(), ids, rand::random());
        let ends = Ends { asks: asked, alive: until_dropped, state: to_state, sink };
        runtime.spawn(Task::new(config, machine, ends).run());
        Ok((Client { shared: Arc::new(shared) }, events))
    }

    /// Connects, and stays connected from now on. Returns at once; see
    /// [`Client::ready`].
    ///
    /// # Errors
    /// [`CallError::Gone`] if the client's task has ended with its runtime.
    pub async fn connect(&self) -> Result<(), CallError> {
        self.shared.ask(Ask::Connect).await
    }

    /// Disconnects, and stays so until [`Client::connect`]. Subscriptions go on
    /// then, and recover.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn disconnect(&self) -> Result<(), CallError> {
        self.shared.ask(Ask::Disconnect).await
    }

    /// Waits until it is connected, without an end.
    ///
    /// # Errors
    /// [`CallError::Disconnected`] if it is disconnected, or becomes so.
    pub async fn ready(&self) -> Result<(), CallError> {
        let answer = self.shared.ready(None).await?;
        answer.await.map_err(|_| CallError::Gone)?.map(drop)
    }

    /// Where it is now.
    #[must_use]
    pub fn state(&self) -> State {
        *self.shared.state.borrow()
    }

    /// A subscription to a channel, unsubscribed, and its events.
    /// [`Subscription::subscribe`] starts it.
    ///
    /// # Errors
    /// [`CallError::Invalid`] if there is one to this channel already, or the
    /// configuration cannot be.
    pub fn new_subscription(
        &self,
        channel: &str,
        config: SubscriptionConfig,
    ) -> Result<(Subscription, Events<SubscriptionEvent>), CallError> {
        config.check(self.shared.encoding)?;
        if channel.is_empty() {
            return Err(CallError::Invalid("a channel needs a name"));
        }
        let buffer = if config.event_buffer == 0 { EVENT_BUFFER } else { config.event_buffer };
        let mut places = self.shared.places();
        let Entry::Vacant(vacant) = places.entry(channel.into()) else {
            return Err(CallError::Invalid("there is a subscription to this channel already"));
        };
        let (sink, events) = events::stream(buffer, &self.shared.budget);
        let id = self.shared.next_subscription.fetch_add(1, Ordering::Relaxed);
        let place = vacant.insert(Arc::new(Place {
            id: SubscriptionId(id),
            channel: channel.into(),
            terms: config.terms(self.shared.message_limit),
            token_source: config.token_source,
            state_source: config.state_source,
            state: watch::Sender::default(),
            sink,
        }));
        Ok((Subscription::new(&self.shared, place), events))
    }

    /// The subscription to a channel, if there is one.
    #[must_use]
    pub fn subscription(&self, channel: &str) -> Option<Subscription> {
        self.shared.places().get(channel).map(|place| Subscription::new(&self.shared, place))
    }

    /// All subscriptions.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let places = self.shared.places();
        places.values().map(|place| Subscription::new(&self.shared, place)).collect()
    }

    /// Unsubscribes, and forgets the subscription. Its events end.
    ///
    /// # Errors
    /// [`CallError::Gone`] if it is not one of this client, or removed already.
    pub async fn remove_subscription(&self, subscription: &Subscription) -> Result<(), CallError> {
        let place = self.shared.place(subscription.channel(), subscription.id())?;
        self.shared.ask(Ask::Remove(place.id)).await?;
        let mut places = self.shared.places();
        if places.get(&place.channel).is_some_and(|it| it.id == place.id) {
            places.remove(&place.channel);
        }
        Ok(())
    }

    /// Publishes into a channel. In JSON, `data` must be one JSON value.
    ///
    /// # Errors
    /// [`CallError`]; each variant says whether the server can have it.
    pub async fn publish(&self, channel: &str, data: impl AsRef<[u8]>) -> Result<(), CallError> {
        self.shared.publish(channel, data.as_ref(), None).await
    }

    /// Calls a method of the application. In JSON, `data` must be one JSON value.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn rpc(&self, method: &str, data: impl AsRef<[u8]>) -> Result<Bytes, CallError> {
        let data = Some(self.shared.data(data.as_ref())?);
        match self.shared.call(Request::Rpc { method: method.into(), data }, None).await? {
            Body::Rpc(data) => Ok(data),
            _ => Err(CallError::Mismatch),
        }
    }

    /// Sends a message to the application; there is no answer. Succeeds when it is
    /// on its way, which does not mean that it arrives.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn send(&self, data: impl AsRef<[u8]>) -> Result<(), CallError> {
        let data = Some(self.shared.data(data.as_ref())?);
        self.shared.call(Request::Send { data }, None).await.map(drop)
    }

    /// Reads a channel's stream.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn history(
        &self,
        channel: &str,
        query: HistoryQuery,
    ) -> Result<HistoryResult, CallError> {
        self.shared.history(channel, query, None).await
    }

    /// Who is subscribed to a channel, by connection id.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn presence(&self, channel: &str) -> Result<Vec<ClientInfo>, CallError> {
        self.shared.presence(channel, None).await
    }

    /// How many are subscribed to a channel.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn presence_stats(&self, channel: &str) -> Result<PresenceStats, CallError> {
        self.shared.presence_stats(channel, None).await
    }
}

impl Shared {
    async fn ask(&self, ask: Ask) -> Result<(), CallError> {
        self.asks.send(ask).await.map_err(|_| CallError::Gone)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Place>>> {
        // Nothing that could panic happens under the lock.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, channel: &str, id: SubscriptionId) -> Result<Arc<Place>, CallError> {
        let places = self.places();
        let place = places.get(channel).filter(|place| place.id == id);
        place.cloned().ok_or(CallError::Gone)
    }

    fn data<'a>(&self, data: &'a [u8]) -> Result<Data<'a>, CallError> {
        check_data(self.encoding, Some(data))?;
        Ok(match self.encoding {
            Encoding::Json => Data::Json(data),
            Encoding::Protobuf => Data::Opaque(data),
        })
    }

    /// What comes when the client, or a subscription, is ready.
    async fn ready(&self, within: Option<SubscriptionId>) -> Result<Answer, CallError> {
        let (to_reply, reply) = oneshot::channel();
        let call = Call { id: 0, command: Vec::new(), patient: true, within, reply: to_reply };
        self.ask(Ask::Call(call)).await?;
        Ok(reply)
    }

    /// Makes a call, and waits for its reply.
    async fn call(
        &self,
        request: Request<'_>,
        within: Option<SubscriptionId>,
    ) -> Result<Body, CallError> {
        let id = if request.wants_reply() { self.ids.next() } else { 0 };
        let command = encode(self.encoding, &Command { id, request });
        if command.len() > self.command_limit {
            return Err(CallError::Invalid("the command is longer than Config::command_limit"));
        }
        let (to_reply, reply) = oneshot::channel();
        let call = Call { id, command, patient: false, within, reply: to_reply };
        let answer = async {
            self.ask(Ask::Call(call)).await?;
            reply.await.map_err(|_| CallError::Gone)?
        };
        // The task keeps the time of calls, unless it is held up itself.
        let patience = self.offline.saturating_add(self.timeout).saturating_add(GRACE);
        timeout(patience, answer).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn publish(
        &self,
        channel: &str,
        data: &[u8],
        within: Option<SubscriptionId>,
    ) -> Result<(), CallError> {
        let data = Some(self.data(data)?);
        let request = Publish { channel: channel.into(), data, ..Publish::default() };
        match self.call(Request::Publish(request), within).await? {
            Body::Publish => Ok(()),
            _ => Err(CallError::Mismatch),
        }
    }

    async fn history(
        &self,
        channel: &str,
        query: HistoryQuery,
        within: Option<SubscriptionId>,
    ) -> Result<HistoryResult, CallError> {
        let HistoryQuery { limit, since, reverse } = query;
        let request = command::History {
            channel: channel.into(),
            limit,
            since: since.as_ref().map(|since| (since.offset, (&*since.epoch).into())),
            reverse,
        };
        match self.call(Request::History(request), within).await? {
            Body::History(result) => Ok(result),
            _ => Err(CallError::Mismatch),
        }
    }

    async fn presence(
        &self,
        channel: &str,
        within: Option<SubscriptionId>,
    ) -> Result<Vec<ClientInfo>, CallError> {
        match self.call(Request::Presence { channel: channel.into() }, within).await? {
            Body::Presence(presence) => Ok(presence.into_values().collect()),
            _ => Err(CallError::Mismatch),
        }
    }

    async fn presence_stats(
        &self,
        channel: &str,
        within: Option<SubscriptionId>,
    ) -> Result<PresenceStats, CallError> {
        match self.call(Request::PresenceStats { channel: channel.into() }, within).await? {
            Body::PresenceStats { num_clients, num_users } => {
                Ok(PresenceStats { clients: num_clients, users: num_users })
            }
            _ => Err(CallError::Mismatch),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.state())
    }
}
