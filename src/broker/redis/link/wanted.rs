//! Which topics are wanted, and how far Redis has been brought to deliver them.
//!
//! Pure. What must change waits in a queue; what the link sends changes nothing
//! here until Redis has confirmed it. A generation is one connection's life:
//! with its end every topic that was subscribed has missed something.

use std::collections::{HashMap, VecDeque};

use sealcast_wire::Channel;
use tokio::sync::oneshot;

use super::super::keys::Name;

#[derive(Default)]
pub(super) struct Wanted {
    topics: HashMap<Name, Topic>,
    /// Topics that are not as they should be; each stands here once.
    changed: VecDeque<Name>,
    /// The connection that counts, 0 for none.
    generation: u64,
    /// Some were displaced, and are to be asked for again.
    displaced: bool,
}

/// What a topic is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Subject {
    Channel(Channel),
    /// What nodes say to each other.
    Control,
}

pub(in super::super) struct Topic {
    subject: Subject,
    wanted: bool,
    state: State,
    queued: bool,
    /// The generation in which it was subscribed last, since when it has not
    /// been told of a gap.
    missed_since: Option<u64>,
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Out,
    Joining,
    In,
    Leaving,
}

/// What to ask of Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) subscribe: Vec<Name>,
    pub(super) unsubscribe: Vec<Name>,
}

/// What a confirmed subscription is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// Nobody wants it any more, or nothing follows from it.
    Nothing,
    /// It receives from here on.
    Fresh(Channel),
    /// It receives again; what came since that generation it may have missed.
    Gap(Channel, u64),
}

impl Wanted {
    /// Wants a topic. `None` if it is subscribed, else what tells when it is.
    pub(super) fn want(&mut self, name: Name, subject: Subject) -> Option<oneshot::Receiver<()>> {
        let topic = self.topics.entry(name).or_insert_with(|| Topic {
            subject,
            wanted: true,
            state: State::Out,
            queued: false,
            missed_since: None,
            waiting: Vec::new(),
        });
        topic.wanted = true;
        if topic.state == State::In {
            return None;
        }
        let (done, waiting) = oneshot::channel();
        topic.waiting.retain(|one| !one.is_closed());
        topic.waiting.push(done);
        self.queue(name);
        Some(waiting)
    }

    /// No longer wants a topic: nothing of it is delivered from now on.
    pub(super) fn unwant(&mut self, name: Name) {
        let Some(topic) = self.topics.get_mut(&name) else { return };
        topic.wanted = false;
        topic.waiting.clear();
        topic.missed_since = None;
        if topic.state == State::Out {
            self.topics.remove(&name);
        } else {
            self.queue(name);
        }
    }

    /// A new connection counts, and nothing is subscribed on it.
    pub(super) fn begin(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// The connection is lost: so is everything that was subscribed on it.
    pub(super) fn end(&mut self) {
        let generation = std::mem::take(&mut self.generation);
        self.changed.clear();
        self.topics.retain(|_, topic| topic.wanted);
        for (name, topic) in &mut self.topics {
            if topic.state == State::In {
                topic.missed_since.get_or_insert(generation);
            }
            topic.state = State::Out;
            topic.queued = true;
            self.changed.push_back(*name);
        }
    }

    /// Redis has left a topic by itself: its slot is served by another one. It is
    /// not asked for again before [`Wanted::retry`].
    pub(super) fn displaced(&mut self, name: Name) {
        let generation = self.generation;
        if let Some(topic) = self.topics.get_mut(&name) {
            if topic.state == State::In {
                topic.missed_since.get_or_insert(generation);
            }
            topic.state = State::Out;
            if topic.wanted {
                self.displaced = true;
            } else {
                self.topics.remove(&name);
            }
        }
    }

    /// Topics of `asked` that were not confirmed are refused. Whether there are any.
    pub(super) fn refused(&mut self, asked: &[Name]) -> bool {
        let mut any = false;
        for name in asked {
            if self.topics.get(name).is_some_and(|topic| topic.state == State::Joining) {
                self.displaced(*name);
                any = true;
            }
        }
        any
    }

    /// Asks again for what was refused or displaced.
    pub(super) fn retry(&mut self) {
        if !std::mem::take(&mut self.displaced) {
            return;
        }
        let out = |(_, topic): &(&Name, &Topic)| topic.wanted && topic.state == State::Out;
        let all: Vec<_> = self.topics.iter().filter(out).map(|(name, _)| *name).collect();
        for name in all {
            self.queue(name);
        }
    }

    /// Gives away the topics that belong elsewhere.
    pub(super) fn give(&mut self, elsewhere: impl Fn(Name) -> bool) -> Vec<(Name, Topic)> {
        let names: Vec<_> = self.topics.keys().copied().filter(|name| elsewhere(*name)).collect();
        let mut given = Vec::new();
        for name in names {
            self.displaced(name);
            if let Some(topic) = self.topics.remove(&name) {
                given.push((name, Topic { queued: false, ..topic }));
            }
        }
        self.changed.retain(|name| self.topics.contains_key(name));
        given
    }

    /// Takes what another one gave away.
    pub(super) fn take(&mut self, topics: Vec<(Name, Topic)>) {
        for (name, topic) in topics {
            self.topics.insert(name, topic);
            self.queue(name);
        }
    }

    /// Whether this is the connection that counts.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// What to ask of Redis next, at most so many topics. They are being changed
    /// until confirmed, or until the connection ends.
    pub(super) fn changes(&mut self, most: usize) -> Changes {
        let mut changes = Changes::default();
        while changes.subscribe.len() + changes.unsubscribe.len() < most
            && let Some(name) = self.changed.pop_front()
        {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            topic.queued = false;
            match (topic.wanted, topic.state) {
                (true, State::Out) => {
                    topic.state = State::Joining;
                    changes.subscribe.push(name);
                }
                (false, State::In) => {
                    topic.state = State::Leaving;
                    changes.unsubscribe.push(name);
                }
                // As it should be, or looked at again when it is confirmed.
                _ => {}
            }
        }
        changes
    }

    /// Redis says that the topic is subscribed. [`Wanted::tell`] is to follow.
    pub(super) fn subscribed(&mut self, name: Name) -> Confirmed {
        let Some(topic) = self.topics.get_mut(&name) else { return Confirmed::Nothing };
        topic.state = State::In;
        if !topic.wanted {
            self.queue(name);
            return Confirmed::Nothing;
        }
        match (&topic.subject, topic.missed_since.take()) {
            (Subject::Channel(channel), Some(since)) => Confirmed::Gap(channel.clone(), since),
            (Subject::Channel(channel), None) => Confirmed::Fresh(channel.clone()),
            (Subject::Control, _) => Confirmed::Nothing,
        }
    }

    /// Tells those who wait for the topic, if it is subscribed.
    pub(super) fn tell(&mut self, name: Name) {
        if let Some(topic) = self.topics.get_mut(&name)
            && topic.wanted
            && topic.state == State::In
        {
            for waiting in std::mem::take(&mut topic.waiting) {
                // Whoever gave up does not hear it.
                let _ = waiting.send(());
            }
        }
    }

    /// Redis says that the topic is not subscribed any more. `false` if that was
    /// not asked for.
    pub(super) fn unsubscribed(&mut self, name: Name) -> bool {
        let Some(topic) = self.topics.get_mut(&name) else { return false };
        if topic.state != State::Leaving {
            return false;
        }
        topic.state = State::Out;
        if topic.wanted {
            self.queue(name);
        } else {
            self.topics.remove(&name);
        }
        true
    }

    /// What a topic that is wanted is of.
    pub(super) fn subject(&self, name: Name) -> Option<&Subject> {
        self.topics.get(&name).filter(|topic| topic.wanted).map(|topic| &topic.subject)
    }

    /// The channels that are subscribed on the connection that counts.
    pub(super) fn subscribed_channels(&self) -> impl Iterator<Item = &Channel> {
        let are_in = |topic: &&Topic| topic.wanted && topic.state == State::In;
        self.topics.values().filter(are_in).filter_map(|topic| match &topic.subject {
            Subject::Channel(channel) => Some(channel),
            Subject::Control => None,
        })
    }

    fn queue(&mut self, name: Name) {
        if let Some(topic) = self.topics.get_mut(&name)
            && !std::mem::replace(&mut topic.queued, true)
        {
            self.changed.push_back(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::keys::Names;
    use super::*;

    fn room(n: usize) -> (Name, Channel) {
        let channel = Channel::parse(&format!("room-{n}")).unwrap();
        (Names::new(String::new()).channel(&channel), channel)
    }

    fn of(channel: &Channel) -> Subject {
        Subject::Channel(channel.clone())
    }

    fn subscribe(names: &[Name]) -> Changes {
        Changes { subscribe: names.to_vec(), unsubscribe: Vec::new() }
    }

    fn unsubscribe(names: &[Name]) -> Changes {
        Changes { subscribe: Vec::new(), unsubscribe: names.to_vec() }
    }

    #[test]
    fn who_waits_is_told_when_redis_has_confirmed_it() {
        let mut wanted = Wanted::default();
        let (name, channel) = room(1);
        wanted.begin(1);
        let mut first = wanted.want(name, of(&channel)).expect("not yet");
        assert_eq!(wanted.changes(10), subscribe(&[name]));
        let mut second = wanted.want(name, of(&channel)).expect("not yet");
        assert_eq!(wanted.changes(10), Changes::default(), "it was asked for already");
        assert!(first.try_recv().is_err());
        assert_eq!(wanted.subscribed(name), Confirmed::Fresh(channel.clone()));
        assert!(first.try_recv().is_err(), "its tail is opened before");
        wanted.tell(name);
        assert!(first.try_recv().is_ok() && second.try_recv().is_ok());
        assert!(wanted.want(name, of(&channel)).is_none(), "it is subscribed");
        assert_eq!(wanted.subject(name), Some(&of(&channel)));
    }

    #[test]
    fn changes_of_mind_are_asked_for_one_after_the_other() {
        let mut wanted = Wanted::default();
        let (name, channel) = room(1);
        wanted.begin(1);
        drop(wanted.want(name, of(&channel)));
        assert_eq!(wanted.changes(10), subscribe(&[name]));
        wanted.unwant(name);
        assert_eq!(wanted.subject(name), None, "nothing is delivered any more");
        assert_eq!(wanted.changes(10), Changes::default(), "its subscribe is under way");
        assert_eq!(wanted.subscribed(name), Confirmed::Nothing);
        assert_eq!(wanted.changes(10), unsubscribe(&[name]));
        let mut waiting = wanted.want(name, of(&channel)).expect("it is being left");
        assert_eq!(wanted.changes(10), Changes::default());
        assert!(wanted.unsubscribed(name));
        assert_eq!(wanted.changes(10), subscribe(&[name]));
        assert_eq!(wanted.subscribed(name), Confirmed::Fresh(channel.clone()));
        wanted.tell(name);
        assert!(waiting.try_recv().is_ok());
        wanted.unwant(name);
        drop(wanted.want(name, of(&channel)));
        assert_eq!(wanted.changes(10), Changes::default(), "nothing to do after all");
        wanted.unwant(name);
        assert_eq!(wanted.changes(10), unsubscribe(&[name]));
        assert!(wanted.unsubscribed(name));
        assert!(wanted.topics.is_empty(), "and nothing is left of it");
    }

    #[test]
    fn after_a_loss_everything_is_subscribed_again_and_has_a_gap_once() {
        let mut wanted = Wanted::default();
        let rooms: Vec<_> = (0..5).map(room).collect();
        wanted.begin(1);
        for (name, channel) in &rooms {
            drop(wanted.want(*name, of(channel)));
        }
        assert_eq!(wanted.changes(3).subscribe.len(), 3, "in batches");
        assert_eq!(wanted.changes(3).subscribe.len(), 2);
        for (name, channel) in &rooms[..4] {
            assert_eq!(wanted.subscribed(*name), Confirmed::Fresh(channel.clone()));
        }
        wanted.unwant(rooms[0].0);
        wanted.end();
        assert!(!wanted.is_current(1));
        wanted.unwant(rooms[1].0);
        // Lost once more before anything was confirmed.
        for generation in [2, 3] {
            wanted.begin(generation);
            assert_eq!(wanted.changes(10).subscribe.len(), 3);
            if generation == 2 {
                wanted.end();
            }
        }
        let told = |at: usize| Confirmed::Gap(rooms[at].1.clone(), 1);
        assert_eq!(wanted.subscribed(rooms[2].0), told(2));
        assert_eq!(wanted.subscribed(rooms[3].0), told(3));
        let fresh = Confirmed::Fresh(rooms[4].1.clone());
        assert_eq!(wanted.subscribed(rooms[4].0), fresh, "it never was before");
        assert_eq!(wanted.subscribed(rooms[1].0), Confirmed::Nothing);
        wanted.end();
        wanted.begin(4);
        assert_eq!(wanted.changes(10).subscribe.len(), 3);
        assert_eq!(wanted.subscribed(rooms[2].0), Confirmed::Gap(rooms[2].1.clone(), 3));
    }

    #[test]
    fn leaving_that_was_not_asked_for_is_noticed() {
        let mut wanted = Wanted::default();
        let (name, channel) = room(1);
        wanted.begin(1);
        drop(wanted.want(name, of(&channel)));
        wanted.changes(1);
        wanted.subscribed(name);
        assert!(!wanted.unsubscribed(name));
    }
}
