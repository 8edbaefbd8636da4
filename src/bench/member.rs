//! One connection of the generator: how it comes to receive, and what it says
//! and hears from then on. Bytes in, bytes out; the socket is the crowd's.

use std::fmt;

use sealcast_wire::command::{Connect, Publish, Subscribe, Token};
use sealcast_wire::reply::SubscribeResult;
use sealcast_wire::ws::Opcode;
use sealcast_wire::{Body, Command, Data, Encoding, Request};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::floor;
use super::link::{Line, Link, Manner, Said, Transport};
use super::message;
use super::target::Target;
use super::voice::{Voice, encoded};

/// The id of the connect command; those of subscribes, or of publishes, follow.
const CONNECT: u32 = 1;

/// What a connection is to become.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Part {
    /// Connects with the token, and subscribes to the channels; behind a position, if
    /// there is one.
    Subscriber { token: String, channels: Vec<String>, from: Option<Position> },
    /// Connects with the token, and publishes.
    Publisher { token: String },
    /// Only upgrades; a floor sends it everything.
    FloorSubscriber,
    /// Only upgrades; a floor passes on what it sends.
    FloorPublisher,
}

impl Part {
    /// Who subscribes to these channels as this user; at a floor there are none.
    ///
    /// # Errors
    /// If no token can be made.
    pub(super) fn subscriber(
        target: &Target,
        user: &str,
        channels: Vec<String>,
    ) -> Result<Part, Failure> {
        if target.kind().is_floor() {
            return Ok(Part::FloorSubscriber);
        }
        Ok(Part::Subscriber { token: target.tokens().of(user)?, channels, from: None })
    }
}

/// Where a stream stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) epoch: String,
}

/// What a subscribe was answered by.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    encoding: Encoding,
    stage: Stage,
    link: Link,
    /// What it says is to be sent by whoever owns the sockets.
    pub(super) voice: Voice,
    /// Of a stream that has positions; the last, of several.
    joined: Option<Box<Joined>>,
    /// Publishes that the server has not confirmed.
    unconfirmed: usize,
    /// The id of the last publish.
    id: u32,
}

enum Stage {
    Opening,
    Connecting,
    /// So many subscribes are not answered.
    Subscribing(usize),
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
    pub(super) fn unknown(line: Line<'_>) -> Surprise {
        Surprise(format!("it got what was not published: {line}"))
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Member {
    /// A connection that has its request ready.
    pub(super) fn new(part: Part, manner: Manner, host: &str) -> Member {
        let path = match part {
            Part::FloorPublisher => floor::PUBLISH,
            _ => "/connection/websocket",
        };
        let encoding = manner.encoding();
        let (link, request) = match (&part, manner.transport) {
            (Part::Subscriber { token, .. }, Transport::Sse) => {
                let connect = encoded(encoding, &[connect(token)]);
                Link::events(host, &String::from_utf8_lossy(&connect))
            }
            _ => Link::websocket(host, path, encoding),
        };
        Member {
            encoding,
            voice: Voice::new(manner, request),
            stage: Stage::Opening,
            link,
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
        let data = match self.encoding {
            Encoding::Json => Data::Json(payload.as_bytes()),
            Encoding::Protobuf => Data::Opaque(payload.as_bytes()),
        };
        let publish = Publish { channel: channel.into(), data: Some(data), kind: 0 };
        self.id = self.id.wrapping_add(1).max(CONNECT);
        self.voice.say(&[Command { id: self.id, request: Request::Publish(publish) }]);
    }

    /// Has something ready for a floor to send to everyone.
    pub(super) fn send_on(&mut self, push: &[u8]) {
        let opcode = match self.encoding {
            Encoding::Json => Opcode::Text,
            Encoding::Protobuf => Opcode::Binary,
        };
        self.voice.frame(opcode, push);
    }

    /// Takes the next bytes. `heard` gets each line that comes to a subscriber
    /// who is live, but for pings, which are answered.
    pub(super) fn feed(
        &mut self,
        bytes: &mut [u8],
        mut heard: impl FnMut(Line<'_>) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        let Member { part, stage, link, voice, unconfirmed, joined, .. } = self;
        link.feed(bytes, |said| match said {
            Said::Opened => {
                *stage = match part {
                    Part::Subscriber { token, .. } | Part::Publisher { token } => {
                        voice.open(connect(token));
                        Stage::Connecting
                    }
                    Part::FloorSubscriber | Part::FloorPublisher => Stage::Live,
                };
                Ok(())
            }
            Said::Ping(payload) => {
                voice.frame(Opcode::Pong, payload);
                Ok(())
            }
            Said::Line(line) if line.is_ping() => {
                voice.pong();
                Ok(())
            }
            Said::Line(line) => match (&*stage, &*part) {
                (Stage::Live, Part::Publisher { .. }) => confirm(line, unconfirmed),
                (Stage::Live, _) if *unconfirmed > 0 && is_confirmation(line) => {
                    confirm(line, unconfirmed)
                }
                (Stage::Live, _) => heard(line),
                _ => answered(line, stage, part, voice, joined),
            },
        })
    }
}

fn connect(token: &str) -> Command<'_> {
    let connect = Connect { token: Token(token.into()), ..Connect::default() };
    Command { id: CONNECT, request: Request::Connect(Box::new(connect)) }
}

/// Takes the reply that the next stage waits for.
fn answered(
    line: Line<'_>,
    stage: &mut Stage,
    part: &Part,
    voice: &mut Voice,
    joined: &mut Option<Box<Joined>>,
) -> Result<(), Surprise> {
    let unexpected = || Surprise(format!("instead of a result came {line}"));
    *stage = match (&*stage, line.reply().ok_or_else(unexpected)?.body, part) {
        (Stage::Connecting, Body::Connect(result), Part::Subscriber { channels, from, .. }) => {
            voice.name_session(result.session, result.node);
            let commands = (CONNECT + 1..).zip(channels).map(|(id, channel)| {
                let request = Request::Subscribe(Box::new(subscribe(channel, from)));
                Command { id, request }
            });
            voice.say(&commands.collect::<Vec<_>>());
            Stage::Subscribing(channels.len())
        }
        (Stage::Subscribing(left), Body::Subscribe(result), _) => {
            if result.positioned || result.recoverable {
                *joined = Some(Box::new(Joined::of(*result)));
            }
            if *left > 1 { Stage::Subscribing(left - 1) } else { Stage::Live }
        }
        (Stage::Connecting, Body::Connect(_), _) => Stage::Live,
        _ => return Err(unexpected()),
    };
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

fn is_confirmation(line: Line<'_>) -> bool {
    line.reply().is_some_and(|reply| matches!(reply.body, Body::Publish))
}

fn confirm(line: Line<'_>, unconfirmed: &mut usize) -> Result<(), Surprise> {
    match line.reply().map(|reply| reply.body) {
        Some(Body::Publish) => {
            *unconfirmed = unconfirmed.saturating_sub(1);
            Ok(())
        }
        _ => Err(Surprise(format!("a publish was answered by {line}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ops::ControlFlow;

    use sealcast_wire::ws::{self, Incoming, Limits, Receiver, Role};

    use super::*;

    /// What the member has ready, as texts, or the request if it is none.
    fn sent(member: &mut Member) -> Vec<String> {
        let mut bytes = std::mem::take(&mut member.voice.out);
        if bytes.starts_with(b"GET ") {
            return vec![String::from_utf8(bytes).unwrap()];
        }
        let mut texts = Vec::new();
        let limits = Limits { message: 65_536, fragments: 1 };
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
        let mut member = Member::new(part, Manner::USUAL, "h");
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
            heard.push(line.to_string());
            Ok(())
        })?;
        Ok(heard)
    }

    #[test]
    fn a_subscriber_connects_subscribes_and_hears() {
        let mut member = upgraded(Part::Subscriber {
            token: "t0ken".into(),
            channels: vec!["news".into()],
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
    fn over_an_event_stream_it_speaks_by_requests_that_name_its_session() {
        let channels = vec!["a".to_owned(), "b".to_owned()];
        let part = Part::Subscriber { token: "t0ken".into(), channels, from: None };
        let mut member = Member::new(part, Manner::EVENTS, "h");
        let request = String::from_utf8(std::mem::take(&mut member.voice.out)).unwrap();
        assert!(request.ends_with(r#""token":"t0ken"}}"#), "{request}");
        let mut head = *b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        member.feed(&mut head, |_| Ok(())).unwrap();
        assert_eq!(member.voice.posts, [""; 0]);
        let mut feed = |data: &str| {
            let mut heard = Vec::new();
            let chunk = format!("{:x}\r\n{data}\n\r\n", data.len() + 1);
            let fed = member.feed(&mut chunk.into_bytes(), |line| {
                heard.push(line.to_string());
                Ok(())
            });
            fed.unwrap();
            assert!(member.voice.out.is_empty());
            (heard, std::mem::take(&mut member.voice.posts), member.is_live())
        };
        let connected = r#"{"id":1,"connect":{"client":"c","session":"s","node":"n"}}"#;
        let (_, posts, _) = feed(&format!("data: {connected}"));
        let body: serde_json::Value = serde_json::from_str(&posts[0]).unwrap();
        assert_eq!((&body["session"], &body["node"]), (&"s".into(), &"n".into()));
        assert_eq!(body["data"].as_str().unwrap().lines().count(), 2);
        assert!(!feed(r#"data: {"id":2,"subscribe":{}}"#).2);
        assert!(feed(r#"data: {"id":3,"subscribe":{}}"#).2);
        assert_eq!(feed(r#"data: {"push":1}"#).0, [r#"{"push":1}"#]);
        assert!(feed("data: {}").1[0].contains(r#""data":"{}""#));
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
