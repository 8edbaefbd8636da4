//! What the nodes of a cluster say to each other: what a backend does to a user's
//! connections, wherever they are; what clients say to a node that does not hold their
//! stream; and which nodes there are.

mod displace;
mod emulate;
mod execute;
mod members;
mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;

use crate::auth::{Backend, ClusterKey, NodeId, Opener, Sealer};
use crate::broker::Unavailable;
use crate::relay::Relay;
use crate::session::{Policies, Sessions};
use members::{HELLO_EVERY, Members};
use message::Message;

pub use emulate::NotEmulated;
pub use members::Numbers;
pub use message::{Answer, Command, Opaque, Target, Terms};

/// How long the other nodes have to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Most answers of one command that wait to be read.
const MOST_ANSWERS: usize = 4_096;
/// Most commands of other nodes that are carried out at the same time.
const AT_A_TIME: usize = 64;

/// One node's part in its cluster, which may be a cluster of one.
pub struct Cluster {
    node: NodeId,
    name: String,
    version: &'static str,
    policies: Arc<Policies>,
    relay: Arc<Relay>,
    key: ClusterKey,
    sealer: Mutex<Sealer>,
    members: Mutex<Members>,
    /// A node was heard for the first time.
    met: Notify,
    asked: Mutex<BTreeMap<u64, Asked>>,
    last_id: AtomicU64,
    running: Arc<Semaphore>,
    sessions: Arc<Sessions>,
}

/// A command whose answers are awaited.
struct Asked {
    silent: BTreeSet<NodeId>,
    answers: mpsc::Sender<Answer>,
}

impl Cluster {
    /// A node of the cluster whose nodes share `key`.
    #[must_use]
    pub fn new(
        (node, name, version): (NodeId, String, &'static str),
        policies: Arc<Policies>,
        key: ClusterKey,
    ) -> Arc<Cluster> {
        let relay = Arc::clone(&policies.current().relay);
        Arc::new(Cluster {
            node,
            name,
            version,
            policies,
            relay,
            key,
            sealer: Mutex::new(Sealer::new(node)),
            members: Mutex::default(),
            met: Notify::new(),
            asked: Mutex::default(),
            last_id: AtomicU64::new(0),
            running: Arc::new(Semaphore::new(AT_A_TIME)),
            sessions: Arc::default(),
        })
    }

    /// This node's name: chosen by the operator, or the host's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Carries out a command on every node; what it came to, node by node.
    ///
    /// # Errors
    /// If a node did not answer in time: there it may have been carried out or not.
    pub async fn run(
        &self,
        backend: &Backend,
        command: Command,
    ) -> Result<Vec<Answer>, Unavailable> {
        let policy = self.policies.current();
        let own = execute::execute(&policy, backend, &command);
        let (mut all, (others, complete)) = tokio::join!(own, self.ask(command.clone()));
        all.extend(others);
        if complete { Ok(all) } else { Err(Unavailable) }
    }

    /// The nodes that were heard within the last seconds, this one included.
    #[must_use]
    pub fn nodes(&self) -> Vec<(NodeId, Numbers)> {
        let now = self.relay.hub().clock().now();
        let mut members = self.members.lock();
        let others = members.all(now).map(|(node, numbers)| (node, numbers.clone()));
        let mut nodes: Vec<_> = others.filter(|(node, _)| *node != self.node).collect();
        nodes.push((self.node, self.numbers()));
        nodes.sort_by_key(|(node, _)| *node);
        nodes
    }

    /// Says every few seconds that the node is there, and at once to a new one, which
    /// could pass nothing on to it until then; never ends.
    pub async fn say_hello(&self) {
        loop {
            // A cluster that cannot be told now is told the next time.
            if self.tell(Message::Hello(self.numbers())).await.is_ok() {
                self.relay.note_live_nodes(self.nodes().len());
            }
            let pause = Duration::from_millis(HELLO_EVERY.0);
            let _ = timeout(pause, self.met.notified()).await;
        }
    }

    /// Says that the node leaves.
    pub async fn say_goodbye(&self) {
        let _ = self.tell(Message::Goodbye).await;
    }

    /// Says that overrides of limits have changed. Who does not hear it reads them
    /// within a second all the same.
    pub async fn say_overrides_changed(&self) {
        let _ = self.tell(Message::OverridesChanged).await;
    }

    /// Hears what other nodes say, until there is no more.
    pub async fn hear(self: &Arc<Cluster>, mut told: mpsc::Receiver<Bytes>) {
        let mut opener = Opener::default();
        while let Some(message) = told.recv().await {
            let unix_ms = self.unix_ms();
            match opener.open(&self.key, &message, unix_ms) {
                Ok((sender, _, _)) if sender == self.node => {}
                Ok((sender, body, backend)) => match Message::parse(body) {
                    Some(message) => self.take(sender, message, backend).await,
                    None => self.disbelieve("unknown"),
                },
                Err(why) => self.disbelieve(why.name()),
            }
        }
    }

    /// What a command comes to on the other nodes, as far as they have answered in time,
    /// and whether all have.
    async fn ask(&self, command: Command) -> (Vec<Answer>, bool) {
        let (silent, mut all) = (self.others(), Vec::new());
        if silent.is_empty() {
            return (all, true);
        }
        let (into, mut answers) = mpsc::channel(MOST_ANSWERS);
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.asked.lock().insert(id, Asked { silent, answers: into });
        let awaited = Awaited { cluster: self, id };
        let asking = async {
            self.tell(Message::Ask { id, command }).await?;
            while let Some(answer) = answers.recv().await {
                all.push(answer);
            }
            Ok::<_, Unavailable>(())
        };
        let complete = matches!(timeout(ANSWER_TIMEOUT, asking).await, Ok(Ok(())));
        drop(awaited);
        (all, complete)
    }

    async fn take(self: &Arc<Cluster>, sender: NodeId, message: Message, backend: Backend) {
        match message {
            Message::Hello(numbers) => {
                let now = self.relay.hub().clock().now();
                if self.members.lock().hear(sender, numbers, now) {
                    self.met.notify_one();
                }
            }
            Message::Goodbye => self.gone(sender),
            Message::OverridesChanged => self.relay.note_overrides_changed(),
            Message::Ask { id, command } => {
                // Never closed. While all places are taken, the others wait.
                let place = Arc::clone(&self.running).acquire_owned().await;
                let cluster = Arc::clone(self);
                tokio::spawn(async move {
                    for answer in
                        execute::execute(&cluster.policies.current(), &backend, &command).await
                    {
                        let _ = cluster.tell(Message::Answer { to: sender, id, answer }).await;
                    }
                    drop(place);
                });
            }
            Message::Forward { to, id, frame } if to == self.node => {
                self.take_forwarded(sender, id, frame).await;
            }
            Message::Answer { to, id, answer } if to == self.node => {
                let mut asked = self.asked.lock();
                let Some(one) = asked.get_mut(&id) else { return };
                if !one.silent.contains(&sender) {
                    return;
                }
                let last = answer.is_last();
                // Too many: nobody hears that this node is through.
                if one.answers.try_send(answer).is_ok() && last {
                    one.silent.remove(&sender);
                }
                if one.silent.is_empty() {
                    asked.remove(&id);
                }
            }
            Message::Forward { .. } | Message::Answer { .. } => {}
        }
    }

    /// A node that has gone answers no more.
    fn gone(&self, node: NodeId) {
        self.members.lock().remove(node);
        self.asked.lock().retain(|_, one| {
            one.silent.remove(&node);
            !one.silent.is_empty()
        });
    }

    fn others(&self) -> BTreeSet<NodeId> {
        let now = self.relay.hub().clock().now();
        let mut members = self.members.lock();
        members.all(now).map(|(node, _)| node).filter(|node| *node != self.node).collect()
    }

    async fn tell(&self, message: Message) -> Result<(), Unavailable> {
        let unix_ms = self.unix_ms();
        let sealed = self.sealer.lock().seal(&self.key, &message.to_bytes(), unix_ms);
        self.relay.broker().tell(sealed.ok_or(Unavailable)?.into()).await
    }

    fn unix_ms(&self) -> u64 {
        let time = (self.policies.current().unix_time)();
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    fn numbers(&self) -> Numbers {
        let hub = self.relay.hub();
        let census = hub.census();
        Numbers {
            name: self.name.clone(),
            version: self.version.to_owned(),
            clients: census.clients,
            users: census.users,
            subscriptions: census.subscriptions,
            channels: census.channels,
            uptime: hub.clock().now().0 / 1_000,
        }
    }

    fn disbelieve(&self, why: &'static str) {
        self.relay.hub().metrics().disbelieved(why);
        tracing::warn!(event = "control_refused", why, "a message between nodes is not believed");
    }
}

/// Forgets a command when nobody waits for its answers any more.
struct Awaited<'a> {
    cluster: &'a Cluster,
    id: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.cluster.asked.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
