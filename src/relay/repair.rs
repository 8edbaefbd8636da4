//! Repairing a gap: what a node's subscribers may have missed is read from the
//! stream, once for all of them.

use std::time::Duration;

use sealcast_wire::{Channel, Epoch, Position};
use tokio::time::{Instant, sleep};

use super::Relay;
use crate::broker::{HistoryError, Page};
use crate::hub::Item;

/// Gaps that are repaired at the same time.
pub(super) const AT_A_TIME: usize = 64;
/// Most publications that a repair brings back.
const MOST: usize = 1_000;
/// How long a repair tries while the broker does not answer: as long as positions
/// may be stale.
const PATIENCE: Duration = Duration::from_millis(super::away::STALE_AFTER.0);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the position of a stream is kept that is made by looking at it.
pub(super) const META_TTL: Duration = Duration::from_secs(3_600);

/// What became of a gap.
#[derive(Debug)]
pub(super) enum Repaired {
    /// Everything behind the position, in order; often nothing.
    Whole(Vec<Item>),
    /// It cannot be had, of this stream.
    Lost(Epoch),
}

/// Reads what lies behind `from` in the channel's stream.
pub(super) async fn repair(relay: &Relay, channel: &Channel, from: Position) -> Repaired {
    let until = Instant::now() + PATIENCE;
    loop {
        // Never closed.
        let turn = relay.repairs.acquire().await;
        let read = relay.broker.behind(channel.clone(), from.clone(), MOST, META_TTL).await;
        drop(turn);
        let metrics = relay.hub.metrics();
        match read {
            Ok(page) => {
                let repaired = whole(page, &from);
                metrics.gap_repair(match &repaired {
                    Repaired::Whole(items) if items.is_empty() => "nothing_missed",
                    Repaired::Whole(_) => "repaired",
                    Repaired::Lost(_) => "lost",
                });
                return repaired;
            }
            Err(HistoryError::Unavailable(_)) if Instant::now() < until => sleep(PAUSE).await,
            Err(_) => {
                metrics.gap_repair("lost");
                return Repaired::Lost(from.epoch);
            }
        }
    }
}

/// The page, if it leaves no hole between the position and the stream's top.
fn whole(page: Page, from: &Position) -> Repaired {
    let Page { publications, position } = page;
    let mut last = from.offset;
    let in_order = publications.iter().all(|one| {
        last += 1;
        one.offset == last
    });
    if !in_order || last != position.offset {
        return Repaired::Lost(from.epoch.clone());
    }
    let items = publications.into_iter().map(|publication| {
        let epoch = Some(position.epoch.clone());
        Item { publication, epoch, delta: false, passing: false }
    });
    Repaired::Whole(items.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sealcast_wire::Publication;

    use super::*;

    fn at(offset: u64) -> Position {
        Position { offset, epoch: "epoch".into() }
    }

    fn offsets(read: &[u64], top: u64, from: u64) -> Option<Vec<u64>> {
        let publication = |offset| Arc::new(Publication { offset, ..Publication::default() });
        let publications = read.iter().copied().map(publication).collect();
        match whole(Page { publications, position: at(top) }, &at(from)) {
            Repaired::Whole(items) => {
                Some(items.iter().map(|one| one.publication.offset).collect())
            }
            Repaired::Lost(_) => None,
        }
    }

    #[test]
    fn only_what_leaves_no_hole_is_a_repair() {
        assert_eq!(offsets(&[], 3, 3), Some(vec![]));
        assert_eq!(offsets(&[4, 5], 5, 3), Some(vec![4, 5]));
        assert_eq!(offsets(&[], 4, 3), None, "gone already");
        assert_eq!(offsets(&[5], 5, 3), None, "the oldest is gone");
        assert_eq!(offsets(&[4], 5, 3), None, "too many");
        assert_eq!(offsets(&[4, 6], 6, 3), None, "a hole");
        assert_eq!(offsets(&[], 2, 3), None, "the stream is behind what was seen");
    }
}
