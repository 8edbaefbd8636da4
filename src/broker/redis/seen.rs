//! The last entry of each stream that this node has seen, by which a rewritten
//! history is told from the one that was delivered.

use std::collections::HashMap;

use parking_lot::Mutex;
use sealcast_wire::{Channel, Epoch};

use super::super::Sharding;

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
    /// Its random name; eight zero bytes stand for the beginning of a stream.
    pub(super) tag: u64,
}

/// See the module's text. Holds channels that are subscribed.
pub(super) struct Seen {
    sharding: Sharding,
    shards: Vec<Mutex<HashMap<Channel, Option<Entry>>>>,
}

impl Seen {
    pub(super) fn new(sharding: Sharding) -> Seen {
        let shards = std::iter::repeat_with(Mutex::default).take(sharding.count()).collect();
        Seen { sharding, shards }
    }

    pub(super) fn open(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            let mut shard = shard.lock();
            if !shard.contains_key(channel) {
                shard.insert(channel.clone(), None);
            }
        }
    }

    pub(super) fn close(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel) {
            let mut shard = shard.lock();
            shard.remove(channel);
            if shard.is_empty() {
                *shard = HashMap::new();
            }
        }
    }

    /// An entry was pushed, and is said to follow the one with the tag `before`.
    /// `false` if that contradicts what was seen: only the stream can tell then.
    pub(super) fn pushed(&self, channel: &Channel, entry: Entry, before: u64) -> bool {
        let Some(shard) = self.shard(channel) else { return true };
        match shard.lock().get_mut(channel) {
            Some(known) => follow(known, entry, before),
            None => true,
        }
    }

    /// The stream itself was read up to this entry, and does not contradict.
    pub(super) fn read(&self, channel: &Channel, entry: Entry) {
        let Some(shard) = self.shard(channel) else { return };
        if let Some(known) = shard.lock().get_mut(channel)
            && known
                .as_ref()
                .is_none_or(|known| known.epoch != entry.epoch || known.offset < entry.offset)
        {
            *known = Some(entry);
        }
    }

    /// What was seen counts no more.
    pub(super) fn forget(&self, channel: &Channel) {
        if let Some(shard) = self.shard(channel)
            && let Some(known) = shard.lock().get_mut(channel)
        {
            *known = None;
        }
    }

    /// The last entry of this stream that was seen.
    pub(super) fn last(&self, channel: &Channel, epoch: &Epoch) -> Option<Entry> {
        let known = self.shard(channel)?.lock().get(channel)?.clone();
        known.filter(|known| known.epoch == *epoch)
    }

    fn shard(&self, channel: &Channel) -> Option<&Mutex<HashMap<Channel, Option<Entry>>>> {
        self.shards.get(self.sharding.of(channel))
    }
}

/// Takes the next entry. Behind a hole it stays where it is: what is repaired must
/// join there.
fn follow(known: &mut Option<Entry>, entry: Entry, before: u64) -> bool {
    let fits = match known {
        Some(last) if last.epoch == entry.epoch => {
            if entry.offset == last.offset {
                return entry.tag == last.tag;
            }
            // What is older comes again behind a repair.
            if entry.offset != last.offset + 1 {
                return true;
            }
            before == last.tag
        }
        _ => true,
    };
    if fits {
        *known = Some(entry);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(epoch: &str, offset: u64, tag: u64) -> Entry {
        Entry { epoch: epoch.into(), offset, tag }
    }

    fn room() -> Channel {
        Channel::parse("room").unwrap()
    }

    #[test]
    fn only_what_names_its_predecessor_follows() {
        let mut known = None;
        assert!(follow(&mut known, entry("a", 5, 50), 40));
        assert!(follow(&mut known, entry("a", 6, 60), 50));
        assert!(!follow(&mut known, entry("a", 7, 70), 61), "6 is another there");
        assert!(!follow(&mut known, entry("a", 6, 61), 50), "here as well");
        assert!(follow(&mut known, entry("a", 6, 60), 50), "twice the same");
        assert!(follow(&mut known, entry("a", 4, 41), 30), "from before");
        assert!(follow(&mut known, entry("a", 9, 90), 80), "a hole is not a contradiction");
        assert_eq!(known, Some(entry("a", 6, 60)), "and stays open until it is read");
        assert!(follow(&mut known, entry("b", 1, 10), 0), "another stream");
        assert_eq!(known, Some(entry("b", 1, 10)));
    }

    #[test]
    fn only_subscribed_channels_are_remembered() {
        let seen = Seen::new(Sharding::new(2));
        let last = |epoch: &str| seen.last(&room(), &epoch.into());
        seen.read(&room(), entry("a", 5, 50));
        assert!(seen.pushed(&room(), entry("a", 6, 60), 1));
        assert_eq!(last("a"), None);
        seen.open(&room());
        seen.read(&room(), entry("a", 5, 50));
        seen.read(&room(), entry("a", 4, 40));
        seen.open(&room());
        assert_eq!((last("a"), last("b")), (Some(entry("a", 5, 50)), None));
        assert!(!seen.pushed(&room(), entry("a", 6, 60), 1));
        seen.forget(&room());
        assert_eq!(last("a"), None);
        assert!(seen.pushed(&room(), entry("a", 6, 60), 1));
        seen.close(&room());
        assert_eq!(last("a"), None);
    }
}
