//! Sockets: listeners, the accept loop, connections over WebSockets and over streams,
//! and the drain.

mod accept;
mod crowd;
mod drain;
mod handover;
mod lived;
mod proxy_protocol;
mod socket;
mod stream;
mod strict;
mod websocket;

pub use accept::{Acceptor, Announces, Peer};
pub use drain::close_spread;
pub use handover::{Handing, Handover};
pub use socket::{Untrusted, check_exposure, listen};
pub use stream::{Opening, drive as drive_stream};
pub use strict::Strict;
pub use websocket::{drive, into_socket, receiver_limits};
