//! Where in a base a few bytes stand.

/// How many bytes are looked up at once. Whatever base and target have in
/// common for `2 * BLOCK - 1` bytes is found.
pub(super) const BLOCK: usize = size_of::<u64>();

/// The most places one lookup gives. It bounds the work on a base that repeats
/// itself, or whose blocks were chosen to fall into one bucket.
pub(super) const CANDIDATES: usize = 8;

/// The blocks of a base, by their hash. Holds less than two bytes for each of
/// the base.
pub(super) struct Index {
    /// Where each bucket starts in `blocks`; it ends where the next one starts.
    /// As many as a power of two.
    starts: Vec<u32>,
    /// Numbers of blocks, bucket by bucket, ascending in each.
    blocks: Vec<u32>,
}

impl Index {
    /// Indexes every block of `base` that is whole.
    pub(super) fn of(base: &[u8]) -> Index {
        let (blocks, _) = base.as_chunks::<BLOCK>();
        // What does not fit the numbers is as if it were not there.
        let blocks = blocks.get(..u32::MAX as usize).unwrap_or(blocks);
        let buckets = blocks.len().next_power_of_two();
        let mut index = Index { starts: vec![0; buckets], blocks: vec![0; blocks.len()] };
        for block in blocks {
            let bucket = index.bucket(block);
            if let Some(count) = index.starts.get_mut(bucket) {
                *count += 1;
            }
        }
        let mut end = 0;
        for count in &mut index.starts {
            end += *count;
            *count = end;
        }
        // These are ends by now. Every bucket is filled from its end, and so
        // its end becomes its start.
        for (number, block) in blocks.iter().enumerate().rev() {
            let bucket = index.bucket(block);
            if let Some(start) = index.starts.get_mut(bucket) {
                *start -= 1;
                if let Some(place) = index.blocks.get_mut(*start as usize) {
                    *place = number as u32;
                }
            }
        }
        index
    }

    /// Offsets in the base at which `block` may stand: those nearest to `near`,
    /// at most [`CANDIDATES`].
    pub(super) fn places(&self, block: &[u8; BLOCK], near: usize) -> impl Iterator<Item = usize> {
        let bucket = self.bucket(block);
        let start =
            |bucket: usize| self.starts.get(bucket).map_or(self.blocks.len(), |&at| at as usize);
        let all = self.blocks.get(start(bucket)..start(bucket + 1)).unwrap_or_default();
        let before = all.partition_point(|&number| (number as usize) < near / BLOCK);
        let first = before.saturating_sub(CANDIDATES / 2);
        all.iter().skip(first).take(CANDIDATES).map(|&number| number as usize * BLOCK)
    }

    fn bucket(&self, block: &[u8; BLOCK]) -> usize {
        /// Odd and without a pattern, so that the upper half of a product
        /// depends on every bit of the other factor.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = u64::from_le_bytes(*block).wrapping_mul(SPREAD);
        (hash >> (u64::BITS / 2)) as usize & (self.starts.len() - 1)
    }
}
