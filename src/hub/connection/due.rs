//! What the sweep does when a deadline has come.

use bytes::Bytes;
use parking_lot::MutexGuard;
use sealcast_wire::{Disconnect, Encoding};

use super::write::charge;
use super::{Connection, Pings};
use crate::hub::deadlines::{Deadline, Deadlines, Millis};
use crate::hub::outbox::{Flush, Outbox, Phase};
use crate::hub::{Hub, OutboxLimits};

const PING_JSON: &[u8] = &[0x81, 0x02, b'{', b'}'];
const PING_PROTOBUF: &[u8] = &[0x82, 0x01, 0x00];
const PING_FRAME: &[u8] = &[0x89, 0x00];

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
                Deadline::Subscription => {
                    outbox.subscription_due = true;
                    outbox.wake();
                }
            }
        }
        self.note_due(&outbox.deadlines);
    }

    fn ping(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>, now: Millis) {
        let OutboxLimits { ping_interval, pong_timeout, .. } = *hub.limits();
        outbox.deadlines.set(Deadline::Ping, now.after(ping_interval));
        if outbox.deadlines.at(Deadline::Pong) == Millis::NEVER {
            outbox.deadlines.set(Deadline::Pong, now.after(pong_timeout));
        }
        let ping = match (self.pings, self.encoding) {
            (Pings::Frames, _) => PING_FRAME,
            (Pings::Replies, Encoding::Json) => PING_JSON,
            (Pings::Replies, Encoding::Protobuf) => PING_PROTOBUF,
        };
        outbox.queue.push(Bytes::from_static(ping), 1);
        match outbox.flush {
            Flush::Idle => {
                outbox.flush = Flush::Queued;
                self.write(hub, outbox);
            }
            Flush::Queued => {}
            Flush::Blocked => charge(hub, outbox),
        }
    }
}
