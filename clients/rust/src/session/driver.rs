//! The task that owns a session's connection: it writes what the client asks,
//! gives replies to whoever waits for them, and hands out events.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use sealcast_wire::{Body, Reply};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::Event;
use crate::Error;
use crate::codec::{self, Codec};
use crate::connection::{Parts, READ};
use crate::error::End;

/// How long to try to send the rest, when the connection has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many calls may wait for their replies; more wait for their turn.
pub(crate) const MAX_CALLS: usize = 1024;

/// With so many bytes unsent, nothing further is taken that would add to them.
const MAX_UNSENT: usize = 64 * 1024;

/// What the client asks of its task.
pub(crate) enum Ask {
    /// Send a command and bring its reply.
    Call { frame: Vec<u8>, id: u32, reply: oneshot::Sender<Reply> },
    /// Send.
    Send { frame: Vec<u8> },
    /// Close politely.
    Close,
}

pub(crate) struct Driver<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    codec: Codec,
    out: Vec<u8>,
    /// Replies that are owed, by id. Some callers may have given up.
    pending: HashMap<u32, oneshot::Sender<Reply>>,
    /// Events of the last read that did not fit into the client's buffer yet.
    /// Nothing is read while there are any.
    backlog: VecDeque<Event>,
    asks: mpsc::Receiver<Ask>,
    events: mpsc::Sender<Event>,
    end: watch::Sender<Option<End>>,
    timeout: Duration,
    /// Set when the end is near: our close frame is sent, or writing failed.
    deadline: Option<Instant>,
    /// Writing has failed. What the server said last may still be there to read.
    mute: bool,
    /// The client is closing and wants no more events.
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    /// Goes on where the connect command left the connection.
    pub(crate) async fn run(
        parts: Parts<S>,
        timeout: Duration,
        asks: mpsc::Receiver<Ask>,
        events: mpsc::Sender<Event>,
        end: watch::Sender<Option<End>>,
    ) {
        let (reader, writer) = tokio::io::split(parts.stream);
        let mut driver = Driver {
            reader,
            writer,
            codec: parts.codec,
            out: parts.out,
            pending: HashMap::new(),
            backlog: VecDeque::new(),
            asks,
            events,
            end,
            timeout,
            deadline: None,
            mute: false,
            closing: false,
        };
        let ended = match driver.take_early(parts.events) {
            Err(ended) => ended,
            Ok(()) => driver.exchange().await,
        };
        driver.finish(ended).await;
    }

    /// What came together with the reply to connect.
    fn take_early(&mut self, early: VecDeque<Result<codec::Event, Error>>) -> Result<(), End> {
        for event in early {
            dispatch(event?, &mut self.pending, &mut self.backlog)?;
        }
        Ok(())
    }

    async fn exchange(&mut self) -> End {
        let mut scratch = vec![0; READ];
        loop {
            if self.mute {
                self.out.clear();
            }
            if self.pending.len() >= 2 * MAX_CALLS {
                self.pending.retain(|_, reply| !reply.is_closed());
            }
            let room = self.out.len() < MAX_UNSENT;
            let deadline = self.deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                ask = self.asks.recv(), if room && !self.closing => match ask {
                    Some(ask) => self.take(ask),
                    None => return End::Lost(io::ErrorKind::BrokenPipe),
                },
                read = self.reader.read(&mut scratch), if room && self.backlog.is_empty() => {
                    let bytes = match read {
                        Ok(length) => scratch.get_mut(..length).unwrap_or_default(),
                        Err(error) => return End::Lost(error.kind()),
                    };
                    if let Err(end) = self.take_bytes(bytes) {
                        return end;
                    }
                }
                written = self.writer.write(&self.out), if !self.out.is_empty() => match written {
                    Ok(written @ 1..) => drop(self.out.drain(..written)),
                    Ok(0) | Err(_) => {
                        self.mute = true;
                        self.deadline.get_or_insert(Instant::now() + self.timeout);
                    }
                },
                () = deliver(&self.events, &mut self.backlog), if !self.backlog.is_empty() => {}
                () = sleep_until(deadline), if self.deadline.is_some() => {
                    return End::Lost(io::ErrorKind::TimedOut);
                }
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Send { frame } => self.out.extend_from_slice(&frame),
            Ask::Call { frame, id, reply } => {
                self.out.extend_from_slice(&frame);
                self.pending.insert(id, reply);
            }
            Ask::Close => {
                self.codec.put_close(&mut self.out, 1000, "");
                self.closing = true;
                self.backlog.clear();
                self.deadline.get_or_insert(Instant::now() + self.timeout);
            }
        }
    }

    /// Takes what was read; nothing means the end.
    fn take_bytes(&mut self, bytes: &mut [u8]) -> Result<(), End> {
        if bytes.is_empty() {
            return Err(End::Lost(io::ErrorKind::UnexpectedEof));
        }
        let Driver { codec, out, pending, backlog, .. } = self;
        let mut outcome = Ok(());
        let fed = codec.feed(bytes, out, |event| {
            if outcome.is_ok() {
                outcome = dispatch(event, pending, backlog);
            }
        });
        if self.closing {
            self.backlog.clear();
        }
        outcome.and(fed.map_err(End::from))
    }

    async fn finish(mut self, ended: End) {
        if !self.mute {
            let farewell = async {
                self.writer.write_all(&self.out).await?;
                self.writer.shutdown().await
            };
            // The connection is gone either way.
            let _ = timeout(FAREWELL, farewell).await;
        }
        self.end.send_replace(Some(ended));
        let Driver { reader, writer, pending, asks, events, backlog, .. } = self;
        drop((reader, writer, pending, asks));
        for event in backlog {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// Hands out one event, when there is room for it; loses none if dropped.
async fn deliver(events: &mpsc::Sender<Event>, backlog: &mut VecDeque<Event>) {
    if let Ok(room) = events.reserve().await
        && let Some(event) = backlog.pop_front()
    {
        room.send(event);
    }
}

/// Gives a reply to its caller, and a push to the backlog.
fn dispatch(
    event: codec::Event,
    pending: &mut HashMap<u32, oneshot::Sender<Reply>>,
    backlog: &mut VecDeque<Event>,
) -> Result<(), End> {
    match event {
        codec::Event::Reply(Reply { id: 0, body: Body::Push(push) }) => {
            backlog.push_back(push.into());
        }
        codec::Event::Reply(reply) => {
            if let Some(caller) = pending.remove(&reply.id) {
                // The caller may have given up.
                let _ = caller.send(reply);
            }
        }
        codec::Event::Close(code, reason) => return Err(End::Closed { code, reason }),
        codec::Event::Ping | codec::Event::FramePing | codec::Event::FramePong(_) => {}
    }
    Ok(())
}
