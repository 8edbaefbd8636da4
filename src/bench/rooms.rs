//! An audience of many small channels: each subscriber has one, and publications
//! in each are numbered from 0 on.

use std::time::Instant;

use sealcast_wire::reply::{Body, Event};

use super::audience::Audience;
use super::failure::Failure;
use super::ledger::Ledger;
use super::link::Line;
use super::member::Surprise;
use super::message;

/// See the module's text.
pub(super) struct Rooms {
    prefix: String,
    /// How many of the channels each subscriber has.
    each: usize,
    ledger: Ledger,
}

impl Rooms {
    /// `prefix` is what the names of the channels begin with.
    pub(super) fn new(prefix: String, subscribers: usize) -> Rooms {
        Rooms::several(prefix, subscribers, 1)
    }

    /// The same of subscribers that have several channels each: the first has the first
    /// ones, and so on.
    pub(super) fn several(prefix: String, subscribers: usize, each: usize) -> Rooms {
        Rooms { prefix, each, ledger: Ledger::new(subscribers * each) }
    }

    /// The name of a channel; with one for each, that of a subscriber.
    pub(super) fn channel(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number of the next publication, which is owed in each channel from now on.
    pub(super) fn publish(&mut self) -> u64 {
        self.ledger.publish()
    }

    /// Fails unless everything came exactly once and in order.
    ///
    /// # Errors
    /// What did not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.verdict().map_err(Failure::Delivery)
    }
}

impl Audience for Rooms {
    fn hear(&mut self, subscriber: usize, line: Line<'_>, _: Instant) -> Result<(), Surprise> {
        let Some(Body::Push(push)) = line.reply().map(|reply| reply.body) else {
            return Err(Surprise::unknown(line));
        };
        let channel = push.channel.strip_prefix(&*self.prefix);
        let channel = channel.and_then(|number| number.parse::<usize>().ok());
        let channel = channel.filter(|number| number / self.each == subscriber);
        let number = match push.event {
            Event::Publication(publication) => message::number(&publication.data),
            _ => None,
        };
        let (channel, number) = channel.zip(number).ok_or_else(|| Surprise::unknown(line))?;
        self.ledger.note(channel, number);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sealcast_wire::Encoding;

    use super::super::clock;
    use super::*;

    #[test]
    fn each_hears_its_own_channel_in_order() {
        let mut rooms = Rooms::new("room-".into(), 2);
        assert_eq!((rooms.publish(), rooms.publish()), (0, 1));
        let mut hear = |subscriber, channel: &str, number| {
            let payload = message::payload(number, 64);
            let line = format!(
                r#"{{"push":{{"channel":"{channel}","pub":{{"data":{payload},"offset":7}}}}}}"#
            );
            let line = Line { encoding: Encoding::Json, bytes: line.as_bytes() };
            rooms.hear(subscriber, line, clock::now())
        };
        assert!(hear(0, "room-1", 0).is_err());
        assert!(hear(0, "other-0", 0).is_err());
        for number in [0, 1] {
            hear(0, "room-0", number).unwrap();
        }
        hear(1, "room-1", 1).unwrap();
        assert!(!rooms.is_complete());
        assert!(rooms.verdict().unwrap_err().contains("subscriber 1 lacks number 0"));
    }

    #[test]
    fn several_channels_of_one_subscriber_are_told_apart() {
        let mut rooms = Rooms::several("room-".into(), 2, 3);
        rooms.publish();
        let mut hear = |subscriber, channel: usize| {
            let push = format!(
                r#"{{"push":{{"channel":"room-{channel}","pub":{{"data":{}}}}}}}"#,
                message::payload(0, 64)
            );
            let line = Line { encoding: Encoding::Json, bytes: push.as_bytes() };
            rooms.hear(subscriber, line, clock::now())
        };
        assert!(hear(0, 3).is_err() && hear(1, 2).is_err());
        for channel in 0..6 {
            hear(channel / 3, channel).unwrap();
        }
        assert!(rooms.is_complete());
        rooms.check().unwrap();
    }
}
