//! Namespaces: the options of channels, by the part of their name before the `:`.

use std::collections::HashMap;
use std::time::Duration;

use sealcast_wire::name::MAX_NAME;
use sealcast_wire::{Channel, Data, Joining, Payload};

use super::channel_regex::ChannelRegex;
use super::grants::Denied;
use super::token::Overrides;

/// What payloads a namespace takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// One JSON value; what every subscriber can read.
    #[default]
    Json,
    /// One JSON object.
    JsonObject,
    /// Any bytes; only Protobuf clients may subscribe.
    Binary,
    /// Any bytes, as Centrifugo takes them: what is not JSON ends the connections
    /// of JSON subscribers. Only with `compat.centrifugo`.
    Any {
        /// Also none at all.
        empty: bool,
    },
}

impl DataFormat {
    /// Whether every payload is JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, DataFormat::Json | DataFormat::JsonObject)
    }

    /// Whether a payload may be empty.
    #[must_use]
    pub fn takes_empty(self) -> bool {
        matches!(self, DataFormat::Binary | DataFormat::Any { empty: true })
    }

    /// The payload, if this format takes it.
    #[must_use]
    pub fn payload(self, data: Data<'_>) -> Option<Payload> {
        match self {
            DataFormat::Binary => Some(Payload::binary(data)),
            DataFormat::Any { empty } => {
                (empty || !data.bytes().is_empty()).then(|| Payload::binary(data))
            }
            DataFormat::Json => Payload::json(data).ok(),
            DataFormat::JsonObject => Payload::json(data).ok().filter(|payload| {
                payload.bytes().iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
            }),
        }
    }
}

/// The options of one namespace. Everything is refused unless it is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Clients with a user id may subscribe.
    pub subscribe_for_client: bool,
    /// Anonymous clients may subscribe too, where clients may.
    pub subscribe_for_anonymous: bool,
    /// Clients with a user id may publish.
    pub publish_for_client: bool,
    /// Subscribers of the channel may publish.
    pub publish_for_subscriber: bool,
    /// Anonymous clients may publish too, where clients or subscribers may.
    pub publish_for_anonymous: bool,
    /// The part after the last `#` names the users who may subscribe.
    pub user_limited_channels: bool,
    /// What the part of a name behind the namespace must match.
    pub channel_regex: Option<ChannelRegex>,
    /// What payloads it takes.
    pub data_format: DataFormat,
    /// The largest of them, bytes, where it is less than anywhere.
    pub message_bytes: Option<usize>,
    /// Whether and how publications are kept.
    pub history: Option<History>,
    /// Every subscription is positioned.
    pub force_positioning: bool,
    /// Subscriptions are positioned if asked for.
    pub allow_positioning: bool,
    /// Every subscription can recover.
    pub force_recovery: bool,
    /// Subscriptions can recover if asked for.
    pub allow_recovery: bool,
    /// What recovery brings back.
    pub recovery_mode: RecoveryMode,
    /// In cache mode, every subscribe recovers without being asked.
    pub auto_cache_recover: bool,
    /// Patches are sent to who asks for them.
    pub allow_delta: bool,
    /// Every publication may become a patch.
    pub delta_publish: bool,
    /// Subscribers may filter by tags.
    pub allow_tags_filter: bool,
    /// Who is subscribed is noted.
    pub presence: bool,
    /// Who comes and goes is told to those who ask for it.
    pub join_leave: bool,
    /// It is told to everyone.
    pub force_push_join_leave: bool,
    /// Who may read the presence.
    pub read_presence: Readers,
    /// Who may read the history.
    pub read_history: Readers,
    /// What clients publish goes out more seldom than it comes, and is not kept.
    pub shaping: Option<Shaping>,
}

impl Namespace {
    /// The same with what a token says of one subscription.
    #[must_use]
    pub fn with(&self, overrides: Overrides) -> Namespace {
        let Overrides {
            presence,
            join_leave,
            force_push_join_leave,
            force_positioning,
            force_recovery,
        } = overrides;
        Namespace {
            presence: presence.unwrap_or(self.presence),
            join_leave: join_leave.unwrap_or(self.join_leave),
            force_push_join_leave: force_push_join_leave.unwrap_or(self.force_push_join_leave),
            force_positioning: force_positioning.unwrap_or(self.force_positioning),
            force_recovery: force_recovery.unwrap_or(self.force_recovery),
            ..self.clone()
        }
    }
}

/// How what a client publishes to a channel goes out more seldom than it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaping {
    /// Of each publisher the newest, one in so long.
    Latest {
        /// How long.
        every: Duration,
    },
    /// Of each publisher everything, in order, joined in one publication in so long.
    Batch {
        /// How long.
        every: Duration,
        /// How it is joined.
        joining: Joining,
    },
}

impl Shaping {
    /// The time from one publication of a publisher to the next.
    #[must_use]
    pub fn every(self) -> Duration {
        match self {
            Shaping::Latest { every } | Shaping::Batch { every, .. } => every,
        }
    }
}

/// How publications are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Most entries.
    pub size: usize,
    /// Longest age.
    pub ttl: Duration,
    /// How long the position outlives the last publication.
    pub meta_ttl: Duration,
}

/// What recovery brings back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Everything that was missed.
    #[default]
    Stream,
    /// Only the latest.
    Cache,
}

/// Who may read something of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// Clients with a user id.
    pub client: bool,
    /// Subscribers of the channel.
    pub subscriber: bool,
    /// Anonymous clients too, where clients or subscribers may.
    pub anonymous: bool,
}

/// The namespaces of a node.
#[derive(Clone, Debug)]
pub struct Namespaces {
    without: Option<Namespace>,
    named: HashMap<String, Namespace>,
    longest_name: usize,
    shaped: bool,
}

impl Default for Namespaces {
    fn default() -> Namespaces {
        Namespaces::new(None, HashMap::new())
    }
}

impl Namespaces {
    /// `without` holds for channels without namespace; `None` leaves them unknown.
    #[must_use]
    pub fn new(without: Option<Namespace>, named: HashMap<String, Namespace>) -> Namespaces {
        let shaped = named.values().chain(&without).any(|one| one.shaping.is_some());
        Namespaces { without, named, longest_name: MAX_NAME, shaped }
    }

    /// The same where no channel's name is longer than `bytes`.
    #[must_use]
    pub fn with_longest_name(self, bytes: usize) -> Namespaces {
        Namespaces { longest_name: bytes, ..self }
    }

    /// Whether any of them shapes what clients publish.
    #[must_use]
    pub fn any_shaped(&self) -> bool {
        self.shaped
    }

    /// The options of the channel's namespace.
    ///
    /// # Errors
    /// If that is not configured, or does not admit the channel's name.
    pub fn of(&self, channel: &Channel) -> Result<&Namespace, Denied> {
        let namespace = match channel.namespace() {
            None => self.without.as_ref(),
            Some(name) => self.named.get(name),
        };
        let namespace = namespace.ok_or(Denied::UnknownChannel)?;
        let fits = channel.as_str().len() <= self.longest_name;
        let admitted = || namespace.channel_regex.as_ref().is_none_or(|it| it.admits(channel));
        if fits && admitted() { Ok(namespace) } else { Err(Denied::BadName) }
    }
}
