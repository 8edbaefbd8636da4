//! Writing: at once, until the queue is empty or the socket is full.

use std::io;

use parking_lot::MutexGuard;
use sealcast_wire::Disconnect;

use super::{CLOSE_WRITE_TIMEOUT, Connection};
use crate::hub::Hub;
use crate::hub::deadlines::{Deadline, Millis};
use crate::hub::outbox::{Flush, Outbox, Phase};

impl Connection {
    /// Writes until the queue is empty or the socket is full.
    pub(super) fn write(&self, hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>) {
        loop {
            let outcome = outbox.queue.write(|slices| {
                hub.metrics().writes.increment(1);
                self.socket.try_write(slices)
            });
            match outcome {
                None => {
                    outbox.flush = Flush::Idle;
                    charge(hub, outbox);
                    if outbox.deadlines.at(Deadline::Write) != Millis::NEVER {
                        outbox.deadlines.clear(Deadline::Write);
                        self.note_due(&outbox.deadlines);
                    }
                    match outbox.phase {
                        Phase::Closing { answered: true } => self.end_locked(outbox),
                        Phase::Closing { answered: false } => {
                            // So that a peer that does not answer sees the end all the same.
                            outbox.phase = Phase::Closed;
                            self.socket.shutdown_write();
                        }
                        Phase::Open | Phase::Closed | Phase::Ended => {}
                    }
                    return;
                }
                Some(Ok(count)) if count > 0 => {
                    hub.metrics().bytes_out.increment(count as u64);
                    outbox.deadlines.clear(Deadline::Write);
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.flush = Flush::Blocked;
                    charge(hub, outbox);
                    if outbox.deadlines.at(Deadline::Write) == Millis::NEVER {
                        let length = match outbox.phase {
                            Phase::Open => hub.limits().write_timeout,
                            _ => CLOSE_WRITE_TIMEOUT,
                        };
                        outbox.deadlines.set(Deadline::Write, hub.clock().now().after(length));
                        self.note_due(&outbox.deadlines);
                    }
                    outbox.wake();
                    return;
                }
                Some(Ok(_) | Err(_)) => {
                    outbox.code.get_or_insert(Disconnect::WRITE_ERROR.code);
                    self.end_locked(outbox);
                    return;
                }
            }
        }
    }
}

/// Tells the node's budget what is held: only what a socket has refused counts,
/// so that a connection that keeps up never touches the shared counter.
pub(super) fn charge(hub: &Hub, outbox: &mut MutexGuard<'_, Outbox>) {
    let blocked = outbox.flush == Flush::Blocked;
    if blocked {
        hub.note_queue(outbox.queue.messages());
    }
    let held = if blocked { outbox.queue.bytes() } else { 0 };
    if held != outbox.charged {
        hub.budget().change(outbox.charged, held);
        outbox.charged = held;
    }
}
