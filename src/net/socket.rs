//! Listening, and the options of accepted sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Bytes that the kernel keeps for a client that does not read, before a write
/// is refused (Linux doubles the number). Without it the kernel hides megabytes
/// of backlog from the queue's bounds.
const SEND_BUFFER: usize = 64 << 10;
/// How long sent bytes may stay unacknowledged before the kernel gives up. There
/// is no TCP keepalive beside it: Linux would then reset an idle connection after
/// the same time if a single probe is lost, and thousands of probes at once do get
/// lost. The protocol's pings tell who is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The address is public, and nothing protects what goes over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {0}: it is not a loopback address, and neither TLS nor a trusted proxy \
     is configured; put a TLS-terminating proxy in front and name its address in \
     `http_server.trusted_proxies`, or listen on 127.0.0.1"
)]
pub struct Untrusted(pub SocketAddr);

/// Whether the node may listen there: on loopback always, elsewhere only behind
/// a declared proxy (S0-35).
///
/// # Errors
/// If it may not.
pub fn check_exposure(address: SocketAddr, behind_proxy: bool) -> Result<(), Untrusted> {
    if address.ip().is_loopback() || behind_proxy { Ok(()) } else { Err(Untrusted(address)) }
}

/// A listener; port 0 takes a free one.
///
/// # Errors
/// If the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Prepares an accepted socket.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_or_a_declared_proxy_may_be_listened_on() {
        for (address, behind_proxy, allowed) in [
            ("127.0.0.1:8000", false, true),
            ("[::1]:8000", false, true),
            ("0.0.0.0:8000", false, false),
            ("10.0.0.1:8000", false, false),
            ("[::]:8000", false, false),
            ("0.0.0.0:8000", true, true),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(check_exposure(address, behind_proxy).is_ok(), allowed, "{address}");
        }
    }
}
