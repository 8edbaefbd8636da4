//! All nodes must spread the channels over the same primaries: what stands for
//! the list is kept at each of them while nodes run that use it, and a node with
//! another list does not start.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError};
use tokio::time::sleep;

use super::fit::Fault;
use super::keys::{self, Kind, Name, Names};
use super::place::{Place, Unfit, unfit};
use super::primary::Way;
use super::router::Router;
use super::{endpoint, millis};

/// How long it is kept after the last node has said it.
const TTL: Duration = Duration::from_secs(60);
/// What it begins with: the version of its format.
const VERSION: &str = "1 ";
/// How often a node says it.
const EVERY: Duration = Duration::from_secs(20);

/// What stands for the list of primaries that this node uses.
pub(super) struct Agreement {
    key: String,
    list: String,
}

impl Agreement {
    pub(super) fn new(names: &Names, primaries: &[String]) -> Agreement {
        let list = format!("{VERSION}{}", keys::fingerprint(primaries));
        Agreement { key: names.list().key(Kind::List), list }
    }

    /// Says it at a primary, unless another list is in use there.
    ///
    /// # Errors
    /// If one is, or the primary cannot be asked.
    pub(super) async fn check(&self, place: &Place) -> Result<(), Unfit> {
        let asking = async {
            let (mut connection, _) = place.connect(&endpoint::settings()).await?;
            self.ask(&mut connection).await
        };
        match asking.await {
            Ok(known) if known == self.list => Ok(()),
            Ok(known) if !known.starts_with(VERSION) => {
                let problem = "the list of primaries is kept in an unknown format";
                let fault = Fault::Format(problem.to_owned());
                Err(Unfit::Fault { address: place.to_string(), fault })
            }
            Ok(_) => Err(Unfit::List { address: place.to_string() }),
            Err(error) => Err(unfit(place, &error)),
        }
    }

    /// Says it again, for ever.
    pub(super) async fn keep(self, name: Name, router: Arc<Router>) {
        loop {
            let mut stay = redis::cmd("PEXPIRE");
            stay.arg(&self.key).arg(millis(TTL));
            // Where Redis is away it is said again when it is back.
            router.everywhere(Way::Write, name, &[self.say(), stay]).await;
            sleep(EVERY).await;
        }
    }

    fn say(&self) -> Cmd {
        let mut say = redis::cmd("SET");
        say.arg(&self.key).arg(&self.list).arg("NX").arg("PX").arg(millis(TTL));
        say
    }

    async fn ask(&self, connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
        let mut pipeline = Pipeline::new();
        pipeline.add_command(self.say()).ignore().cmd("GET").arg(&self.key);
        let (known,): (String,) = pipeline.query_async(connection).await?;
        Ok(known)
    }
}
