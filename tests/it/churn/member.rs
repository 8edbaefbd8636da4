//! One client of the crowd, through all its connections: it does random things
//! and notes what it sees.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_client::codec::Event;
use sealcast_client::{Connection, Error, Options};
use sealcast_wire::command::{Publish, Subscribe};
use sealcast_wire::{Body, Command, Data, ErrorCode, Reply, Request, reply};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::checker::{Id, Log, Published, Subscription};
use crate::support::PATIENCE;

/// Most channels that one client subscribes to at the same time.
const MOST_CHANNELS: usize = 4;

/// The run's logical clock.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What one client has to tell at the end.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) log: Log,
    pub(crate) connections: usize,
    pub(crate) drops: usize,
    /// Refused with "internal", which the node may do when it has too much to do.
    pub(crate) refused: usize,
}

impl Story {
    pub(crate) fn add(&mut self, other: Story) {
        self.log.published.extend(other.log.published);
        self.log.subscriptions.extend(other.log.subscriptions);
        self.log.strays.extend(other.log.strays);
        self.connections += other.connections;
        self.drops += other.drops;
        self.refused += other.refused;
    }
}

pub(crate) struct Member<'a> {
    number: usize,
    options: Options,
    channels: &'a [String],
    /// How many of them, the first, are busy.
    busy: usize,
    clock: &'a Clock,
    random: StdRng,
    connection: Option<Connection>,
    /// The subscriptions that stand, as places in the story.
    subscriptions: BTreeMap<usize, usize>,
    pending: HashMap<u32, Pending>,
    last_command: u32,
    last_id: Id,
    story: Story,
}

/// A command that was not answered yet.
enum Pending {
    Subscribe(usize),
    Unsubscribe(usize),
    Publish(Id),
}

impl<'a> Member<'a> {
    pub(crate) fn new(
        number: usize,
        seed: u64,
        options: Options,
        channels: &'a [String],
        busy: usize,
        clock: &'a Clock,
    ) -> Member<'a> {
        Member {
            number,
            options,
            channels,
            busy,
            clock,
            random: StdRng::seed_from_u64(seed << 32 | number as u64),
            connection: None,
            subscriptions: BTreeMap::new(),
            pending: HashMap::new(),
            last_command: 1,
            last_id: number as Id * 1_000_000,
            story: Story::default(),
        }
    }

    /// Does `actions` random things; a steady member subscribes first and then
    /// only publishes.
    pub(crate) async fn live(&mut self, actions: usize, steady: bool) {
        if steady {
            self.settle(2).await;
        }
        for _ in 0..actions {
            let pause = Duration::from_millis(self.random.random_range(0..60));
            self.listen(pause).await;
            match self.random.random_range(0..100) {
                _ if self.connection.is_none() => self.connect().await,
                0..45 => self.publish().await,
                _ if steady => {}
                45..70 => self.subscribe().await,
                70..80 => self.unsubscribe().await,
                80..90 => self.vanish().await,
                _ => {}
            }
        }
    }

    /// Comes back if it is away, subscribes to `least` channels at least, and
    /// waits for every answer.
    pub(crate) async fn settle(&mut self, least: usize) {
        let deadline = Instant::now() + PATIENCE;
        if self.connection.is_none() {
            self.connect().await;
        }
        while self.subscriptions.len() < least || !self.pending.is_empty() {
            assert!(Instant::now() < deadline, "client {}: no answer", self.number);
            while self.pending.is_empty() {
                self.subscribe().await;
            }
            self.next(deadline).await;
        }
    }

    /// Listens until the last publication of each of its channels has come, which
    /// is `last` and the channel's number, or that takes too long; tells its story.
    pub(crate) async fn listen_out(mut self, last: Id) -> Story {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.is_through(last) {
            self.next(deadline).await;
        }
        for at in self.subscriptions.values() {
            self.story.log.subscriptions[*at].held = true;
        }
        self.story
    }

    async fn connect(&mut self) {
        let mut connection = Connection::open(&self.options).await.unwrap();
        connection.connect(&self.options).await.unwrap();
        self.connection = Some(connection);
        self.story.connections += 1;
    }

    async fn publish(&mut self) {
        let count = self.random.random_range(1..=4);
        let mut all = Vec::new();
        for _ in 0..count {
            let channel = self.channel();
            self.last_id += 1;
            let published = Published {
                channel,
                connection: self.number * 1_000 + self.story.connections,
                sent: self.clock.tick(),
                acked: false,
            };
            self.story.log.published.insert(self.last_id, published);
            all.push((channel, self.last_id, self.last_id.to_string()));
        }
        let mut commands = Vec::new();
        for (channel, id, data) in &all {
            let command = self.id(Pending::Publish(*id));
            let data = Some(match self.options.encoding {
                sealcast_wire::Encoding::Json => Data::Json(data.as_bytes()),
                sealcast_wire::Encoding::Protobuf => Data::Opaque(data.as_bytes()),
            });
            let channel = self.channels[*channel].as_str().into();
            let request = Request::Publish(Publish { channel, data, ..Publish::default() });
            commands.push(Command { id: command, request });
        }
        self.connection.as_mut().unwrap().send_all(&commands).await.unwrap();
    }

    async fn subscribe(&mut self) {
        let channel = self.channel();
        if self.subscriptions.len() >= MOST_CHANNELS || self.is_busy(channel) {
            return;
        }
        if !self.subscriptions.contains_key(&channel) {
            let name = self.channels[channel].as_str().into();
            let request = Subscribe { channel: name, ..Subscribe::default() };
            self.send(Pending::Subscribe(channel), Request::Subscribe(Box::new(request))).await;
        }
    }

    async fn unsubscribe(&mut self) {
        let Some(&channel) = self.subscriptions.keys().next() else { return };
        if !self.is_busy(channel) {
            let name = self.channels[channel].as_str().into();
            self.send(Pending::Unsubscribe(channel), Request::Unsubscribe { channel: name }).await;
        }
    }

    /// Drops the connection without a word, in one of the ways in which it happens.
    async fn vanish(&mut self) {
        if self.random.random_bool(0.3) {
            self.publish().await;
        }
        let mut stream = self.connection.take().unwrap().into_stream();
        if self.random.random_bool(0.3) {
            // Half a frame: a text of 16 bytes, masked, of which four come.
            stream.write_all(&[0x81, 0x90, 1, 2, 3, 4, 5, 6, 7, 8]).await.unwrap();
        }
        if self.random.random_bool(0.5) {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
        self.subscriptions.clear();
        self.pending.clear();
        self.story.drops += 1;
    }

    fn is_through(&self, last: Id) -> bool {
        self.subscriptions.iter().all(|(channel, at)| {
            self.story.log.subscriptions[*at].received.last() == Some(&(last + *channel as Id))
        })
    }

    /// Takes in what comes within a time.
    pub(crate) async fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.next(until).await;
        }
    }

    /// Takes in the next thing that comes before a time.
    async fn next(&mut self, until: Instant) {
        let Some(connection) = &mut self.connection else {
            return tokio::time::sleep_until(until).await;
        };
        match connection.next(until - Instant::now()).await {
            Ok(Event::Reply(reply)) => self.take(reply),
            Ok(Event::Ping) | Err(Error::Timeout) => {}
            other => panic!("client {}: {other:?}", self.number),
        }
    }

    fn take(&mut self, reply: Reply) {
        if let Body::Push(push) = reply.body {
            let reply::Event::Publication(publication) = push.event else {
                panic!("client {}: {:?}", self.number, push.event)
            };
            let channel = self.channels.iter().position(|name| *name == *push.channel).unwrap();
            let id = std::str::from_utf8(&publication.data).unwrap().parse().unwrap();
            match self.subscriptions.get(&channel) {
                Some(at) => self.story.log.subscriptions[*at].received.push(id),
                None => self.story.log.strays.push((self.number, channel, id)),
            }
            return;
        }
        match (self.pending.remove(&reply.id), reply.body) {
            (Some(Pending::Publish(id)), Body::Publish) => {
                self.story.log.published.get_mut(&id).unwrap().acked = true;
            }
            (Some(Pending::Subscribe(channel)), Body::Subscribe(_)) => {
                self.subscriptions.insert(channel, self.story.log.subscriptions.len());
                self.story.log.subscriptions.push(Subscription {
                    client: self.number,
                    channel,
                    since: self.clock.tick(),
                    held: false,
                    received: Vec::new(),
                });
            }
            (Some(Pending::Unsubscribe(channel)), Body::Unsubscribe) => {
                self.subscriptions.remove(&channel);
            }
            (Some(Pending::Publish(_) | Pending::Subscribe(_)), Body::Error(error))
                if error.code == ErrorCode::Internal.code() =>
            {
                self.story.refused += 1;
            }
            (_, body) => panic!("client {}: {body:?}", self.number),
        }
    }

    /// Mostly a busy one.
    fn channel(&mut self) -> usize {
        if self.random.random_bool(0.95) {
            self.random.random_range(..self.busy)
        } else {
            self.random.random_range(self.busy..self.channels.len())
        }
    }

    /// Whether a command about the subscription to a channel is under way.
    fn is_busy(&self, wanted: usize) -> bool {
        self.pending.values().any(|pending| match pending {
            Pending::Subscribe(channel) | Pending::Unsubscribe(channel) => *channel == wanted,
            Pending::Publish(_) => false,
        })
    }

    async fn send(&mut self, pending: Pending, request: Request<'_>) {
        let id = self.id(pending);
        self.connection.as_mut().unwrap().send(Command { id, request }).await.unwrap();
    }

    fn id(&mut self, pending: Pending) -> u32 {
        self.last_command += 1;
        self.pending.insert(self.last_command, pending);
        self.last_command
    }
}
