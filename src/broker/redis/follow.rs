//! What a master of a cluster did not do because the slot is served, or is about
//! to be served, by another one: it is done there.

use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep};

use super::durability::{Durability, is_copied};
use super::endpoint::{self, Endpoint};
use super::hello::Mode;
use super::lane::Asked;
use super::{record, scripts};

/// So many times a command is told to go elsewhere, or to come back later.
const MOST_TIMES: usize = 5;
/// How long a slot that moves is left alone before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the commands of one trip are followed: others wait for them.
const WITHIN: Duration = Duration::from_millis(250);

/// Follows for one lane, one command after the other.
pub(super) struct Follow {
    /// How to speak with all masters.
    how: Endpoint,
    /// The master that was asked last, and a connection to it.
    elsewhere: Option<(String, MultiplexedConnection)>,
}

impl Follow {
    pub(super) fn new(how: Endpoint) -> Follow {
        Follow { how, elsewhere: None }
    }

    /// Brings the commands whose answers say so to where they belong. Answers
    /// whether there were any. What must be durable and is not is answered with nothing.
    pub(super) async fn follow(
        &mut self,
        (own, durability): (&mut MultiplexedConnection, Durability),
        (pipeline, asked): (&Pipeline, &[Asked]),
        answers: &mut [Value],
    ) -> bool {
        let began = Instant::now();
        let mut any = false;
        for ((command, (_, kept, _)), answer) in pipeline.cmd_iter().zip(asked).zip(answers) {
            let wait = durability.wait().filter(|_| *kept);
            let wait = wait.as_ref();
            let (mut asked_own, mut half_moved) = (true, false);
            for _ in 0..MOST_TIMES {
                let Some(redirect) = redirect(answer) else { break };
                any = true;
                if began.elapsed() > WITHIN {
                    break;
                }
                let again = match redirect {
                    Redirect::To { address, asking } => {
                        asked_own = false;
                        half_moved |= asking;
                        self.ask_at(&address, (command, wait), asking).await
                    }
                    Redirect::Later => {
                        sleep(PAUSE).await;
                        match &mut self.elsewhere {
                            Some((_, elsewhere)) if !asked_own => {
                                ask(elsewhere, (command, wait), true).await
                            }
                            _ => ask(own, (command, wait), false).await,
                        }
                    }
                };
                match again {
                    Ok(value) => *answer = value,
                    Err(error) => {
                        tracing::warn!(event = "redis_redirect_failed", %error, "no way there");
                        self.elsewhere = None;
                        break;
                    }
                }
            }
            if half_moved && !matches!(answer, Value::ServerError(_)) {
                tell_listeners(own, command).await;
            }
        }
        any
    }

    async fn ask_at(
        &mut self,
        address: &str,
        command: (&Cmd, Option<&Cmd>),
        asking: bool,
    ) -> Result<Value, RedisError> {
        let elsewhere = match self.elsewhere.take() {
            Some((at, connection)) if at == address => (at, connection),
            _ => {
                let bad = || RedisError::from((ErrorKind::Parse, "a redirection to nowhere"));
                let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
                let to = self.how.at(host, port.parse().map_err(|_| bad())?);
                let mut connection = to.connect(&endpoint::settings()).await?;
                scripts::load().exec_async(&mut connection).await?;
                (address.to_owned(), connection)
            }
        };
        let (_, connection) = self.elsewhere.insert(elsewhere);
        ask(connection, command, asking).await
    }
}

enum Redirect {
    To { address: String, asking: bool },
    Later,
}

/// Whether an answer says that the command was not done here, and where it may be.
pub(super) fn is_redirect(answer: &Value) -> bool {
    redirect(answer).is_some()
}

/// The same of an error.
pub(super) fn is_moved(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, Moved, TryAgain};
    matches!(error.kind(), ErrorKind::Server(Moved | Ask | TryAgain))
}

fn redirect(answer: &Value) -> Option<Redirect> {
    let Value::ServerError(error) = answer else { return None };
    let asking = match error.kind() {
        Some(ServerErrorKind::Moved) => false,
        Some(ServerErrorKind::Ask) => true,
        Some(ServerErrorKind::TryAgain) => return Some(Redirect::Later),
        _ => return None,
    };
    let error = RedisError::from(error.clone());
    let (address, _) = error.redirect_node()?;
    Some(Redirect::To { address: address.to_owned(), asking })
}

/// While a slot is being moved its topics are still served where they were, and
/// what is published where the keys have gone reaches nobody who listens.
async fn tell_listeners(own: &mut MultiplexedConnection, command: &Cmd) {
    let Some(topic) = scripts::topic(command) else { return };
    let mut tell = redis::cmd(Mode::Cluster.publish());
    tell.arg(topic).arg(record::missed());
    // If it does not work because the slot has moved now, that is told as well.
    let _ = own.send_packed_command(&tell).await;
}

/// There and back with one command, which is all that `ASKING` is good for. Nothing is
/// answered if there should be a copy and is none.
async fn ask(
    connection: &mut MultiplexedConnection,
    (command, wait): (&Cmd, Option<&Cmd>),
    asking: bool,
) -> Result<Value, RedisError> {
    let mut pipeline = Pipeline::new();
    if asking {
        pipeline.cmd("ASKING");
    }
    pipeline.add_command(command.clone());
    if let Some(wait) = wait {
        pipeline.add_command(wait.clone());
    }
    let mut answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
    let none = || RedisError::from((ErrorKind::Parse, "not as many replies as commands"));
    let copied = wait.is_none() || is_copied(answers.pop().as_ref());
    match answers.pop().ok_or_else(none)? {
        error @ Value::ServerError(_) => Ok(error),
        answer => Ok(if copied { answer } else { Value::Nil }),
    }
}
