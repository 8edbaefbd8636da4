//! A connection before any command: the way to send and see whatever one wants.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use sealcast_wire::command::{Connect, Token};
use sealcast_wire::reply::ConnectResult;
use sealcast_wire::ws::{Incoming, Opcode};
use sealcast_wire::{Body, Command, Encoding, Reply, Request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::codec::{self, Codec, Event};
use crate::{Error, Options, handshake};

/// How many bytes are read at once.
pub(crate) const READ: usize = 16 * 1024;

/// An upgraded connection. It reads only when it is asked for something, so
/// what the server sends meanwhile waits in the network.
pub struct Connection<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) codec: Codec,
    /// Accepted for sending, and not yet taken by the stream.
    out: Vec<u8>,
    frames: VecDeque<Result<Frame, Error>>,
    events: VecDeque<Result<Event, Error>>,
    timeout: Duration,
}

/// One message or control frame of the server.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping frame.
    Ping(Vec<u8>),
    /// A pong frame.
    Pong(Vec<u8>),
    /// A close frame with its code and reason.
    Close(Option<u16>, String),
}

impl Connection {
    /// Connects by TCP and upgrades. Sends no command yet.
    ///
    /// # Errors
    /// [`Error::Refused`] if the server does not upgrade; [`Error::Io`],
    /// [`Error::Timeout`] and [`Error::Protocol`] as they say.
    pub async fn open(options: &Options) -> Result<Connection, Error> {
        let address = options.address()?;
        if address.secure {
            return Err(Error::invalid("only a client speaks TLS; see Config::url"));
        }
        let connecting = TcpStream::connect((address.host, address.port));
        let stream = timeout(options.timeout, connecting).await.map_err(|_| Error::Timeout)??;
        stream.set_nodelay(true)?;
        Connection::upgrade(stream, options).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Upgrades a stream that stands, to whatever [`Options::url`] says.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn upgrade(stream: S, options: &Options) -> Result<Connection<S>, Error> {
        timeout(options.timeout, upgrade(stream, options)).await.map_err(|_| Error::Timeout)?
    }

    /// Sends one command.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Timeout`] if the server does not read.
    pub async fn send(&mut self, command: Command<'_>) -> Result<(), Error> {
        self.send_all(&[command]).await
    }

    /// Sends commands in one frame.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_all(&mut self, commands: &[Command<'_>]) -> Result<(), Error> {
        let mut out = Vec::new();
        self.codec.put_commands(&mut out, commands);
        self.send_bytes(&out).await
    }

    /// Sends one frame with any payload.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_frame(&mut self, payload: &[u8], opcode: Opcode) -> Result<(), Error> {
        let mut out = Vec::new();
        codec::put_frame(&mut out, opcode, payload);
        self.send_bytes(&out).await
    }

    /// Sends bytes as they are, which need not be frames.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let within = self.timeout;
        let sending = async {
            self.flush().await?;
            self.out.extend_from_slice(bytes);
            self.flush().await
        };
        timeout(within, sending).await.map_err(|_| Error::Timeout)?
    }

    /// The next thing the server says. Pings and its close frame are answered.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `within`; then it can be called again.
    /// [`Error::Io`] when the connection has ended, with
    /// [`io::ErrorKind::UnexpectedEof`] if it was closed.
    pub async fn next(&mut self, within: Duration) -> Result<Event, Error> {
        timeout(within, self.next_event()).await.map_err(|_| Error::Timeout)?
    }

    /// The next message or frame as it came. Nothing is answered.
    ///
    /// # Errors
    /// As [`Connection::next`].
    pub async fn next_frame(&mut self, within: Duration) -> Result<Frame, Error> {
        timeout(within, self.read_frame()).await.map_err(|_| Error::Timeout)?
    }

    /// The next reply or push; pings between are answered.
    ///
    /// # Errors
    /// As [`Connection::next`]; [`Error::Disconnected`] at a close frame.
    pub async fn next_reply(&mut self, within: Duration) -> Result<Reply, Error> {
        let reply = async {
            loop {
                match self.next_event().await? {
                    Event::Reply(reply) => return Ok(reply),
                    Event::Close(code, reason) => return Err(Error::Disconnected { code, reason }),
                    Event::Ping | Event::FramePing | Event::FramePong(_) => {}
                }
            }
        };
        timeout(within, reply).await.map_err(|_| Error::Timeout)?
    }

    /// Sends the connect command, with the options' token and id 1, and waits
    /// for its reply. Pushes that come with the reply stay to be read.
    ///
    /// # Errors
    /// [`Error::Error`] if the command is refused; otherwise as
    /// [`Connection::next_reply`].
    pub async fn connect(&mut self, options: &Options) -> Result<ConnectResult, Error> {
        let connect = Connect {
            token: Token(options.token.as_deref().unwrap_or_default().into()),
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Connect::default()
        };
        self.send(Command { id: 1, request: Request::Connect(Box::new(connect)) }).await?;
        match self.next_reply(options.timeout).await? {
            Reply { id: 1, body: Body::Connect(result) } => Ok(*result),
            Reply { id: 1, body: Body::Error(error) } => Err(error.into()),
            _ => Err(Error::Protocol("the first reply is not that of connect")),
        }
    }

    /// How commands and replies are written.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.codec.encoding()
    }

    /// The stream, to end it in ways that a client should not.
    pub fn into_stream(self) -> S {
        self.stream
    }

    async fn next_event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let frame = self.read_frame().await?;
            self.interpret(&frame);
            // A server that has closed need not take the answer any more.
            let flushed = self.flush().await;
            if !matches!(frame, Frame::Close(..)) {
                flushed?;
            }
        }
    }

    fn interpret(&mut self, frame: &Frame) {
        let Connection { codec, events, out, .. } = self;
        let taken =
            codec.dialogue.take(frame.as_incoming(), out, &mut |event| events.push_back(Ok(event)));
        events.extend(taken.err().map(Err));
    }

    async fn read_frame(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return frame;
            }
            let mut scratch = vec![0; READ];
            let length = self.stream.read(&mut scratch).await?;
            if length == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            scratch.truncate(length);
            self.take_bytes(&mut scratch);
        }
    }

    fn take_bytes(&mut self, bytes: &mut [u8]) {
        let Connection { codec, frames, .. } = self;
        let fed = codec.receiver.feed(bytes, |incoming| {
            frames.push_back(Ok(incoming.into()));
            ControlFlow::Continue(())
        });
        frames.extend(fed.err().map(|violation| Err(violation.into())));
    }

    /// Writes what waits; can be dropped and called again at any point.
    async fn flush(&mut self) -> Result<(), Error> {
        while !self.out.is_empty() {
            let written = self.stream.write(&self.out).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.out.drain(..written);
        }
        Ok(())
    }
}

/// What is left of a connection that someone else goes on with.
pub(crate) struct Parts<S> {
    pub(crate) stream: S,
    pub(crate) codec: Codec,
    pub(crate) out: Vec<u8>,
    /// What was read and not yet looked at.
    pub(crate) events: VecDeque<Result<Event, Error>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn into_parts(mut self) -> Parts<S> {
        while let Some(frame) = self.frames.pop_front() {
            match frame {
                Ok(frame) => self.interpret(&frame),
                Err(error) => self.events.push_back(Err(error)),
            }
        }
        Parts { stream: self.stream, codec: self.codec, out: self.out, events: self.events }
    }
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    options: &Options,
) -> Result<Connection<S>, Error> {
    let address = options.address()?;
    let subprotocol = match options.encoding {
        Encoding::Json => None,
        Encoding::Protobuf => Some("centrifuge-protobuf"),
    };
    let key = handshake::key();
    let headers = options.checked_headers()?;
    let request = handshake::request(address.authority, &address.path, &key, subprotocol, &headers);
    stream.write_all(&request).await?;

    let mut response = handshake::Response::new(&key, subprotocol);
    let mut scratch = vec![0; READ];
    let mut accepted = loop {
        let length = stream.read(&mut scratch).await?;
        if length == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Some(accepted) = response.feed(scratch.get(..length).unwrap_or_default())? {
            break accepted;
        }
    };
    if accepted.subprotocol.as_deref() != subprotocol {
        return Err(Error::Protocol("the server does not speak Protobuf"));
    }
    let mut codec = Codec::new(options.encoding, options.message_limit);
    codec.answer_pings(options.answer_pings);
    let mut connection = Connection {
        stream,
        codec,
        out: Vec::new(),
        frames: VecDeque::new(),
        events: VecDeque::new(),
        timeout: options.timeout,
    };
    connection.take_bytes(&mut accepted.leftover);
    Ok(connection)
}

impl Frame {
    fn as_incoming(&self) -> Incoming<'_> {
        match self {
            Frame::Text(text) => Incoming::Text(text),
            Frame::Binary(bytes) => Incoming::Binary(bytes),
            Frame::Ping(payload) => Incoming::Ping(payload),
            Frame::Pong(payload) => Incoming::Pong(payload),
            Frame::Close(code, reason) => Incoming::Close(*code, reason),
        }
    }
}

impl From<Incoming<'_>> for Frame {
    fn from(incoming: Incoming<'_>) -> Frame {
        match incoming {
            Incoming::Text(text) => Frame::Text(text.to_owned()),
            Incoming::Binary(bytes) => Frame::Binary(bytes.to_vec()),
            Incoming::Ping(payload) => Frame::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Frame::Pong(payload.to_vec()),
            Incoming::Close(code, reason) => Frame::Close(code, reason.to_owned()),
        }
    }
}

/// Shows how much waits, not what: commands carry tokens.
impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = (self.out.len(), self.frames.len() + self.events.len());
        write!(f, "Connection({} bytes unsent, {} events unread)", waiting.0, waiting.1)
    }
}

/// Shows sizes, not payloads.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_incoming(), f)
    }
}
