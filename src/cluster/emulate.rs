//! Commands of emulated transports: handed to the session they are for, wherever in
//! the cluster its stream is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::message::{Forwarded, Message};
use super::{Answer, Asked, Awaited, Cluster};
use crate::auth::NodeId;
use crate::session::{Frame, Sessions, Undelivered};

/// How long another node has to answer.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Why commands were not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEmulated {
    /// See [`Undelivered`]; also if there is no such node.
    Undelivered(Undelivered),
    /// The node that holds the stream did not answer: they may have been carried out
    /// or not.
    Silent,
}

impl Cluster {
    /// The sessions of this node's emulated transports.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// This node's id, which it has for one life.
    #[must_use]
    pub fn id(&self) -> String {
        self.node.to_string()
    }

    /// Hands commands to a session of the node that the client names. Those of one
    /// session keep the order in which they are given here, each after the one before
    /// was taken.
    ///
    /// # Errors
    /// If no session took them.
    pub async fn emulate(&self, node: &str, frame: Frame) -> Result<(), NotEmulated> {
        let none = NotEmulated::Undelivered(Undelivered::NoSession);
        // As this node writes it, and in no other way.
        let to: NodeId = node.parse().map_err(|_| none)?;
        if to == self.node {
            let hub = self.relay.hub();
            return self.sessions.deliver(hub, frame).map_err(NotEmulated::Undelivered);
        }
        if !self.others().contains(&to) {
            return Err(none);
        }
        let (into, mut answers) = mpsc::channel(1);
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.asked.lock().insert(id, Asked { silent: BTreeSet::from([to]), answers: into });
        let _awaited = Awaited { cluster: self, id };
        let forwarded = async {
            self.tell(Message::Forward { to, id, frame: frame.into() }).await.ok()?;
            answers.recv().await
        };
        match timeout(FORWARD_TIMEOUT, forwarded).await {
            Ok(Some(Answer::Done)) => Ok(()),
            Ok(Some(Answer::NoSession)) => Err(none),
            Ok(Some(_)) => Err(NotEmulated::Undelivered(Undelivered::TooMany)),
            Ok(None) | Err(_) => Err(NotEmulated::Silent),
        }
    }

    /// Takes what another node was told by a client of this one; in the order in which
    /// it comes, because it is handed over before anything else is heard.
    pub(super) async fn take_forwarded(
        self: &Arc<Cluster>,
        sender: NodeId,
        id: u64,
        frame: Forwarded,
    ) {
        let answer = match self.sessions.deliver(self.relay.hub(), frame.into()) {
            Ok(()) => Answer::Done,
            Err(Undelivered::NoSession) => Answer::NoSession,
            Err(Undelivered::TooMany) => {
                Answer::Failed(sealcast_wire::ErrorCode::TooManyRequests.code())
            }
        };
        let place = Arc::clone(&self.running).acquire_owned().await;
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let _ = cluster.tell(Message::Answer { to: sender, id, answer }).await;
            drop(place);
        });
    }
}
