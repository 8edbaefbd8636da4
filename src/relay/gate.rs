//! One gate a channel: whoever subscribes or unsubscribes at the broker holds it.
//!
//! It is the one lock held over an await, it is never touched on delivery, and
//! it exists only while someone holds it or waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sealcast_wire::Channel;
use tokio::sync::OwnedMutexGuard;

type Gate = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
pub(super) struct Gates(Mutex<HashMap<Channel, Gate>>);

/// Holds a channel's gate until dropped.
pub(super) struct Entered<'a> {
    gates: &'a Gates,
    channel: Channel,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Gates {
    /// Waits for the channel's gate. May be given up at any time.
    pub(super) async fn enter(&self, channel: &Channel) -> Entered<'_> {
        let gate = Arc::clone(self.0.lock().entry(channel.clone()).or_default());
        // Made before the wait, so that giving up clears the map as well.
        let mut entered = Entered { gates: self, channel: channel.clone(), guard: None };
        entered.guard = Some(gate.lock_owned().await);
        entered
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut gates = self.gates.0.lock();
        self.guard = None;
        // The map's own reference is the last: nobody holds or awaits the gate.
        if gates.get(&self.channel).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_lets_one_in_and_is_gone_afterwards() {
        let gates = Gates::default();
        let (room, other) =
            (Channel::parse("room").expect("valid"), Channel::parse("other").expect("valid"));
        let first = gates.enter(&room).await;
        let _other = gates.enter(&other).await;
        assert_eq!(gates.count(), 2);
        {
            let mut second = std::pin::pin!(gates.enter(&room));
            assert!(futures_util::poll!(second.as_mut()).is_pending());
            drop(first);
            let second = second.await;
            assert_eq!(gates.count(), 2);
            drop(second);
        }
        assert_eq!(gates.count(), 1, "only the gate in use is left");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing() {
        let gates = Gates::default();
        let room = Channel::parse("room").expect("valid");
        let first = gates.enter(&room).await;
        {
            let mut waiting = std::pin::pin!(gates.enter(&room));
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        drop(first);
        assert_eq!(gates.count(), 0);
    }
}
