//! What is kept for one to take, and not for long.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::super::Unavailable;

/// Most that are kept.
const MOST: usize = 10_000;
/// Most bytes of them.
const MOST_BYTES: usize = 16 << 20;

/// See the module's text. Whoever comes when it is full is refused: what is kept was
/// promised to others.
#[derive(Debug, Default)]
pub(super) struct Once {
    values: HashMap<[u8; 32], (Duration, Bytes)>,
    /// In order of time, with those that were taken.
    until: VecDeque<(Duration, [u8; 32])>,
    bytes: usize,
}

impl Once {
    /// Keeps a value until `until`, which is never before that of another.
    ///
    /// # Errors
    /// If there is no place, or something is there.
    pub(super) fn put(
        &mut self,
        id: [u8; 32],
        value: Bytes,
        until: Duration,
        now: Duration,
    ) -> Result<(), Unavailable> {
        self.sweep(now);
        let bytes = self.bytes + value.len();
        let full = self.until.len() >= MOST || bytes > MOST_BYTES;
        if full || self.values.contains_key(&id) {
            return Err(Unavailable);
        }
        self.bytes = bytes;
        self.until.push_back((until, id));
        self.values.insert(id, (until, value));
        Ok(())
    }

    /// Takes a value, if its time is not over.
    pub(super) fn take(&mut self, id: &[u8; 32], now: Duration) -> Option<Bytes> {
        let (until, value) = self.values.remove(id)?;
        self.bytes -= value.len();
        (now < until).then_some(value)
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&mut self, now: Duration) {
        while let Some((until, id)) = self.until.front()
            && *until <= now
        {
            if let Some((_, value)) = self.values.remove(id) {
                self.bytes -= value.len();
            }
            self.until.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: fn(u64) -> Duration = Duration::from_secs;

    fn id(n: usize) -> [u8; 32] {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        id
    }

    #[test]
    fn each_is_taken_once_and_in_time() {
        let mut once = Once::default();
        let value = Bytes::from_static(b"value");
        for n in 0..3 {
            assert_eq!(once.put(id(n), value.clone(), SECOND(30), SECOND(0)), Ok(()));
        }
        assert_eq!(once.put(id(0), value.clone(), SECOND(30), SECOND(0)), Err(Unavailable));
        assert_eq!(once.take(&id(0), SECOND(29)), Some(value.clone()));
        assert_eq!(once.take(&id(0), SECOND(29)), None, "used");
        assert_eq!(once.take(&id(1), SECOND(30)), None, "too late");
        assert_eq!(once.take(&id(9), SECOND(0)), None, "never there");
        once.sweep(SECOND(30));
        assert!(once.values.is_empty() && once.until.is_empty() && once.bytes == 0);
    }

    #[test]
    fn it_has_a_bound_and_nobody_loses_what_was_promised() {
        let mut once = Once::default();
        let put = |once: &mut Once, n, bytes: usize| {
            once.put(id(n), vec![0; bytes].into(), SECOND(30), SECOND(0))
        };
        for n in 0..MOST {
            assert_eq!(put(&mut once, n, 10), Ok(()));
        }
        assert_eq!(put(&mut once, MOST, 10), Err(Unavailable));
        assert!(once.take(&id(0), SECOND(1)).is_some(), "the oldest is there");
        let mut once = Once::default();
        assert_eq!(put(&mut once, 0, MOST_BYTES), Ok(()));
        assert_eq!(put(&mut once, 1, 1), Err(Unavailable));
        let again = once.put(id(1), Bytes::from_static(b"1"), SECOND(60), SECOND(30));
        assert_eq!(again, Ok(()), "the place of what is over");
    }
}
