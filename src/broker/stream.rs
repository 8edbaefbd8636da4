//! One channel's stream: the last publications, bounded by count, bytes and age.
//! Pure; time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sealcast_wire::{Epoch, Position, Publication};

use super::{HistoryQuery, Page, Retention, Since, Unrecoverable};

/// Characters of an epoch: 16 from 64 is 96 random bits.
const EPOCH_CHARACTERS: usize = 16;

/// See the module's text. Offsets begin with 1 and never stop; entries come and
/// go, the top and the epoch stay as long as the stream does.
#[derive(Debug)]
pub(super) struct Stream {
    epoch: Epoch,
    top: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// When it is forgotten with its epoch, unless it is used before.
    pub(super) forgotten_at: Duration,
    /// The newest version that was published, and what it counts in.
    version: Option<(u64, String)>,
}

#[derive(Debug)]
struct Entry {
    publication: Arc<Publication>,
    gone_at: Duration,
}

impl Stream {
    pub(super) fn new(now: Duration, meta_ttl: Duration) -> Stream {
        Stream {
            epoch: random_epoch(),
            top: 0,
            entries: VecDeque::new(),
            bytes: 0,
            forgotten_at: now.saturating_add(meta_ttl),
            version: None,
        }
    }

    pub(super) fn position(&self) -> Position {
        Position { offset: self.top, epoch: Arc::clone(&self.epoch) }
    }

    /// Bytes that the stream holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a publication of this version is older than, or the same as, one
    /// that was published. Notes it if not. Only the last epoch is remembered.
    pub(super) fn is_outdated(&mut self, version: u64, epoch: &str) -> bool {
        match &mut self.version {
            Some((newest, known)) if known == epoch => {
                if version <= *newest {
                    return true;
                }
                *newest = version;
            }
            other => *other = Some((version, epoch.to_owned())),
        }
        false
    }

    /// Appends a publication and gives it its offset.
    pub(super) fn append(
        &mut self,
        mut publication: Publication,
        keep: &Retention,
        now: Duration,
    ) -> Arc<Publication> {
        self.top += 1;
        publication.offset = self.top;
        if self.top == 1 {
            publication.epoch = self.epoch.to_string();
        }
        let publication = Arc::new(publication);
        self.forgotten_at = now.saturating_add(keep.meta_ttl);
        self.bytes += size(&publication);
        self.entries.push_back(Entry {
            publication: Arc::clone(&publication),
            gone_at: now.saturating_add(keep.ttl),
        });
        while self.entries.len() > keep.entries || self.bytes > keep.bytes {
            self.drop_oldest();
        }
        self.expire(now);
        publication
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now: Duration) {
        while self.entries.front().is_some_and(|oldest| oldest.gone_at <= now) {
            self.drop_oldest();
        }
    }

    /// Drops every entry; the position stays.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= size(&entry.publication);
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// If the query's epoch is another one.
    pub(super) fn page(&self, query: &HistoryQuery) -> Result<Page, Unrecoverable> {
        let after = match &query.since {
            Some(Since { epoch, .. }) if !epoch.is_empty() && **epoch != *self.epoch => {
                return Err(Unrecoverable);
            }
            Some(Since { offset, .. }) => Some(*offset),
            None => None,
        };
        let all = self.entries.iter().map(|entry| &entry.publication);
        let publications = if query.reverse {
            all.rev()
                .skip_while(|one| after.is_some_and(|offset| one.offset >= offset))
                .take(query.limit)
                .cloned()
                .collect()
        } else {
            all.skip_while(|one| after.is_some_and(|offset| one.offset <= offset))
                .take(query.limit)
                .cloned()
                .collect()
        };
        Ok(Page { publications, position: self.position() })
    }
}

/// What a publication costs, roughly: its payload and the structures around it.
pub(super) fn size(publication: &Publication) -> usize {
    const STRUCTURES: usize = 256;
    let tags: usize = publication.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    publication.data.len() + tags + STRUCTURES
}

fn random_epoch() -> Epoch {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bytes: [u8; EPOCH_CHARACTERS] = rand::random();
    bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 64)))
        .map(|character| char::from(*character))
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Retention = Retention {
        entries: 3,
        bytes: 1 << 20,
        ttl: Duration::from_secs(60),
        meta_ttl: Duration::from_secs(3_600),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn publication(text: &str) -> Publication {
        Publication { data: text.to_owned().into(), ..Publication::default() }
    }

    fn offsets(stream: &Stream, query: &HistoryQuery) -> Vec<u64> {
        stream.page(query).expect("same epoch").publications.iter().map(|one| one.offset).collect()
    }

    fn query(limit: usize, since: Option<u64>, reverse: bool) -> HistoryQuery {
        let since = since.map(|offset| Since { offset, epoch: "".into() });
        HistoryQuery { limit, since, reverse }
    }

    #[test]
    fn offsets_rise_by_one_and_the_oldest_go() {
        let mut stream = Stream::new(at(0), KEEP.meta_ttl);
        assert_eq!(stream.position().offset, 0);
        for n in 1..=5 {
            let stored = stream.append(publication("x"), &KEEP, at(n));
            assert_eq!(stored.offset, n);
            assert_eq!(!stored.epoch.is_empty(), n == 1, "the first tells the epoch");
        }
        assert_eq!(offsets(&stream, &query(100, None, false)), [3, 4, 5]);
        assert_eq!(offsets(&stream, &query(2, None, true)), [5, 4]);
        assert_eq!(offsets(&stream, &query(100, Some(4), false)), [5]);
        assert_eq!(offsets(&stream, &query(100, Some(5), true)), [4, 3]);
        assert_eq!(offsets(&stream, &query(1, Some(0), false)), [3]);
        assert_eq!(offsets(&stream, &query(0, None, false)), [0u64; 0]);
    }

    #[test]
    fn age_and_bytes_bound_it_and_the_position_stays() {
        let mut stream = Stream::new(at(0), KEEP.meta_ttl);
        stream.append(publication("old"), &KEEP, at(0));
        stream.append(publication("new"), &KEEP, at(30));
        stream.expire(at(60));
        assert_eq!(offsets(&stream, &query(100, None, false)), [2], "never older than the TTL");
        let tight = Retention { bytes: 1_000, ..KEEP };
        stream.append(publication(&"x".repeat(700)), &tight, at(61));
        assert_eq!(offsets(&stream, &query(100, None, false)), [3]);
        let before = stream.position();
        stream.clear();
        assert_eq!(stream.position(), before);
        assert_eq!(stream.bytes(), 0);
    }

    #[test]
    fn another_epoch_is_not_this_stream() {
        let stream = Stream::new(at(0), KEEP.meta_ttl);
        let other = Stream::new(at(0), KEEP.meta_ttl);
        assert_ne!(stream.position().epoch, other.position().epoch);
        let since = Some(Since { offset: 0, epoch: other.position().epoch });
        assert!(stream.page(&HistoryQuery { limit: 1, since, reverse: false }).is_err());
    }

    #[test]
    fn versions_only_rise_within_their_epoch() {
        let mut stream = Stream::new(at(0), KEEP.meta_ttl);
        assert!(!stream.is_outdated(5, "a"));
        assert!(stream.is_outdated(5, "a"));
        assert!(stream.is_outdated(4, "a"));
        assert!(!stream.is_outdated(6, "a"));
        assert!(!stream.is_outdated(1, "b"), "another epoch begins anew");
    }
}
