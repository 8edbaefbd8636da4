//! Making patches: a greedy search for what target and base have in common.

use std::iter;

use super::index::{BLOCK, CANDIDATES, Index};
use super::number;

/// The patch that makes `target` out of `base`; `None` if it would not be
/// smaller than `target`.
///
/// Takes time in proportion to the sizes of both, whatever they contain, and
/// twice the memory of `base`.
#[must_use]
pub fn encode(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    Encoder::new(base, target, false).run()
}

/// As [`encode`], but the patch is text: it inserts whole characters only. For
/// connections that speak JSON, where a patch travels in a string.
#[must_use]
pub fn encode_text(base: &str, target: &str) -> Option<String> {
    let patch = Encoder::new(base.as_bytes(), target.as_bytes(), true).run()?;
    String::from_utf8(patch).ok()
}

struct Encoder<'a> {
    base: &'a [u8],
    target: &'a [u8],
    /// Whether characters of `target`, which is UTF-8 then, must stay whole.
    text: bool,
    patch: Vec<u8>,
    /// How much of `target` the patch makes so far.
    made: usize,
    /// Where in `base` the last copy ended.
    base_end: usize,
    /// How many comparisons of places and bytes it took.
    steps: usize,
}

/// `target[start..end]`, which stands in the base at `offset`.
#[derive(Clone, Copy)]
struct Copy {
    start: usize,
    end: usize,
    offset: usize,
}

impl<'a> Encoder<'a> {
    fn new(base: &'a [u8], target: &'a [u8], text: bool) -> Encoder<'a> {
        Encoder { base, target, text, patch: Vec::new(), made: 0, base_end: 0, steps: 0 }
    }

    fn run(mut self) -> Option<Vec<u8>> {
        number::put(&mut self.patch, self.target.len());
        self.patch.push(b'\n');
        let index = Index::of(self.base);
        let mut at = 0;
        while at + BLOCK <= self.target.len() {
            match self.best_around(&index, at) {
                Some(copy) => {
                    self.insert(copy.start)?;
                    self.copy(copy);
                    at = self.made;
                }
                None => at += 1,
            }
        }
        self.insert(self.target.len())?;
        number::put(&mut self.patch, number::checksum(self.target) as usize);
        self.patch.push(b';');
        debug_assert!(self.steps <= MOST_STEPS * self.target.len(), "{} steps", self.steps);
        (self.patch.len() < self.target.len()).then_some(self.patch)
    }

    /// The copy to take around `target[at..]`, if any pays there.
    ///
    /// Only every [`BLOCK`]th place of the base is known, so the first copy that
    /// pays need not be the one that goes on for long: what is found a little
    /// further on may be better.
    fn best_around(&mut self, index: &Index, at: usize) -> Option<Copy> {
        let mut best = self.best_at(index, at)?;
        for at in at + 1..at + BLOCK {
            if let Some(copy) = self.best_at(index, at)
                && copy.saves() > best.saves()
            {
                best = copy;
            }
        }
        Some(best)
    }

    /// The copy around `target[at..]` that saves the most.
    ///
    /// Compares at a bounded number of places, and no further than they agree.
    /// Where they agree for long a copy pays, the search goes on behind it, and
    /// so each byte of the target is compared a bounded number of times.
    fn best_at(&mut self, index: &Index, at: usize) -> Option<Copy> {
        let block = self.target.get(at..)?.first_chunk()?;
        // Where it would stand had nothing been put in or left out since.
        let near = self.base_end + (at - self.made);
        let mut best = None;
        let mut most_saved = 0;
        for offset in iter::once(near).chain(index.places(block, near)) {
            if let Some(copy) = self.extend(at, offset)
                && copy.saves() > most_saved
            {
                most_saved = copy.saves();
                best = Some(copy);
            }
        }
        best
    }

    /// All around `target[at..]` and `base[offset..]` that is the same in both.
    fn extend(&mut self, at: usize, offset: usize) -> Option<Copy> {
        let (before, after) = self.base.split_at_checked(offset)?;
        let forward = common_start(self.target.get(at..)?, after);
        self.steps += 1 + forward;
        if forward < BLOCK {
            return None;
        }
        let backward = common_end(self.target.get(self.made..at)?, before);
        self.steps += backward;
        let copy = Copy { start: at - backward, end: at + forward, offset: offset - backward };
        if self.text { self.whole_characters(copy) } else { Some(copy) }
    }

    /// `copy` without the parts of characters at its ends.
    fn whole_characters(&self, copy: Copy) -> Option<Copy> {
        let is_boundary = |&at: &usize| self.target.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
        let start = (copy.start..copy.end).find(is_boundary)?;
        let end = (start..=copy.end).rev().find(is_boundary)?;
        Some(Copy { start, end, offset: copy.offset + (start - copy.start) })
    }

    fn copy(&mut self, copy: Copy) {
        number::put(&mut self.patch, copy.length());
        self.patch.push(b'@');
        number::put(&mut self.patch, copy.offset);
        self.patch.push(b',');
        self.made = copy.end;
        self.base_end = copy.offset + copy.length();
    }

    /// Inserts the target up to `end`; `None` if the patch grows too large.
    fn insert(&mut self, end: usize) -> Option<()> {
        let bytes = self.target.get(self.made..end)?;
        if self.patch.len() + bytes.len() >= self.target.len() {
            return None;
        }
        if !bytes.is_empty() {
            number::put(&mut self.patch, bytes.len());
            self.patch.push(b':');
            self.patch.extend_from_slice(bytes);
            self.made = end;
        }
        Some(())
    }
}

impl Copy {
    fn length(self) -> usize {
        self.end - self.start
    }

    /// How much smaller it makes the patch than an insert would, the count of
    /// the insert after it included.
    fn saves(self) -> usize {
        const NEXT_COUNT: usize = 2;
        let segment = number::digits(self.length()) + number::digits(self.offset) + 2;
        self.length().saturating_sub(segment + NEXT_COUNT)
    }
}

/// The most steps for a byte of the target. A copy that does not pay is no
/// longer than a segment; one that pays is about as long as the one that is
/// taken, for which a block's length of starts are tried.
const MOST_STEPS: usize = 8 * (1 + CANDIDATES) * BLOCK;

fn common_start(a: &[u8], b: &[u8]) -> usize {
    let (a_chunks, _) = a.as_chunks::<CHUNK>();
    let (b_chunks, _) = b.as_chunks::<CHUNK>();
    let chunks = a_chunks.iter().zip(b_chunks).take_while(|(a, b)| a == b).count();
    let equal = chunks * CHUNK;
    let rest = |bytes| <[u8]>::get(bytes, equal..).unwrap_or_default();
    equal + rest(a).iter().zip(rest(b)).take_while(|(a, b)| a == b).count()
}

fn common_end(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// How many bytes are compared at once.
const CHUNK: usize = 16;
