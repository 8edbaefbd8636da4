//! One address for several nodes: passes each new connection to the next node that
//! says it is ready, as a load balancer does; and notes when each said what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::checker::Ms;
use crate::crowd::Clock;

const ASK_EACH: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// What a node said, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) at: Ms,
    pub(crate) is_ready: bool,
}

/// Runs as long as the test's runtime.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    nodes: Arc<Vec<Backend>>,
}

struct Backend {
    address: SocketAddr,
    /// Changes only; before the first one it was not ready.
    said: Mutex<Vec<Said>>,
    taken: Mutex<Vec<Ms>>,
}

impl Balancer {
    pub(crate) async fn start(nodes: &[SocketAddr], clock: Clock) -> Balancer {
        let backend = |address: &SocketAddr| Backend {
            address: *address,
            said: Mutex::default(),
            taken: Mutex::default(),
        };
        let nodes: Arc<Vec<Backend>> = Arc::new(nodes.iter().map(backend).collect());
        for at in 0..nodes.len() {
            tokio::spawn(watch(Arc::clone(&nodes), at, clock));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = Balancer { address, nodes: Arc::clone(&nodes) };
        tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((near, _)) = listener.accept().await {
                let ready: Vec<_> = nodes.iter().filter(|node| node.is_ready()).collect();
                // Nobody is there: the connection is closed, as with an error 503.
                if ready.is_empty() {
                    continue;
                }
                turn += 1;
                let node = ready[turn % ready.len()];
                let address = node.address;
                node.taken.lock().push(clock.now());
                tokio::spawn(join(near, address));
            }
        });
        balancer
    }

    /// What a node said, when that changed.
    pub(crate) fn said(&self, node: usize) -> Vec<Said> {
        self.nodes[node].said.lock().clone()
    }

    pub(crate) fn is_ready(&self, node: usize) -> bool {
        self.nodes[node].is_ready()
    }

    /// When it got connections.
    pub(crate) fn taken(&self, node: usize) -> Vec<Ms> {
        self.nodes[node].taken.lock().clone()
    }
}

impl Backend {
    fn is_ready(&self) -> bool {
        self.said.lock().last().is_some_and(|last| last.is_ready)
    }
}

async fn join(mut near: TcpStream, address: SocketAddr) {
    let Ok(mut far) = TcpStream::connect(address).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

async fn watch(nodes: Arc<Vec<Backend>>, at: usize, clock: Clock) {
    let node = &nodes[at];
    loop {
        let is_ready = timeout(ANSWER_WITHIN, ask(node.address)).await.ok().flatten();
        let is_ready = is_ready.unwrap_or(false);
        if is_ready != node.is_ready() {
            node.said.lock().push(Said { at: clock.now(), is_ready });
        }
        sleep(ASK_EACH).await;
    }
}

async fn ask(node: SocketAddr) -> Option<bool> {
    let mut stream = TcpStream::connect(node).await.ok()?;
    let request = b"GET /health/ready HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.ok()?;
    Some(status.ends_with(b"200"))
}
