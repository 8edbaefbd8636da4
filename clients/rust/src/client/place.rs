//! One subscription as its handle and the client's task share it.

use std::sync::Arc;

use tokio::sync::watch;

use super::events::Sink;
use crate::machine::{SubscriptionId, Terms};
use crate::token::{StateSource, TokenSource};
use crate::{SubscriptionEvent, SubscriptionState};

pub(super) struct Place {
    pub(super) id: SubscriptionId,
    pub(super) channel: Arc<str>,
    pub(super) terms: Terms,
    pub(super) token_source: Option<TokenSource>,
    pub(super) state_source: Option<StateSource>,
    pub(super) state: watch::Sender<SubscriptionState>,
    pub(super) sink: Sink<SubscriptionEvent>,
}

impl Place {
    /// Shows the state that an event leads to.
    pub(super) fn follow(&self, event: &SubscriptionEvent) {
        let state = match event {
            SubscriptionEvent::Subscribing(_) => SubscriptionState::Subscribing,
            SubscriptionEvent::Subscribed(_) => SubscriptionState::Subscribed,
            SubscriptionEvent::Unsubscribed(_) => SubscriptionState::Unsubscribed,
            _ => return,
        };
        self.state.send_replace(state);
    }
}
