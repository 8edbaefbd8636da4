//! One primary: where commands go in and answers come out.

use std::future::Future;
use std::sync::Arc;

use redis::{Cmd, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::{CALL_TIMEOUT, Unavailable};
use super::durability::Durability;
use super::health::Health;
use super::keys::Name;
use super::lane::{Fuse, Job, Lane};
use super::life::Life;
use super::patience::within;
use super::place::Place;
use super::source::Source;
use crate::limit::Cap;
use crate::metrics::Metrics;

/// Lanes for what changes something, and as many for what only reads: a long
/// read delays no publish.
const LANES: usize = 4;
/// Commands that may wait in all lanes together.
const MOST_WAITING: usize = 4_096;
/// The same in KiB.
const MOST_WAITING_KIB: usize = 64 << 10;

/// Which lanes a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In order with all other writes of the same name.
    Write,
    /// The same, and not answered before it is as durable as is asked for.
    Kept,
    /// Beside them.
    Read,
}

/// See the module's text.
pub(super) struct Primary {
    writes: Vec<mpsc::Sender<Job>>,
    reads: Vec<mpsc::Sender<Job>>,
    places: Cap,
    kibs: Cap,
    fuse: Arc<Fuse>,
    life: Arc<Life>,
    metrics: Arc<Metrics>,
}

impl Primary {
    /// The primary at `place`, and what serves its lanes.
    pub(super) fn new(
        place: Place,
        (life, durability): (&Arc<Life>, Durability),
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
    ) -> (Primary, Vec<impl Future<Output = ()> + Send + 'static>) {
        let fuse = Arc::new(Fuse::new(Arc::clone(health)));
        let source = Arc::new(Source::new(place, Arc::clone(life), Arc::clone(&fuse), 2 * LANES));
        let (mut works, mut lanes) = (Vec::new(), Vec::new());
        for _ in 0..2 * LANES {
            // The places bound it; a lane alone may take them all.
            let (sender, jobs) = mpsc::channel(MOST_WAITING);
            let (fuse, life) = (Arc::clone(&fuse), Arc::clone(life));
            let source = Arc::clone(&source);
            let lane = Lane::new((jobs, durability), source, fuse, life, Arc::clone(metrics));
            works.push(lane.run());
            lanes.push(sender);
        }
        let reads = lanes.split_off(LANES);
        let primary = Primary {
            writes: lanes,
            reads,
            places: Cap::new(MOST_WAITING),
            kibs: Cap::new(MOST_WAITING_KIB),
            fuse,
            life: Arc::clone(life),
            metrics: Arc::clone(metrics),
        };
        (primary, works)
    }

    /// What tells whether it has lost anything.
    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// Sends a command, and waits for the answer until the call's deadline. It
    /// takes its place when this is first polled.
    ///
    /// # Errors
    /// If it could not be sent, or was not answered in time, or was refused.
    pub(super) async fn call(
        &self,
        way: Way,
        name: Name,
        command: Cmd,
        bytes: usize,
    ) -> Result<Value, Unavailable> {
        let answer = self.send(way, name, command, bytes)?;
        answered(answer).await
    }

    /// Sends a command: at once, or not at all.
    ///
    /// # Errors
    /// If Redis is away or too much waits for it.
    pub(super) fn send(
        &self,
        way: Way,
        name: Name,
        command: Cmd,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Value>, Unavailable> {
        if !self.fuse.allow() {
            self.metrics.redis_error("breaker");
            return Err(Unavailable);
        }
        let kibs = self.kibs.take_many(1 + bytes / 1_024);
        let (Some(place), Some(kibs)) = (self.places.take(), kibs) else {
            self.metrics.redis_error("queue");
            return Err(Unavailable);
        };
        let lanes = match way {
            Way::Write | Way::Kept => &self.writes,
            Way::Read => &self.reads,
        };
        let at = (name.spread() % LANES as u64) as usize;
        let (answer, answered) = oneshot::channel();
        let incarnation = self.life.learned();
        let began = Instant::now();
        let (kept, _places) = (way == Way::Kept, [place, kibs]);
        let job = Job { command, began, bytes, incarnation, kept, answer, _places };
        lanes.get(at).ok_or(Unavailable)?.try_send(job).map_err(|_| Unavailable)?;
        Ok(answered)
    }
}

/// The answer to what was sent, until the call's deadline.
///
/// # Errors
/// If there is none.
pub(super) async fn answered(answer: oneshot::Receiver<Value>) -> Result<Value, Unavailable> {
    within(CALL_TIMEOUT, answer).await.ok_or(Unavailable)?.map_err(|_| Unavailable)
}
