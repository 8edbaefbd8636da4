//! Sentinels: they watch a primary and its replicas, and know which is the
//! primary now.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{ErrorKind, RedisError};
use tokio::time::{Instant, timeout};

use super::endpoint::{self, BadEndpoint, Credentials, Endpoint};

/// In which time a sentinel answers, or is passed over.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long a failover is remembered of which none of those that answer has heard.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The sentinels of one primary. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Sentinels {
    sentinels: Arc<[Endpoint]>,
    /// What they call the primary.
    name: Arc<str>,
    /// How to speak with the primary, wherever it is.
    primary: Endpoint,
    latest: Arc<Mutex<Latest>>,
}

/// What is known of the primary; shared, so that whoever hears that it has moved
/// tells all others.
#[derive(Debug, Default)]
struct Latest {
    /// When it was heard, the number of the failover, and where the primary is.
    heard: Option<(Instant, u64, (String, u16))>,
    /// How often it has moved.
    moves: u64,
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
        let (sentinels, name, latest) = (sentinels.into(), name.into(), Arc::default());
        Ok(Sentinels { sentinels, name, primary, latest })
    }

    /// Asks all of them. Of different answers the one of the latest failover counts:
    /// a sentinel may be cut off from the others. Also answers how often the primary
    /// has moved up to then.
    ///
    /// # Errors
    /// If none of them knows.
    pub(super) async fn find(&self) -> Result<(Endpoint, u64), RedisError> {
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
            Some((epoch, at)) => {
                let mut latest = self.latest.lock();
                let (host, port) = latest.hear(Instant::now(), epoch, at);
                Ok((self.primary.at(&host, port), latest.moves))
            }
            None => Err(problem.unwrap_or_else(|| (ErrorKind::Io, "no sentinel is given").into())),
        }
    }

    /// How often the primary has moved, as far as anyone has heard.
    pub(super) fn moves(&self) -> u64 {
        self.latest.lock().moves
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

impl Latest {
    /// Where the primary is, if this is what the sentinels say now. What was said
    /// before a failover of which others have told counts no more, for a while.
    fn hear(&mut self, now: Instant, epoch: u64, at: (String, u16)) -> (String, u16) {
        if let Some((heard, newest, known)) = &self.heard {
            if epoch < *newest && now < *heard + REMEMBERED {
                return known.clone();
            }
            if *known != at {
                self.moves += 1;
            }
        }
        self.heard = Some((now, epoch, at.clone()));
        at
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sentinel_that_was_cut_off_does_not_bring_the_old_primary_back() {
        let mut latest = Latest::default();
        let (began, at) = (Instant::now(), |port| ("host".to_owned(), port));
        assert_eq!((latest.hear(began, 1, at(1)), latest.moves), (at(1), 0));
        assert_eq!((latest.hear(began, 1, at(1)), latest.moves), (at(1), 0));
        // While a failover runs its number is not known yet.
        assert_eq!((latest.hear(began, 1, at(2)), latest.moves), (at(2), 1));
        assert_eq!((latest.hear(began, 3, at(2)), latest.moves), (at(2), 1));
        assert_eq!((latest.hear(began, 1, at(1)), latest.moves), (at(2), 1), "is not believed");
        // Unless all of them were made anew.
        let later = began + REMEMBERED;
        assert_eq!((latest.hear(later, 0, at(1)), latest.moves), (at(1), 2));
    }
}
