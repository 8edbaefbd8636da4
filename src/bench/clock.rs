//! The clocks. A bench measures real time, so here time is not an argument all
//! the way down; but only here it is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// This moment.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for tokens.
pub(super) fn unix_now() -> u64 {
    since_1970().as_secs()
}

/// Nanoseconds since 1970: a time that other processes understand.
pub(super) fn unix_nanos() -> u64 {
    u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the wall clock is what others have too")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
