//! Sockets: listeners, the accept loop, connections over WebSockets and over streams,
//! and the drain.

mod accept;
mod crowd;
mod drain;
mod handover;
mod http2;
mod lived;
mod pipe;
mod proxy_protocol;
mod socket;
mod stream;
mod strict;
mod takeover;
mod upgrade;
mod websocket;

pub use accept::{Acceptor, Announces, HEADERS, Peer};
pub use drain::close_spread;
pub use socket::{Untrusted, check_exposure, listen};
pub use stream::{Opening, drive as drive_stream};
pub use strict::Strict;
pub use takeover::{Lasting, Takeover};
pub use upgrade::Upgrade;
pub use websocket::{drive, receiver_limits};
