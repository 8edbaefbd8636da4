//! One connection of the generator: how it comes to receive, and what it says
//! and hears from then on. Bytes in, bytes out; the socket is the crowd's.

use std::fmt;
use std::ops::ControlFlow;

use sealcast_client::handshake::{self, Response};
use sealcast_wire::command::{Connect, Publish, Subscribe, Token};
use sealcast_wire::reply::SubscribeResult;
use sealcast_wire::ws::{Incoming, Limits, Opcode, Receiver, Role, put_masked_frame};
use sealcast_wire::{Body, Command, Data, Encoding, Reply, Request};

use super::floor;
use super::message;

/// The largest message that is read, bytes.
const MESSAGE: usize = 4 << 20;
/// The id of the connect command; that of subscribe, and of publishes, follow.
const CONNECT: u32 = 1;

/// What a connection is to become.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Connects with the token, and subscribes to the channel; behind a position, if
    /// there is one.
    Subscriber { token: String, channel: String, from: Option<Position> },
    /// Connects with the token, and publishes.
    Publisher { token: String },
    /// Only upgrades; a floor sends it everything.
    FloorSubscriber,
    /// Only upgrades; a floor passes on what it sends.
    FloorPublisher,
}

/// Where a stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) epoch: String,
}

/// What a subscribe was answered by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) position: Position,
    pub(super) recovered: bool,
    /// The numbers of the publications that were missed; `None` of one that is none
    /// of the bench's.
    pub(super) missed: Vec<Option<u64>>,
}

impl Joined {
    fn of(result: SubscribeResult) -> Joined {
        let SubscribeResult { offset, epoch, recovered, publications, .. } = result;
        let missed = publications.iter().map(|publication| message::number(&publication.data));
        Joined { position: Position { offset, epoch }, recovered, missed: missed.collect() }
    }
}

/// See the module's text.
pub(super) struct Member {
    part: Part,
    stage: Stage,
    receiver: Receiver,
    /// Of a stream that has positions.
    joined: Option<Box<Joined>>,
    /// To be written by whoever owns the socket.
    pub(super) out: Vec<u8>,
    /// Publishes that the server has not confirmed.
    unconfirmed: usize,
    /// The id of the last publish.
    id: u32,
}

enum Stage {
    Upgrading(Box<Response>),
    Connecting,
    Subscribing,
    Live,
}

/// What a server did that ends the bench.
#[derive(Debug)]
pub(super) struct Surprise(String);

impl Surprise {
    pub(super) fn new(what: impl Into<String>) -> Surprise {
        Surprise(what.into())
    }

    /// Something came that nobody was waiting for.
    pub(super) fn unknown(line: &str) -> Surprise {
        let short: String = line.chars().take(200).collect();
        Surprise(format!("it got what was not published: {short}"))
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Member {
    /// A connection that has its request for the upgrade ready.
    pub(super) fn new(part: Part, host: &str) -> Member {
        let path = match part {
            Part::FloorPublisher => floor::PUBLISH,
            _ => "/connection/websocket",
        };
        let key = handshake::key();
        Member {
            out: handshake::request(host, path, &key, None, &[]),
            stage: Stage::Upgrading(Box::new(Response::new(&key, None))),
            receiver: Receiver::new(Role::Client, Limits { message: MESSAGE, fragments: 64 }),
            joined: None,
            part,
            unconfirmed: 0,
            id: CONNECT + 1,
        }
    }

    /// Whether it has become what it is to be.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// What its subscribe was answered by, of a stream that has positions.
    pub(super) fn joined(&self) -> Option<&Joined> {
        self.joined.as_deref()
    }

    /// Publishes that the server has not confirmed. A floor confirms nothing.
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    /// Has a command ready that publishes to a channel.
    pub(super) fn publish(&mut self, channel: &str, payload: &str) {
        self.unconfirmed += 1;
        let publish = Publish {
            channel: channel.into(),
            data: Some(Data::Json(payload.as_bytes())),
            kind: 0,
        };
        self.id = self.id.wrapping_add(1).max(CONNECT);
        put_command(&mut self.out, self.id, Request::Publish(publish));
    }

    /// Has a text ready for a floor to send to everyone.
    pub(super) fn send_on(&mut self, push: &str) {
        put_masked_frame(&mut self.out, Opcode::Text, rand::random(), push.as_bytes());
    }

    /// Takes the next bytes. `heard` gets each line that comes to a subscriber
    /// who is live, but for pings, which are answered.
    pub(super) fn feed(
        &mut self,
        bytes: &mut [u8],
        mut heard: impl FnMut(&str) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        if let Stage::Upgrading(response) = &mut self.stage {
            let accepted = response
                .feed(bytes)
                .map_err(|error| Surprise(format!("the upgrade failed: {error}")))?;
            let Some(mut accepted) = accepted else { return Ok(()) };
            self.upgraded();
            return self.frames(&mut accepted.leftover, &mut heard);
        }
        self.frames(bytes, &mut heard)
    }

    fn upgraded(&mut self) {
        self.stage = match &self.part {
            Part::Subscriber { token, .. } | Part::Publisher { token } => {
                let connect = Connect { token: Token(token.as_str().into()), ..Connect::default() };
                put_command(&mut self.out, CONNECT, Request::Connect(Box::new(connect)));
                Stage::Connecting
            }
            Part::FloorSubscriber | Part::FloorPublisher => Stage::Live,
        };
    }

    fn frames(
        &mut self,
        bytes: &mut [u8],
        heard: &mut impl FnMut(&str) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        let Member { part, stage, receiver, out, unconfirmed, joined, .. } = self;
        let mut outcome = Ok(());
        let fed = receiver.feed(bytes, |incoming| {
            outcome = match incoming {
                Incoming::Text(text) => {
                    text.split('\n').try_for_each(|line| match (&*stage, &*part) {
                        _ if line == "{}" => {
                            put_masked_frame(out, Opcode::Text, rand::random(), b"{}");
                            Ok(())
                        }
                        (Stage::Live, Part::Publisher { .. }) => confirm(line, unconfirmed),
                        (Stage::Live, _) => heard(line),
                        _ => answered(line, stage, part, out, joined),
                    })
                }
                Incoming::Ping(payload) => {
                    put_masked_frame(out, Opcode::Pong, rand::random(), payload);
                    Ok(())
                }
                Incoming::Pong(_) => Ok(()),
                Incoming::Close(code, reason) => {
                    let code = code.unwrap_or(1005);
                    Err(Surprise(format!("the server closed with {code} {reason}")))
                }
                Incoming::Binary(_) => Err(Surprise("the server sent binary".into())),
            };
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        fed.map_err(|violation| Surprise(violation.to_string()))?;
        outcome
    }
}

/// Takes the reply that the next stage waits for.
fn answered(
    line: &str,
    stage: &mut Stage,
    part: &Part,
    out: &mut Vec<u8>,
    joined: &mut Option<Box<Joined>>,
) -> Result<(), Surprise> {
    for reply in replies(line)? {
        *stage = match (&*stage, reply.body, part) {
            (Stage::Connecting, Body::Connect(_), Part::Subscriber { channel, from, .. }) => {
                put_command(
                    out,
                    CONNECT + 1,
                    Request::Subscribe(Box::new(subscribe(channel, from))),
                );
                Stage::Subscribing
            }
            (Stage::Subscribing, Body::Subscribe(result), _) => {
                if result.positioned || result.recoverable {
                    *joined = Some(Box::new(Joined::of(*result)));
                }
                Stage::Live
            }
            (Stage::Connecting, Body::Connect(_), _) => Stage::Live,
            _ => return Err(Surprise(format!("instead of a result came {line}"))),
        };
    }
    Ok(())
}

fn subscribe<'a>(channel: &'a str, from: &'a Option<Position>) -> Subscribe<'a> {
    let mut subscribe = Subscribe { channel: channel.into(), ..Subscribe::default() };
    if let Some(Position { offset, epoch }) = from {
        subscribe.recover = true;
        subscribe.offset = *offset;
        subscribe.epoch = epoch.as_str().into();
    }
    subscribe
}

fn confirm(line: &str, unconfirmed: &mut usize) -> Result<(), Surprise> {
    for reply in replies(line)? {
        match reply.body {
            Body::Publish => *unconfirmed = unconfirmed.saturating_sub(1),
            _ => return Err(Surprise(format!("a publish was answered by {line}"))),
        }
    }
    Ok(())
}

fn replies(line: &str) -> Result<Vec<Reply>, Surprise> {
    Encoding::Json
        .replies(line.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Surprise(format!("not a reply: {line}")))
}

fn put_command(out: &mut Vec<u8>, id: u32, request: Request<'_>) {
    let mut text = Vec::new();
    Encoding::Json.put_command(&mut text, &Command { id, request });
    put_masked_frame(out, Opcode::Text, rand::random(), &text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sealcast_wire::ws;

    use super::*;

    /// What the member has ready, as texts, or the request if it is none.
    fn sent(member: &mut Member) -> Vec<String> {
        let mut bytes = std::mem::take(&mut member.out);
        if bytes.starts_with(b"GET ") {
            return vec![String::from_utf8(bytes).unwrap()];
        }
        let mut texts = Vec::new();
        let limits = Limits { message: MESSAGE, fragments: 1 };
        Receiver::new(Role::Server, limits)
            .feed(&mut bytes, |incoming| {
                if let Incoming::Text(text) = incoming {
                    texts.push(text.to_owned());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        texts
    }

    fn upgraded(part: Part) -> Member {
        let mut member = Member::new(part, "h");
        let request = sent(&mut member).remove(0);
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            ws::accept_key(key.unwrap())
        )
        .into_bytes();
        member.feed(&mut answer, |_| Ok(())).unwrap();
        member
    }

    fn hear(member: &mut Member, text: &str) -> Result<Vec<String>, Surprise> {
        let mut frame = Vec::new();
        ws::put_frame(&mut frame, Opcode::Text, text.as_bytes());
        let mut heard = Vec::new();
        member.feed(&mut frame, |line| {
            heard.push(line.to_owned());
            Ok(())
        })?;
        Ok(heard)
    }

    #[test]
    fn a_subscriber_connects_subscribes_and_hears() {
        let mut member = upgraded(Part::Subscriber {
            token: "t0ken".into(),
            channel: "news".into(),
            from: None,
        });
        assert!(sent(&mut member)[0].contains(r#""token":"t0ken""#));
        hear(&mut member, r#"{"id":1,"connect":{"client":"c","version":"v","ping":25}}"#).unwrap();
        assert!(sent(&mut member)[0].contains(r#""channel":"news""#) && !member.is_live());
        // What follows the reply in its frame counts already.
        let heard = hear(&mut member, "{\"id\":2,\"subscribe\":{}}\n{\"push\":1}").unwrap();
        assert!(member.is_live());
        assert_eq!(heard, [r#"{"push":1}"#]);
        assert_eq!(hear(&mut member, "{}").unwrap(), [""; 0]);
        assert_eq!(sent(&mut member), ["{}"]);
    }

    #[test]
    fn a_publisher_counts_what_is_confirmed() {
        let mut member = upgraded(Part::Publisher { token: "t".into() });
        hear(&mut member, r#"{"id":1,"connect":{"client":"c","version":"v"}}"#).unwrap();
        assert!(member.is_live());
        member.publish("news", "{}");
        member.publish("news", "{}");
        assert_eq!((sent(&mut member).len(), member.unconfirmed()), (3, 2));
        hear(&mut member, r#"{"id":3,"publish":{}}"#).unwrap();
        assert_eq!(member.unconfirmed(), 1);
        let refused = r#"{"id":4,"error":{"code":103,"message":"permission denied"}}"#;
        assert!(hear(&mut member, refused).is_err());
    }

    #[test]
    fn a_refusal_or_a_close_is_a_surprise() {
        let mut member = upgraded(Part::Publisher { token: "bad".into() });
        let refused = r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#;
        assert!(hear(&mut member, refused).unwrap_err().to_string().contains("109"));
        let mut member = upgraded(Part::FloorSubscriber);
        let mut close = Vec::new();
        ws::put_close(&mut close, 3008, "slow");
        let surprise = member.feed(&mut close, |_| Ok(())).unwrap_err();
        assert!(surprise.to_string().contains("3008 slow"));
    }
}
