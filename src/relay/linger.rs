//! Channels that lost their last subscriber stay subscribed at the broker for a
//! moment: whoever reloads a page is back before it is over.

use std::collections::VecDeque;

use parking_lot::Mutex;
use sealcast_wire::Channel;

use crate::hub::Millis;

/// How long a channel without subscribers stays.
const LINGER: Millis = Millis(1_000);

/// In order of time. A channel may stand here more than once; whoever takes it
/// out looks whether it is still empty.
#[derive(Default)]
pub(super) struct Linger(Mutex<VecDeque<(Millis, Channel, usize)>>);

impl Linger {
    pub(super) fn add(&self, channel: Channel, shard: usize, now: Millis) {
        self.0.lock().push_back((now.after(LINGER), channel, shard));
    }

    pub(super) fn due(&self, now: Millis) -> Vec<(Channel, usize)> {
        let mut waiting = self.0.lock();
        let count = waiting.iter().take_while(|(at, _, _)| *at <= now).count();
        let due = waiting.drain(..count).map(|(_, channel, shard)| (channel, shard)).collect();
        if waiting.is_empty() {
            *waiting = VecDeque::new();
        }
        due
    }
}
