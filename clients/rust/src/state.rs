//! The states of clients and subscriptions.

/// Where a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not connected, and it stays so until told otherwise.
    #[default]
    Disconnected,
    /// Not connected, and trying to be.
    Connecting,
    /// Connected.
    Connected,
}

/// Where a subscription is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionState {
    /// Not subscribed, and it stays so until told otherwise.
    #[default]
    Unsubscribed,
    /// Not subscribed, and trying to be; also while the client is not connected.
    Subscribing,
    /// Subscribed.
    Subscribed,
}
