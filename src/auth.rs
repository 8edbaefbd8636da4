//! Who someone is and what they may do: tokens, API keys, origins, namespaces,
//! and the proof of a granted permission.

mod api_key;
mod channel_regex;
mod grants;
mod namespace;
mod origin;
mod peer;
mod personal;
mod pseudonym;
mod secret;
mod ticket;
mod token;

pub use api_key::{
    ApiKey, ApiKeys, ApiMethod, BadApiKey, BadPattern, ChannelPattern, Reach, Scope, ServerApi,
};
pub use channel_regex::{BadRegex, ChannelRegex};
pub use grants::{Authorized, Backend, Denied, Identity, Publish, Subscribe};
pub use namespace::{DataFormat, History, Namespace, Namespaces, Readers, RecoveryMode, Shaping};
pub use origin::{BadOrigin, OriginRule, Origins};
pub use peer::{ClusterKey, MOST_BODY, NodeId, Opener, Sealer, Unbelievable};
pub use personal::PersonalChannels;
pub use pseudonym::Pseudonyms;
pub use secret::Secret;
pub use ticket::{Asker, Stub, Ticket, TicketId};
pub use token::{
    Claims, Config as TokenConfig, Explanation, Issuer, KeyError, KeyFault, KeyOptions, Overrides,
    Purpose, Refused, SubscriptionClaims, SubscriptionOptions, TokenDenied, Trust, TrustedIssuer,
    Verifier, WrittenOptions, advice,
};
