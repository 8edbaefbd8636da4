//! How many of a thing each of any number of subjects has: connections of an
//! address.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Locks, a power of two.
const SHARDS: usize = 64;
/// Entries for which a map keeps its storage although it has fewer.
const SMALL: usize = 64;

/// Counts by key, see [`super::Keyed`] for how keys are kept. It knows only those
/// who have something now, so it is bounded by what there is in all.
#[derive(Debug)]
pub struct Counts {
    shards: Vec<Mutex<HashMap<u64, u32, RandomState>>>,
    hash: RandomState,
}

/// One that a subject has, given back when dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Counts>,
    hash: u64,
}

impl Counts {
    /// Nobody has anything.
    #[must_use]
    pub fn new() -> Arc<Counts> {
        Arc::new(Counts {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hash: RandomState::default(),
        })
    }

    /// One more for `key`, if it has fewer than `most`.
    #[must_use]
    pub fn take<K: Hash + ?Sized>(self: &Arc<Counts>, key: &K, most: usize) -> Option<Share> {
        let hash = self.hash.hash_one(key);
        let mut counts = self.shards.get(hash as usize % SHARDS)?.lock();
        let count = counts.entry(hash).or_default();
        let fits = (*count as usize) < most;
        if fits {
            *count = count.saturating_add(1);
        } else if *count == 0 {
            counts.remove(&hash);
        }
        fits.then(|| Share { of: Arc::clone(self), hash })
    }

    /// How many have something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether nobody has anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(shard) = self.of.shards.get(self.hash as usize % SHARDS) else { return };
        let mut counts = shard.lock();
        if let Some(count) = counts.get_mut(&self.hash) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.hash);
                let kept = counts.len().max(SMALL);
                if counts.capacity() > 4 * kept {
                    counts.shrink_to(2 * kept);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_and_gives_it_back() {
        let counts = Counts::new();
        let ada: Vec<_> = (0..3).map(|_| counts.take("ada", 3)).collect();
        assert!(ada.iter().all(Option::is_some));
        assert!(counts.take("ada", 3).is_none() && counts.take("eve", 0).is_none());
        let bob = counts.take("bob", 3);
        assert_eq!(counts.len(), 2);
        drop(ada);
        assert!(counts.take("ada", 1).is_some());
        drop(bob);
        assert!(counts.is_empty());
    }

    #[test]
    fn storage_is_given_back() {
        let counts = Counts::new();
        let shares: Vec<_> = (0..100_000_u32).map(|key| counts.take(&key, 1)).collect();
        assert_eq!(counts.len(), 100_000);
        drop(shares);
        let capacity: usize = counts.shards.iter().map(|shard| shard.lock().capacity()).sum();
        assert!(counts.is_empty() && capacity <= SHARDS * 8 * SMALL, "{capacity}");
    }
}
