//! Where lanes get their connections: a pool for the address that the primary
//! has now, and another one when it has moved.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use parking_lot::Mutex;
use redis::aio::SendError;
use redis::{ErrorKind, PushInfo, PushKind, RedisError};

use super::endpoint::{self, ANSWER_TIMEOUT, CONNECT_TIMEOUT, Endpoint};
use super::follow::{Follow, is_moved};
use super::hello::{self, Mode};
use super::lane::Fuse;
use super::life::Life;
use super::place::Place;
use super::scripts;

/// See the module's text.
pub(super) struct Source {
    place: Place,
    life: Arc<Life>,
    fuse: Arc<Fuse>,
    /// Connections at most.
    most: usize,
    pool: Mutex<Option<(String, Pool)>>,
}

impl Source {
    pub(super) fn new(place: Place, life: Arc<Life>, fuse: Arc<Fuse>, most: usize) -> Source {
        Source { place, life, fuse, most, pool: Mutex::default() }
    }

    /// A connection to the primary, of which is known whether it has lost anything,
    /// with the scripts loaded; and how often the primary has moved up to then.
    ///
    /// # Errors
    /// If there is none in time, or it leads to what is not a primary.
    pub(super) async fn connect(&self) -> Result<(Connection, u64), RedisError> {
        let (endpoint, moves) = self.place.find().await?;
        let pool = self.pool(&endpoint)?;
        let mut connection = pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => RedisError::from((ErrorKind::Io, "no connection", other.to_string())),
        })?;
        let ready = async {
            hello::is_primary(&mut connection, self.place.mode()).await?;
            scripts::load().exec_async(&mut connection).await?;
            let counter = self.life.counter();
            match counter.beat().query_async(&mut connection).await {
                Ok(answer) => counter.learn(answer).map(drop),
                // It is counted by whoever serves that slot now.
                Err(error) if is_moved(&error) => Ok(()),
                Err(error) => Err(error),
            }
        };
        match ready.await {
            Ok(()) => Ok((connection, moves)),
            Err(error) => {
                drop(Connection::take(connection));
                Err(error)
            }
        }
    }

    /// See [`Place::moves`].
    pub(super) fn moves(&self) -> u64 {
        self.place.moves()
    }

    /// What follows what a cluster moves.
    pub(super) fn follow(&self) -> Option<Follow> {
        match &self.place {
            Place::At(endpoint, Mode::Cluster) => Some(Follow::new(endpoint.clone())),
            Place::At(_, Mode::Standalone) | Place::Watched(_) => None,
        }
    }

    /// The pool of this address. Each lane takes one connection and keeps it.
    fn pool(&self, endpoint: &Endpoint) -> Result<Pool, RedisError> {
        const WAIT: Duration = Duration::from_millis(200);
        let address = endpoint.to_string();
        let mut current = self.pool.lock();
        if let Some((at, pool)) = &*current
            && *at == address
        {
            return Ok(pool.clone());
        }
        let fuse = Arc::clone(&self.fuse);
        let note = move |push: PushInfo| -> Result<(), SendError> {
            if push.kind == PushKind::Disconnection {
                fuse.note_end();
            }
            Ok(())
        };
        let settings = endpoint::settings().set_push_sender(note);
        let manager = Manager::new_with_config(endpoint.info(), settings)?;
        let (create, recycle) = (Some(CONNECT_TIMEOUT), Some(ANSWER_TIMEOUT));
        let timeouts = Timeouts { wait: Some(WAIT), create, recycle };
        let config = PoolConfig { max_size: self.most, timeouts, ..PoolConfig::default() };
        let built = Pool::builder(manager).config(config).runtime(Runtime::Tokio1).build();
        let pool = built.map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, "no pool", error.to_string()))
        })?;
        *current = Some((address, pool.clone()));
        Ok(pool)
    }
}
