//! A subscription as an application holds it.

use std::fmt;
use std::sync::{Arc, Weak};

use sealcast_wire::reply::{ClientInfo, HistoryResult};
use tokio::sync::watch;

use super::place::Place;
use super::task::Ask;
use super::{HistoryQuery, PresenceStats, Shared};
use crate::machine::SubscriptionId;
use crate::{CallError, SubscriptionState};

/// A subscription to a channel. It comes back by itself, with what was missed,
/// where [`crate::SubscriptionConfig::recoverable`] asks for that and the server
/// grants it. What happens to it comes by its [`super::Events`].
///
/// Copies stand for the same subscription. It goes on when they are dropped;
/// [`Subscription::unsubscribe`] and [`super::Client::remove_subscription`] end
/// it.
#[derive(Clone)]
pub struct Subscription {
    id: SubscriptionId,
    channel: Arc<str>,
    state: watch::Receiver<SubscriptionState>,
    /// The client's handles keep the client, not this.
    client: Weak<Shared>,
}

impl Subscription {
    pub(super) fn new(shared: &Arc<Shared>, place: &Place) -> Subscription {
        Subscription {
            id: place.id,
            channel: Arc::clone(&place.channel),
            state: place.state.subscribe(),
            client: Arc::downgrade(shared),
        }
    }

    pub(super) fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Of the channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Where it is now.
    #[must_use]
    pub fn state(&self) -> SubscriptionState {
        *self.state.borrow()
    }

    /// Subscribes, and stays subscribed from now on: at once if the client is
    /// connected, otherwise when it is. Returns at once; see
    /// [`Subscription::ready`].
    ///
    /// # Errors
    /// [`CallError::Gone`] if the client was dropped or the subscription removed.
    pub async fn subscribe(&self) -> Result<(), CallError> {
        let (client, place) = self.place()?;
        client.ask(Ask::Subscribe(place)).await
    }

    /// Unsubscribes. Its place in the stream is kept: subscribed again, it
    /// recovers what was published meanwhile.
    ///
    /// # Errors
    /// As [`Subscription::subscribe`].
    pub async fn unsubscribe(&self) -> Result<(), CallError> {
        let (client, _) = self.place()?;
        client.ask(Ask::Unsubscribe(self.id)).await
    }

    /// Waits until it is subscribed, without an end.
    ///
    /// # Errors
    /// [`CallError::Unsubscribed`] if it is unsubscribed, or becomes so;
    /// [`CallError::Disconnected`] the same for the client.
    pub async fn ready(&self) -> Result<(), CallError> {
        let answer = {
            // Who waits here does not keep the client.
            let (client, _) = self.place()?;
            client.ready(Some(self.id)).await?
        };
        answer.await.map_err(|_| CallError::Gone)?.map(drop)
    }

    /// Publishes into the channel, once subscribed. In JSON, `data` must be one
    /// JSON value.
    ///
    /// # Errors
    /// [`CallError`]; each variant says whether the server can have it.
    pub async fn publish(&self, data: impl AsRef<[u8]>) -> Result<(), CallError> {
        let (client, _) = self.place()?;
        client.publish(&self.channel, data.as_ref(), Some(self.id)).await
    }

    /// Reads the channel's stream, once subscribed.
    ///
    /// # Errors
    /// As [`Subscription::publish`].
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryResult, CallError> {
        let (client, _) = self.place()?;
        client.history(&self.channel, query, Some(self.id)).await
    }

    /// Who is subscribed to the channel, once subscribed oneself.
    ///
    /// # Errors
    /// As [`Subscription::publish`].
    pub async fn presence(&self) -> Result<Vec<ClientInfo>, CallError> {
        let (client, _) = self.place()?;
        client.presence(&self.channel, Some(self.id)).await
    }

    /// How many are subscribed to the channel, once subscribed oneself.
    ///
    /// # Errors
    /// As [`Subscription::publish`].
    pub async fn presence_stats(&self) -> Result<PresenceStats, CallError> {
        let (client, _) = self.place()?;
        client.presence_stats(&self.channel, Some(self.id)).await
    }

    fn place(&self) -> Result<(Arc<Shared>, Arc<Place>), CallError> {
        let client = self.client.upgrade().ok_or(CallError::Gone)?;
        let place = client.place(&self.channel, self.id)?;
        Ok((client, place))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({:?}, {:?})", self.channel, self.state())
    }
}
