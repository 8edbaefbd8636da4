//! Ending a user's oldest connection, on whatever node it is, so that a newer one has
//! room: each node tells which is its oldest, and the one that has the oldest of all ends
//! it. An end counts once, so of several newcomers each takes another place.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{AT_A_TIME, Answer, Cluster, Command, execute};
use crate::relay::Displace;

/// How often the oldest is looked for, if not all nodes have answered, or if another
/// newcomer took its place meanwhile.
const ROUNDS: usize = 3;

impl Cluster {
    /// Makes room as it is wished for, until there are no more wishes.
    pub async fn make_room(self: &Arc<Cluster>, mut wishes: mpsc::Receiver<Displace>) {
        // Beside those for the commands of other nodes, which answer these.
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        while let Some(wish) = wishes.recv().await {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            let cluster = Arc::clone(self);
            tokio::spawn(async move {
                let room = cluster.displace(wish.user.as_str(), wish.most).await;
                wish.answer(room);
                drop(place);
            });
        }
    }

    async fn displace(&self, user: &str, most: usize) -> bool {
        for round in 1..=ROUNDS {
            let command = Command::Standing { user: user.to_owned() };
            let (mut answers, complete) = self.ask(command).await;
            if !complete && round < ROUNDS {
                // A node is slow, or has gone and is missed soon: perhaps it has the oldest.
                continue;
            }
            answers.push(execute::standing(&self.policies.current(), user));
            let standing = answers.into_iter().filter_map(|answer| match answer {
                Answer::Standing { taken, oldest } => Some((taken, oldest)),
                _ => None,
            });
            let (taken, oldest): (Vec<_>, Vec<_>) = standing.unzip();
            if complete && taken.into_iter().fold(0, usize::saturating_add) <= most {
                return true;
            }
            let Some((client, _)) = oldest.into_iter().flatten().max_by_key(|(_, age)| *age) else {
                return false;
            };
            if self.displace_one(user, client).await {
                return true;
            }
        }
        false
    }

    async fn displace_one(&self, user: &str, client: String) -> bool {
        if execute::displace(&self.policies.current(), user, &client) {
            return true;
        }
        let command = Command::Displace { user: user.to_owned(), client };
        let (answers, complete) = self.ask(command).await;
        // Who is slow to answer is told all the same, and who is dead has no connections.
        !complete || answers.contains(&Answer::Displaced(true))
    }
}
