//! Time, and when something is due for a connection.

use std::time::{Duration, Instant};

/// Milliseconds since the node's clock began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// Later than every deadline.
    pub const NEVER: Millis = Millis(u64::MAX);

    /// This much later.
    #[must_use]
    pub fn after(self, length: Millis) -> Millis {
        Millis(self.0.saturating_add(length.0))
    }
}

impl From<Duration> for Millis {
    fn from(length: Duration) -> Millis {
        Millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The node's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Clock {
        Clock { began: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.began.elapsed().into()
    }

    /// The time now, as fine as the system tells it.
    #[must_use]
    pub fn precise(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What can be due for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Deadline {
    /// It has not authenticated: close with 3502.
    Connect,
    /// Send a ping.
    Ping,
    /// Send a sign of life on a stream that has them between pings.
    Heartbeat,
    /// The ping was not answered: close with 3012.
    Pong,
    /// The credentials are over: close with 3005.
    Expiry,
    /// A message has not arrived whole: close with 1008.
    Message,
    /// A write makes no progress: end with 3009.
    Write,
    /// The closing handshake takes too long: end without it.
    Close,
    /// A subscription is over: its session ends it.
    Subscription,
    /// It has lasted long enough: close with 3011.
    Age,
}

const COUNT: usize = 10;

/// When each is due.
#[derive(Debug)]
pub(super) struct Deadlines([Millis; COUNT]);

impl Deadlines {
    pub(super) const ALL: [Deadline; COUNT] = [
        Deadline::Close,
        Deadline::Write,
        Deadline::Connect,
        Deadline::Expiry,
        Deadline::Pong,
        Deadline::Message,
        Deadline::Ping,
        Deadline::Heartbeat,
        Deadline::Subscription,
        Deadline::Age,
    ];

    pub(super) fn none() -> Deadlines {
        Deadlines([Millis::NEVER; COUNT])
    }

    pub(super) fn set(&mut self, which: Deadline, at: Millis) {
        if let Some(slot) = self.0.get_mut(which as usize) {
            *slot = at;
        }
    }

    pub(super) fn at(&self, which: Deadline) -> Millis {
        self.0.get(which as usize).copied().unwrap_or(Millis::NEVER)
    }

    pub(super) fn clear(&mut self, which: Deadline) {
        self.set(which, Millis::NEVER);
    }

    /// Leaves only the deadlines of an ending connection.
    pub(super) fn end(&mut self) {
        for which in Self::ALL {
            if !matches!(which, Deadline::Write | Deadline::Close) {
                self.clear(which);
            }
        }
    }

    /// The earliest of all.
    pub(super) fn next(&self) -> Millis {
        self.0.iter().copied().min().unwrap_or(Millis::NEVER)
    }
}
