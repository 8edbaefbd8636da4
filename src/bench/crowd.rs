//! The load generator: many connections that listen and some that publish, on one
//! thread with epoll.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::clock;
use super::failure::{Failure, While};
use super::member::{Joined, Member, Part, Surprise};
use super::target::{Kind, Target};

/// Connections that are being made at the same time.
const OPENING: usize = 128;
/// How long nothing may come while something is owed.
const PATIENCE: Duration = Duration::from_secs(20);
const READ: usize = 256 << 10;

/// What a bench does with what comes.
pub(super) trait Audience {
    /// A line came to the subscriber with this number, and was read at `at`.
    ///
    /// # Errors
    /// If it is not what a subscriber should get.
    fn hear(&mut self, subscriber: usize, line: &str, at: Instant) -> Result<(), Surprise>;

    /// How many deliveries came so far.
    fn heard(&self) -> u64;

    /// Whether everything came that is owed.
    fn is_complete(&self) -> bool;

    /// What is wrong with what came, for a person; `Ok` if nothing.
    fn verdict(&self) -> Result<(), String>;
}

/// See the module's text. The subscribers come first, in the order of their
/// channels; the publishers are the last.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    address: SocketAddr,
    seats: Vec<Seat>,
    /// Those who are live; they are the first of `seats` or still opening.
    live: usize,
    kind: Kind,
    publishers: usize,
    gathered_in: Duration,
}

struct Seat {
    member: Member,
    stream: TcpStream,
    /// The connection stands: before, its socket cannot be read or written.
    open: bool,
}

impl Crowd {
    /// Makes a connection for each channel, and one that publishes, and waits
    /// until all receive. The users are `<name>-0` and so on.
    ///
    /// # Errors
    /// If one is refused, or nothing happens for a while.
    pub(super) fn gather(
        target: &Target,
        name: &str,
        channels: impl ExactSizeIterator<Item = String>,
    ) -> Result<Crowd, Failure> {
        Crowd::gather_with(target, name, channels, 1)
    }

    /// The same, with so many that publish.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub(super) fn gather_with(
        target: &Target,
        name: &str,
        channels: impl ExactSizeIterator<Item = String>,
        publishers: usize,
    ) -> Result<Crowd, Failure> {
        let mut subscribers = Vec::with_capacity(channels.len());
        for (at, channel) in channels.enumerate() {
            subscribers.push(match target.kind() {
                Kind::Floor(_) => Part::FloorSubscriber,
                _ => {
                    let token = target.tokens().of(&format!("{name}-{at}"))?;
                    Part::Subscriber { token, channel, from: None }
                }
            });
        }
        Crowd::of(target, name, subscribers, publishers)
    }

    /// These who subscribe, and so many that publish.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub(super) fn of(
        target: &Target,
        name: &str,
        subscribers: Vec<Part>,
        publishers: usize,
    ) -> Result<Crowd, Failure> {
        let editor = |at| match target.kind() {
            Kind::Floor(_) => Ok(Part::FloorPublisher),
            _ => {
                let token = target.tokens().of(&format!("{name}-editor-{at}"))?;
                Ok(Part::Publisher { token })
            }
        };
        let editors = (0..publishers).map(editor).collect::<Result<Vec<_>, Failure>>()?;
        let mut crowd = Crowd {
            poll: Poll::new().during("make a poll")?,
            events: Events::with_capacity(1_024),
            scratch: vec![0; READ],
            address: target.address(),
            seats: Vec::with_capacity(subscribers.len() + publishers),
            live: 0,
            kind: target.kind(),
            publishers,
            gathered_in: Duration::ZERO,
        };
        let start = clock::now();
        crowd.fill(subscribers.into_iter())?;
        // A floor's publisher comes last, when it can see all the others.
        crowd.fill(editors.into_iter())?;
        crowd.gathered_in = start.elapsed();
        Ok(crowd)
    }

    /// How long it took until all were live.
    pub(super) fn gathered_in(&self) -> Duration {
        self.gathered_in
    }

    /// How many subscribers there are.
    pub(super) fn subscribers(&self) -> usize {
        self.seats.len().saturating_sub(self.publishers)
    }

    /// What came with the reply to each subscriber's subscribe.
    pub(super) fn joined(&self) -> impl Iterator<Item = Option<&Joined>> {
        self.seats.iter().take(self.subscribers()).map(|seat| seat.member.joined())
    }

    /// The first publisher publishes these payloads, back to back in one write: for
    /// a node to a channel, for a floor as `push` makes a text of each.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn publish(&mut self, publications: &[Publication<'_>]) -> Result<(), Failure> {
        self.publish_by(0, publications)
    }

    /// The same by another of the publishers.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn publish_by(
        &mut self,
        publisher: usize,
        publications: &[Publication<'_>],
    ) -> Result<(), Failure> {
        let at = self.subscribers() + publisher;
        let Some(Seat { member, .. }) = self.seats.get_mut(at) else { return Ok(()) };
        for publication in publications {
            match publication {
                Publication::Payload { channel, payload } => member.publish(channel, payload),
                Publication::Push(push) => member.send_on(push),
            }
        }
        self.flush(at)
    }

    /// Whether what is published goes to a floor, and so has to be the text that
    /// subscribers get.
    pub(super) fn is_floor(&self) -> bool {
        self.kind.is_floor()
    }

    /// Reads whatever comes, until everything did that is owed, and every publish
    /// is confirmed.
    ///
    /// # Errors
    /// If something else comes, or nothing for a while.
    pub(super) fn complete(&mut self, audience: &mut impl Audience) -> Result<(), Failure> {
        let mut heard = audience.heard();
        let mut since = clock::now();
        while !audience.is_complete() || self.unconfirmed() > 0 {
            self.turn(Duration::from_millis(100), audience)?;
            if audience.heard() != heard {
                heard = audience.heard();
                since = clock::now();
            } else if since.elapsed() > PATIENCE {
                let why = audience.verdict().err().unwrap_or("publishes are not confirmed".into());
                return Err(Failure::Delivery(format!(
                    "nothing more came for {} s: {why}",
                    PATIENCE.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// Reads whatever comes for that long.
    ///
    /// # Errors
    /// As [`Crowd::complete`].
    pub(super) fn linger(
        &mut self,
        length: Duration,
        audience: &mut impl Audience,
    ) -> Result<(), Failure> {
        let end = clock::now() + length;
        loop {
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left, audience)?;
        }
    }

    /// Waits for at most `timeout` until something happens, and serves it.
    ///
    /// # Errors
    /// If a connection ends, or something comes that should not.
    pub(super) fn turn(
        &mut self,
        timeout: Duration,
        audience: &mut impl Audience,
    ) -> Result<(), Failure> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled.during("poll"),
        };
        let served = polled.and_then(|()| {
            events.iter().try_for_each(|event| {
                let at = event.token().0;
                self.open(at)?;
                if event.is_writable() {
                    self.flush(at)?;
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(at, audience)?;
                }
                Ok(())
            })
        });
        self.events = events;
        served
    }

    fn unconfirmed(&self) -> usize {
        self.seats.iter().skip(self.subscribers()).map(|seat| seat.member.unconfirmed()).sum()
    }

    /// Makes these connections, a bounded number at a time.
    fn fill(&mut self, mut parts: impl Iterator<Item = Part>) -> Result<(), Failure> {
        let mut live = self.live;
        let mut since = clock::now();
        loop {
            while self.seats.len() - self.live < OPENING
                && let Some(part) = parts.next()
            {
                self.begin(part)?;
            }
            if self.live == self.seats.len() {
                return Ok(());
            }
            self.turn(Duration::from_millis(100), &mut Nobody)?;
            if self.live != live {
                live = self.live;
                since = clock::now();
            } else if since.elapsed() > PATIENCE {
                return Err(Failure::Server(format!(
                    "{} of {} connections stand, and no further one for {} s",
                    self.live,
                    self.seats.len(),
                    PATIENCE.as_secs()
                )));
            }
        }
    }

    fn begin(&mut self, part: Part) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(self.address).during("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.seats.len());
        self.poll.registry().register(&mut stream, token, interest).during("poll a socket")?;
        let member = Member::new(part, &self.address.to_string());
        self.seats.push(Seat { member, stream, open: false });
        Ok(())
    }

    /// Notes that the connection stands, the first time that something happens.
    fn open(&mut self, at: usize) -> Result<(), Failure> {
        let Some(seat) = self.seats.get_mut(at) else { return Ok(()) };
        if seat.open {
            return Ok(());
        }
        if let Some(error) = seat.stream.take_error().during("ask a socket")? {
            return Err(ended(at, &error.to_string()));
        }
        seat.open = true;
        // So that a closed socket is gone at once, and its port is free.
        SockRef::from(&seat.stream).set_linger(Some(Duration::ZERO)).during("set up a socket")?;
        seat.stream.set_nodelay(true).during("set up a socket")
    }

    fn flush(&mut self, at: usize) -> Result<(), Failure> {
        let Some(Seat { member, stream, open: true }) = self.seats.get_mut(at) else {
            return Ok(());
        };
        while !member.out.is_empty() {
            match stream.write(&member.out) {
                Ok(count) => {
                    member.out.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ended(at, &error.to_string())),
            }
        }
        if member.out.capacity() > 0 {
            member.out = Vec::new();
        }
        Ok(())
    }

    fn read(&mut self, at: usize, audience: &mut impl Audience) -> Result<(), Failure> {
        let Some(Seat { member, stream, open: true }) = self.seats.get_mut(at) else {
            return Ok(());
        };
        let was_live = member.is_live();
        loop {
            let count = match stream.read(&mut self.scratch) {
                Ok(0) => return Err(ended(at, "the server closed it")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ended(at, &error.to_string())),
            };
            let now = clock::now();
            let Some(bytes) = self.scratch.get_mut(..count) else { break };
            member
                .feed(bytes, |line| audience.hear(at, line, now))
                .map_err(|surprise| ended(at, &surprise.to_string()))?;
            if count < READ {
                // The poll is edge-triggered, and tells of whatever comes now.
                break;
            }
        }
        if member.is_live() && !was_live {
            self.live += 1;
        }
        self.flush(at)
    }
}

/// Something to be published.
pub(super) enum Publication<'a> {
    /// To a node.
    Payload { channel: &'a str, payload: &'a str },
    /// To a floor: the text that everyone is to get.
    Push(&'a str),
}

/// For when nothing should come.
pub(super) struct Nobody;

impl Audience for Nobody {
    fn hear(&mut self, _: usize, line: &str, _: Instant) -> Result<(), Surprise> {
        Err(Surprise::new(format!("though nothing was published, this came: {line}")))
    }

    fn heard(&self) -> u64 {
        0
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn verdict(&self) -> Result<(), String> {
        Ok(())
    }
}

fn ended(at: usize, why: &str) -> Failure {
    Failure::Server(format!("connection {at} failed: {why}"))
}
