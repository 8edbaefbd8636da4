//! A client of the Centrifuge protocol over WebSocket.
//!
//! [`Session`] is one connection: it connects, calls, and hands out events.
//! [`Connection`] is one step lower, for those who want to see every reply and
//! send any frame. Below both, [`handshake`] and [`Codec`] work on bytes, with
//! no runtime and no I/O.
//!
//! ```no_run
//! # async fn example() -> Result<(), sealcast_client::Error> {
//! use sealcast_client::session::{Event, Session};
//! use sealcast_client::Options;
//!
//! let client = Session::connect(Options::default()).await?;
//! client.subscribe("news").await?;
//! client.publish("news", br#"{"text":"hello"}"#).await?;
//! if let Event::Publication { channel, publication } = client.next_event().await {
//!     assert_eq!(&*channel, "news");
//!     assert_eq!(publication.data, br#"{"text":"hello"}"#.as_slice());
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod call;
mod client;
pub mod codec;
mod config;
mod connection;
mod error;
mod event;
pub mod handshake;
mod machine;
mod options;
#[cfg(test)]
mod scripted;
pub mod session;
mod state;
mod token;
mod transport;

pub use backoff::Backoff;
pub use call::CallError;
pub use client::{Client, Events, HistoryQuery, PresenceStats, Subscription};
pub use codec::Codec;
pub use config::{Config, Offline, SubscriptionConfig};
pub use connection::{Connection, Frame};
pub use error::Error;
pub use event::{Cause, Connected, Event, Failure, Subscribed, SubscriptionEvent};
pub use options::Options;
pub use sealcast_wire::reply::{ClientInfo, HistoryResult};
pub use sealcast_wire::{Encoding, Filter, Position, Publication, filter};
pub use session::Session;
pub use state::{State, SubscriptionState};
pub use token::TokenError;
