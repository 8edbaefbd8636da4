//! What a Redis says of itself, and whether that will do.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, Value};

/// As what a Redis is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By itself, or with replicas.
    Standalone,
    /// As a member of a cluster.
    Cluster,
}

/// What it answered.
#[derive(Debug, Default)]
pub(super) struct Hello {
    pub(super) version: String,
    pub(super) mode: String,
    role: String,
}

impl Mode {
    /// The oldest version that has every command used: `XTRIM … MINID` and
    /// `HELLO`; in a cluster `SPUBLISH` too.
    pub(super) fn oldest(self) -> (u32, u32) {
        match self {
            Mode::Standalone => (6, 2),
            Mode::Cluster => (7, 0),
        }
    }

    /// The command that publishes, in scripts too.
    pub(super) fn publish(self) -> &'static str {
        match self {
            Mode::Standalone => "PUBLISH",
            Mode::Cluster => "SPUBLISH",
        }
    }

    /// The command that subscribes.
    pub(super) fn subscribe(self) -> &'static str {
        match self {
            Mode::Standalone => "SUBSCRIBE",
            Mode::Cluster => "SSUBSCRIBE",
        }
    }

    /// How Redis calls it.
    fn text(self) -> &'static str {
        match self {
            Mode::Standalone => "standalone",
            Mode::Cluster => "cluster",
        }
    }
}

impl Hello {
    /// Asks; no user is too weak to be answered.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> Result<Hello, RedisError> {
        let answer: Value = redis::cmd("HELLO").arg(3).query_async(connection).await?;
        let mut hello = Hello::default();
        for (name, value) in answer.as_map_iter().into_iter().flatten() {
            let Value::BulkString(name) = name else { continue };
            let text = match value {
                Value::BulkString(text) => String::from_utf8_lossy(text).into_owned(),
                Value::SimpleString(text) => text.clone(),
                _ => continue,
            };
            match name.as_slice() {
                b"version" => hello.version = text,
                b"mode" => hello.mode = text,
                b"role" => hello.role = text,
                _ => {}
            }
        }
        Ok(hello)
    }

    pub(super) fn is(&self, mode: Mode) -> bool {
        self.mode == mode.text()
    }

    /// Whether nothing stands above it.
    pub(super) fn is_primary(&self) -> bool {
        self.role == "master"
    }

    pub(super) fn is_too_old(&self, mode: Mode) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < mode.oldest()
    }
}

/// Only what says that it is a primary, and of this kind, is used.
///
/// # Errors
/// If it says otherwise, or nothing.
pub(super) async fn is_primary(
    connection: &mut MultiplexedConnection,
    mode: Mode,
) -> Result<(), RedisError> {
    let hello = Hello::of(connection).await?;
    if hello.is_primary() && hello.is(mode) {
        return Ok(());
    }
    Err(RedisError::from((ErrorKind::Io, "not a primary of the kind that is needed")))
}
