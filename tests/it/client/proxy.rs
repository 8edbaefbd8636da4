//! A wire between client and node that a test can cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    wires: Mutex<Vec<AbortHandle>>,
    refuses: AtomicBool,
    /// Bytes towards clients.
    down: AtomicU64,
}

impl Proxy {
    pub(super) async fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            wires: Mutex::default(),
            refuses: AtomicBool::new(false),
            down: AtomicU64::new(0),
        });
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    if !shared.refuses.load(Ordering::SeqCst) {
                        let wire = tokio::spawn(carry(client, Arc::clone(&shared)));
                        shared.wires.lock().unwrap().push(wire.abort_handle());
                    }
                }
            }
        });
        Proxy { address, shared, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.address)
    }

    /// Cuts all connections without a word.
    pub(super) fn cut(&self) {
        self.shared.wires.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }

    /// Drops whoever comes, or no longer.
    pub(super) fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// From now on leads elsewhere.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// How many bytes went to clients.
    pub(super) fn down(&self) -> u64 {
        self.shared.down.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let target = *shared.target.lock().unwrap();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // A cut is a reset, at both ends.
    for stream in [&client, &server] {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(length @ 1..) => {
                    if server.write_all(&up[..length]).await.is_err() { return }
                }
                Ok(0) | Err(_) => return,
            },
            read = server.read(&mut down) => match read {
                Ok(length @ 1..) => {
                    shared.down.fetch_add(length as u64, Ordering::SeqCst);
                    if client.write_all(&down[..length]).await.is_err() { return }
                }
                // What the node said last still has to arrive.
                Ok(0) | Err(_) => {
                    socket2::SockRef::from(&client).set_linger(None).unwrap();
                    return;
                }
            },
        }
    }
}
