//! Audiences that check what comes: all on one channel, or each on its own.

use std::time::{Duration, Instant};

use sealcast_wire::reply::{Body, Event};

use super::audience::{Audience, Publication};
use super::clock;
use super::crowd::Crowd;
use super::failure::Failure;
use super::ledger::Ledger;
use super::link::Line;
use super::member::Surprise;
use super::message::{self, Shape};
use super::stats::Latencies;

/// The subscribers of one channel, in which publications are numbered.
pub(super) struct Listeners {
    channel: String,
    /// Of each payload.
    bytes: usize,
    /// `None` until the first push.
    shape: Option<Shape>,
    ledger: Ledger,
    /// When each publication was handed to the publisher's socket, by number.
    sent: Vec<Instant>,
    latencies: Option<Latencies>,
}

impl Listeners {
    /// `shape` is needed for a floor, and learnt from a node.
    pub(super) fn new(
        channel: &str,
        subscribers: usize,
        bytes: usize,
        shape: Option<Shape>,
    ) -> Listeners {
        Listeners {
            channel: channel.to_owned(),
            bytes,
            shape,
            ledger: Ledger::new(subscribers),
            sent: Vec::new(),
            latencies: None,
        }
    }

    /// Publishes so many, in one write.
    ///
    /// # Errors
    /// As [`Crowd::publish`].
    pub(super) fn publish(&mut self, crowd: &mut Crowd, count: usize) -> Result<(), Failure> {
        let numbers: Vec<u64> = (0..count).map(|_| self.ledger.publish()).collect();
        let payloads: Vec<String>;
        let pushes: Vec<Vec<u8>>;
        let publications: Vec<Publication<'_>> = match (&self.shape, crowd.is_floor()) {
            (Some(shape), true) => {
                pushes = numbers.iter().map(|number| shape.push(*number)).collect();
                pushes.iter().map(|push| Publication::Push(push)).collect()
            }
            (None, true) => return Err(Failure::Options("a floor is told what to send".into())),
            (_, false) => {
                let payload = |number: &u64| message::payload(*number, self.bytes);
                payloads = numbers.iter().map(payload).collect();
                let channel = &self.channel;
                let to_channel = |payload| Publication::Payload { channel, payload };
                payloads.iter().map(|payload| to_channel(payload)).collect()
            }
        };
        self.sent.resize(self.sent.len() + count, clock::now());
        crowd.publish(&publications)
    }

    /// Publishes `bursts` times `waiting`; each burst when the one before has
    /// come to everyone.
    ///
    /// # Errors
    /// If something does not come.
    pub(super) fn bursts(
        &mut self,
        crowd: &mut Crowd,
        bursts: usize,
        waiting: usize,
    ) -> Result<(), Failure> {
        for _ in 0..bursts {
            self.publish(crowd, waiting)?;
            crowd.complete(self)?;
        }
        Ok(())
    }

    /// Publishes `count` times, one every `interval`, until all have come. A
    /// publication that is late because the generator was busy is timed from
    /// when it was sent; gives the most that one was late.
    ///
    /// # Errors
    /// If something does not come.
    pub(super) fn paced(
        &mut self,
        crowd: &mut Crowd,
        count: usize,
        interval: Duration,
    ) -> Result<Duration, Failure> {
        let start = clock::now();
        let mut latest = Duration::ZERO;
        let mut due = start;
        for _ in 0..count {
            crowd.linger(due.saturating_duration_since(clock::now()), self)?;
            latest = latest.max(clock::now().saturating_duration_since(due));
            self.publish(crowd, 1)?;
            due += interval;
        }
        crowd.complete(self)?;
        Ok(latest)
    }

    /// Begins to time deliveries.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn begin_timing(&mut self) -> Result<(), Failure> {
        let latencies = Latencies::new();
        self.latencies = Some(latencies.ok_or(Failure::Options("no histogram".into()))?);
        Ok(())
    }

    /// Ends timing.
    ///
    /// # Errors
    /// If it had not begun.
    pub(super) fn end_timing(&mut self) -> Result<Latencies, Failure> {
        self.latencies.take().ok_or(Failure::Options("nothing was timed".into()))
    }

    /// How a push looks, once one came.
    pub(super) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// Fails unless everything came exactly once and in order.
    ///
    /// # Errors
    /// What did not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.verdict().map_err(Failure::Delivery)
    }
}

impl Audience for Listeners {
    fn hear(&mut self, subscriber: usize, line: Line<'_>, at: Instant) -> Result<(), Surprise> {
        let shape = match &self.shape {
            Some(shape) => shape,
            None => {
                let first = message::payload(0, self.bytes);
                let learnt =
                    Shape::learn(line.bytes, &first).ok_or_else(|| Surprise::unknown(line))?;
                self.shape.insert(learnt)
            }
        };
        let number = shape.number(line.bytes).ok_or_else(|| Surprise::unknown(line))?;
        self.ledger.note(subscriber, number);
        if let Some(latencies) = &mut self.latencies
            && let Some(sent) = usize::try_from(number).ok().and_then(|at| self.sent.get(at))
        {
            latencies.record(at.saturating_duration_since(*sent));
        }
        Ok(())
    }

    fn heard(&self) -> u64 {
        self.ledger.arrived()
    }

    fn is_complete(&self) -> bool {
        self.ledger.is_complete()
    }

    fn verdict(&self) -> Result<(), String> {
        self.ledger.verdict().map_err(|verdict| verdict.to_string())
    }
}

/// Publishes that a node has not confirmed, at most, when each gets one.
const IN_FLIGHT: usize = 16;

/// Subscribers of whom each has a channel of its own, and gets one publication.
pub(super) struct Each {
    bytes: usize,
    published: usize,
    /// How often it came, by subscriber.
    came: Vec<u32>,
    heard: u64,
}

impl Each {
    pub(super) fn new(subscribers: usize, bytes: usize) -> Each {
        Each { bytes, published: 0, came: vec![0; subscribers], heard: 0 }
    }

    /// The channel of a subscriber.
    pub(super) fn channel(subscriber: usize) -> String {
        format!("own-{subscriber}")
    }

    /// Publishes one to each, and waits until it came.
    ///
    /// # Errors
    /// If something else comes, or not everything.
    pub(super) fn publish(&mut self, crowd: &mut Crowd) -> Result<(), Failure> {
        while self.published < self.came.len() {
            let some = self.published..self.came.len().min(self.published + IN_FLIGHT);
            let texts: Vec<(String, String)> = some
                .clone()
                .map(|at| (Each::channel(at), message::payload(at as u64, self.bytes)))
                .collect();
            let publications: Vec<Publication<'_>> = texts
                .iter()
                .map(|(channel, payload)| Publication::Payload { channel, payload })
                .collect();
            self.published = some.end;
            crowd.publish(&publications)?;
            crowd.complete(self)?;
        }
        self.verdict().map_err(Failure::Delivery)
    }
}

impl Audience for Each {
    fn hear(&mut self, subscriber: usize, line: Line<'_>, _: Instant) -> Result<(), Surprise> {
        let Some(Body::Push(push)) = line.reply().map(|reply| reply.body) else {
            return Err(Surprise::unknown(line));
        };
        let Event::Publication(publication) = push.event else {
            return Err(Surprise::unknown(line));
        };
        let expected = message::payload(subscriber as u64, self.bytes);
        if *push.channel != *Each::channel(subscriber) || publication.data != expected.as_bytes() {
            return Err(Surprise::unknown(line));
        }
        if let Some(came) = self.came.get_mut(subscriber) {
            *came += 1;
        }
        self.heard += 1;
        Ok(())
    }

    fn heard(&self) -> u64 {
        self.heard
    }

    fn is_complete(&self) -> bool {
        self.heard >= self.published as u64
    }

    fn verdict(&self) -> Result<(), String> {
        let wrong = self.came.iter().take(self.published).enumerate().find(|(_, came)| **came != 1);
        match wrong {
            None => Ok(()),
            Some((at, came)) => Err(format!("subscriber {at} got its publication {came} times")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sealcast_wire::Encoding;

    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line { encoding: Encoding::Json, bytes: text.as_bytes() }
    }

    fn push(channel: &str, payload: &str) -> String {
        format!(r#"{{"push":{{"channel":"{channel}","pub":{{"data":{payload}}}}}}}"#)
    }

    /// What two listeners make of these numbers, each heard by the first; the
    /// second gets everything.
    fn verdict(numbers: &[u64]) -> Result<(), String> {
        let mut listeners = Listeners::new("news", 2, 64, None);
        for number in 0..3 {
            assert_eq!(listeners.ledger.publish(), number);
        }
        let heard = numbers.iter().map(|number| (0, *number)).chain((0..3).map(|it| (1, it)));
        // The shape is learnt from number 0, which comes first in every run.
        let first = push("news", &message::payload(0, 64));
        listeners.shape = Shape::learn(first.as_bytes(), &message::payload(0, 64));
        for (subscriber, number) in heard {
            let push = push("news", &message::payload(number, 64));
            listeners.hear(subscriber, line(&push), clock::now()).unwrap();
        }
        listeners.verdict()
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_message_are_found() {
        assert_eq!(verdict(&[0, 1, 2]), Ok(()));
        for (numbers, found) in [
            (&[0, 2][..], "1 deliveries are missing"),
            (&[0, 1, 1, 2], "1 came twice"),
            (&[0, 2, 1], "1 came late"),
        ] {
            let verdict = verdict(numbers).unwrap_err();
            assert!(verdict.contains(found), "{numbers:?}: {verdict}");
        }
    }

    #[test]
    fn anything_else_is_a_surprise() {
        let mut listeners = Listeners::new("news", 1, 64, None);
        listeners.ledger.publish();
        let mut hear = |text: &str| listeners.hear(0, line(text), clock::now());
        assert!(hear(r#"{"push":{"channel":"news","unsubscribe":{}}}"#).is_err());
        assert!(hear(&push("news", &message::payload(0, 64))).is_ok());
        assert!(hear(&push("other", &message::payload(1, 64))).is_err());
        assert!(hear(&push("news", r#"{"n":"0000000001"}"#)).is_err());
    }

    #[test]
    fn each_must_get_its_own_once() {
        let mut each = Each::new(2, 64);
        each.published = 2;
        let own = |at: u64| push(&format!("own-{at}"), &message::payload(at, 64));
        let mut hear = |subscriber, text: &str| each.hear(subscriber, line(text), clock::now());
        assert!(hear(0, &own(0)).is_ok());
        assert!(hear(1, &own(0)).is_err());
        assert!(hear(0, &own(0)).is_ok());
        assert!(each.is_complete());
        assert!(each.verdict().unwrap_err().contains("subscriber 0 got its publication 2 times"));
    }
}
