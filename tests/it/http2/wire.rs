//! A client of HTTP/2 and of WebSockets over it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use sealcast_wire::ws::{self, Incoming, Opcode, Receiver, Role};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};

/// One connection.
pub(super) struct Http2 {
    send: SendRequest<Bytes>,
    /// Ends with the connection; `true` if it ended in order.
    pub(super) ended: JoinHandle<bool>,
    address: SocketAddr,
}

/// An answer without a stream.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<u32>,
    pub(super) body: String,
}

impl Http2 {
    pub(super) async fn open(node: &TestNode) -> Http2 {
        Http2::with(node, h2::client::Builder::new()).await
    }

    /// With windows or bounds of its own.
    pub(super) async fn with(node: &TestNode, builder: h2::client::Builder) -> Http2 {
        let address = node.public;
        let socket = TcpStream::connect(address).await.unwrap();
        let (send, mut connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
        // The settings, which say that CONNECT may name a protocol.
        let mut pings = connection.ping_pong().unwrap();
        let ended = tokio::spawn(async move { connection.await.is_ok() });
        timeout(PATIENCE, pings.ping(h2::Ping::opaque())).await.unwrap().unwrap();
        Http2 { send, ended, address }
    }

    /// Whether the node takes WebSockets over this connection, as it says itself.
    pub(super) fn takes_websockets(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The beginning of a handshake that is granted.
    pub(super) fn websocket(&self, path: &str) -> Builder {
        self.tunnel(path, "websocket").header("sec-websocket-version", "13")
    }

    pub(super) fn tunnel(&self, path: &str, protocol: &'static str) -> Builder {
        let request = Request::builder().method("CONNECT").uri(self.uri(path));
        request.extension(Protocol::from_static(protocol))
    }

    /// A request whose body is to come.
    pub(super) async fn begin(&self, request: Builder) -> Sent {
        let mut ready = timeout(PATIENCE, self.send.clone().ready()).await.unwrap().unwrap();
        ready.send_request(request.body(()).unwrap(), false).unwrap()
    }

    pub(super) async fn send(&self, request: Builder, body: Option<&str>) -> Sent {
        let mut ready = timeout(PATIENCE, self.send.clone().ready()).await.unwrap().unwrap();
        let tunnel = request.extensions_ref().unwrap().get::<Protocol>().is_some();
        let ends = body.is_none() && !tunnel;
        let (answer, mut said) = ready.send_request(request.body(()).unwrap(), ends).unwrap();
        if let Some(body) = body {
            said.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        (answer, said)
    }

    /// A request without a body, if the connection still takes one.
    pub(super) async fn try_send(&mut self, path: &str) -> Option<SendStream<Bytes>> {
        let request = Request::builder().uri(self.uri(path)).body(()).unwrap();
        let mut ready = self.send.clone().ready().await.ok()?;
        ready.send_request(request, true).ok().map(|(_, said)| said)
    }

    /// A request that opens nothing.
    pub(super) async fn ask(&self, request: Builder, body: Option<&str>) -> Answer {
        let (answer, said) = self.send(request, body).await;
        let answer = read(timeout(PATIENCE, answer).await.unwrap().unwrap()).await;
        drop(said);
        answer
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::builder().uri(self.uri(path)), None).await
    }

    pub(super) fn post(&self, path: &str) -> Builder {
        Request::builder().method("POST").uri(self.uri(path))
    }

    /// A WebSocket that must be granted.
    pub(super) async fn open_websocket(&self) -> WebSocket {
        let request = self.websocket("/connection/websocket");
        self.granted(request).await.0
    }

    pub(super) async fn granted(&self, request: Builder) -> (WebSocket, Response<()>) {
        let (answer, say) = self.send(request, None).await;
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let (head, hear) = answer.into_parts();
        (WebSocket::new(say, hear), Response::from_parts(head, ()))
    }

    /// The same, and somebody is connected over it.
    pub(super) async fn connected(&self, user: &str) -> WebSocket {
        let mut socket = self.open_websocket().await;
        let connect = json!({ "id": 1, "connect": { "token": token::of(user) } });
        assert!(socket.ask(&connect).await["connect"].is_object());
        socket
    }
}

/// A request on its way.
pub(super) type Sent = (ResponseFuture, SendStream<Bytes>);

async fn read(answer: Response<RecvStream>) -> Answer {
    let (head, mut stream) = answer.into_parts();
    let retry_after = head.headers.get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
    let mut body = Vec::new();
    while let Some(data) = timeout(PATIENCE, stream.data()).await.unwrap() {
        body.extend_from_slice(&data.unwrap());
    }
    let body = String::from_utf8(body).unwrap();
    Answer { status: head.status.as_u16(), retry_after, body }
}

/// What comes over a WebSocket.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Ping,
    Close(Option<u16>),
    /// The stream ended in order.
    End,
    /// It was reset, or its connection is gone.
    Reset,
}

pub(super) struct WebSocket {
    say: SendStream<Bytes>,
    hear: RecvStream,
    receiver: Receiver,
    heard: VecDeque<Heard>,
}

impl WebSocket {
    fn new(say: SendStream<Bytes>, hear: RecvStream) -> WebSocket {
        let limits = ws::Limits { message: 1 << 20, fragments: 100 };
        let receiver = Receiver::new(Role::Client, limits);
        WebSocket { say, hear, receiver, heard: VecDeque::new() }
    }

    pub(super) async fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.say.send_data(bytes.into(), false).unwrap();
    }

    pub(super) async fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        ws::put_masked_frame(&mut frame, opcode, [5, 6, 7, 8], payload);
        self.say_bytes(frame).await;
    }

    /// Says that nothing more will be said.
    pub(super) fn end(&mut self) {
        self.say.send_data(Bytes::new(), true).unwrap();
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut data = match timeout(PATIENCE, self.hear.data()).await.expect("silence") {
                None => return Heard::End,
                Some(Err(_)) => return Heard::Reset,
                Some(Ok(data)) => data.to_vec(),
            };
            // The peer may have reset the stream meanwhile.
            let _ = self.hear.flow_control().release_capacity(data.len());
            let heard = &mut self.heard;
            let fed = self.receiver.feed(&mut data, |incoming| {
                heard.push_back(match incoming {
                    Incoming::Text(text) => Heard::Text(text.into()),
                    Incoming::Binary(bytes) => Heard::Binary(bytes.into()),
                    Incoming::Pong(payload) => Heard::Pong(payload.into()),
                    Incoming::Ping(_) => Heard::Ping,
                    Incoming::Close(code, _) => Heard::Close(code),
                });
                ControlFlow::Continue(())
            });
            fed.unwrap();
        }
    }

    pub(super) async fn hear_json(&mut self) -> Value {
        match self.hear().await {
            Heard::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Sends a command, and gives what comes next.
    pub(super) async fn ask(&mut self, command: &Value) -> Value {
        self.say(Opcode::Text, command.to_string().as_bytes()).await;
        self.hear_json().await
    }

    /// The close frame, which must be next, and the stream's end after its answer.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        let code = loop {
            match self.hear().await {
                Heard::Close(code) => break code,
                Heard::Text(_) | Heard::Ping => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(self.hear().await, Heard::End);
        code
    }

    /// Reads nothing until the node has reset the stream.
    pub(super) async fn reset(&mut self) {
        let reset = std::future::poll_fn(|context| self.say.poll_reset(context));
        timeout(PATIENCE, reset).await.expect("no reset").unwrap();
    }
}
