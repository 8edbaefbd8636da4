//! The policy in force, which changes while clients are connected.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Policy;

/// The policy in force. Whoever begins something looks here, so that what is
/// removed from it holds for nobody any more as soon as it is replaced; looking
/// costs the load of a pointer.
pub struct Policies(ArcSwap<Policy>);

impl Policies {
    /// Begins with `policy`.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Arc<Policies> {
        Arc::new(Policies(ArcSwap::new(policy)))
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Puts `policy` in force.
    pub fn replace(&self, policy: Arc<Policy>) {
        self.0.store(policy);
    }

    /// Takes the policy in force for `held`; tells whether it is another.
    pub(super) fn renew(&self, held: &mut Arc<Policy>) -> bool {
        let current = self.0.load();
        let renewed = !Arc::ptr_eq(&current, held);
        if renewed {
            *held = Arc::clone(&current);
        }
        renewed
    }
}
