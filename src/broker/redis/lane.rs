//! A lane of commands: a queue, and one connection that serves it in order.
//!
//! What waits goes out as one pipeline, and the next one when that is answered:
//! so the order of the queue is the order at Redis, and the more there is to do,
//! the more goes out at once. A trip that fails ends the connection. What it
//! carried is not sent again, may have been done, and may even be done after what
//! the next connection carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::Connection;
use parking_lot::Mutex;
use redis::aio::ConnectionLike as _;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::breaker::Breaker;
use super::durability::{Durability, is_copied};
use super::follow::{Follow, is_redirect};
use super::health::Health;
use super::life::Life;
use super::scripts;
use super::source::Source;
use crate::limit::Permit;
use crate::metrics::Metrics;

/// Commands that go out together at most.
const MOST_TOGETHER: usize = 256;
/// The same in bytes, but for a single one that is larger.
const MOST_BYTES: usize = 1 << 20;

/// A command that waits for its turn.
pub(super) struct Job {
    pub(super) command: Cmd,
    pub(super) began: Instant,
    /// Bytes of its arguments, roughly.
    pub(super) bytes: usize,
    /// For which it was made, if that was known: it is not sent in a later one.
    pub(super) incarnation: Option<u64>,
    /// It must be as durable as is asked for before it is answered.
    pub(super) kept: bool,
    /// Dropped without an answer if there is none.
    pub(super) answer: oneshot::Sender<Value>,
    /// Its places in the primary's queue.
    pub(super) _places: [Permit; 2],
}

/// Since when a command waits, whether it must be durable before it is answered, and
/// who gets the answer.
pub(super) type Asked = (Instant, bool, oneshot::Sender<Value>);

/// What the lanes of a primary share: the breaker, and how many of their
/// connections have ended.
pub(super) struct Fuse {
    breaker: Mutex<Breaker>,
    ended: AtomicU64,
    began: Instant,
    health: Arc<Health>,
}

impl Fuse {
    pub(super) fn new(health: Arc<Health>) -> Fuse {
        Fuse { breaker: Mutex::default(), ended: AtomicU64::new(0), began: Instant::now(), health }
    }

    pub(super) fn allow(&self) -> bool {
        self.breaker.lock().allow(self.now(), rand::random())
    }

    /// One of the connections has ended.
    pub(super) fn note_end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Something may not be where it was.
    fn doubt(&self) {
        self.health.doubt();
    }

    fn success(&self) {
        let mut breaker = self.breaker.lock();
        if breaker.is_open() {
            tracing::info!(event = "redis_breaker_closed", "Redis answers again");
            self.health.breaker_closed();
        }
        breaker.success();
    }

    fn failure(&self) {
        self.doubt();
        if self.breaker.lock().failure(self.now(), rand::random()) {
            tracing::warn!(
                event = "redis_breaker_open",
                "Redis does not answer: calls are refused"
            );
            self.health.breaker_open();
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// A breaker that nobody needs any more is not open.
impl Drop for Fuse {
    fn drop(&mut self) {
        if self.breaker.lock().is_open() {
            self.health.breaker_closed();
        }
    }
}

/// Serves one lane.
pub(super) struct Lane {
    jobs: mpsc::Receiver<Job>,
    durability: Durability,
    source: Arc<Source>,
    fuse: Arc<Fuse>,
    life: Arc<Life>,
    metrics: Arc<Metrics>,
    connection: Option<Connection>,
    /// In a cluster.
    follow: Option<Follow>,
    /// How many connections had ended when this one was last known to live.
    ended: u64,
    /// How often the primary had moved when it was made.
    moves: u64,
    /// What did not fit into the last pipeline.
    next: Option<Job>,
}

impl Lane {
    pub(super) fn new(
        (jobs, durability): (mpsc::Receiver<Job>, Durability),
        source: Arc<Source>,
        fuse: Arc<Fuse>,
        life: Arc<Life>,
        metrics: Arc<Metrics>,
    ) -> Lane {
        let follow = source.follow();
        Lane {
            jobs,
            durability,
            source,
            fuse,
            life,
            metrics,
            connection: None,
            follow,
            ended: 0,
            moves: 0,
            next: None,
        }
    }

    /// Runs until nobody can send a job any more.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.batch().await {
            if batch.is_empty() {
                continue;
            }
            match self.trip(batch).await {
                Ok(()) => self.fuse.success(),
                Err(error) => {
                    self.metrics.redis_error(kind(&error));
                    tracing::warn!(event = "redis_trip_failed", %error, "a trip to Redis failed");
                    self.fuse.failure();
                    // Out of the pool as well: it may still be answering.
                    drop(self.connection.take().map(Connection::take));
                }
            }
        }
    }

    /// What waits now, or the next that comes, but for what nobody waits for.
    async fn batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.next.take() {
            Some(job) => job,
            None => self.jobs.recv().await?,
        };
        let mut bytes = 0;
        let mut batch = Vec::with_capacity((1 + self.jobs.len()).min(MOST_TOGETHER));
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if !job.answer.is_closed() {
                if bytes + job.bytes > MOST_BYTES && !batch.is_empty() {
                    self.next = Some(job);
                    break;
                }
                bytes += job.bytes;
                batch.push(job);
            }
            if batch.len() < MOST_TOGETHER {
                next = self.jobs.try_recv().ok();
            }
        }
        Some(batch)
    }

    /// If any connection has ended since, asks whether this one lives: what is not
    /// sent by a dead one need not fail. And what was a primary when it was made may
    /// have been replaced: what it takes now it will forget.
    async fn drop_if_ended(&mut self) {
        if self.source.moves() != self.moves {
            drop(self.connection.take().map(Connection::take));
        }
        let ended = self.fuse.ended.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.ended, ended) != ended
            && let Some(connection) = &mut self.connection
            && connection.send_packed_command(&redis::cmd("PING")).await.is_err()
        {
            drop(self.connection.take().map(Connection::take));
        }
    }

    /// There and back with a batch.
    async fn trip(&mut self, mut batch: Vec<Job>) -> Result<(), RedisError> {
        self.drop_if_ended().await;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let (connection, moves) = self.source.connect().await?;
                self.moves = moves;
                none.insert(connection)
            }
        };
        // What was asked of streams that are no more is not done to others.
        let incarnation = self.life.incarnation();
        batch.retain(|job| job.incarnation.is_none_or(|of| of == incarnation));
        if batch.is_empty() {
            return Ok(());
        }
        let wait = self.durability.wait().filter(|_| batch.iter().any(|job| job.kept));
        let waits = wait.is_some();
        let (commands, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|job| (job.command, (job.began, waits && job.kept, job.answer)))
            .unzip();
        let mut pipeline = redis::Pipeline::with_capacity(commands.len() + 1);
        for command in commands.into_iter().chain(wait) {
            pipeline.add_command(command);
        }
        let mut values = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
        let mut copied = waits && is_copied(values.pop().as_ref());
        if let Some(first) = values.iter().position(is_unknown_script)
            && values.iter().skip(first).all(|value| is_unknown_script(value) || is_redirect(value))
        {
            // Redis has lost the scripts. Nothing behind the first of these was
            // done, so doing them again now keeps the order.
            scripts::load().exec_async(connection).await?;
            let mut again = redis::Pipeline::with_capacity(pipeline.len() - first);
            for command in pipeline.cmd_iter().skip(first) {
                again.add_command(command.clone());
            }
            values.truncate(first);
            values.extend(connection.req_packed_commands(&again, 0, again.len()).await?);
            copied = waits && is_copied(values.pop().as_ref());
        }
        if values.len() != answers.len() {
            return Err(RedisError::from((ErrorKind::Parse, "not as many replies as commands")));
        }
        // What goes elsewhere is waited for there.
        let elsewhere: Vec<bool> = values.iter().map(|value| waits && is_redirect(value)).collect();
        if let Some(follow) = &mut self.follow
            && follow
                .follow((connection, self.durability), (&pipeline, &answers), &mut values)
                .await
        {
            self.fuse.doubt();
        }
        let mut unfit = None;
        let mut refused = None;
        let now = Instant::now();
        let mut alone = 0;
        let asked = pipeline.cmd_iter().zip(answers).zip(elsewhere);
        for (value, ((command, (began, kept, answer)), elsewhere)) in values.into_iter().zip(asked)
        {
            match value {
                Value::ServerError(error) => match error.kind() {
                    Some(
                        ServerErrorKind::BusyLoading
                        | ServerErrorKind::ReadOnly
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ClusterDown,
                    ) => unfit = Some(error),
                    _ => refused = Some(error),
                },
                // It may survive, and it may not: whoever asked is not told that it does.
                value if kept && !(if elsewhere { value != Value::Nil } else { copied }) => {
                    alone += 1;
                }
                value => {
                    let took = now.saturating_duration_since(began);
                    self.metrics.histograms.redis.observe(scripts::op(command), took);
                    // Whoever gave up does not take it.
                    drop(answer.send(value));
                }
            }
        }
        if alone > 0 {
            self.metrics.redis_error("replica");
            tracing::warn!(
                event = "redis_not_copied",
                commands = alone,
                "no replica has said in time that it has them: they are answered as failed"
            );
        }
        if let Some(error) = refused.map(RedisError::from) {
            if let Some(error) = scripts::unknown_format(&error) {
                self.metrics.redis_error("record");
                tracing::error!(event = "bad_record", %error, "what lies at Redis cannot be read");
            } else {
                self.metrics.redis_error("refused");
                tracing::error!(event = "redis_refused", %error, "Redis refused a command");
            }
        }
        unfit.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

fn kind(error: &RedisError) -> &'static str {
    match error.kind() {
        _ if error.is_timeout() => "timeout",
        ErrorKind::Io => "io",
        ErrorKind::AuthenticationFailed => "auth",
        ErrorKind::Server(_) | ErrorKind::Extension => "server",
        _ => "other",
    }
}
