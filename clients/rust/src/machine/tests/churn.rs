//! Random lives against a model of a server, by many seeds: publications come in
//! order, each once, without a hole that is not told; calls are sent at most once
//! and end as it is.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_wire::{Body, Publication, Reply, reply};

use super::*;

const STEPS: usize = 600;
/// How many publications the server keeps.
const KEPT: u64 = 25;

/// What the server holds, and what it has on the way to the client.
#[derive(Default)]
struct Server {
    /// Of the stream; publications carry their offset as payload.
    top: u64,
    connected: bool,
    subscribed: bool,
    replies: VecDeque<Reply>,
    /// Calls, by id, and how often each came.
    calls: BTreeMap<u32, usize>,
}

impl Server {
    fn publish(&mut self) {
        self.top += 1;
        if self.subscribed {
            let publication = publication(self.top);
            let event = reply::Event::Publication(publication);
            self.replies.push_back(Reply::push("c1".into(), event));
        }
    }

    fn hear(&mut self, id: u32, request: &serde_json::Value, random: &mut StdRng) {
        let body = if request.get("connect").is_some() {
            self.connected = true;
            let client = "x".to_owned();
            Body::Connect(Box::new(reply::ConnectResult { client, ..Default::default() }))
        } else if let Some(subscribe) = request.get("subscribe") {
            assert!(!self.subscribed, "already subscribed");
            if random.random_bool(0.1) {
                Body::Error(sealcast_wire::ErrorCode::Internal.into())
            } else {
                self.subscribed = true;
                Body::Subscribe(Box::new(self.subscribe(subscribe)))
            }
        } else if request.get("unsubscribe").is_some() {
            self.subscribed = false;
            Body::Unsubscribe
        } else {
            *self.calls.entry(id).or_default() += 1;
            Body::Presence(BTreeMap::new())
        };
        self.replies.push_back(Reply { id, body });
    }

    fn subscribe(&self, request: &serde_json::Value) -> reply::SubscribeResult {
        let mut result = reply::SubscribeResult {
            recoverable: true,
            epoch: "e".into(),
            offset: self.top,
            was_recovering: request.get("recover").is_some(),
            ..reply::SubscribeResult::default()
        };
        let from = request.get("offset").map_or(0, |it| it.as_u64().unwrap());
        if result.was_recovering && self.top - from <= KEPT {
            result.recovered = true;
            result.offset = from;
            result.publications = (from + 1..=self.top).map(publication).collect();
        }
        result
    }

    fn gone(&mut self) {
        (self.connected, self.subscribed) = (false, false);
        self.replies.clear();
    }
}

fn publication(offset: u64) -> Publication {
    Publication { data: offset.to_string().into(), offset, ..Publication::default() }
}

/// What the application knows.
#[derive(Default)]
struct Application {
    /// The last offset that it got or was told to go on from.
    at: Option<u64>,
    subscribed: bool,
    holes: usize,
    recovered: usize,
}

impl Application {
    fn take(&mut self, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::Subscribed(it) => {
                assert!(!self.subscribed, "told twice");
                self.subscribed = true;
                let offset = it.position.unwrap().offset;
                if it.recovered {
                    assert_eq!(self.at, Some(offset), "goes on where it was");
                    self.recovered += 1;
                } else {
                    assert_eq!(it.was_recovering, self.at.is_some());
                    self.holes += usize::from(it.was_recovering);
                    self.at = Some(offset);
                }
            }
            SubscriptionEvent::Publication(publication) => {
                assert!(self.subscribed);
                assert_eq!(
                    Some(publication.offset),
                    self.at.map(|at| at + 1),
                    "no hole, none twice"
                );
                self.at = Some(publication.offset);
            }
            SubscriptionEvent::Subscribing(_) | SubscriptionEvent::Unsubscribed(_) => {
                self.subscribed = false;
            }
            SubscriptionEvent::Error(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

struct Life {
    rig: Rig,
    random: StdRng,
    server: Server,
    application: Application,
    /// The connection that the machine is waiting for.
    opening: Option<u64>,
    calls: Vec<(u32, oneshot::Receiver<Result<sealcast_wire::Body, CallError>>)>,
    ended: usize,
}

impl Life {
    fn live(seed: u64) -> Life {
        let mut rig = Rig::seeded(settings(), seed);
        rig.subscribe(A, &recoverable());
        rig.machine.connect();
        let mut life = Life {
            rig,
            random: StdRng::seed_from_u64(seed),
            server: Server::default(),
            application: Application::default(),
            opening: None,
            calls: Vec::new(),
            ended: 0,
        };
        for _ in 0..STEPS {
            life.step();
            life.settle();
        }
        life
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..25 => self.server.publish(),
            25..60 => self.deliver(),
            60..72 => self.open(),
            72..80 => {
                let time = Duration::from_millis(self.random.random_range(0..1500));
                self.rig.pass(time);
            }
            80..86 => {
                let call = self.rig.publish(None, 1);
                // The number is the next before this one was taken.
                let id = self.rig.ids.next() - 1;
                self.calls.push((id, call));
            }
            86..89 => self.cut(),
            89..91 if self.server.subscribed => {
                self.server.subscribed = false;
                let why = sealcast_wire::Unsubscribed::InsufficientState;
                self.server.replies.push_back(Reply::push("c1".into(), why.into()));
            }
            91..93 => self.rig.machine.unsubscribe(self.rig.now, A),
            93..97 => self.rig.subscribe(A, &recoverable()),
            97 => self.rig.machine.disconnect(),
            _ => self.rig.machine.connect(),
        }
    }

    fn open(&mut self) {
        if let Some(number) = self.opening.take() {
            if self.random.random_bool(0.3) {
                let loss = Loss::NotOpened("no".into(), Duration::ZERO);
                self.rig.machine.lost(self.rig.now, number, loss);
            } else {
                self.rig.machine.opened(self.rig.now, number);
            }
        }
    }

    fn cut(&mut self) {
        if self.server.connected {
            self.server.gone();
            self.rig.lose(Loss::Ended);
        }
    }

    /// One reply arrives.
    fn deliver(&mut self) {
        if let Some(reply) = self.server.replies.pop_front() {
            self.rig.machine.reply(self.rig.now, reply);
            while self.rig.machine.hand_out(self.rig.now) {}
        }
    }

    /// Does what the machine wants, and looks at what it tells.
    fn settle(&mut self) {
        self.rig.machine.elapse(self.rig.now);
        self.rig.collect();
        for output in std::mem::take(&mut self.rig.outputs) {
            match output {
                Output::Open(number) => self.opening = Some(number),
                Output::Close => {
                    self.opening = None;
                    self.server.gone();
                    self.rig.frames.clear();
                }
                Output::SubscriptionEvent(_, event) => self.application.take(event),
                Output::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
        for (id, request) in self.rig.sent() {
            let request = serde_json::from_str(&request).unwrap();
            self.server.hear(id, &request, &mut self.random);
        }
        let Life { calls, server, ended, .. } = self;
        calls.retain_mut(|(id, call)| {
            let came = server.calls.get(id).copied().unwrap_or(0);
            assert!(came <= 1, "sent twice");
            let Ok(outcome) = call.try_recv() else { return true };
            *ended += 1;
            match outcome {
                Ok(_) => assert_eq!(came, 1),
                Err(CallError::Timeout | CallError::Unanswered) => {}
                Err(_) => assert_eq!(came, 0, "it was not to be sent: {outcome:?}"),
            }
            false
        });
    }
}

#[test]
fn random_lives() {
    let (mut holes, mut recovered, mut ended) = (0, 0, 0);
    for seed in 0..300 {
        let mut life = Life::live(seed);
        // In the end all is well, and so is the client.
        life.rig.machine.connect();
        life.rig.subscribe(A, &recoverable());
        for _ in 0..100 {
            life.rig.pass(Duration::from_millis(700));
            life.settle();
            if let Some(number) = life.opening.take() {
                life.rig.machine.opened(life.rig.now, number);
            }
            life.settle();
            while !life.server.replies.is_empty() {
                life.deliver();
                life.settle();
            }
        }
        assert!(life.application.subscribed, "seed {seed}");
        assert_eq!(life.application.at, Some(life.server.top), "seed {seed}");
        assert!(life.calls.is_empty(), "seed {seed}: every call ends");
        holes += life.application.holes;
        recovered += life.application.recovered;
        ended += life.ended;
    }
    assert!(holes > 100 && recovered > 1000 && ended > 1000, "{holes} {recovered} {ended}");
}
