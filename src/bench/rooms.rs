//! An audience of many small channels: each subscriber has one, and publications
//! in each are numbered from 0 on.

use std::time::Instant;

use sealcast_wire::Encoding;
use sealcast_wire::reply::{Body, Event};

use super::crowd::Audience;
use super::failure::Failure;
use super::ledger::Ledger;
use super::member::Surprise;
use super::message;

/// See the module's text.
pub(super) struct Rooms {
    prefix: String,
    ledger: Ledger,
}

impl Rooms {
    /// `prefix` is what the names of the channels begin with.
    pub(super) fn new(prefix: String, subscribers: usize) -> Rooms {
        Rooms { prefix, ledger: Ledger::new(subscribers) }
    }

    /// The channel of a subscriber.
    pub(super) fn channel(&self, subscriber: usize) -> String {
        format!("{}{subscriber}", self.prefix)
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
    fn hear(&mut self, subscriber: usize, line: &str, _: Instant) -> Result<(), Surprise> {
        let reply = Encoding::Json.replies(line.as_bytes()).next().and_then(Result::ok);
        let Some(Body::Push(push)) = reply.map(|reply| reply.body) else {
            return Err(Surprise::unknown(line));
        };
        let own = push.channel.strip_prefix(&*self.prefix) == Some(&*subscriber.to_string());
        let number = match push.event {
            Event::Publication(publication) if own => message::number(&publication.data),
            _ => None,
        };
        self.ledger.note(subscriber, number.ok_or_else(|| Surprise::unknown(line))?);
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
            rooms.hear(subscriber, &line, clock::now())
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
}
