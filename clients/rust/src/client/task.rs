//! The one task that drives a client: between the machine, the connection and
//! the application.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::events::Sink;
use super::fetches::{Answer, Fetches};
use super::link::{Heard, Link};
use super::place::Place;
use crate::machine::{Call, Fetch, Loss, Machine, Moment, Output, SubscriptionId, Ticket};
use crate::transport::{self, Stream};
use crate::{Cause, Config, Connection, Error, Event, State, SubscriptionEvent};

/// How many calls may wait for their replies; more wait for their turn.
const MAX_CALLS: usize = 1024;

/// How many asks are taken before anything else has its turn.
const MAX_AT_ONCE: usize = 64;

/// How many connections are closed politely at a time; others are cut.
const MAX_FAREWELLS: usize = 8;

/// What the subscriptions of a client are told that is dropped.
const CLIENT_CLOSED: Cause = Cause::new(2, "client closed");

/// What the application asks of the task.
pub(super) enum Ask {
    Connect,
    Disconnect,
    Subscribe(Arc<Place>),
    Unsubscribe(SubscriptionId),
    Remove(SubscriptionId),
    Call(Call),
}

/// An event that the application has no room for yet.
enum Told {
    Client(Event),
    Subscription(Arc<Place>, SubscriptionEvent),
}

type Opening = Pin<Box<dyn Future<Output = Result<Connection<Box<dyn Stream>>, Error>> + Send>>;

pub(super) struct Task {
    config: Config,
    machine: Machine,
    /// Moments count from here.
    start: Instant,
    asks: mpsc::Receiver<Ask>,
    /// One that has to wait until the application takes its events.
    held: Option<Ask>,
    /// Ends when the application drops the client.
    alive: oneshot::Receiver<Infallible>,
    state: watch::Sender<State>,
    sink: Sink<Event>,
    places: HashMap<SubscriptionId, Arc<Place>>,
    /// Events of one step of the machine, at most, that wait for room.
    backlog: VecDeque<Told>,
    opening: Option<(u64, Opening)>,
    link: Option<Link>,
    fetches: Fetches,
    farewells: JoinSet<()>,
}

/// The ends that the client's handles do not have.
pub(super) struct Ends {
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) alive: oneshot::Receiver<Infallible>,
    pub(super) state: watch::Sender<State>,
    pub(super) sink: Sink<Event>,
}

/// What the task woke up for.
enum Woken {
    Dropped,
    Asked(Option<Ask>),
    Opened(u64, Result<Connection<Box<dyn Stream>>, Error>),
    Exchanged,
    Fetched(Ticket, Fetch, Answer),
    Delivered,
    Due,
}

impl Task {
    pub(super) fn new(config: Config, machine: Machine, ends: Ends) -> Task {
        let Ends { asks, alive, state, sink } = ends;
        Task {
            config,
            machine,
            start: Instant::now(),
            asks,
            held: None,
            alive,
            state,
            sink,
            places: HashMap::new(),
            backlog: VecDeque::new(),
            opening: None,
            link: None,
            fetches: Fetches::default(),
            farewells: JoinSet::new(),
        }
    }

    /// Runs until the client is dropped.
    pub(super) async fn run(mut self) {
        loop {
            self.settle();
            match self.wake().await {
                Woken::Dropped | Woken::Asked(None) => break,
                Woken::Asked(Some(ask)) => self.take(ask),
                Woken::Opened(number, opened) => self.opened(number, opened),
                Woken::Delivered => self.delivered(),
                Woken::Exchanged | Woken::Due => {}
                Woken::Fetched(ticket, what, answer) => self.fetched(ticket, what, answer),
            }
            let now = self.now();
            if self.backlog.is_empty() {
                self.machine.elapse(now);
            } else {
                self.machine.expire_calls(now);
            }
        }
        self.finish().await;
    }

    /// Waits for the next thing to do. While the application does not take its
    /// events, that is to deliver them, to send what is to be sent, and to end
    /// calls whose time is over; whatever could bring further events waits.
    async fn wake(&mut self) -> Woken {
        let flows = self.backlog.is_empty();
        let takes = self.takes_asks();
        let deadline = if flows { self.machine.deadline() } else { self.machine.calls_deadline() };
        let deadline = deadline.and_then(|moment| self.start.checked_add(moment));
        tokio::select! {
            _ = &mut self.alive => Woken::Dropped,
            ask = self.asks.recv(), if takes => Woken::Asked(ask),
            (number, opened) = open(&mut self.opening), if flows => {
                self.opening = None;
                Woken::Opened(number, opened)
            }
            heard = exchange(&mut self.link, flows) => {
                if heard {
                    self.machine.heard(self.start.elapsed());
                }
                Woken::Exchanged
            }
            (ticket, what, answer) = self.fetches.next(), if flows => {
                Woken::Fetched(ticket, what, answer)
            }
            () = deliver(&self.sink, &mut self.backlog), if !flows => Woken::Delivered,
            () = sleep_until(deadline.unwrap_or(self.start)), if deadline.is_some() => Woken::Due,
            Some(_) = self.farewells.join_next() => Woken::Due,
        }
    }

    fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// Does all that can be done without waiting.
    fn settle(&mut self) {
        loop {
            self.perform();
            if !self.backlog.is_empty() {
                return;
            }
            let now = self.now();
            if self.machine.hand_out(now) {
                continue;
            }
            if let Some(link) = &mut self.link
                && let Some(heard) = link.next()
            {
                match heard {
                    Heard::Reply(reply) => self.machine.reply(now, reply),
                    Heard::Lost(loss) => {
                        let number = link.number;
                        self.machine.lost(now, number, loss);
                    }
                }
            } else if let Some(ask) = self.held.take() {
                self.take(ask);
            } else {
                return;
            }
        }
    }

    /// Does what the machine wants.
    fn perform(&mut self) {
        while let Some(output) = self.machine.next_output() {
            match output {
                Output::Open(number) => {
                    let opening = Box::pin(transport::open(self.config.clone()));
                    self.opening = Some((number, opening));
                }
                Output::Close => {
                    self.opening = None;
                    self.leave();
                }
                Output::Fetch(ticket, what) => self.fetch(ticket, what),
                Output::Abandon(ticket) => self.fetches.abandon(ticket),
                Output::Event(event) => {
                    self.follow(&event);
                    self.tell(Told::Client(event));
                }
                Output::SubscriptionEvent(id, event) => {
                    if let Some(place) = self.places.get(&id) {
                        place.follow(&event);
                        self.tell(Told::Subscription(Arc::clone(place), event));
                    }
                }
            }
        }
        while let Some(frame) = self.machine.next_frame() {
            if let Some(link) = &mut self.link {
                link.put(&frame);
            }
        }
    }

    /// Takes what the application asks; several at once, so that their commands
    /// share a frame.
    fn take(&mut self, ask: Ask) {
        let mut next = Some(ask);
        for _ in 0..MAX_AT_ONCE {
            let Some(ask) = next else { return };
            let now = self.now();
            match ask {
                Ask::Call(call) => self.machine.call(now, call),
                // These bring events.
                ask if !self.backlog.is_empty() => {
                    self.held = Some(ask);
                    return;
                }
                Ask::Connect => self.machine.connect(),
                Ask::Disconnect => {
                    self.perform();
                    self.machine.disconnect();
                }
                Ask::Subscribe(place) => {
                    self.machine.subscribe(now, place.id, &place.channel, &place.terms);
                    self.places.insert(place.id, place);
                }
                Ask::Unsubscribe(id) => self.machine.unsubscribe(now, id),
                Ask::Remove(id) => {
                    self.machine.remove(now, id);
                    self.perform();
                    self.places.remove(&id);
                }
            }
            let takes = self.takes_asks();
            next = if takes { self.asks.try_recv().ok() } else { None };
        }
        self.held = next;
    }

    fn takes_asks(&self) -> bool {
        let has_room = self.link.as_ref().is_none_or(Link::has_room);
        self.held.is_none() && has_room && self.machine.calls_under_way() < MAX_CALLS
    }

    fn opened(&mut self, number: u64, opened: Result<Connection<Box<dyn Stream>>, Error>) {
        let now = self.now();
        match opened {
            Ok(connection) => {
                self.link = Some(Link::new(number, connection));
                self.machine.opened(now, number);
            }
            Err(error) => {
                let asked = match &error {
                    Error::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                self.machine.lost(now, number, Loss::NotOpened(error.to_string(), asked));
            }
        }
    }

    fn fetch(&mut self, ticket: Ticket, what: Fetch) {
        let place = |id| self.places.get(&id);
        match what {
            Fetch::ConnectionToken => {
                let source = self.config.token_source.clone();
                self.fetches.ask_for_token(ticket, what, source, String::new());
            }
            Fetch::SubscriptionToken(id) => {
                let source = place(id).and_then(|it| it.token_source.clone());
                let channel = place(id).map_or(String::new(), |it| it.channel.to_string());
                self.fetches.ask_for_token(ticket, what, source, channel);
            }
            Fetch::State(id) => {
                let source = place(id).and_then(|it| it.state_source.clone());
                let channel = place(id).map_or(String::new(), |it| it.channel.to_string());
                self.fetches.ask_for_state(ticket, what, source, channel);
            }
        }
    }

    fn fetched(&mut self, ticket: Ticket, what: Fetch, answer: Answer) {
        let now = self.now();
        match (what, answer) {
            (Fetch::State(id), Answer::State(state)) => self.machine.state(now, ticket, id, state),
            (what, Answer::Token(token)) => self.machine.token(now, ticket, what, token),
            (_, Answer::State(_)) => {}
        }
    }

    /// Shows the state that an event leads to.
    fn follow(&self, event: &Event) {
        let state = match event {
            Event::Connecting(_) => State::Connecting,
            Event::Connected(_) => State::Connected,
            Event::Disconnected(_) => State::Disconnected,
            _ => return,
        };
        self.state.send_replace(state);
    }

    /// Tells the application, now or as soon as there is room. Order is kept over
    /// all streams.
    fn tell(&mut self, told: Told) {
        let kept = match told {
            told if !self.backlog.is_empty() => Some(told),
            Told::Client(event) => self.sink.offer(event).err().map(Told::Client),
            Told::Subscription(place, event) => {
                let refused = place.sink.offer(event).err();
                refused.map(|event| Told::Subscription(place, event))
            }
        };
        self.backlog.extend(kept);
    }

    /// One event of the backlog is handed over; there may be room for more.
    fn delivered(&mut self) {
        for told in std::mem::take(&mut self.backlog) {
            self.tell(told);
        }
        if self.backlog.is_empty() {
            let now = self.now();
            self.machine.resumed(now);
        }
    }

    fn leave(&mut self) {
        if let Some(link) = self.link.take()
            && self.farewells.len() < MAX_FAREWELLS
        {
            self.farewells.spawn(link.leave());
        }
    }

    async fn finish(mut self) {
        self.state.send_replace(State::Disconnected);
        for place in self.places.values() {
            if *place.state.borrow() != crate::SubscriptionState::Unsubscribed {
                let event = SubscriptionEvent::Unsubscribed(CLIENT_CLOSED);
                place.follow(&event);
                // Nobody may be reading any more.
                let _ = place.sink.offer(event);
            }
        }
        self.perform();
        self.leave();
        let Task { farewells, .. } = self;
        farewells.join_all().await;
    }
}

/// Waits for the connection that is being opened, if there is one.
async fn open(
    opening: &mut Option<(u64, Opening)>,
) -> (u64, Result<Connection<Box<dyn Stream>>, Error>) {
    match opening {
        Some((number, opening)) => (*number, opening.await),
        None => std::future::pending().await,
    }
}

/// Reads and writes, if there is a connection; says whether something was read.
async fn exchange(link: &mut Option<Link>, reading: bool) -> bool {
    match link {
        Some(link) => link.exchange(reading).await,
        None => std::future::pending().await,
    }
}

/// Hands over one event when there is room for it; loses none if dropped.
async fn deliver(sink: &Sink<Event>, backlog: &mut VecDeque<Told>) {
    match backlog.front() {
        Some(Told::Client(event)) => {
            let slot = sink.room(event).await;
            if let Some(Told::Client(event)) = backlog.pop_front()
                && let Some(slot) = slot
            {
                slot.fill(event);
            }
        }
        Some(Told::Subscription(place, event)) => {
            let place = Arc::clone(place);
            let slot = place.sink.room(event).await;
            if let Some(Told::Subscription(_, event)) = backlog.pop_front()
                && let Some(slot) = slot
            {
                slot.fill(event);
            }
        }
        None => {}
    }
}
