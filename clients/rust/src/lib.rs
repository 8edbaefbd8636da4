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

pub mod codec;
mod connection;
mod error;
pub mod handshake;
mod options;
pub mod session;

pub use codec::Codec;
pub use connection::{Connection, Frame};
pub use error::Error;
pub use options::Options;
pub use session::Session;
