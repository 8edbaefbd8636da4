//! One primary: where commands go in and answers come out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolConfig, Runtime, Timeouts};
use redis::aio::SendError;
use redis::{Cmd, PushInfo, PushKind, RedisError, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::super::{CALL_TIMEOUT, Unavailable};
use super::endpoint::{self, ANSWER_TIMEOUT, CONNECT_TIMEOUT, Endpoint};
use super::keys::Name;
use super::lane::{Fuse, Job, Lane};
use super::life::Life;
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
    /// Beside them.
    Read,
}

/// See the module's text.
pub(super) struct Primary {
    writes: Vec<mpsc::Sender<Job>>,
    reads: Vec<mpsc::Sender<Job>>,
    places: Arc<Semaphore>,
    kibs: Arc<Semaphore>,
    fuse: Arc<Fuse>,
    life: Arc<Life>,
    metrics: Arc<Metrics>,
}

impl Primary {
    /// The primary at `endpoint`, and what serves its lanes.
    pub(super) fn new(
        endpoint: &Endpoint,
        life: &Arc<Life>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Primary, Vec<impl Future<Output = ()> + Send + 'static>), RedisError> {
        let fuse = Arc::new(Fuse::new(Arc::clone(metrics)));
        let pool = pool(endpoint, &fuse)?;
        let (mut works, mut lanes) = (Vec::new(), Vec::new());
        for _ in 0..2 * LANES {
            // The places bound it; a lane alone may take them all.
            let (lane, jobs) = mpsc::channel(MOST_WAITING);
            let (fuse, life) = (Arc::clone(&fuse), Arc::clone(life));
            works.push(Lane::new(jobs, pool.clone(), fuse, life, Arc::clone(metrics)).run());
            lanes.push(lane);
        }
        let reads = lanes.split_off(LANES);
        let primary = Primary {
            writes: lanes,
            reads,
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            kibs: Arc::new(Semaphore::new(MOST_WAITING_KIB)),
            fuse,
            life: Arc::clone(life),
            metrics: Arc::clone(metrics),
        };
        Ok((primary, works))
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
        let kibs = u32::try_from(1 + bytes / 1_024).unwrap_or(u32::MAX);
        let (Ok(place), Ok(kibs)) = (
            Arc::clone(&self.places).try_acquire_owned(),
            Arc::clone(&self.kibs).try_acquire_many_owned(kibs),
        ) else {
            self.metrics.redis_error("queue");
            return Err(Unavailable);
        };
        let lanes = match way {
            Way::Write => &self.writes,
            Way::Read => &self.reads,
        };
        let at = (name.spread() % LANES as u64) as usize;
        let (answer, answered) = oneshot::channel();
        let incarnation = self.life.learned();
        let job = Job { command, bytes, incarnation, answer, _places: [place, kibs] };
        lanes.get(at).ok_or(Unavailable)?.try_send(job).map_err(|_| Unavailable)?;
        Ok(answered)
    }
}

/// The answer to what was sent, until the call's deadline.
///
/// # Errors
/// If there is none.
pub(super) async fn answered(answer: oneshot::Receiver<Value>) -> Result<Value, Unavailable> {
    timeout(CALL_TIMEOUT, answer).await.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
}

/// A pool from which each lane takes one connection and keeps it.
fn pool(endpoint: &Endpoint, fuse: &Arc<Fuse>) -> Result<Pool, RedisError> {
    const WAIT: Duration = Duration::from_millis(200);
    let fuse = Arc::clone(fuse);
    let note = move |push: PushInfo| -> Result<(), SendError> {
        if push.kind == PushKind::Disconnection {
            fuse.note_end();
        }
        Ok(())
    };
    let settings = endpoint::settings().set_push_sender(note);
    let manager = Manager::new_with_config(endpoint.info(), settings)?;
    let timeouts =
        Timeouts { wait: Some(WAIT), create: Some(CONNECT_TIMEOUT), recycle: Some(ANSWER_TIMEOUT) };
    let config = PoolConfig { max_size: 2 * LANES, timeouts, ..PoolConfig::default() };
    Pool::builder(manager).config(config).runtime(Runtime::Tokio1).build().map_err(|error| {
        RedisError::from((redis::ErrorKind::InvalidClientConfig, "no pool", error.to_string()))
    })
}
