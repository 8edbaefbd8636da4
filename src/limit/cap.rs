//! Caps on how many of a thing exist, and a budget of bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// At most so many permits exist at once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cap(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    most: AtomicUsize,
    taken: AtomicUsize,
}

/// A place under a [`Cap`], or several, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    of: Arc<Counted>,
    count: usize,
}

impl Cap {
    /// A cap of `most` permits.
    #[must_use]
    pub fn new(most: usize) -> Cap {
        Cap(Arc::new(Counted { most: AtomicUsize::new(most), taken: AtomicUsize::new(0) }))
    }

    /// A permit, if one is left.
    #[must_use]
    pub fn take(&self) -> Option<Permit> {
        self.take_many(1)
    }

    /// `count` permits in one, if as many are left.
    #[must_use]
    pub fn take_many(&self, count: usize) -> Option<Permit> {
        self.0
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                taken.checked_add(count).filter(|taken| *taken <= self.most())
            })
            .ok()
            .map(|_| Permit { of: Arc::clone(&self.0), count })
    }

    /// A permit for who takes the place of another, whose permit is about to come back.
    #[must_use]
    pub fn succeed(&self) -> Permit {
        self.0.taken.fetch_add(1, Ordering::AcqRel);
        Permit { of: Arc::clone(&self.0), count: 1 }
    }

    /// How many permits are out.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }

    /// How many permits there are.
    #[must_use]
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::Acquire)
    }

    /// Sets how many permits there are. Those that are out stay out.
    pub fn set_most(&self, most: usize) {
        self.0.most.store(most, Ordering::Release);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(self.count, Ordering::AcqRel);
    }
}

/// One budget of bytes for all that a node holds for its clients: what slow
/// ones have not read, and frames that have not arrived whole.
///
/// Holders tell what they came to hold and what they gave back. The budget does
/// not refuse; it answers whether a holder of a given size must go, so that the
/// largest go first: over the budget, whoever holds more than an even share. All
/// who stay together hold less than the budget, and those above their share are
/// ended the next time they are given anything.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    held: AtomicUsize,
    holders: AtomicUsize,
}

impl Budget {
    /// A budget of `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Budget {
        Budget { most, held: AtomicUsize::new(0), holders: AtomicUsize::new(0) }
    }

    /// A holder went from `before` bytes to `after` bytes.
    pub fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::AcqRel);
        } else {
            self.held.fetch_sub(before - after, Ordering::AcqRel);
        }
        match (before, after) {
            (0, 1..) => {
                self.holders.fetch_add(1, Ordering::AcqRel);
            }
            (1.., 0) => {
                self.holders.fetch_sub(1, Ordering::AcqRel);
            }
            _ => {}
        }
    }

    /// Whether a holder of `bytes` must be ended now.
    #[must_use]
    pub fn must_shed(&self, bytes: usize) -> bool {
        let held = self.held();
        held > self.most
            && bytes > 0
            && bytes >= self.most / self.holders.load(Ordering::Acquire).max(1)
    }

    /// Bytes that may be held.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Bytes held by all.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_holds_and_permits_come_back() {
        let cap = Cap::new(2);
        let first = cap.take();
        let second = cap.take();
        assert!(first.is_some() && second.is_some());
        assert!(cap.take().is_none());
        drop(first);
        assert_eq!(cap.taken(), 1);
        assert!(cap.take().is_some());
        let successor = cap.succeed();
        assert_eq!(cap.taken(), 2, "though there was one already");
        drop(successor);
        cap.set_most(1);
        assert!(cap.take().is_none());
        cap.set_most(3);
        assert!(cap.take().is_some());
    }

    #[test]
    fn several_places_are_taken_and_given_back_together() {
        let cap = Cap::new(10);
        let seven = cap.take_many(7);
        assert!(seven.is_some() && cap.take_many(4).is_none());
        assert!(cap.take_many(usize::MAX).is_none());
        let _three = cap.take_many(3);
        assert_eq!(cap.taken(), 10);
        drop(seven);
        assert_eq!(cap.taken(), 3);
    }

    #[test]
    fn over_the_budget_the_large_go_and_the_small_stay() {
        let budget = Budget::new(1_000);
        budget.change(0, 900);
        budget.change(0, 50);
        assert!(!budget.must_shed(900), "within the budget nobody goes");
        budget.change(50, 150);
        assert!(budget.must_shed(900));
        assert!(!budget.must_shed(150));
        budget.change(900, 0);
        assert!(!budget.must_shed(150));
        assert_eq!(budget.held(), 150);
    }
}
