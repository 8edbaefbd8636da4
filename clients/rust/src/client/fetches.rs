//! Questions to the application that are under way: its callbacks.

use std::collections::HashMap;

use sealcast_wire::Position;
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::machine::{Fetch, Ticket};
use crate::token::{StateSource, TokenError, TokenSource};

/// One task for each, so that a callback that panics or never ends harms nothing
/// but itself. There is at most one for the connection and one for each
/// subscription; all end with this.
#[derive(Default)]
pub(super) struct Fetches {
    tasks: JoinSet<Answer>,
    asked: HashMap<Id, (Ticket, Fetch, AbortHandle)>,
}

/// What the application answers.
pub(super) enum Answer {
    Token(Result<String, TokenError>),
    State(Result<Position, TokenError>),
}

impl Fetches {
    pub(super) fn ask_for_token(
        &mut self,
        ticket: Ticket,
        what: Fetch,
        source: Option<TokenSource>,
        channel: String,
    ) {
        self.spawn(ticket, what, async move {
            Answer::Token(match source {
                // The callback itself runs in the task too.
                Some(source) => source.fetch(&channel).await,
                None => Err(TokenError::Unauthorized),
            })
        });
    }

    pub(super) fn ask_for_state(
        &mut self,
        ticket: Ticket,
        what: Fetch,
        source: Option<StateSource>,
        channel: String,
    ) {
        self.spawn(ticket, what, async move {
            Answer::State(match source {
                Some(source) => source.fetch(&channel).await,
                None => Err(TokenError::Unauthorized),
            })
        });
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        for (at, _, task) in self.asked.values() {
            if *at == ticket {
                task.abort();
            }
        }
    }

    /// Waits for the next answer; forever, if there is nothing to wait for.
    pub(super) async fn next(&mut self) -> (Ticket, Fetch, Answer) {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            let (id, answer) = match ended {
                Ok((id, answer)) => (id, Some(answer)),
                Err(error) if error.is_cancelled() => (error.id(), None),
                Err(error) => (error.id(), Some(Answer::panicked())),
            };
            let Some((ticket, what, _)) = self.asked.remove(&id) else { continue };
            match (answer, what) {
                (Some(Answer::Token(Err(error))), Fetch::State(_)) => {
                    return (ticket, what, Answer::State(Err(error)));
                }
                (Some(answer), what) => return (ticket, what, answer),
                (None, _) => {}
            }
        }
    }

    fn spawn(
        &mut self,
        ticket: Ticket,
        what: Fetch,
        asking: impl Future<Output = Answer> + Send + 'static,
    ) {
        let task = self.tasks.spawn(asking);
        self.asked.insert(task.id(), (ticket, what, task));
    }
}

impl Answer {
    fn panicked() -> Answer {
        Answer::Token(Err(TokenError::Other("the callback panicked".into())))
    }
}
