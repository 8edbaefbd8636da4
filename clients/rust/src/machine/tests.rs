//! The machine under times and replies that a test passes in.

mod calls;
mod churn;
mod connection;
mod delta;
mod recovery;
mod refresh;
mod server_side;
mod subscription;

use std::time::Duration;

use sealcast_wire::{Command, Encoding, Request};
use tokio::sync::oneshot;

use super::*;
use crate::{Backoff, SubscriptionEvent};

const S: fn(u64) -> Moment = Duration::from_secs;
const A: SubscriptionId = SubscriptionId(1);
const B: SubscriptionId = SubscriptionId(2);

/// A machine with its time, and what came out of it.
struct Rig {
    machine: Machine,
    now: Moment,
    ids: Ids,
    encoding: Encoding,
    /// Outputs and frames that the test has not looked at.
    outputs: VecDeque<Output>,
    frames: VecDeque<Vec<u8>>,
}

fn settings() -> Settings {
    Settings {
        encoding: Encoding::Json,
        token: None,
        has_token_source: false,
        data: None,
        name: "rust".into(),
        version: "1".into(),
        backoff: Backoff::DEFAULT,
        timeout: S(5),
        max_ping_delay: S(10),
        room: Room { calls: 3, bytes: 200, time: S(10) },
    }
}

fn recoverable() -> Terms {
    Terms { recoverable: true, most: 1000, ..Terms::default() }
}

impl Rig {
    fn new(settings: Settings) -> Rig {
        Rig::seeded(settings, 1)
    }

    fn seeded(settings: Settings, seed: u64) -> Rig {
        let ids = Ids::default();
        let encoding = settings.encoding;
        let machine = Machine::new(settings, ids.clone(), seed);
        let (outputs, frames) = Default::default();
        Rig { machine, now: S(100), ids, encoding, outputs, frames }
    }

    /// Connected, to a server that says `result` to the connect command.
    fn connected(settings: Settings, result: &str) -> Rig {
        let mut rig = Rig::new(settings);
        rig.machine.connect();
        rig.greet(result);
        rig.forget();
        rig
    }

    /// Lets the machine, which wants a connection, have one.
    #[track_caller]
    fn greet(&mut self, result: &str) {
        let number = self.open();
        self.machine.opened(self.now, number);
        let id = self.sent()[0].0;
        self.hear(&format!(r#"{{"id":{id},"connect":{result}}}"#));
    }

    /// The number of the connection that the machine wants.
    #[track_caller]
    fn open(&mut self) -> u64 {
        self.collect();
        let open = self.outputs.iter().rev().find_map(|output| match output {
            Output::Open(number) => Some(*number),
            _ => None,
        });
        open.expect("wants a connection")
    }

    fn hear(&mut self, json: &str) {
        for line in json.lines() {
            let mut replies = Encoding::Json.replies(line.as_bytes());
            let reply = replies.next().expect("a reply").expect("well formed");
            self.machine.heard(self.now);
            self.machine.reply(self.now, reply);
            while self.machine.hand_out(self.now) {}
        }
        self.collect();
    }

    fn collect(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.machine.next_output()));
        self.frames.extend(std::iter::from_fn(|| self.machine.next_frame()));
    }

    fn forget(&mut self) {
        self.quiet();
        self.frames.clear();
    }

    /// Forgets what was told, and keeps what was sent.
    fn quiet(&mut self) {
        self.collect();
        self.outputs.clear();
    }

    /// What was sent since the last look: numbers and requests, as JSON.
    fn sent(&mut self) -> Vec<(u32, String)> {
        self.collect();
        let frames = std::mem::take(&mut self.frames);
        let commands = frames.iter().flat_map(|frame| self.encoding.commands(frame));
        commands
            .map(|command| {
                let command = command.expect("well formed");
                let shown = Command { id: 0, request: command.request };
                let text = encode(Encoding::Json, &shown);
                (command.id, String::from_utf8(text).expect("JSON"))
            })
            .collect()
    }

    /// What was told since the last look, in short.
    fn told(&mut self) -> Vec<String> {
        self.collect();
        std::mem::take(&mut self.outputs).into_iter().map(|output| short(&output)).collect()
    }

    /// Lets time pass up to the machine's next deadline, and does what is due.
    #[track_caller]
    fn wait(&mut self) -> Duration {
        let at = self.machine.deadline().expect("a deadline");
        let waited = at.saturating_sub(self.now);
        self.now = self.now.max(at);
        self.machine.elapse(self.now);
        self.collect();
        waited
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.machine.elapse(self.now);
        self.collect();
    }

    fn subscribe(&mut self, id: SubscriptionId, terms: &Terms) {
        let channel = Arc::from(format!("c{}", id.0));
        self.machine.subscribe(self.now, id, &channel, terms);
    }

    /// Subscribes, and has the server say `result`.
    #[track_caller]
    fn subscribed(&mut self, id: SubscriptionId, terms: &Terms, result: &str) {
        self.subscribe(id, terms);
        self.answer("subscribe", result);
    }

    /// Answers the last command that was sent.
    #[track_caller]
    fn answer(&mut self, kind: &str, result: &str) {
        let (id, _) = self.sent().pop().expect("a command");
        self.hear(&format!(r#"{{"id":{id},"{kind}":{result}}}"#));
    }

    #[track_caller]
    fn refuse(&mut self, code: u32, temporary: bool) {
        let error = format!(r#"{{"code":{code},"message":"no","temporary":{temporary}}}"#);
        self.answer("error", &error);
    }

    fn lose(&mut self, loss: Loss) {
        let number = self.machine.connection.number();
        self.machine.lost(self.now, number, loss);
        self.collect();
    }

    fn close(&mut self, code: u16) {
        self.lose(Loss::Closed { code, reason: "why".into() });
    }

    /// The question that is asked of the application.
    #[track_caller]
    fn asked(&mut self) -> (Ticket, Fetch) {
        self.collect();
        let asked = self.outputs.iter().rev().find_map(|output| match output {
            Output::Fetch(ticket, what) => Some((*ticket, *what)),
            _ => None,
        });
        asked.expect("asks the application")
    }

    #[track_caller]
    fn give_token(&mut self, token: Result<&str, TokenError>) {
        let (ticket, what) = self.asked();
        self.forget();
        self.machine.token(self.now, ticket, what, token.map(str::to_owned));
    }

    fn publish(
        &mut self,
        within: Option<SubscriptionId>,
        size: usize,
    ) -> oneshot::Receiver<Result<sealcast_wire::Body, CallError>> {
        let id = self.ids.next();
        let (reply, answer) = oneshot::channel();
        let request = Request::Presence { channel: "x".repeat(size).into() };
        let command = encode(self.encoding, &Command { id, request });
        self.machine.call(self.now, Call { id, command, patient: false, within, reply });
        answer
    }
}

fn short(output: &Output) -> String {
    match output {
        Output::Open(_) => "open".into(),
        Output::Close => "close".into(),
        Output::Fetch(_, what) => format!("{what:?}"),
        Output::Abandon(_) => "abandon".into(),
        Output::Event(Event::Connecting(cause)) => format!("connecting {}", cause.code),
        Output::Event(Event::Connected(_)) => "connected".into(),
        Output::Event(Event::Disconnected(cause)) => format!("disconnected {}", cause.code),
        Output::Event(Event::Error(failure)) => format!("error: {failure}"),
        Output::Event(Event::ServerPublication { channel, publication }) => {
            format!("{channel}: {}", text(&publication.data))
        }
        Output::Event(event) => format!("{event:?}"),
        Output::SubscriptionEvent(id, event) => {
            let event = match event {
                SubscriptionEvent::Subscribing(cause) => format!("subscribing {}", cause.code),
                SubscriptionEvent::Subscribed(it) => {
                    let was = if it.was_recovering { " was recovering" } else { "" };
                    let recovered = if it.recovered { " recovered" } else { "" };
                    format!("subscribed{was}{recovered}")
                }
                SubscriptionEvent::Unsubscribed(cause) => format!("unsubscribed {}", cause.code),
                SubscriptionEvent::Publication(publication) => text(&publication.data),
                SubscriptionEvent::Error(failure) => format!("error: {failure}"),
                other => format!("{other:?}"),
            };
            format!("{}: {event}", id.0)
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
