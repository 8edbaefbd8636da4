//! Position checks: a channel that fell silent is compared with its stream.
//!
//! Whatever the reason why a publication did not come, with no later one there is
//! no hole to see. So every channel with positions is looked at from time to time
//! one that stays behind its stream, or stands in another, is repaired like
//! after a gap.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use sealcast_wire::{Channel, Position};
use tokio::sync::mpsc;

use super::Relay;
use super::repair::META_TTL;
use crate::broker::HistoryError;
use crate::hub::Millis;

/// A channel in which something came since the last check is checked after this,
const ACTIVE: Millis = Millis(10_000);
/// and any other after this.
const IDLE: Millis = Millis(40_000);
/// How long a channel may be behind what its stream had: what is on its way
/// takes no longer.
const BEHIND: Millis = Millis(2_000);
/// Channels that are checked at the same time.
const AT_A_TIME: usize = 64;
/// Doubts that wait in one shard.
const MOST_DOUBTS: usize = 1_024;

/// Channels whose positions do not fit their streams, on their way to the pumps.
pub(super) struct Doubts {
    senders: Vec<mpsc::Sender<Channel>>,
    receivers: Mutex<Vec<Option<mpsc::Receiver<Channel>>>>,
}

impl Doubts {
    pub(super) fn new(shards: usize) -> Doubts {
        let (senders, receivers) = (0..shards)
            .map(|_| mpsc::channel(MOST_DOUBTS))
            .map(|(sender, receiver)| (sender, Some(receiver)))
            .unzip();
        Doubts { senders, receivers: Mutex::new(receivers) }
    }

    /// The end of a shard's pump. Whoever asks first gets it.
    pub(super) fn take(&self, shard: usize) -> mpsc::Receiver<Channel> {
        let taken = self.receivers.lock().get_mut(shard).and_then(Option::take);
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// `false` if there is no room.
    fn put(&self, shard: usize, channel: Channel) -> bool {
        self.senders.get(shard).is_some_and(|sender| sender.try_send(channel).is_ok())
    }
}

/// When each channel is to be checked. Pure; time and chance are arguments.
#[derive(Default)]
pub(super) struct Checks(HashMap<Channel, Known>);

struct Known {
    due: Millis,
    /// Where it stood at the last check.
    stood: Option<Position>,
    /// Where its stream was seen while it was behind that.
    behind: Option<u64>,
}

/// What a check says of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing can be said against it.
    Fine,
    /// It is to be repaired.
    Doubtful,
}

impl Checks {
    fn is_due(&self, channel: &Channel, now: Millis) -> bool {
        self.0.get(channel).is_none_or(|known| known.due <= now)
    }

    /// Whether a channel that is due is checked now. One that was not known was
    /// read only lately.
    fn begin(&mut self, channel: &Channel, now: Millis, chance: f64) -> bool {
        let due = now.after(spread(ACTIVE, chance));
        let new = || Known { due: Millis(0), stood: None, behind: None };
        let known = self.0.entry(channel.clone()).or_insert_with(new);
        let is_known = known.due > Millis(0);
        known.due = due;
        is_known
    }

    /// The stream was found at `top` while the channel stood at `stood`.
    fn found(
        &mut self,
        channel: &Channel,
        (stood, top): (Position, u64),
        now: Millis,
        chance: f64,
    ) -> Verdict {
        let Some(known) = self.0.get_mut(channel) else { return Verdict::Fine };
        let late = known.behind.take().is_some_and(|top| stood.offset < top);
        if late {
            return Verdict::Doubtful;
        }
        if stood.offset < top {
            known.behind = Some(top);
            known.due = now.after(BEHIND);
        } else if known.stood.as_ref() == Some(&stood) {
            known.due = now.after(spread(IDLE, chance));
        }
        known.stood = Some(stood);
        Verdict::Fine
    }

    /// Forgets channels that were not looked at although they were due.
    fn forget_old(&mut self, now: Millis) {
        self.0.retain(|_, known| known.due.after(ACTIVE) > now);
        if self.0.is_empty() {
            self.0 = HashMap::new();
        }
    }
}

/// Up to a fifth earlier or later, so that channels and nodes do not ask together.
fn spread(time: Millis, chance: f64) -> Millis {
    Millis((time.0 as f64 * (0.8 + 0.4 * chance)) as u64)
}

impl Relay {
    /// Checks every channel that is due.
    pub(super) async fn check_positions(&self, now: Millis) {
        let due = {
            let mut checks = self.checks.lock();
            let due = self.hub.positioned(|channel| checks.is_due(channel, now));
            let begins =
                |(_, channel): &(usize, Channel)| checks.begin(channel, now, rand::random());
            let due: Vec<_> = due.into_iter().filter(begins).collect();
            checks.forget_old(now);
            due
        };
        let checking = stream::iter(due).map(async |(shard, channel)| {
            if self.check(shard, &channel, now).await == Verdict::Doubtful {
                self.doubt(shard, channel);
            }
        });
        checking.buffer_unordered(AT_A_TIME).collect::<()>().await;
    }

    async fn check(&self, shard: usize, channel: &Channel, now: Millis) -> Verdict {
        let Some(stood) = self.hub.stands(shard, channel) else { return Verdict::Fine };
        match self.broker.behind(channel.clone(), stood.clone(), 0, META_TTL).await {
            Ok(page) => {
                let found = (stood, page.position.offset);
                self.checks.lock().found(channel, found, now, rand::random())
            }
            Err(HistoryError::Unrecoverable(_)) => Verdict::Doubtful,
            Err(HistoryError::Unavailable(_)) => Verdict::Fine,
        }
    }

    fn doubt(&self, shard: usize, channel: Channel) {
        tracing::warn!(event = "position_doubtful", "a channel is not where its stream is");
        self.hub.metrics().gap();
        self.tails.forget(&channel);
        // If there is no room, the next check finds it again.
        self.doubts.put(shard, channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Channel {
        Channel::parse("room").expect("valid")
    }

    fn at(offset: u64) -> Position {
        Position { offset, epoch: "epoch".into() }
    }

    /// A channel that is known since 0, and when it is due.
    fn known(chance: f64) -> (Checks, Millis) {
        let mut checks = Checks::default();
        assert!(checks.is_due(&room(), Millis(0)));
        assert!(!checks.begin(&room(), Millis(0), chance), "it was read just now");
        let due = checks.0.get(&room()).expect("known").due;
        (checks, due)
    }

    fn check(checks: &mut Checks, now: Millis, stood: u64, top: u64) -> (Verdict, u64) {
        assert!(checks.is_due(&room(), now) && checks.begin(&room(), now, 0.5));
        let verdict = checks.found(&room(), (at(stood), top), now, 0.5);
        (verdict, checks.0.get(&room()).expect("known").due.0 - now.0)
    }

    #[test]
    fn active_channels_are_checked_often_and_idle_ones_seldom() {
        for (chance, first) in [(0.0, 8_000), (0.5, 10_000), (1.0, 12_000)] {
            assert_eq!(known(chance).1, Millis(first));
        }
        let (mut checks, due) = known(0.5);
        assert!(!checks.is_due(&room(), Millis(9_999)));
        assert_eq!(check(&mut checks, due, 3, 3), (Verdict::Fine, 10_000));
        assert_eq!(check(&mut checks, Millis(20_000), 4, 4), (Verdict::Fine, 10_000));
        assert_eq!(check(&mut checks, Millis(30_000), 4, 4), (Verdict::Fine, 40_000));
        assert!(!checks.is_due(&room(), Millis(69_999)));
        assert_eq!(check(&mut checks, Millis(70_000), 5, 5), (Verdict::Fine, 10_000));
    }

    #[test]
    fn only_what_stays_behind_is_doubtful() {
        let (mut checks, due) = known(0.5);
        assert_eq!(check(&mut checks, due, 3, 5), (Verdict::Fine, 2_000), "it may be on its way");
        let now = Millis(12_000);
        assert_eq!(check(&mut checks, now, 5, 7), (Verdict::Fine, 2_000), "it came, and more");
        let now = Millis(14_000);
        assert_eq!(check(&mut checks, now, 6, 9).0, Verdict::Doubtful, "7 never came");
        assert_eq!(check(&mut checks, Millis(24_000), 9, 9), (Verdict::Fine, 10_000));
    }

    #[test]
    fn what_is_not_looked_at_any_more_is_forgotten() {
        let (mut checks, due) = known(0.5);
        checks.forget_old(due);
        assert_eq!(checks.0.len(), 1);
        checks.forget_old(due.after(ACTIVE));
        assert_eq!(checks.0.len(), 0);
    }
}
