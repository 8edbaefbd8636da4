//! The workload W: clients that listen, some slowly and some that come and go, and
//! publishers, some of whom retry.

mod publisher;
mod subscriber;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::checker::{Id, Lineage, Ms, Published};
use crate::support::{evidence, token};

pub(crate) use publisher::{count_present, read_stream};

/// Subscribers of each channel.
const EACH: usize = 5;
/// Publications a second.
const RATE: usize = 50;
/// Backends that publish by the server API, and clients that publish.
const BACKENDS: usize = 6;
const WRITERS: usize = 2;
/// How long the last publications may take to everybody.
const END_WITHIN: Duration = Duration::from_secs(30);

/// One clock for everybody: milliseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Ms {
        self.0.elapsed().as_millis() as Ms
    }
}

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    /// Bytes of each publication, about.
    pub(crate) bytes: usize,
}

impl Size {
    /// As many clients as `FAULT_CLIENTS` says, or 60.
    pub(crate) fn usual() -> Size {
        let clients = std::env::var("FAULT_CLIENTS").map_or(60, |count| count.parse().unwrap());
        Size { clients, bytes: 200 }
    }

    pub(crate) fn channels(self) -> usize {
        (self.clients / EACH).max(1)
    }
}

/// Everybody, until [`Crowd::end`].
pub(crate) struct Crowd {
    pub(crate) shared: Arc<Shared>,
    subscribers: JoinSet<Lineage>,
    publishers: JoinSet<Vec<Published>>,
    stop: watch::Sender<bool>,
    last: watch::Sender<Option<Vec<Id>>>,
}

/// What everybody shares.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    size: Size,
    seed: u64,
    /// Where clients connect.
    balancer: SocketAddr,
    /// Where backends publish.
    nodes: Vec<SocketAddr>,
    /// Connections that ended against the will of their clients: when, and the code.
    pub(crate) lost: Mutex<Vec<(Ms, u32)>>,
    pub(crate) acked: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    next_id: AtomicU64,
}

impl Shared {
    fn random(&self, number: usize) -> StdRng {
        StdRng::seed_from_u64(self.seed << 32 | number as u64)
    }

    /// How many subscriptions there are, each of another client.
    pub(crate) fn subscribers(&self) -> u64 {
        self.size.clients as u64
    }

    pub(crate) fn channels(&self) -> usize {
        self.size.channels()
    }

    fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.balancer)
    }

    fn next_id(&self) -> Id {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn payload(&self, id: Id) -> String {
        let payload = payload(id, self.size.bytes);
        evidence::published(payload.as_bytes());
        payload
    }
}

impl Crowd {
    /// Everybody is subscribed when this returns, and publishes.
    pub(crate) async fn start(
        size: Size,
        seed: u64,
        clock: Clock,
        balancer: SocketAddr,
        nodes: Vec<SocketAddr>,
    ) -> Crowd {
        let shared = Arc::new(Shared {
            clock,
            size,
            seed,
            balancer,
            nodes,
            lost: Mutex::default(),
            acked: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
        });
        let (stop, stopped) = watch::channel(false);
        let (last, lasts) = watch::channel(None);
        let mut subscribers = JoinSet::new();
        let subscribed = Arc::new(AtomicUsize::new(0));
        for number in 0..size.clients {
            let (shared, subscribed) = (Arc::clone(&shared), Arc::clone(&subscribed));
            subscribers.spawn(subscriber::listen(shared, number, subscribed, lasts.clone()));
        }
        let all = async {
            while subscribed.load(Ordering::Relaxed) < size.clients {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(END_WITHIN, all).await.expect("everybody can subscribe");
        let mut publishers = JoinSet::new();
        let pause = Duration::from_secs(1) * (BACKENDS + WRITERS) as u32 / RATE as u32;
        for number in 0..BACKENDS {
            let shared = Arc::clone(&shared);
            publishers.spawn(publisher::backend(shared, number, pause, stopped.clone()));
        }
        for number in BACKENDS..BACKENDS + WRITERS {
            let shared = Arc::clone(&shared);
            publishers.spawn(publisher::writer(shared, number, pause, stopped.clone()));
        }
        Crowd { shared, subscribers, publishers, stop, last }
    }

    /// Stops publishing, publishes a last one in each channel at this node, and waits
    /// until everybody has it, or the time is over.
    pub(crate) async fn end(mut self, node: SocketAddr) -> (Vec<Published>, Vec<Lineage>) {
        self.stop.send_replace(true);
        let mut published = Vec::new();
        while let Some(those) = self.publishers.join_next().await {
            published.extend(those.unwrap());
        }
        let mut last = Vec::new();
        for channel in 0..self.shared.size.channels() {
            let one = publisher::surely(&self.shared, node, channel, END_WITHIN).await;
            last.push(one.id);
            published.push(one);
        }
        self.last.send_replace(Some(last));
        let mut lineages = Vec::new();
        while let Some(lineage) = self.subscribers.join_next().await {
            lineages.push(lineage.unwrap());
        }
        (published, lineages)
    }
}

pub(crate) fn channel(number: usize) -> String {
    format!("kept:{number}")
}

/// What is published under this id: all of it follows from that.
fn payload(id: Id, bytes: usize) -> String {
    let fill = format!("{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(bytes / 16);
    format!(r#"{{"id":{id},"fill":"canary-{fill}"}}"#)
}

/// The id, if it is exactly what is published under that.
fn id_of(data: &[u8], bytes: usize) -> Option<Id> {
    let text = std::str::from_utf8(data).ok()?;
    let id = text.strip_prefix(r#"{"id":"#)?.split(',').next()?.parse().ok()?;
    (text == payload(id, bytes)).then_some(id)
}

/// A token of somebody who stays for the whole run.
fn token_of(number: usize) -> String {
    token::of(&format!("canary-user-{number}"))
}
