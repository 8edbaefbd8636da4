//! Ports that nobody else is given.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of loopback. Until this is dropped the kernel gives it to nobody who asks for any;
/// who asks for this one may listen on it, also again after having been killed: it is bound
/// here with `SO_REUSEADDR`, as servers bind theirs, and nobody listens.
pub(crate) struct Port(Socket);

impl Port {
    pub(crate) fn reserve() -> Port {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Port(socket)
    }

    pub(crate) fn number(&self) -> u16 {
        self.0.local_addr().unwrap().as_socket().unwrap().port()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn one_may_listen_on_it_again_and_again() {
        let port = Port::reserve();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        for _ in 0..2 {
            let listener = TcpListener::bind(address).unwrap();
            let near = TcpStream::connect(address).unwrap();
            // Closed here first: what stays behind of it is on this side.
            drop(listener.accept().unwrap());
            assert!(TcpListener::bind(address).is_err(), "another listens");
            drop(near);
        }
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
    }
}
