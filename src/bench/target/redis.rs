//! A redis-server of the bench's own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::super::clock;
use super::super::failure::{Failure, While};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A running redis-server that keeps nothing; ends when dropped.
pub(super) struct Redis {
    child: Child,
    address: SocketAddr,
    _reserved: Socket,
}

impl Redis {
    /// Starts the one that `PATH` has, on a free port of loopback.
    ///
    /// # Errors
    /// If there is none, or it does not listen.
    pub(super) fn start() -> Result<Redis, Failure> {
        let (reserved, address) = reserve().during("look for a free port")?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                Failure::Server(format!("cannot start redis-server: {error}; install it"))
            })?;
        let mut redis = Redis { child, address, _reserved: reserved };
        let end = clock::now() + START;
        while TcpStream::connect(address).is_err() {
            let ended = redis.child.try_wait().during("watch redis-server")?;
            if ended.is_some() || clock::now() > end {
                return Err(Failure::Server("redis-server did not become ready".into()));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(redis)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// For a node's configuration.
    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// A port of loopback that the kernel gives to nobody else: bound as a server binds it, which
/// may do so as well, because nobody listens here.
fn reserve() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket();
    Ok((socket, address.ok_or(io::ErrorKind::AddrNotAvailable)?))
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
