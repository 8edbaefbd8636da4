//! How long after a fault subscribers still got what was late.

use std::collections::HashMap;

use super::{Id, Log, Ms, What};

/// What comes so long after it was sent is late.
const LATE: Ms = 250;
/// What is sent so long after the end of a fault is no longer hit by it.
const AFTER: Ms = 1_000;

/// For each subscriber to whom something came late behind the end of the fault that
/// was sent before it, or soon after it: how long after that end the last of it came.
/// In order of size; retries, and who reads at an own pace, do not count.
pub(crate) fn recovery(log: &Log, ended: Ms) -> Vec<Ms> {
    let sent: HashMap<Id, Ms> = log
        .published
        .iter()
        .filter(|one| one.attempts.len() == 1 && one.sent() < ended + AFTER)
        .map(|one| (one.id, one.sent()))
        .collect();
    let mut times: Vec<Ms> = log
        .lineages
        .iter()
        .filter(|lineage| !lineage.own_pace)
        .filter_map(|lineage| {
            let late = lineage.heard.iter().filter(|heard| match heard.what {
                What::Publication { id: Some(id), .. } => {
                    sent.get(&id).is_some_and(|sent| heard.at > sent + LATE)
                }
                _ => false,
            });
            late.map(|heard| heard.at).max().and_then(|last| last.checked_sub(ended))
        })
        .collect();
    times.sort_unstable();
    times
}

/// How long acknowledged publications took to those whom the fault does not touch, in
/// order of size: of what was sent before it, and of what was sent during it. It touches
/// who hears nothing before its end of what was sent in its second half; in the first, who
/// is cut off in one direction may still hear by the other.
pub(crate) fn latency_elsewhere(log: &Log, began: Ms, ended: Ms) -> [Vec<Ms>; 2] {
    let sent: HashMap<Id, Ms> = log
        .published
        .iter()
        .filter(|one| one.attempts.len() == 1 && one.is_acked() && one.sent() < ended)
        .map(|one| (one.id, one.sent()))
        .collect();
    let half = began + ended.saturating_sub(began) / 2;
    let mut times = [Vec::new(), Vec::new()];
    for lineage in log.lineages.iter().filter(|lineage| !lineage.own_pace) {
        let heard: Vec<(Ms, Ms)> = lineage
            .heard
            .iter()
            .filter_map(|heard| match heard.what {
                What::Publication { id: Some(id), .. } => Some((*sent.get(&id)?, heard.at)),
                _ => None,
            })
            .collect();
        if !heard.iter().any(|(sent, heard)| *sent >= half && *heard < ended) {
            continue;
        }
        for (sent, heard) in heard {
            times[usize::from(sent >= began)].push(heard.saturating_sub(sent));
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    times
}

/// The smallest of these, in order, below which lies this part of them; 0 of none.
pub(crate) fn percentile(sorted: &[Ms], part: f64) -> Ms {
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
