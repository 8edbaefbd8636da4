//! A client that sends what it is told, as text or bytes, and shows what comes.

use std::ops::Deref;

use sealcast_client::{Connection, Error, Frame, Options};
use sealcast_wire::command::Publish;
use sealcast_wire::ws::Opcode;
use sealcast_wire::{Command, Encoding, Reply, Request};
use serde_json::{Value, json};

use super::evidence::{self, Kind, note};
use super::node::TestNode;
use super::{PATIENCE, token};

/// One upgraded connection.
pub(crate) struct Wire(pub(crate) Connection);

impl Wire {
    /// Upgrades, in JSON, and sends nothing.
    pub(crate) async fn open(node: &TestNode) -> Wire {
        Wire(Connection::open(&node.options("ada", Encoding::Json)).await.unwrap())
    }

    /// Upgrades, in Protobuf, and sends nothing.
    pub(crate) async fn open_protobuf(node: &TestNode) -> Wire {
        Wire(Connection::open(&node.options("ada", Encoding::Protobuf)).await.unwrap())
    }

    /// Upgrades, and connects as `user`; the empty user has no token.
    pub(crate) async fn connected(node: &TestNode, user: &str) -> Wire {
        let mut wire = Wire::open(node).await;
        wire.connect(user).await;
        wire
    }

    /// Upgrades, and says this as the connect request; the result.
    pub(crate) async fn admitted(node: &TestNode, request: Value) -> (Wire, Value) {
        let mut wire = Wire::open(node).await;
        let mut answer = wire.ask(&json!({ "id": 1, "connect": request }).to_string()).await;
        assert!(answer["connect"].is_object(), "{answer}");
        (wire, answer["connect"].take())
    }

    async fn connect(&mut self, user: &str) {
        let token = if user.is_empty() { String::new() } else { token::of(user) };
        let answer = self.ask(&format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)).await;
        assert!(answer["connect"]["client"].is_string(), "{answer}");
    }

    /// Sends a text frame.
    pub(crate) async fn say(&mut self, text: &str) {
        evidence::sent(text.as_bytes());
        self.0.send_frame(text.as_bytes(), Opcode::Text).await.unwrap();
    }

    /// Sends a binary frame.
    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.0.send_frame(bytes, Opcode::Binary).await.unwrap();
    }

    /// The next text message, as it came.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            match self.0.next_frame(PATIENCE).await {
                Ok(Frame::Text(text)) => text,
                other => panic!("{place}: {other:?} instead of a message"),
            }
        }
    }

    /// The next text message.
    #[track_caller]
    pub(crate) fn hear_json(&mut self) -> impl Future<Output = Value> {
        let hearing = self.hear();
        async move {
            let text = hearing.await;
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        }
    }

    /// Says something and takes the next message as its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, text: &str) -> impl Future<Output = Value> {
        let text = text.to_owned();
        let place = std::panic::Location::caller();
        async move {
            self.say(&text).await;
            match self.0.next_frame(PATIENCE).await {
                Ok(Frame::Text(answer)) => serde_json::from_str(&answer).unwrap(),
                other => panic!("{place}: {other:?} instead of an answer to {text}"),
            }
        }
    }

    /// Says something and takes the code of the error that must be the answer.
    #[track_caller]
    pub(crate) fn refused(&mut self, text: &str) -> impl Future<Output = u64> {
        let asking = self.ask(text);
        let place = std::panic::Location::caller();
        async move {
            let answer = asking.await;
            note(Kind::Told, &answer["error"].to_string());
            answer["error"]["code"].as_u64().unwrap_or_else(|| panic!("{place}: {answer}"))
        }
    }

    /// The next frame must be the close frame, followed by the end; its code.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> impl Future<Output = u16> {
        let place = std::panic::Location::caller();
        async move {
            let code = match self.0.next_frame(PATIENCE).await {
                Ok(Frame::Close(code, reason)) => {
                    check_reason(code, &reason);
                    code.unwrap_or(0)
                }
                other => panic!("{place}: {other:?} instead of a close frame"),
            };
            match self.0.next_frame(PATIENCE).await {
                Err(Error::Io(_)) => code,
                other => panic!("{place}: {other:?} after the close frame"),
            }
        }
    }

    /// Says something that ends the connection at once; the close code.
    #[track_caller]
    pub(crate) fn closed_by(&mut self, text: &str) -> impl Future<Output = u16> {
        let place = std::panic::Location::caller();
        let text = text.to_owned();
        async move {
            self.say(&text).await;
            match self.0.next_frame(PATIENCE).await {
                Ok(Frame::Close(code, reason)) => {
                    check_reason(code, &reason);
                    code.unwrap_or(0)
                }
                other => {
                    let text: String = text.chars().take(200).collect();
                    panic!("{place}: {other:?} instead of a close frame after {text}");
                }
            }
        }
    }

    /// Nothing more of what was asked comes: a request that is surely answered
    /// is answered next.
    #[track_caller]
    pub(crate) fn is_quiet(&mut self) -> impl Future<Output = ()> {
        let asking = self.ask(r#"{"id":4000000000,"unsubscribe":{"channel":"none"}}"#);
        async move {
            let answer = asking.await;
            assert_eq!(answer["id"], 4_000_000_000_u64, "{answer}");
        }
    }

    /// Sends commands in one frame, in the connection's encoding.
    pub(crate) async fn command(&mut self, id: u32, request: Request<'_>) {
        if let Request::Publish(Publish { data: Some(data), .. }) = &request {
            evidence::published(data.bytes());
        }
        self.0.send(Command { id, request }).await.unwrap();
    }

    /// The next reply or push, in either encoding.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> impl Future<Output = Reply> {
        let place = std::panic::Location::caller();
        async move {
            self.0.next_reply(PATIENCE).await.unwrap_or_else(|error| panic!("{place}: {error}"))
        }
    }
}

/// A client that keeps its connection; what it publishes is noted.
#[derive(Debug)]
pub(crate) struct Session(sealcast_client::Session);

impl Session {
    pub(crate) async fn connect(options: Options) -> Result<Session, Error> {
        sealcast_client::Session::connect(options).await.map(Session)
    }

    pub(crate) async fn publish(&self, channel: &str, data: &[u8]) -> Result<(), Error> {
        evidence::published(data);
        self.0.publish(channel, data).await
    }
}

impl Deref for Session {
    type Target = sealcast_client::Session;

    fn deref(&self) -> &sealcast_client::Session {
        &self.0
    }
}

/// A connected client of the usual kind.
pub(crate) async fn client(node: &TestNode, user: &str, encoding: Encoding) -> Session {
    Session::connect(node.options(user, encoding)).await.unwrap()
}

/// Close reasons are plain text that SDKs show.
#[track_caller]
fn check_reason(code: Option<u16>, reason: &str) {
    note(Kind::Told, reason);
    assert!(reason.len() <= 123 && !reason.starts_with('{'), "{reason:?}");
    assert_eq!(
        reason.is_empty(),
        matches!(code, None | Some(0..=1001 | 1009)),
        "{code:?} {reason:?}"
    );
}
