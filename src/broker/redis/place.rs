//! Where a primary is: always at one address, or where sentinels say it is now.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{sleep, timeout};

use super::endpoint::{self, Endpoint};
use super::fit::Fault;
use super::hello::{self, Hello, Mode};
use super::scripts;
use super::sentinel::Sentinels;

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) enum Place {
    At(Endpoint, Mode),
    /// Asked for again for each connection.
    Watched(Sentinels),
}

/// Why a Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be reached, or does not answer.
    #[error("cannot reach Redis at {address}: {problem}")]
    Unreachable {
        /// Where it should be; without secrets.
        address: String,
        /// What was met.
        problem: String,
    },
    /// It does not know the user, or not with this password.
    #[error("Redis at {address} refuses the user or the password: {problem}")]
    Credentials {
        /// See above.
        address: String,
        /// See above.
        problem: String,
    },
    /// It follows another one, which is who must be asked.
    #[error("Redis at {address} is a replica; give the address of its primary")]
    Replica {
        /// See above.
        address: String,
    },
    /// It is part of a cluster, or a sentinel.
    #[error("Redis at {address} runs as {mode}, which this address is not for")]
    Mode {
        /// See above.
        address: String,
        /// What it says it is.
        mode: String,
    },
    /// It does something that a node cannot live with.
    #[error("Redis at {address} will not do: {fault}")]
    Fault {
        /// See above.
        address: String,
        /// What it does.
        fault: Fault,
    },
    /// Nodes run that spread the channels otherwise.
    #[error(
        "nodes that use Redis at {address} have another list of primaries; \
         one minute after the last of them has ended another list can be used"
    )]
    List {
        /// See above.
        address: String,
    },
    /// It lacks commands that are needed.
    #[error("Redis at {address} is version {version}; {oldest} is the oldest that will do")]
    Version {
        /// See above.
        address: String,
        /// What it says.
        version: String,
        /// What it would have to say.
        oldest: String,
    },
}

impl Place {
    /// Where it is now, and how often it has moved up to then; see [`Place::moves`].
    ///
    /// # Errors
    /// If nobody knows.
    pub(super) async fn find(&self) -> Result<(Endpoint, u64), RedisError> {
        match self {
            Place::At(endpoint, _) => Ok((endpoint.clone(), 0)),
            Place::Watched(sentinels) => sentinels.find().await,
        }
    }

    /// A connection to where it is now, and how often it has moved up to then.
    ///
    /// # Errors
    /// If there is none, or it leads to what is not a primary.
    pub(super) async fn connect(
        &self,
        settings: &AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, u64), RedisError> {
        let (endpoint, moves) = self.find().await?;
        let mut connection = endpoint.connect(settings).await?;
        hello::is_primary(&mut connection, self.mode()).await?;
        Ok((connection, moves))
    }

    /// How often it has moved, as far as anyone has heard.
    pub(super) fn moves(&self) -> u64 {
        match self {
            Place::At(..) => 0,
            Place::Watched(sentinels) => sentinels.moves(),
        }
    }

    /// Waits until it has moved more than so often, asking again and again: whoever
    /// is connected to a primary that was replaced need not notice it otherwise.
    pub(super) async fn moved(&self, moves: u64) {
        const EVERY: Duration = Duration::from_secs(2);
        let Place::Watched(sentinels) = self else { return std::future::pending().await };
        while self.moves() == moves {
            sleep(EVERY).await;
            // If nobody answers, nothing has changed.
            let _ = sentinels.find().await;
        }
    }

    /// As what it must run.
    pub(super) fn mode(&self) -> Mode {
        match self {
            Place::At(_, mode) => *mode,
            Place::Watched(_) => Mode::Standalone,
        }
    }

    /// Connects and looks whether this is a Redis that will do. Tries again until
    /// `patience` is over, unless trying again cannot help.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn check(&self, patience: Duration) -> Result<(), Unfit> {
        let examine = async || {
            let (found, _) = self.find().await.map_err(|error| unfit(self, &error))?;
            match examine(&found, self.mode()).await {
                // The sentinels are just about to know better.
                Err(Unfit::Replica { address }) if matches!(self, Place::Watched(_)) => {
                    let problem = "it is a replica, although sentinels call it the primary".into();
                    Err(Unfit::Unreachable { address, problem })
                }
                other => other,
            }
        };
        try_until(patience, self, examine).await
    }
}

/// Where to look for it; without secrets.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::At(endpoint, _) => endpoint.fmt(f),
            Place::Watched(sentinels) => sentinels.fmt(f),
        }
    }
}

/// Tries again until `patience` is over, as long as nothing is reached.
///
/// # Errors
/// What was met last.
pub(super) async fn try_until<T>(
    patience: Duration,
    address: &impl ToString,
    what: impl AsyncFn() -> Result<T, Unfit>,
) -> Result<T, Unfit> {
    const PAUSE: Duration = Duration::from_millis(200);
    let mut last = None;
    let trying = async {
        loop {
            match what().await {
                Err(unfit @ Unfit::Unreachable { .. }) => last = Some(unfit),
                other => return other,
            }
            sleep(PAUSE).await;
        }
    };
    let outcome = timeout(patience, trying).await;
    outcome.unwrap_or_else(|_| {
        let (address, problem) = (address.to_string(), "no answer".to_owned());
        Err(last.unwrap_or(Unfit::Unreachable { address, problem }))
    })
}

async fn examine(endpoint: &Endpoint, mode: Mode) -> Result<(), Unfit> {
    let address = endpoint.to_string();
    let connection = endpoint.connect(&endpoint::settings()).await;
    let mut connection = connection.map_err(|error| unfit(endpoint, &error))?;
    let hello = Hello::of(&mut connection).await.map_err(|error| unfit(endpoint, &error))?;
    if hello.is_too_old(mode) {
        let (major, minor) = mode.oldest();
        let oldest = format!("{major}.{minor}");
        return Err(Unfit::Version { address, version: hello.version, oldest });
    }
    if !hello.is(mode) {
        return Err(Unfit::Mode { address, mode: hello.mode });
    }
    if !hello.is_primary() {
        return Err(Unfit::Replica { address });
    }
    let loaded = scripts::load().exec_async(&mut connection).await;
    loaded.map_err(|error| unfit(endpoint, &error))
}

/// What an error at this place means.
pub(super) fn unfit(place: &impl ToString, error: &RedisError) -> Unfit {
    let (address, problem) = (place.to_string(), error.to_string());
    let refused = matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"));
    if problem.contains("WRONGTYPE") {
        let fault = Fault::Foreign(problem);
        return Unfit::Fault { address, fault };
    }
    if let Some(problem) = scripts::unknown_format(error) {
        let fault = Fault::Format(problem);
        return Unfit::Fault { address, fault };
    }
    if refused || error.kind() == redis::ErrorKind::AuthenticationFailed {
        Unfit::Credentials { address, problem }
    } else {
        Unfit::Unreachable { address, problem }
    }
}
