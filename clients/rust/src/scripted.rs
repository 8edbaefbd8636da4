//! A server that does what a test tells it, step by step.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use sealcast_wire::ws::{self, Incoming, Limits, Opcode, Receiver, Role};
use sealcast_wire::{Encoding, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const LIMITS: Limits = Limits { message: 65_536, fragments: 64 };

/// The end of the connection.
pub(crate) const END: &str = "end";

pub(crate) struct Server<S> {
    pub(crate) stream: S,
    /// The head of the upgrade request.
    pub(crate) request: String,
    receiver: Receiver,
    heard: VecDeque<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Reads the upgrade request, and does not answer yet.
    pub(crate) async fn new(mut stream: S) -> Server<S> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        Server {
            stream,
            request: String::from_utf8(request).unwrap(),
            receiver: Receiver::new(Role::Server, LIMITS),
            heard: VecDeque::new(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.request.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Accepts the upgrade, and sends `more` right behind.
    pub(crate) async fn accept(&mut self, more: &[u8]) {
        let key = self.header("Sec-WebSocket-Key").unwrap();
        let accept = ws::accept_key(key);
        let subprotocol = self
            .header("Sec-WebSocket-Protocol")
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
        );
        self.stream.write_all(&[head.as_bytes(), more].concat()).await.unwrap();
    }

    /// Accepts the upgrade and the connect command, which is returned.
    pub(crate) async fn connected(&mut self, result: &str) -> String {
        self.accept(b"").await;
        let connect = self.hear().await;
        self.say(&format!(r#"{{"id":1,"connect":{result}}}"#)).await;
        connect
    }

    /// The next message as it stands, or the next control frame in words.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut bytes = vec![0; 4096];
            let length = self.stream.read(&mut bytes).await.unwrap_or(0);
            if length == 0 {
                return END.into();
            }
            let heard = &mut self.heard;
            let fed = self.receiver.feed(&mut bytes[..length], |incoming| {
                heard.push_back(match incoming {
                    Incoming::Text(text) => text.into(),
                    Incoming::Binary(bytes) => format!("{bytes:?}"),
                    Incoming::Ping(payload) => format!("ping {payload:?}"),
                    Incoming::Pong(payload) => format!("pong {payload:?}"),
                    Incoming::Close(code, reason) => format!("close {code:?} {reason}"),
                });
                ControlFlow::Continue(())
            });
            fed.unwrap();
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.frame(Opcode::Text, text.as_bytes()).await;
    }

    pub(crate) async fn reply(&mut self, encoding: Encoding, reply: &Reply) {
        let mut payload = Vec::new();
        encoding.put_reply(&mut payload, reply);
        self.frame(Opcode::Binary, &payload).await;
    }

    pub(crate) async fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut out = Vec::new();
        ws::put_frame(&mut out, opcode, payload);
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        let mut out = Vec::new();
        ws::put_close(&mut out, code, reason);
        self.stream.write_all(&out).await.unwrap();
    }
}
