//! The broker on Redis when things break. Every test shows that its fault has
//! bitten before it says that all is well.

mod accuracy;
mod away;
mod batch;
mod clock;
mod cluster;
mod deaf;
mod durable;
mod epochs;
mod failover;
mod faults;
mod formats;
mod idle;
mod keys;
mod leases;
mod limited;
mod modes;
mod nodes;
mod overrides;
mod present;
mod rate;
mod refusals;
mod rewritten;
mod rules;
mod several;
mod start;
mod stored;
mod survivors;
mod tenants;
mod tls;
mod trips;
mod wide;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sealcast::broker::{Broker, Delivery, HistoryQuery, Outgoing, Retention, Since, Unavailable};
use sealcast_wire::{Channel, Position};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::broker_contract::{Bench, channel, number, numbered};
use crate::support::PATIENCE;

/// Channels that are published to in turn.
const ROOMS: usize = 8;
const KEEP: Retention = Retention {
    entries: 100_000,
    bytes: 64 << 20,
    ttl: Duration::from_secs(600),
    meta_ttl: Duration::from_secs(3_600),
};

fn room(n: usize) -> String {
    format!("room-{n}")
}

/// Publishes without pause, and notes what was acknowledged.
struct Publisher {
    stop: Arc<AtomicBool>,
    failures: Arc<AtomicUsize>,
    acknowledged: Arc<AtomicUsize>,
    task: JoinHandle<Published>,
}

/// What was acknowledged: by room and offset, the number that was published.
type Published = BTreeMap<(usize, u64), u64>;

impl Publisher {
    fn start(broker: &Arc<dyn Broker>) -> Publisher {
        let broker = Arc::clone(broker);
        let (stop, failures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let (stopped, failed) = (Arc::clone(&stop), Arc::clone(&failures));
        let count = Arc::clone(&acknowledged);
        let task = tokio::spawn(async move {
            let mut published = Published::new();
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let at = n as usize % ROOMS;
                let sent = Outgoing { keep: Some(KEEP), ..numbered(n) };
                match broker.publish(channel(&room(at)), sent).await {
                    Ok(position) => {
                        let before = published.insert((at, position.unwrap().offset), n);
                        assert_eq!(before, None, "an offset that was given twice");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(Unavailable) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            }
            published
        });
        Publisher { stop, failures, acknowledged, task }
    }

    fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Waits until so many more were acknowledged; how long that took.
    async fn goes_on(&self, more: usize) -> Duration {
        let (began, first) = (Instant::now(), self.acknowledged.load(Ordering::Relaxed));
        while self.acknowledged.load(Ordering::Relaxed) < first + more {
            assert!(began.elapsed() < PATIENCE, "nothing is acknowledged any more");
            sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }

    async fn stop(self) -> Published {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// A subscriber of every room with a position in each: it takes what comes next,
/// and after a gap reads what it missed. A hole that nobody announced fails, unless the
/// test is about one that nobody can know.
struct Listener {
    broker: Arc<dyn Broker>,
    at: BTreeMap<String, Position>,
    got: Published,
    /// Gaps that were announced, and publications that had been missed in them.
    gaps: usize,
    missed: usize,
    /// Whether every hole must have been announced.
    strict: bool,
}

impl Listener {
    async fn start(bench: &Bench) -> Listener {
        let mut at = BTreeMap::new();
        for n in 0..ROOMS {
            bench.broker.subscribe(channel(&room(n))).await.unwrap();
            let query = HistoryQuery::default();
            let page = bench.broker.history(channel(&room(n)), query, KEEP.meta_ttl).await;
            at.insert(room(n), page.unwrap().position);
        }
        let broker = Arc::clone(&bench.broker);
        Listener { broker, at, got: Published::new(), gaps: 0, missed: 0, strict: true }
    }

    async fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Publication { channel, publication, epoch, .. } => {
                let at = &self.at[channel.as_str()];
                assert_eq!(epoch.as_deref(), Some(&*at.epoch), "{channel}");
                // What was read already comes again behind a gap.
                if publication.offset > at.offset + 1 {
                    assert!(!self.strict, "a hole that nobody announced in {channel}");
                    self.read_missed(channel).await;
                } else if publication.offset > at.offset {
                    self.note(channel.as_str(), publication.offset, number(&publication));
                }
            }
            Delivery::Gap { channel, .. } => {
                self.gaps += 1;
                self.read_missed(channel).await;
            }
            Delivery::Probe(_) => {}
            Delivery::Membership { .. } | Delivery::Told(_) => panic!("{delivery:?}"),
        }
    }

    async fn read_missed(&mut self, channel: Channel) {
        let Position { offset, epoch } = self.at[channel.as_str()].clone();
        let since = Some(Since { offset, epoch });
        let query = HistoryQuery { limit: 100_000, since, reverse: false };
        let began = Instant::now();
        let page = loop {
            match self.broker.history(channel.clone(), query.clone(), KEEP.meta_ttl).await {
                Ok(page) => break page,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        for one in page.publications {
            self.missed += 1;
            self.note(channel.as_str(), one.offset, number(&one));
        }
    }

    fn note(&mut self, name: &str, offset: u64, n: u64) {
        let at = self.at.get_mut(name).unwrap();
        assert_eq!(offset, at.offset + 1, "{name}");
        at.offset = offset;
        let room = name.strip_prefix("room-").unwrap().parse().unwrap();
        assert_eq!(self.got.insert((room, offset), n), None, "delivered twice");
    }

    /// Takes what comes while `what` happens.
    async fn during<T>(&mut self, bench: &mut Bench, what: impl Future<Output = T>) -> T {
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                (_, delivery) = bench.next() => self.take(delivery).await,
            }
        }
    }

    /// Takes what comes until so many gaps were announced.
    async fn is_told(&mut self, bench: &mut Bench, gaps: usize) {
        let taking = async {
            while self.gaps < gaps {
                let (_, delivery) = bench.next().await;
                self.take(delivery).await;
            }
        };
        let told = timeout(PATIENCE, taking).await;
        assert!(told.is_ok(), "{} gaps and not {gaps}", self.gaps);
    }

    /// Takes what comes until everything that was acknowledged is there.
    async fn has(&mut self, bench: &mut Bench, published: &Published) {
        self.has_within(bench, published, PATIENCE).await;
    }

    async fn has_within(&mut self, bench: &mut Bench, published: &Published, time: Duration) {
        let taking = async {
            while !published.keys().all(|key| self.got.contains_key(key)) {
                let (_, delivery) = bench.next().await;
                self.take(delivery).await;
            }
        };
        let all = timeout(time, taking).await;
        assert!(all.is_ok(), "lost: {:?}", self.lost(published));
        for delivery in bench.rest().await {
            self.take(delivery).await;
        }
        for (key, n) in published {
            assert_eq!(self.got.get(key), Some(n), "at {key:?}");
        }
    }

    fn lost<'a>(&self, published: &'a Published) -> Vec<&'a (usize, u64)> {
        published.keys().filter(|key| !self.got.contains_key(key)).take(10).collect()
    }
}
