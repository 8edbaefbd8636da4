//! An audience of many channels with as many subscribers each; publications in each are
//! numbered from 0 on, and timed.

use std::time::Instant;

use sealcast_wire::reply::{Body, Event};

use super::super::audience::{Audience, Publication};
use super::super::clock;
use super::super::crowd::Crowd;
use super::super::failure::Failure;
use super::super::ledger::Ledger;
use super::super::link::Line;
use super::super::member::Surprise;
use super::super::message;
use super::super::stats::Latencies;

const PREFIX: &str = "hall-";

/// See the module's text.
pub(super) struct Halls {
    room: usize,
    bytes: usize,
    halls: Vec<Hall>,
    latencies: Option<Latencies>,
}

struct Hall {
    ledger: Ledger,
    /// When each publication was handed to the publisher's socket, by number.
    sent: Vec<Instant>,
}

impl Halls {
    /// The first `room` subscribers are in the first, and so on.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn new(subscribers: usize, room: usize, bytes: usize) -> Result<Halls, Failure> {
        if subscribers == 0 || room == 0 {
            return Err(Failure::Options("there must be somebody to listen".into()));
        }
        let size = |first: usize| room.min(subscribers - first);
        let halls = (0..subscribers)
            .step_by(room)
            .map(|first| Hall { ledger: Ledger::new(size(first)), sent: Vec::new() });
        Ok(Halls { room, bytes, halls: halls.collect(), latencies: None })
    }

    pub(super) fn count(&self) -> usize {
        self.halls.len()
    }

    pub(super) fn channel(hall: usize) -> String {
        format!("{PREFIX}{hall}")
    }

    /// Publishes one in a channel.
    ///
    /// # Errors
    /// As [`Crowd::publish`].
    pub(super) fn publish(&mut self, crowd: &mut Crowd, hall: usize) -> Result<(), Failure> {
        let Some(Hall { ledger, sent }) = self.halls.get_mut(hall) else { return Ok(()) };
        let payload = message::payload(ledger.publish(), self.bytes);
        sent.push(clock::now());
        let channel = &Halls::channel(hall);
        crowd.publish(&[Publication::Payload { channel, payload: &payload }])
    }

    /// Begins to time deliveries.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn begin_timing(&mut self) -> Result<(), Failure> {
        let latencies = Latencies::new().ok_or(Failure::Options("no histogram".into()))?;
        self.latencies = Some(latencies);
        Ok(())
    }

    /// Ends timing.
    ///
    /// # Errors
    /// If it had not begun.
    pub(super) fn end_timing(&mut self) -> Result<Latencies, Failure> {
        self.latencies.take().ok_or(Failure::Options("nothing was timed".into()))
    }

    /// Fails unless everything came exactly once and in order.
    ///
    /// # Errors
    /// What did not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.verdict().map_err(Failure::Delivery)
    }
}

impl Audience for Halls {
    fn hear(&mut self, subscriber: usize, line: Line<'_>, at: Instant) -> Result<(), Surprise> {
        let unknown = || Surprise::unknown(line);
        let Some(Body::Push(push)) = line.reply().map(|reply| reply.body) else {
            return Err(unknown());
        };
        let number = match &push.event {
            Event::Publication(publication) => message::number(&publication.data),
            _ => None,
        };
        let number = number.ok_or_else(unknown)?;
        let at_home = *push.channel == *Halls::channel(subscriber / self.room);
        let hall = self.halls.get_mut(subscriber / self.room).filter(|_| at_home);
        let Hall { ledger, sent } = hall.ok_or_else(unknown)?;
        ledger.note(subscriber % self.room, number);
        if let Some(latencies) = &mut self.latencies
            && let Some(sent) = usize::try_from(number).ok().and_then(|number| sent.get(number))
        {
            latencies.record(at.saturating_duration_since(*sent));
        }
        Ok(())
    }

    fn heard(&self) -> u64 {
        self.halls.iter().map(|hall| hall.ledger.arrived()).sum()
    }

    fn is_complete(&self) -> bool {
        self.halls.iter().all(|hall| hall.ledger.is_complete())
    }

    fn verdict(&self) -> Result<(), String> {
        let verdict = |(at, hall): (usize, &Hall)| {
            hall.ledger.verdict().map_err(|verdict| format!("in {}: {verdict}", Halls::channel(at)))
        };
        self.halls.iter().enumerate().try_for_each(verdict)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sealcast_wire::Encoding;

    use super::*;

    #[test]
    fn each_must_hear_what_its_hall_gets_and_nothing_else() {
        let mut halls = Halls::new(5, 2, 64).unwrap();
        assert_eq!(halls.count(), 3);
        for hall in &mut halls.halls {
            hall.ledger.publish();
        }
        let mut hear = |subscriber, hall: usize| {
            let payload = message::payload(0, 64);
            let push =
                format!(r#"{{"push":{{"channel":"hall-{hall}","pub":{{"data":{payload}}}}}}}"#);
            let line = Line { encoding: Encoding::Json, bytes: push.as_bytes() };
            halls.hear(subscriber, line, clock::now())
        };
        assert!(hear(1, 1).is_err() && hear(4, 0).is_err());
        for subscriber in [0, 1, 3, 4] {
            hear(subscriber, subscriber / 2).unwrap();
        }
        assert_eq!(halls.heard(), 4);
        assert!(!halls.is_complete());
        let verdict = halls.verdict().unwrap_err();
        assert!(verdict.contains("in hall-1") && verdict.contains("subscriber 0"), "{verdict}");
    }
}
