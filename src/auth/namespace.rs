//! Namespaces: the options of channels, by the part of their name before the `:`.

use std::collections::HashMap;

use sealcast_wire::{Channel, Data, Payload};

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
}

impl DataFormat {
    /// The payload, if this format takes it.
    #[must_use]
    pub fn payload(self, data: Data<'_>) -> Option<Payload> {
        match self {
            DataFormat::Binary => Some(Payload::binary(data)),
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
    /// What payloads it takes.
    pub data_format: DataFormat,
}

/// The namespaces of a node.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    without: Option<Namespace>,
    named: HashMap<String, Namespace>,
}

impl Namespaces {
    /// `without` holds for channels without namespace; `None` leaves them unknown.
    #[must_use]
    pub fn new(without: Option<Namespace>, named: HashMap<String, Namespace>) -> Namespaces {
        Namespaces { without, named }
    }

    /// The options of the channel's namespace, if that is configured.
    #[must_use]
    pub fn of(&self, channel: &Channel) -> Option<&Namespace> {
        match channel.namespace() {
            None => self.without.as_ref(),
            Some(name) => self.named.get(name),
        }
    }
}
