//! How fast the machine is at this minute: what a delivery takes the floor.
//!
//! What a machine with neighbours does in a microsecond changes by a third from one
//! hour to the next. A cost in deliveries of a floor that ran just before does not,
//! and can be held against another machine's.

use std::time::Duration;

use super::crowd::Crowd;
use super::failure::Failure;
use super::floor;
use super::listeners::Listeners;
use super::message::{self, Shape};
use super::report::Common;
use super::target::{Kind, Target};

const CHANNEL: &str = "bench";
/// Of each payload.
const BYTES: usize = 128;
const WARM_UP: usize = 2;
const SETTLE: Duration = Duration::from_millis(50);

/// A floor with subscribers that rest while another server is measured.
pub(super) struct Yardstick {
    target: Target,
    crowd: Crowd,
    listeners: Listeners,
    subscribers: usize,
    bursts: usize,
}

impl Yardstick {
    /// Connections that it needs at most.
    pub(super) const CONNECTIONS: usize = 1_001;

    /// # Errors
    /// If the floor cannot be started or reached.
    pub(super) fn new(common: &Common) -> Result<Yardstick, Failure> {
        let (subscribers, bursts) = common.either((100, 10), (Self::CONNECTIONS - 1, 60));
        let target = Target::start(Kind::Floor(floor::Kind::One), subscribers + 1)?;
        let channels = (0..subscribers).map(|_| CHANNEL.to_owned());
        let crowd = Crowd::gather(&target, "floor", channels)?;
        let payload = message::payload(0, BYTES);
        let push = format!(r#"{{"push":{{"channel":"{CHANNEL}","pub":{{"data":{payload}}}}}}}"#);
        let shape = Shape::learn(push.as_bytes(), &payload);
        let listeners = Listeners::new(CHANNEL, subscribers, BYTES, shape);
        Ok(Yardstick { target, crowd, listeners, subscribers, bursts })
    }

    /// Microseconds of CPU that a delivery takes now, by one send to each of 1,000
    /// subscribers.
    ///
    /// # Errors
    /// If something does not come.
    pub(super) fn delivery(&mut self) -> Result<f64, Failure> {
        let Yardstick { target, crowd, listeners, subscribers, bursts } = self;
        listeners.bursts(crowd, WARM_UP, 1)?;
        crowd.linger(SETTLE, listeners)?;
        let cpu = target.cpu()?;
        listeners.bursts(crowd, *bursts, 1)?;
        crowd.linger(SETTLE, listeners)?;
        let cpu = target.cpu()?.saturating_sub(cpu);
        listeners.check()?;
        Ok(cpu.as_secs_f64() * 1e6 / (*subscribers * *bursts) as f64)
    }
}
