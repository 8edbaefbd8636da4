//! One client of the crowd: it drops, comes back, recovers, and holds the node to
//! what it was told.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_client::codec::Event;
use sealcast_client::{Connection, Error, Options};
use sealcast_wire::command::Subscribe;
use sealcast_wire::reply::{Event as Push, SubscribeResult};
use sealcast_wire::{Body, Command, Publication, Reply, Request};
use tokio::sync::watch;
use tokio::time::Instant;

use super::churn::{LONG, Tops, is_roomy, name};

/// What a client has to tell at the end.
#[derive(Default)]
pub(super) struct Story {
    /// Channel, offset, and what it was.
    pub(super) received: Vec<(usize, u64, u64)>,
    pub(super) drops: usize,
    pub(super) recovered: usize,
    /// Publications that recoveries brought.
    pub(super) brought_back: usize,
    /// Recoveries that failed, and said so.
    pub(super) told: usize,
}

pub(super) struct Member {
    number: usize,
    options: Options,
    /// Each with the position up to which the client has everything.
    channels: BTreeMap<usize, Option<Position>>,
    over: watch::Receiver<Tops>,
    random: StdRng,
    connection: Option<Connection>,
    story: Story,
}

struct Position {
    offset: u64,
    epoch: String,
    /// Its subscribe was answered; nothing may come before.
    live: bool,
}

impl Member {
    pub(super) fn new(
        number: usize,
        seed: u64,
        options: Options,
        channels: Vec<usize>,
        over: watch::Receiver<Tops>,
    ) -> Member {
        Member {
            number,
            options,
            channels: channels.into_iter().map(|channel| (channel, None)).collect(),
            over,
            random: StdRng::seed_from_u64((seed << 32) | (number as u64 & 0xffff_ffff)),
            connection: None,
            story: Story::default(),
        }
    }

    /// Drops and comes back until nobody publishes any more, and then stays until
    /// it has everything.
    pub(super) async fn live(mut self) -> Story {
        while self.over.borrow().is_none() {
            if self.connection.is_none() {
                self.come_back().await;
            }
            let time = Duration::from_millis(self.random.random_range(0..300));
            self.listen(Instant::now() + time).await;
            if self.random.random_bool(0.7) {
                self.drop_off();
                let away = Duration::from_millis(self.random.random_range(0..250));
                tokio::time::sleep(away).await;
            }
        }
        if self.connection.is_none() {
            self.come_back().await;
        }
        self.stay().await
    }

    /// Listens until it has everything.
    pub(super) async fn stay(mut self) -> Story {
        let tops = loop {
            let tops = self.over.borrow().clone();
            if let Some(tops) = tops {
                break tops;
            }
            self.listen(Instant::now() + Duration::from_millis(20)).await;
        };
        let deadline = Instant::now() + LONG;
        while !self.has_everything(&tops) {
            assert!(Instant::now() < deadline, "client {}: not at the top in time", self.number);
            self.next(deadline).await;
        }
        self.story
    }

    /// Connects, and subscribes with the positions it has, all in one frame.
    pub(super) async fn come_back(&mut self) {
        let mut connection = Connection::open(&self.options).await.unwrap();
        connection.connect(&self.options).await.unwrap();
        self.connection = Some(connection);
        let channels: Vec<usize> = self.channels.keys().copied().collect();
        self.subscribe(&channels).await;
    }

    async fn subscribe(&mut self, channels: &[usize]) {
        let commands: Vec<Command<'_>> = channels
            .iter()
            .map(|channel| {
                let had = self.channels[channel].as_ref();
                let request = Subscribe {
                    channel: name(*channel).into(),
                    recover: had.is_some(),
                    recoverable: true,
                    offset: had.map_or(0, |had| had.offset),
                    epoch: had.map(|had| had.epoch.clone()).unwrap_or_default().into(),
                    ..Subscribe::default()
                };
                Command { id: id(*channel), request: Request::Subscribe(Box::new(request)) }
            })
            .collect();
        self.connection.as_mut().unwrap().send_all(&commands).await.unwrap();
    }

    fn drop_off(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let stream = connection.into_stream();
        if self.random.random_bool(0.5) {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
        self.story.drops += 1;
        self.channels.values_mut().flatten().for_each(|position| position.live = false);
    }

    async fn listen(&mut self, until: Instant) {
        while Instant::now() < until {
            self.next(until).await;
        }
    }

    async fn next(&mut self, until: Instant) {
        let within = until.saturating_duration_since(Instant::now());
        match self.connection.as_mut().unwrap().next(within).await {
            Ok(Event::Reply(reply)) => self.take(reply).await,
            Ok(Event::Ping) | Err(Error::Timeout) => {}
            other => panic!("client {}: {other:?}", self.number),
        }
    }

    async fn take(&mut self, reply: Reply) {
        match reply.body {
            Body::Subscribe(result) => self.subscribed((reply.id - id(0)) as usize, *result),
            Body::Push(push) => {
                let all = &self.channels;
                let channel = all.keys().copied().find(|one| name(*one) == *push.channel).unwrap();
                match push.event {
                    Push::Publication(publication) => self.received(channel, &publication),
                    // It is told, and asks for what it misses.
                    Push::Unsubscribe { code: 2500, .. } => {
                        self.subscribe(&[channel]).await;
                    }
                    other => panic!("client {}: {other:?}", self.number),
                }
            }
            other => panic!("client {}: {other:?}", self.number),
        }
    }

    fn subscribed(&mut self, channel: usize, result: SubscribeResult) {
        let had = self.channels.get_mut(&channel).unwrap();
        assert_eq!(result.was_recovering, had.is_some());
        assert!(result.recoverable && result.positioned);
        let (offset, epoch) = (result.offset, result.epoch);
        match had {
            Some(had) if result.recovered => {
                assert_eq!((offset, &epoch), (had.offset, &had.epoch), "goes on where it was");
                had.live = true;
                self.story.recovered += 1;
                self.story.brought_back += result.publications.len();
                for publication in &result.publications {
                    self.received(channel, publication);
                }
                return;
            }
            Some(had) => {
                assert!(!is_roomy(channel), "client {}: nothing was gone", self.number);
                assert!(offset > had.offset, "client {}: nothing was missed", self.number);
                assert_eq!(result.publications, []);
                self.story.told += 1;
            }
            None => {}
        }
        *had = Some(Position { offset, epoch, live: true });
    }

    fn received(&mut self, channel: usize, publication: &Publication) {
        let number = self.number;
        let position = self.channels.get_mut(&channel).unwrap().as_mut();
        let position = position.filter(|position| position.live);
        let position = position.unwrap_or_else(|| panic!("client {number}: before the reply"));
        let place = name(channel);
        assert_eq!(publication.offset, position.offset + 1, "client {number} in {place}");
        position.offset = publication.offset;
        let id = std::str::from_utf8(&publication.data).unwrap().parse().unwrap();
        self.story.received.push((channel, publication.offset, id));
    }

    fn has_everything(&self, tops: &[u64]) -> bool {
        self.channels.iter().all(|(channel, position)| {
            position.as_ref().is_some_and(|at| at.live && at.offset == tops[*channel])
        })
    }
}

/// The id of a subscribe to a channel.
fn id(channel: usize) -> u32 {
    channel as u32 + 2
}
