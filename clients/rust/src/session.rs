//! One connection with its commands and events: no reconnect, no recovery.

mod driver;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sealcast_wire::command::{Publish, Subscribe, Token};
use sealcast_wire::reply::{self, ConnectResult, Expiry, SubscribeResult};
use sealcast_wire::ws::Opcode;
use sealcast_wire::{Body, Command, Data, Encoding, Publication, Push, Reply, Request, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::driver::{Ask, Driver, MAX_CALLS};
use crate::error::End;
use crate::{Connection, Error, Options, codec};

/// A connection on which the connect command has succeeded; when it ends, that is
/// the end. [`crate::Client`] is for those who want it to come back. All methods
/// can be called at the same time from several tasks.
///
/// Events must be taken with [`Session::next_event`]: when
/// [`Options::event_buffer`] of them wait, it stops reading, and then
/// replies wait behind events.
///
/// Dropping the session ends the connection without a close frame.
pub struct Session {
    result: ConnectResult,
    encoding: Encoding,
    timeout: Duration,
    last_id: AtomicU32,
    /// One permit for each call that may wait for its reply.
    calls: Semaphore,
    asks: mpsc::Sender<Ask>,
    events: Mutex<mpsc::Receiver<Event>>,
    end: watch::Receiver<Option<End>>,
    task: JoinHandle<()>,
}

/// What happens without being asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something was published.
    Publication {
        /// Where.
        channel: Arc<str>,
        /// What.
        publication: Publication,
    },
    /// The server ended a subscription.
    Unsubscribed {
        /// Which.
        channel: Arc<str>,
        /// Why; 2500 and above ask to subscribe again.
        code: u32,
        /// Why, as text.
        reason: Cow<'static, str>,
    },
    /// Any other push.
    Push(Push),
    /// The server closed the connection, or agreed to our closing it. The last
    /// event, and given again when asked again.
    Disconnected {
        /// The close code; 1005 if there was none. 3500 to 3999 ask not to
        /// come back.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// The connection ended without a close frame, or because the server broke
    /// the protocol. The last event, and given again when asked again.
    Lost {
        /// What went wrong, for people.
        reason: String,
    },
}

impl Session {
    /// Connects by TCP, upgrades, and sends the connect command.
    ///
    /// # Errors
    /// Everything that [`Connection::open`] and [`Connection::connect`] say.
    pub async fn connect(options: Options) -> Result<Session, Error> {
        let connection = Connection::open(&options).await?;
        Session::start(connection, &options).await
    }

    /// As [`Session::connect`], over an upgraded connection of any kind.
    ///
    /// # Errors
    /// Everything that [`Connection::connect`] says.
    pub async fn start<S>(
        mut connection: Connection<S>,
        options: &Options,
    ) -> Result<Session, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let result = connection.connect(options).await?;
        let (asks, asked) = mpsc::channel(MAX_CALLS);
        let (to_events, events) = mpsc::channel(options.event_buffer.max(1));
        let (to_end, end) = watch::channel(None);
        let parts = connection.into_parts();
        let driver = Driver::run(parts, options.timeout, asked, to_events, to_end);
        Ok(Session {
            result,
            encoding: options.encoding,
            timeout: options.timeout,
            last_id: AtomicU32::new(1),
            calls: Semaphore::new(MAX_CALLS),
            asks,
            events: Mutex::new(events),
            end,
            task: tokio::spawn(driver),
        })
    }

    /// What the server answered to the connect command.
    #[must_use]
    pub fn result(&self) -> &ConnectResult {
        &self.result
    }

    /// Subscribes to a channel, without token and without recovery. For more,
    /// [`Session::call`].
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn subscribe(&self, channel: &str) -> Result<SubscribeResult, Error> {
        let request = Subscribe { channel: channel.into(), ..Subscribe::default() };
        match self.call(Request::Subscribe(Box::new(request))).await?.body {
            Body::Subscribe(result) => Ok(*result),
            _ => Err(MISMATCH),
        }
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), Error> {
        match self.call(Request::Unsubscribe { channel: channel.into() }).await?.body {
            Body::Unsubscribe => Ok(()),
            _ => Err(MISMATCH),
        }
    }

    /// Publishes into a channel; in JSON, `data` must be one JSON value.
    ///
    /// # Errors
    /// As [`Session::call`]; [`io::ErrorKind::InvalidInput`] for what is not JSON.
    pub async fn publish(&self, channel: &str, data: &[u8]) -> Result<(), Error> {
        let data = match self.encoding {
            Encoding::Json if !json::is_value(data) => {
                return Err(Error::invalid("the data is not one JSON value"));
            }
            Encoding::Json => Data::Json(data),
            Encoding::Protobuf => Data::Opaque(data),
        };
        let channel = channel.into();
        let request = Publish { channel, data: Some(data), ..Publish::default() };
        match self.call(Request::Publish(request)).await?.body {
            Body::Publish => Ok(()),
            _ => Err(MISMATCH),
        }
    }

    /// Brings a new connection token; says when it expires.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn refresh(&self, token: &str) -> Result<Expiry, Error> {
        match self.call(Request::Refresh { token: Token(token.into()) }).await?.body {
            Body::Refresh(expiry) => Ok(expiry),
            _ => Err(MISMATCH),
        }
    }

    /// Sends any request and waits for its reply, which is never
    /// [`Body::Error`]. Payloads in it must be JSON values, if the encoding is
    /// JSON; they are not checked here. Replies may come in any order.
    ///
    /// # Errors
    /// [`Error::Error`] if the server refuses; [`Error::Timeout`] after
    /// [`Options::timeout`], also if the request could not be sent by then;
    /// [`Error::Disconnected`], [`Error::Io`] or [`Error::Protocol`] if the
    /// connection has ended or ends; [`io::ErrorKind::InvalidInput`] for a
    /// request that has no reply.
    pub async fn call(&self, request: Request<'_>) -> Result<Reply, Error> {
        if !request.wants_reply() {
            return Err(Error::invalid("a request without a reply"));
        }
        // Zero is what a command without reply carries.
        let id = self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let mut frame = Vec::new();
        codec::put_commands(self.encoding, &mut frame, &[Command { id, request }]);
        let call = async {
            let _permit = self.calls.acquire().await;
            let (to_reply, reply) = oneshot::channel();
            self.ask(Ask::Call { frame, id, reply: to_reply }).await?;
            reply.await.map_err(|_| self.ended())
        };
        match timeout(self.timeout, call).await.map_err(|_| Error::Timeout)?? {
            Reply { body: Body::Error(error), .. } => Err(error.into()),
            reply => Ok(reply),
        }
    }

    /// Sends a message that has no reply.
    ///
    /// # Errors
    /// As [`Session::send_frame`].
    pub async fn send(&self, request: Request<'_>) -> Result<(), Error> {
        if request.wants_reply() {
            return Err(Error::invalid("a request with a reply"));
        }
        let mut frame = Vec::new();
        codec::put_commands(self.encoding, &mut frame, &[Command { id: 0, request }]);
        self.ask_in_time(Ask::Send { frame }).await
    }

    /// Sends one frame with any payload.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the server does not read; otherwise that the
    /// connection has ended.
    pub async fn send_frame(&self, payload: &[u8], opcode: Opcode) -> Result<(), Error> {
        let mut frame = Vec::new();
        codec::put_frame(&mut frame, opcode, payload);
        self.ask_in_time(Ask::Send { frame }).await
    }

    /// Waits for the next event. After [`Event::Disconnected`] or
    /// [`Event::Lost`], gives the same again.
    pub async fn next_event(&self) -> Event {
        match self.events.lock().await.recv().await {
            Some(event) => event,
            None => self.end().into(),
        }
    }

    /// Closes with code 1000, and waits until the server has agreed or
    /// [`Options::timeout`] is over. Events that were not taken are dropped.
    pub async fn close(&self) {
        if self.ask_in_time(Ask::Close).await.is_ok() {
            // Fails if the task is gone, which is as good.
            let _ = self.end.clone().wait_for(Option::is_some).await;
        }
    }

    async fn ask_in_time(&self, ask: Ask) -> Result<(), Error> {
        timeout(self.timeout, self.ask(ask)).await.map_err(|_| Error::Timeout)?
    }

    async fn ask(&self, ask: Ask) -> Result<(), Error> {
        self.asks.send(ask).await.map_err(|_| self.ended())
    }

    fn ended(&self) -> Error {
        self.end().into()
    }

    fn end(&self) -> End {
        self.end.borrow().clone().unwrap_or(End::Lost(io::ErrorKind::BrokenPipe))
    }
}

const MISMATCH: Error = Error::Protocol("the reply is not of the command's kind");

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.result.client)
    }
}

impl From<Push> for Event {
    fn from(push: Push) -> Event {
        let Push { channel, event } = push;
        match event {
            reply::Event::Publication(publication) => Event::Publication { channel, publication },
            reply::Event::Unsubscribe { code, reason } => {
                Event::Unsubscribed { channel, code, reason }
            }
            event => Event::Push(Push { channel, event }),
        }
    }
}
