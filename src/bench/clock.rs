//! The clocks. A bench measures real time, so here time is not an argument all
//! the way down; but only here it is read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// This moment.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for tokens.
#[expect(clippy::disallowed_methods, reason = "tokens hold the wall clock's time")]
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
