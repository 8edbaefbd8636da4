//! The methods of the server API, as far as permission goes.

/// Each variant's name on the wire, and whether it stays within channels.
macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident, $name:literal, $stays:literal;)*) => {
        /// A method of the server API. `batch` is not one: it only carries others,
        /// each of which is asked for on its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ApiMethod { $($(#[$doc])* $method,)* }

        impl ApiMethod {
            /// All, in the order in which a batch's command is looked through.
            pub const ALL: &'static [ApiMethod] = &[$(ApiMethod::$method,)*];

            /// Its name in paths, batches and configuration.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ApiMethod::$method => $name,)* }
            }

            /// Whether it touches and tells of nothing but channels that it can
            /// be asked about one by one. The others act on whole connections, or
            /// on the node.
            #[must_use]
            pub const fn stays_in_channels(self) -> bool {
                match self { $(ApiMethod::$method => $stays,)* }
            }
        }
    };
}

methods! {
    /// Publishes into a channel.
    Publish, "publish", true;
    /// Publishes into several.
    Broadcast, "broadcast", true;
    /// Subscribes a user's connections.
    Subscribe, "subscribe", true;
    /// Ends subscriptions of a user's connections.
    Unsubscribe, "unsubscribe", true;
    /// Ends a user's connections, whatever they are subscribed to.
    Disconnect, "disconnect", false;
    /// Sets when a user's connections expire, which ends them.
    Refresh, "refresh", false;
    /// Who is in a channel.
    Presence, "presence", true;
    /// How many are in a channel.
    PresenceStats, "presence_stats", true;
    /// Reads what a channel keeps.
    History, "history", true;
    /// Removes what a channel keeps.
    HistoryRemove, "history_remove", true;
    /// Lists channels: to each caller those that it may reach.
    Channels, "channels", true;
    /// Counts over the whole node.
    Info, "info", false;
    /// Calls something of the application, of which no channel is known.
    Rpc, "rpc", false;
    /// Writes an entry of a map.
    MapPublish, "map_publish", true;
    /// Removes an entry of a map.
    MapRemove, "map_remove", true;
    /// Reads the entries of a map.
    MapReadState, "map_read_state", true;
    /// Reads the changes of a map.
    MapReadStream, "map_read_stream", true;
    /// Counts the entries of a map.
    MapStats, "map_stats", true;
    /// Empties a map.
    MapClear, "map_clear", true;
    /// Sets a limit of its own for one user, tenant, client, address or key.
    LimitsSet, "limits_set", false;
    /// Which limits of that kind are in force.
    LimitsList, "limits_list", false;
    /// Takes one of them back.
    LimitsRemove, "limits_remove", false;
    /// Gives a polled key a new value.
    SharedPollPublish, "shared_poll_publish", true;
}

impl ApiMethod {
    /// The method of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<ApiMethod> {
        ApiMethod::ALL.iter().copied().find(|method| method.name() == name)
    }
}
