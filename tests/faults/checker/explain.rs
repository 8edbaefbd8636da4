//! A violation, with what publishers and the subscriber logged around it.

use std::fmt::Write as _;

use super::{Log, Violation, Wrong};

/// Lines before and after.
const AROUND: usize = 6;

/// The violation and both logs around it.
pub(crate) fn explain(log: &Log, violation: &Violation) -> String {
    let Violation { at, channel, lineage, wrong } = violation;
    let mut text = format!("{at} ms, channel {channel}, subscriber {lineage:?}: {wrong:?}\n");
    let _ = writeln!(text, "  publishers:");
    let mut published: Vec<_> =
        log.published.iter().filter(|one| one.channel == *channel).collect();
    published.sort_by_key(|one| one.sent());
    let about = match wrong {
        Wrong::Lost(id) | Wrong::NotKept(id) | Wrong::Twice(id) | Wrong::UnackedTwice(id) => {
            published.iter().position(|one| one.id == *id)
        }
        _ => None,
    };
    let middle = about.unwrap_or_else(|| published.partition_point(|one| one.sent() < *at));
    let from = middle.saturating_sub(AROUND);
    for one in published.iter().skip(from).take(2 * AROUND + 1) {
        let _ = writeln!(text, "    {} {:?}", one.id, one.attempts);
    }
    let Some(lineage) = lineage.and_then(|number| log.lineages.get(number)) else { return text };
    let _ = writeln!(text, "  subscriber:");
    let middle = lineage.heard.partition_point(|heard| heard.at < *at);
    for heard in lineage.heard.iter().skip(middle.saturating_sub(AROUND)).take(2 * AROUND + 1) {
        let _ = writeln!(text, "    {} ms {:?}", heard.at, heard.what);
    }
    text
}
