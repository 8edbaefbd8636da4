//! What waits to go out, by channel and publisher. Pure: time is an argument.
//!
//! Who has not published lately goes at once. What comes within the time after
//! that waits until it is over, so the last always goes, whatever becomes of who
//! published it. A publisher is forgotten when its time is over and nothing waits.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Publication, joined};
use tokio::sync::oneshot;

use super::Shape;
use crate::auth::Shaping;
use crate::broker::Unavailable;
use crate::limit::Permit;

/// Entries for which a map keeps its storage although it has fewer.
const SMALL: usize = 64;

/// How long the newest is tried again that the broker did not take, and how soon.
const AGAIN_FOR: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How the broker took something.
pub(super) type Outcome = Result<(), Unavailable>;

/// One message that waits.
pub(super) struct Message {
    data: Bytes,
    answer: Option<oneshot::Sender<Outcome>>,
    /// Of one that the broker did not take: how long it is tried again.
    until: Option<Duration>,
    _bytes: Permit,
}

impl Message {
    /// A message, and where its publisher hears what became of it, if that is told.
    pub(super) fn new(
        publication: Publication,
        bytes: Permit,
        shaping: Shaping,
    ) -> (Message, Option<oneshot::Receiver<Outcome>>) {
        let (answer, heard) = match shaping {
            Shaping::Latest { .. } => (None, None),
            Shaping::Batch { .. } => {
                let (answer, heard) = oneshot::channel();
                (Some(answer), Some(heard))
            }
        };
        (Message { data: publication.data, answer, until: None, _bytes: bytes }, heard)
    }

    /// Tells its publisher, if that is still there.
    pub(super) fn answer(self, outcome: Outcome) {
        if let Some(answer) = self.answer {
            let _ = answer.send(outcome);
        }
    }
}

/// A publication whose turn it is, and the messages in it.
pub(super) struct Ready {
    pub(super) channel: Channel,
    pub(super) publication: Publication,
    pub(super) shape: Shape,
    pub(super) messages: Vec<Message>,
}

/// What taking a message in has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Older messages that it took the place of.
    pub(super) merged: u64,
    /// Something is due earlier than before.
    pub(super) earlier: bool,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Waits {
    channels: HashMap<Channel, HashMap<String, Publisher>>,
    /// When to look next; nothing is due before.
    due: Option<Duration>,
}

struct Publisher {
    info: ClientInfo,
    shape: Shape,
    /// When it may go again.
    at: Duration,
    waiting: Vec<Message>,
}

impl Waits {
    /// When [`Waits::go`] has something to do.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Takes a message in.
    pub(super) fn take(
        &mut self,
        channel: Channel,
        info: ClientInfo,
        message: Message,
        shape: Shape,
        now: Duration,
    ) -> Taken {
        let publishers = self.channels.entry(channel).or_default();
        let waiting = match publishers.get_mut(&info.client) {
            Some(publisher) => {
                (publisher.info, publisher.shape) = (info, shape);
                publisher
            }
            None => publishers.entry(info.client.clone()).or_insert(Publisher {
                info,
                shape,
                at: now,
                waiting: Vec::new(),
            }),
        };
        let mut merged = 0;
        if let Shaping::Latest { .. } = shape.shaping {
            merged = waiting.waiting.len() as u64;
            waiting.waiting.clear();
        }
        waiting.waiting.push(message);
        let at = waiting.at.max(now);
        let earlier = self.due.is_none_or(|due| at < due);
        if earlier {
            self.due = Some(at);
        }
        Taken { merged, earlier }
    }

    /// Everything whose time has come, at most `most` publications, and a few more of
    /// one publisher; forgets who has nothing and may go again.
    pub(super) fn go(&mut self, now: Duration, most: usize, into: &mut Vec<Ready>) {
        let mut next: Option<Duration> = None;
        let mut later = |at: Duration| next = Some(next.map_or(at, |next| next.min(at)));
        self.channels.retain(|channel, publishers| {
            publishers.retain(|_, publisher| {
                if publisher.at > now {
                    later(publisher.at);
                    return true;
                }
                if publisher.waiting.is_empty() {
                    return false;
                }
                if into.len() >= most {
                    later(now);
                    return true;
                }
                publisher.go(channel, into);
                publisher.at = now + publisher.shape.shaping.every();
                later(publisher.at);
                true
            });
            !publishers.is_empty()
        });
        self.due = next;
        let kept = self.channels.len().max(SMALL);
        if self.channels.capacity() > 4 * kept {
            self.channels.shrink_to(2 * kept);
        }
    }

    /// Puts back what the broker did not take, where only the newest counts and no newer
    /// one waits: nothing tells its publisher to send it again. Answers whether it did.
    pub(super) fn again(&mut self, ready: &mut Ready, now: Duration) -> bool {
        let Shaping::Latest { .. } = ready.shape.shaping else { return false };
        let (Some(info), Some(mut message)) = (&ready.publication.info, ready.messages.pop())
        else {
            return false;
        };
        let until = *message.until.get_or_insert(now + AGAIN_FOR);
        let publishers = self.channels.entry(ready.channel.clone()).or_default();
        let publisher = publishers.entry(info.client.clone()).or_insert_with(|| Publisher {
            info: info.clone(),
            shape: ready.shape,
            at: now,
            waiting: Vec::new(),
        });
        if !publisher.waiting.is_empty() || now >= until {
            ready.messages.push(message);
            return false;
        }
        publisher.waiting.push(message);
        publisher.at = publisher.at.max(now + AGAIN_AFTER);
        self.due = Some(self.due.map_or(publisher.at, |due| due.min(publisher.at)));
        true
    }

    /// How many publishers it knows, of all channels.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.channels.values().map(HashMap::len).sum()
    }
}

impl Publisher {
    /// Everything that waits, as few publications as the bounds of one allow.
    fn go(&mut self, channel: &Channel, into: &mut Vec<Ready>) {
        let mut together: Vec<Message> = Vec::new();
        for message in std::mem::take(&mut self.waiting) {
            if !together.is_empty() && !self.fits(&together, &message) {
                into.push(self.ready(channel, std::mem::take(&mut together)));
            }
            together.push(message);
        }
        into.push(self.ready(channel, together));
    }

    /// Whether a message may go in one publication with those.
    fn fits(&self, together: &[Message], message: &Message) -> bool {
        let Shaping::Batch { joining, .. } = self.shape.shaping else { return false };
        let lengths = together.iter().chain([message]).map(|message| message.data.len());
        let first_is_alone = together.first().is_some_and(|first| !joining.takes(&first.data));
        !first_is_alone
            && joining.takes(&message.data)
            && together.len() < joined::MOST
            && joining.size(lengths) <= self.shape.most_bytes
    }

    /// A message alone is published as it came.
    fn ready(&self, channel: &Channel, messages: Vec<Message>) -> Ready {
        let (mut data, mut tags) = (Bytes::new(), BTreeMap::new());
        match (&messages[..], self.shape.shaping) {
            ([several @ .., _], Shaping::Batch { joining, .. }) if !several.is_empty() => {
                let parts: Vec<&[u8]> = messages.iter().map(|message| &*message.data).collect();
                data = joining.join(&parts);
                tags.insert(joined::TAG.to_owned(), joining.name().to_owned());
            }
            ([.., newest], _) => data = newest.data.clone(),
            ([], _) => {}
        }
        let info = Some(self.info.clone());
        Ready {
            channel: channel.clone(),
            publication: Publication { data, info, tags, ..Publication::default() },
            shape: self.shape,
            messages,
        }
    }
}
