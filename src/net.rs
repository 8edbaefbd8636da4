//! Sockets: listeners, the accept loop, WebSocket connections, and the drain.

mod accept;
mod drain;
mod proxy_protocol;
mod socket;
mod strict;
mod websocket;

pub use accept::{Acceptor, Announces, Peer};
pub use drain::close_spread;
pub use socket::{Untrusted, check_exposure, listen};
pub use strict::Strict;
pub use websocket::{drive, into_socket, receiver_limits};
