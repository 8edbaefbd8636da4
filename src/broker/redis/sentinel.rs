//! Sentinels: they watch a primary and its replicas, and know which is the
//! primary now.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{ErrorKind, RedisError};
use tokio::time::timeout;

use super::endpoint::{self, BadEndpoint, Credentials, Endpoint};

/// In which time a sentinel answers, or is passed over.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The sentinels of one primary. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Sentinels {
    sentinels: Arc<[Endpoint]>,
    /// What they call the primary.
    name: Arc<str>,
    /// How to speak with the primary, wherever it is.
    primary: Endpoint,
}

impl Sentinels {
    /// The primary that is called `name` by `sentinels`, and how to speak with it.
    ///
    /// # Errors
    /// See [`Endpoint::parse`].
    pub fn new(
        sentinels: Vec<Endpoint>,
        name: &str,
        primary: &Credentials,
    ) -> Result<Sentinels, BadEndpoint> {
        let primary = Endpoint::parse("localhost", primary)?;
        Ok(Sentinels { sentinels: sentinels.into(), name: name.into(), primary })
    }

    /// Asks all of them. Of different answers the one of the latest failover counts:
    /// a sentinel may be cut off from the others.
    ///
    /// # Errors
    /// If none of them knows.
    pub(super) async fn find(&self) -> Result<Endpoint, RedisError> {
        let answers = self.sentinels.iter().map(async |sentinel| {
            let none = || RedisError::from((ErrorKind::Io, "a sentinel does not answer"));
            timeout(ANSWER_WITHIN, self.ask(sentinel)).await.unwrap_or_else(|_| Err(none()))
        });
        let mut newest = None;
        let mut problem: Option<RedisError> = None;
        for answer in join_all(answers).await {
            match answer {
                Ok((epoch, at)) if newest.as_ref().is_none_or(|(newest, _)| epoch > *newest) => {
                    newest = Some((epoch, at));
                }
                Ok(_) => {}
                // Whoever answers has more to say than whoever cannot be reached.
                Err(error) if error.is_connection_refusal() && problem.is_some() => {}
                Err(error) => problem = Some(error),
            }
        }
        match newest {
            Some((_, (host, port))) => Ok(self.primary.at(&host, port)),
            None => Err(problem.unwrap_or_else(|| (ErrorKind::Io, "no sentinel is given").into())),
        }
    }

    /// The number of the latest failover, and where the primary is.
    async fn ask(&self, sentinel: &Endpoint) -> Result<(u64, (String, u16)), RedisError> {
        let mut connection = sentinel.connect(&endpoint::settings()).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.name);
        let Some(at) = ask.query_async(&mut connection).await? else {
            return Err((ErrorKind::Io, "a sentinel does not know this name").into());
        };
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("MASTER").arg(&*self.name);
        let known: HashMap<String, String> = ask.query_async(&mut connection).await?;
        let epoch = known.get("config-epoch").and_then(|epoch| epoch.parse().ok());
        Ok((epoch.unwrap_or(0), at))
    }
}

/// Where they are; without secrets.
impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by sentinels", &*self.name)?;
        for (n, sentinel) in self.sentinels.iter().enumerate() {
            write!(f, "{} {sentinel}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
