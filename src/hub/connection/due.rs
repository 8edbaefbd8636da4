//! What the sweep does when a deadline has come.

use bytes::Bytes;
use parking_lot::MutexGuard;
use sealcast_wire::Disconnect;

use super::write::charge;
use super::{Connection, Pings};
use crate::hub::deadlines::{Deadline, Deadlines, Millis};
use crate::hub::outbox::{Flush, Outbox, Phase};
use crate::hub::{Hub, OutboxLimits};

/// Between signs of life on a stream (WHATWG HTML, 9.2.7, authoring notes).
const HEARTBEAT: Millis = Millis(15_000);

impl Connection {
    /// Does everything that is due at `now`.
    pub(in crate::hub) fn on_due(&self, hub: &Hub, now: Millis) {
        let mut outbox = self.outbox.lock();
        for which in Deadlines::ALL {
            if outbox.deadlines.at(which) > now || outbox.phase == Phase::Ended {
                continue;
            }
            outbox.deadlines.clear(which);
            match which {
                Deadline::Close => self.end_locked(&mut outbox),
                Deadline::Write => {
                    outbox.code.get_or_insert(Disconnect::WRITE_ERROR.code);
                    self.end_locked(&mut outbox);
                }
                Deadline::Connect => {
                    self.close_locked(hub, &mut outbox, Disconnect::STALE.told(), false)
                }
                Deadline::Expiry => {
                    self.close_locked(hub, &mut outbox, Disconnect::EXPIRED.told(), false)
                }
                // Also where the reference drops a connection that is pinged by frames
                // without a word: the code tells more, and a client reconnects either way.
                Deadline::Pong => {
                    self.close_locked(hub, &mut outbox, Disconnect::NO_PONG.told(), false)
                }
                Deadline::Age => {
                    self.close_locked(hub, &mut outbox, Disconnect::FORCE_RECONNECT.told(), false)
                }
                Deadline::Message => {
                    self.close_locked(hub, &mut outbox, Disconnect::POLICY.told(), false)
                }
                Deadline::Ping => self.ping(hub, &mut outbox, now),
                Deadline::Heartbeat => self.heartbeat(hub, &mut outbox, now),
                Deadline::Subscription => {
                    outbox.subscription_due = true;
                    outbox.wake();
                }
            }
        }
        self.note_due(&outbox.deadlines);
    }

    /// Gives signs of life from now on, if its transport has them.
    pub fn begin_heartbeat(&self, hub: &Hub) {
        if self.format.heartbeat().is_some() {
            self.set_deadline(Deadline::Heartbeat, hub.clock().now().after(HEARTBEAT));
        }
    }

    fn ping(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>, now: Millis) {
        let OutboxLimits { ping_interval, pong_timeout, .. } = *hub.limits();
        outbox.deadlines.set(Deadline::Ping, now.after(ping_interval));
        let answered = self.pings != Pings::Pushes;
        if answered && outbox.deadlines.at(Deadline::Pong) == Millis::NEVER {
            outbox.deadlines.set(Deadline::Pong, now.after(pong_timeout));
        }
        self.say(hub, outbox, self.format.ping(self.pings));
    }

    /// Between pings, so that nobody on the way takes the stream for dead. Where
    /// something waits to be written, that will do.
    fn heartbeat(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>, now: Millis) {
        if let Some(comment) = self.format.heartbeat() {
            outbox.deadlines.set(Deadline::Heartbeat, now.after(HEARTBEAT));
            if outbox.flush == Flush::Idle {
                self.say(hub, outbox, comment);
            }
        }
    }

    fn say(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>, what: &'static [u8]) {
        outbox.queue.push(Bytes::from_static(what), 1);
        match outbox.flush {
            Flush::Idle | Flush::Waiting => {
                outbox.flush = Flush::Queued;
                self.write(hub, outbox);
            }
            Flush::Queued => {}
            Flush::Blocked => charge(hub, outbox),
        }
    }
}
