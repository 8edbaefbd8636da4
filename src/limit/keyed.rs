//! Buckets by key, for subjects of which there may be any number: users and
//! addresses. Bounded, spread over locks, and forgetful: a bucket that is full
//! again is as good as none.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::gcra::{Bucket, Nanos, Wait};
use super::rate::Rate;

/// Locks, a power of two.
const SHARDS: usize = 64;
/// Entries for which a map keeps its storage although it has fewer.
const SMALL: usize = 64;

/// The buckets of one rate, by key.
///
/// A key is kept as a keyed hash of 64 bits, so it needs no storage of its own,
/// and nobody can choose two that meet. Beyond `most` keys those who come new
/// share one bucket for each lock, until others are forgotten.
#[derive(Debug)]
pub struct Keyed {
    shards: Vec<Mutex<Shard>>,
    hash: RandomState,
    most_each: usize,
    /// The next one to look for what can be forgotten.
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<u64, Bucket, RandomState>,
    /// Of all for whom there is no place.
    rest: Bucket,
}

impl Keyed {
    /// Buckets for at most about `most` keys.
    #[must_use]
    pub fn new(most: usize) -> Keyed {
        Keyed {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hash: RandomState::default(),
            most_each: most.div_ceil(SHARDS),
            next: AtomicUsize::new(0),
        }
    }

    /// Takes `cost` out of the bucket of `key`; see [`Bucket::take`].
    ///
    /// # Errors
    /// See there.
    pub fn take<K: Hash + ?Sized>(
        &self,
        key: &K,
        rate: &Rate,
        cost: u32,
        now: Nanos,
    ) -> Result<(), Wait> {
        if rate.is_none() {
            return Ok(());
        }
        let hash = self.hash.hash_one(key);
        let Some(shard) = self.shards.get(hash as usize % SHARDS) else { return Ok(()) };
        let mut shard = shard.lock();
        if let Some(bucket) = shard.buckets.get_mut(&hash) {
            return bucket.take(rate, cost, now);
        }
        if shard.buckets.len() >= self.most_each {
            return shard.rest.take(rate, cost, now);
        }
        let mut bucket = Bucket::default();
        bucket.take(rate, cost, now)?;
        shard.buckets.insert(hash, bucket);
        Ok(())
    }

    /// Whether `cost` is left in the bucket of `key`; see [`Bucket::check`].
    ///
    /// # Errors
    /// See there.
    pub fn check<K: Hash + ?Sized>(
        &self,
        key: &K,
        rate: &Rate,
        cost: u32,
        now: Nanos,
    ) -> Result<(), Wait> {
        let hash = self.hash.hash_one(key);
        let Some(shard) = self.shards.get(hash as usize % SHARDS) else { return Ok(()) };
        let shard = shard.lock();
        let full = shard.buckets.len() >= self.most_each;
        let newcomers = if full { shard.rest } else { Bucket::default() };
        shard.buckets.get(&hash).copied().unwrap_or(newcomers).check(rate, cost, now)
    }

    /// Forgets, in a part of all, whose bucket is full again; called often it
    /// comes round. Gives storage back.
    pub fn forget(&self, now: Nanos) {
        for _ in 0..SHARDS / 8 {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let Some(shard) = self.shards.get(at) else { return };
            let mut shard = shard.lock();
            shard.buckets.retain(|_, bucket| !bucket.is_full(now));
            let kept = shard.buckets.len().max(SMALL);
            if shard.buckets.capacity() > 4 * kept {
                shard.buckets.shrink_to(2 * kept);
            }
        }
    }

    /// How many keys have a bucket.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().buckets.len()).sum()
    }

    /// Whether no key has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys there is storage for.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().buckets.capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const USER: Rate = Rate::of(100, Duration::from_secs(60), 20);

    fn forget_all(keyed: &Keyed, now: Nanos) {
        for _ in 0..8 {
            keyed.forget(now);
        }
    }

    #[test]
    fn each_key_has_its_own() {
        let keyed = Keyed::new(1_000);
        for user in ["ada", "bob"] {
            for _ in 0..20 {
                assert_eq!(keyed.take(user, &USER, 1, 0), Ok(()));
            }
            assert_eq!(keyed.take(user, &USER, 1, 0), Err(Wait(SECOND * 6 / 10)));
        }
        assert_eq!(keyed.len(), 2);
    }

    #[test]
    fn a_million_keys_are_forgotten_with_their_storage() {
        let keyed = Keyed::new(2_000_000);
        for user in 0..1_000_000_u32 {
            assert_eq!(keyed.take(&user, &USER, 1, SECOND), Ok(()));
        }
        assert_eq!(keyed.len(), 1_000_000);
        assert!(keyed.capacity() >= 1_000_000);
        forget_all(&keyed, SECOND + USER.interval() - 1);
        assert_eq!(keyed.len(), 1_000_000, "they have used something");
        forget_all(&keyed, SECOND + USER.interval());
        assert_eq!(keyed.len(), 0);
        assert!(keyed.capacity() <= SHARDS * 4 * SMALL, "{}", keyed.capacity());
    }

    #[test]
    fn whoever_has_used_something_is_not_forgotten() {
        let keyed = Keyed::new(100_000);
        for user in 0..10_000_u32 {
            let _ = keyed.take(&user, &USER, if user < 10 { 20 } else { 1 }, 0);
        }
        forget_all(&keyed, SECOND);
        assert_eq!(keyed.len(), 10);
        for user in 0..10_u32 {
            // One second brings back one of 20.
            assert_eq!(keyed.take(&user, &USER, 1, SECOND), Ok(()));
            assert!(keyed.take(&user, &USER, 1, SECOND).is_err());
        }
    }

    #[test]
    fn beyond_the_bound_newcomers_share_and_the_known_are_not_harmed() {
        let keyed = Keyed::new(SHARDS * 4);
        let known: Vec<u32> = (0..100_000)
            .filter(|user| {
                let before = keyed.len();
                let _ = keyed.take(user, &USER, 1, 0);
                keyed.len() > before
            })
            .collect();
        assert_eq!(keyed.len(), SHARDS * 4);
        let through = (200_000..300_000_u32).filter(|user| keyed.take(user, &USER, 1, 0).is_ok());
        assert!(through.count() <= SHARDS * 20, "they share a bucket for each lock");
        for user in &known {
            assert_eq!(keyed.take(user, &USER, 1, 0), Ok(()), "a known one has its own");
        }
    }
}
