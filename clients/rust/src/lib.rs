//! A client of the Centrifuge protocol over WebSocket: for Sealcast, Centrifugo,
//! and every other server that speaks it.
//!
//! [`Client`] connects and stays connected. It comes back by itself, brings its
//! [`Subscription`]s back with what they missed, and renews its tokens.
//!
//! ```no_run
//! use sealcast_client::{Client, Config, SubscriptionConfig, SubscriptionEvent, TokenError};
//!
//! # async fn ask_backend() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn example() -> Result<(), sealcast_client::CallError> {
//! let config = Config::new("ws://127.0.0.1:8000/connection/websocket")
//!     .with_token_source(|| async { ask_backend().await.map_err(TokenError::other) });
//! let (client, events) = Client::new(config)?;
//! drop(events); // What happens to the connection is of no interest here.
//! client.connect().await?;
//!
//! let mut wanted = SubscriptionConfig::default();
//! wanted.recoverable = true;
//! let (news, mut events) = client.new_subscription("news", wanted)?;
//! news.subscribe().await?;
//! news.publish(br#"{"text":"hello"}"#).await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         SubscriptionEvent::Subscribed(it) if it.was_recovering && !it.recovered => {
//!             // Something was missed for good: load the application's state anew.
//!         }
//!         SubscriptionEvent::Publication(publication) => {
//!             println!("{} bytes", publication.data.len());
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! A client is disconnected, connecting or connected; a subscription is
//! unsubscribed, subscribing or subscribed ([`State`], [`SubscriptionState`]).
//! Methods say what is wanted and return at once; [`Client::ready`] and
//! [`Subscription::ready`] wait for it. Each change is an event with its
//! [`Cause`]. What the server's codes mean is the protocol's: after 3500 to 3999
//! and 4500 to 4999 a client stays disconnected, after an unsubscribe code below
//! 2500 a subscription stays unsubscribed, and otherwise both come back, after a
//! random wait that grows ([`Backoff`]). The client's own codes:
//!
//! | event | codes |
//! |---|---|
//! | [`Event::Connecting`] | 0 connect called, 1 transport closed, 2 no ping, 3 subscribe timeout, 4 unsubscribe error |
//! | [`Event::Disconnected`] | 0 disconnect called, 1 unauthorized, 2 bad protocol, 3 message size limit |
//! | [`SubscriptionEvent::Subscribing`] | 0 subscribe called, 1 transport closed, 2 delta does not apply |
//! | [`SubscriptionEvent::Unsubscribed`] | 0 unsubscribe called, 1 unauthorized, 2 client closed |
//!
//! # Events
//!
//! [`Events`] of a client and of each subscription are bounded streams. While one
//! is full, the client reads nothing more from the server; see there what follows.
//! So read them in tasks that do nothing else for long, or drop them. A task that
//! reads events and waits for calls between them holds up its own replies, once
//! more events come meanwhile than there is room for.
//!
//! # Recovery
//!
//! A subscription with [`SubscriptionConfig::recoverable`] keeps its place in the
//! channel's stream, and asks for what came after it when it is back. What was
//! missed follows [`SubscriptionEvent::Subscribed`], in order, each once.
//! `recovered` is false if it was too much or too long ago.
//! [`SubscriptionConfig::since`] begins from a place that the application has
//! kept, and [`SubscriptionConfig::with_state_source`] from that of a state it
//! loads. Subscriptions that the server made recover in the same way.
//!
//! # Joined publications
//!
//! Where a server joins several messages of one publisher in one publication (a
//! namespace of Sealcast with the shaping `batch`), each is an event of its own, as
//! if it had come alone.
//!
//! # Calls
//!
//! Publishes and other calls wait while the client connects ([`Config::offline`]),
//! and those of a subscription until that stands. None is sent twice. Each
//! variant of [`CallError`] says whether the server can have acted on it.
//! Commands that wait at the same time share a frame.
//!
//! # Features
//!
//! `tls`, off unless asked for: `wss://`, by rustls with the certificate
//! authorities of browsers, or as `Config::tls` says.
//!
//! # Below the client
//!
//! [`Session`] is one connection with calls and events, without coming back.
//! [`Connection`] is one step lower, for those who want to see every reply and
//! send any frame. Below both, [`handshake`] and [`Codec`] work on bytes, with no
//! runtime and no I/O.

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
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
