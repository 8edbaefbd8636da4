//! How many connections of a user or an address this node has: said to Redis for a
//! limited time, and again before that is over, so that those of a node that died
//! count no more soon after. One entry stands for all connections of one holder on
//! one node, so what is said again grows with the holders, not with the connections.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::super::{Away, Holder, Unavailable};
use super::keys::{Kind, Name, Names};
use super::primary::{Way, answered};
use super::router::Router;
use super::scripts;

/// How long they count if their node does not say so again.
const TTL: Duration = Duration::from_secs(40);
/// In which time every holder's are said again.
const ROUND: Duration = Duration::from_secs(15);
/// How many holders' are said together.
const STEP: usize = 64;

/// See the module's text.
pub(super) struct Leases {
    node: String,
    /// Held while a command takes its place in the lane, so that the last number
    /// that is said is the last that was true.
    held: Mutex<HashMap<Name, Held>>,
}

#[derive(Clone, Copy, Default)]
struct Held {
    count: usize,
    /// How many of those are not granted yet.
    asking: usize,
}

/// One that is asked for; not held any more if it is dropped before it is granted.
struct Asking<'a> {
    leases: &'a Leases,
    router: &'a Router,
    name: Name,
    /// What Redis was told need not be taken back.
    refused: bool,
}

impl Leases {
    pub(super) fn new(node: String) -> Leases {
        Leases { node, held: Mutex::default() }
    }

    /// See [`super::Broker::hold`].
    pub(super) async fn hold(
        &self,
        (names, router): (&Names, &Router),
        holder: &Holder,
        most: Option<usize>,
    ) -> Result<bool, Away> {
        let name = names.holder(holder.kind(), &holder.name());
        let sent = {
            let mut held = self.held.lock();
            let own = held.entry(name).or_default();
            own.count += 1;
            own.asking += 1;
            self.send(router, name, own.count, most)
        };
        let mut asking = Asking { leases: self, router, name, refused: false };
        let answer = match sent {
            Ok(sent) => answered(sent).await,
            Err(unavailable) => Err(unavailable),
        };
        let granted = match answer {
            Ok(Value::Int(0)) => {
                asking.refused = true;
                return Ok(false);
            }
            Ok(_) => Ok(true),
            Err(Unavailable) => Err(()),
        };
        std::mem::forget(asking);
        let mut held = self.held.lock();
        let own = held.entry(name).or_default();
        own.asking = own.asking.saturating_sub(1);
        granted.map_err(|()| Away { here: own.count })
    }

    /// See [`super::Broker::release`].
    pub(super) fn release(&self, (names, router): (&Names, &Router), holder: &Holder) {
        let name = names.holder(holder.kind(), &holder.name());
        let mut held = self.held.lock();
        let count = take_one(&mut held, name);
        say(self.send(router, name, count, None));
    }

    /// Says everything again, round after round.
    pub(super) async fn keep(&self, router: &Router) {
        loop {
            let all: Vec<Name> = self.held.lock().keys().copied().collect();
            let steps = u32::try_from(all.len().div_ceil(STEP).max(1)).unwrap_or(u32::MAX);
            for step in all.chunks(STEP) {
                let sent: Vec<_> =
                    step.iter().filter_map(|name| self.say_again(router, *name)).collect();
                for said in sent {
                    let _ = answered(said).await;
                }
                sleep(ROUND / steps).await;
            }
            if all.is_empty() {
                sleep(ROUND).await;
            }
        }
    }

    /// Not while one is asked for, which says it too.
    fn say_again(&self, router: &Router, name: Name) -> Option<oneshot::Receiver<Value>> {
        let held = self.held.lock();
        let own = held.get(&name).filter(|own| own.asking == 0)?;
        self.send(router, name, own.count, None).ok()
    }

    fn send(
        &self,
        router: &Router,
        name: Name,
        count: usize,
        most: Option<usize>,
    ) -> Result<oneshot::Receiver<Value>, Unavailable> {
        let mut command = scripts::LEASE.call(&[name.key(Kind::Holders)]);
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        command.arg(&self.node).arg(count).arg(most).arg(TTL.as_millis() as u64);
        router.send(Way::Write, name, command, 0)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut held = self.leases.held.lock();
        if let Some(own) = held.get_mut(&self.name) {
            own.asking = own.asking.saturating_sub(1);
        }
        let count = take_one(&mut held, self.name);
        if !self.refused {
            say(self.leases.send(self.router, self.name, count, None));
        }
    }
}

/// Nobody waits for it; but what nobody waits for is not sent. If Redis is away it
/// learns of it the next time, or forgets by itself, as it does without a runtime,
/// when the process ends.
fn say(sent: Result<oneshot::Receiver<Value>, Unavailable>) {
    if let (Ok(sent), Ok(runtime)) = (sent, Handle::try_current()) {
        runtime.spawn(answered(sent));
    }
}

/// How many are left.
fn take_one(held: &mut HashMap<Name, Held>, name: Name) -> usize {
    let Some(own) = held.get_mut(&name) else { return 0 };
    own.count = own.count.saturating_sub(1);
    let count = own.count;
    if count == 0 {
        held.remove(&name);
        if held.capacity() > 4 * held.len().max(STEP) {
            let kept = 2 * held.len().max(STEP);
            held.shrink_to(kept);
        }
    }
    count
}
