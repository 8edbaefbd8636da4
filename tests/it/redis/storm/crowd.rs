//! Who publishes and listens while something breaks: raw connections, which log
//! everything, and may never be disconnected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_client::Frame;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::checker::{Heard, Id, Lineage, Published, Sent};
use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::node::TestNode;

pub(super) const CHANNELS: usize = 4;
/// The publications that end the channels are numbered from here. Nobody is owed one.
const LAST: Id = 1_000_000_000;
/// How long anything may take until something comes.
const SILENCE: Duration = Duration::from_secs(45);

/// What they share.
#[derive(Default)]
pub(super) struct Shared {
    clock: AtomicU64,
    stop: AtomicBool,
    pub(super) acked: AtomicUsize,
    pub(super) refused: AtomicUsize,
    published: Mutex<Published>,
}

pub(super) struct Crowd {
    pub(super) shared: Arc<Shared>,
    publishers: Vec<JoinHandle<()>>,
    listeners: Vec<JoinHandle<Lineage>>,
}

fn name(channel: usize) -> String {
    format!("kept:{channel}")
}

impl Crowd {
    /// A listener of each channel and a publisher at each node. What they publish is
    /// as long as `bytes` at least.
    pub(super) async fn at(nodes: &[TestNode], seed: u64, bytes: usize) -> Crowd {
        let shared = Arc::new(Shared::default());
        let (mut publishers, mut listeners) = (Vec::new(), Vec::new());
        for node in nodes {
            for channel in 0..CHANNELS {
                let wire = Wire::connected(node, &format!("user-{channel}")).await;
                let mut listener = Listener::new(wire, channel, &shared);
                listener.subscribe().await;
                listeners.push(tokio::spawn(listener.listen()));
            }
        }
        for (at, node) in nodes.iter().enumerate() {
            let wire = Wire::connected(node, "publisher").await;
            let random = StdRng::seed_from_u64(seed << 8 | at as u64);
            let first = at as Id * 1_000_000;
            publishers.push(tokio::spawn(publish(wire, first, random, Arc::clone(&shared), bytes)));
        }
        Crowd { shared, publishers, listeners }
    }

    /// Publishes the last of each channel by this node, and gives what was published
    /// and heard.
    pub(super) async fn end(self, node: &TestNode) -> (Published, Vec<Lineage>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for publisher in self.publishers {
            publisher.await.unwrap();
        }
        let mut wire = Wire::connected(node, "last").await;
        let began = Instant::now();
        let mut last = LAST;
        // Again for those who were told that they may have missed it.
        while !self.listeners.iter().all(JoinHandle::is_finished) && began.elapsed() < PATIENCE {
            for channel in 0..CHANNELS {
                send(&mut wire, (last, channel), &self.shared, 0).await;
                last += 1;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let mut lineages = Vec::new();
        for listener in self.listeners {
            lineages.push(listener.await.unwrap());
        }
        (std::mem::take(&mut *self.shared.published.lock()), lineages)
    }
}

impl Shared {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }
}

async fn publish(mut wire: Wire, first: Id, mut random: StdRng, shared: Arc<Shared>, bytes: usize) {
    for id in first + 1.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let what = (id, random.random_range(0..CHANNELS));
        if !send(&mut wire, what, &shared, bytes).await {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(random.random_range(0..40))).await;
    }
}

/// Publishes once; `false` if it was refused, which says nothing of whether it was done.
async fn send(wire: &mut Wire, (id, channel): (Id, usize), shared: &Shared, bytes: usize) -> bool {
    let sent = Sent { channel, at: shared.tick(), acked: false };
    shared.published.lock().insert(id, sent);
    let data = json!({ "id": id, "rest": "x".repeat(bytes) });
    let command = json!({ "id": 1, "publish": { "channel": name(channel), "data": data } });
    wire.say(&command.to_string()).await;
    let answer = next(wire).await;
    if answer["error"]["code"] == 100 {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    assert!(answer["publish"].is_object(), "{answer}");
    shared.acked.fetch_add(1, Ordering::Relaxed);
    shared.published.lock().insert(id, Sent { acked: id < LAST, ..sent });
    true
}

struct Listener {
    wire: Wire,
    channel: usize,
    shared: Arc<Shared>,
    stands: Option<(String, u64)>,
    heard: Vec<Heard>,
    ended: bool,
}

impl Listener {
    fn new(wire: Wire, channel: usize, shared: &Arc<Shared>) -> Listener {
        let (shared, heard) = (Arc::clone(shared), Vec::new());
        Listener { wire, channel, shared, stands: None, heard, ended: false }
    }

    /// Subscribes, or goes on where it stood, as a client does.
    async fn subscribe(&mut self) {
        let mut request = json!({ "channel": name(self.channel), "recoverable": true });
        if let Some((epoch, offset)) = &self.stands {
            request["recover"] = true.into();
            request["epoch"] = epoch.clone().into();
            request["offset"] = (*offset).into();
        }
        let command = json!({ "id": 2, "subscribe": request }).to_string();
        loop {
            self.wire.say(&command).await;
            let mut answer = self.next().await;
            while answer["id"] != 2 {
                // Joins and leaves; of the channel itself nothing comes yet.
                assert!(answer["push"]["pub"].is_null(), "{answer}");
                answer = self.next().await;
            }
            if answer["error"]["code"] == 100 {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            let mut reply = answer["subscribe"].take();
            assert!(reply.is_object(), "{answer}");
            let epoch = reply["epoch"].as_str().unwrap().to_owned();
            let offset = reply["offset"].as_u64().unwrap_or_default();
            let missed = reply["publications"].take();
            if self.stands.is_some() && reply["recovered"] != true {
                // What was sent before the answer came may lie before where it stands.
                self.heard.push(Heard::Told { at: self.shared.tick() });
                self.stands = None;
            }
            if self.stands.is_none() {
                self.heard.push(Heard::Stands { epoch: epoch.clone(), offset });
                self.stands = Some((epoch, offset));
            } else {
                for publication in missed.as_array().into_iter().flatten() {
                    self.take(publication);
                }
            }
            return;
        }
    }

    async fn listen(mut self) -> Lineage {
        while !self.ended {
            let mut push = self.next().await["push"].take();
            if push["pub"].is_object() {
                self.take(&push["pub"].take());
            } else if push["unsubscribe"].is_object() {
                assert_eq!(push["unsubscribe"]["code"], 2500, "{push}");
                self.subscribe().await;
            }
        }
        Lineage { channel: self.channel, heard: self.heard }
    }

    fn take(&mut self, publication: &Value) {
        let offset = publication["offset"].as_u64().unwrap_or_default();
        let id = publication["data"]["id"].as_u64().unwrap_or_default();
        self.heard.push(Heard::Publication { offset, id });
        if let Some((_, stands)) = &mut self.stands {
            *stands = offset;
        }
        self.ended |= id >= LAST;
    }

    async fn next(&mut self) -> Value {
        next(&mut self.wire).await
    }
}

/// What comes, but for pings, which are answered.
async fn next(wire: &mut Wire) -> Value {
    loop {
        match wire.0.next_frame(SILENCE).await {
            Ok(Frame::Text(text)) if text == "{}" => wire.say("{}").await,
            // What is none is missed by the checker, unless bits were flipped.
            Ok(Frame::Text(text)) => return serde_json::from_str(&text).unwrap_or_default(),
            other => panic!("{other:?}: nobody may be disconnected"),
        }
    }
}
