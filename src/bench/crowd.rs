//! The load generator: many connections that listen and some that publish, on one
//! thread with epoll. Those who listen are in processes of their own ([`Share`]) where
//! one may not have so many.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use super::audience::{Audience, Nobody, Publication};
use super::clock;
use super::courier::Couriers;
use super::failure::{Failure, While};
use super::link::{Manner, Tongue};
use super::member::{Joined, Member, Part};
use super::shares::{self, Share};
use super::target::{Kind, Target};

/// Connections that are being made at the same time.
const OPENING: usize = 128;
/// How long nothing may come while something is owed.
const PATIENCE: Duration = Duration::from_secs(20);
const READ: usize = 256 << 10;
/// Where the tokens of couriers and of shares begin; below are those of seats.
const COURIERS: usize = 1 << 40;
const SHARES: usize = 1 << 41;

/// See the module's text. The subscribers come first, in the order of their
/// channels; the publishers are the last.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    address: SocketAddr,
    /// From where connections come; `None` if that is all the same.
    source: Option<IpAddr>,
    shares: Vec<Share>,
    /// How many subscribers the shares have: none, or all.
    remote: usize,
    seats: Vec<Seat>,
    /// Those who are live; they are the first of `seats` or still opening.
    live: usize,
    couriers: Couriers,
    is_floor: bool,
    publishers: usize,
    subscribers_publish: bool,
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
        Crowd::gather_in(Manner::USUAL, target, name, channels, publishers)
    }

    /// The same, of clients that come in this manner.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub(super) fn gather_in(
        manner: Manner,
        target: &Target,
        name: &str,
        channels: impl ExactSizeIterator<Item = String>,
        publishers: usize,
    ) -> Result<Crowd, Failure> {
        let mut subscribers = Vec::with_capacity(channels.len());
        for (at, channel) in channels.enumerate() {
            let part = Part::subscriber(target, &format!("{name}-{at}"), vec![channel])?;
            subscribers.push((manner, part));
        }
        Crowd::of(target, name, subscribers, publishers, manner.tongue)
    }

    /// These who subscribe, and so many that publish.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub(super) fn of(
        target: &Target,
        name: &str,
        subscribers: Vec<(Manner, Part)>,
        publishers: usize,
        tongue: Tongue,
    ) -> Result<Crowd, Failure> {
        let editor = |at| match target.kind() {
            Kind::Floor(_) => Ok((tongue.by_websocket(), Part::FloorPublisher)),
            _ => {
                let token = target.tokens().of(&format!("{name}-editor-{at}"))?;
                Ok((tongue.by_websocket(), Part::Publisher { token }))
            }
        };
        let editors = (0..publishers).map(editor).collect::<Result<Vec<_>, Failure>>()?;
        let share = shares::size(subscribers.len(), publishers)?;
        let mut crowd = Crowd::empty(target.address(), target.kind().is_floor(), None)?;
        crowd.publishers = publishers;
        let start = clock::now();
        match share {
            None => crowd.fill(subscribers.into_iter())?,
            Some(share) => crowd.share_out(&subscribers, share)?,
        }
        // A floor's publisher comes last, when it can see all the others.
        crowd.fill(editors.into_iter())?;
        crowd.gathered_in = start.elapsed();
        Ok(crowd)
    }

    /// Only these who subscribe, from this address, all in this process.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub(super) fn from_source(
        source: IpAddr,
        address: SocketAddr,
        subscribers: Vec<(Manner, Part)>,
    ) -> Result<Crowd, Failure> {
        let mut crowd = Crowd::empty(address, false, Some(source))?;
        crowd.fill(subscribers.into_iter())?;
        Ok(crowd)
    }

    fn empty(
        address: SocketAddr,
        is_floor: bool,
        source: Option<IpAddr>,
    ) -> Result<Crowd, Failure> {
        Ok(Crowd {
            poll: Poll::new().during("make a poll")?,
            events: Events::with_capacity(1_024),
            scratch: vec![0; READ],
            address,
            source,
            shares: Vec::new(),
            remote: 0,
            seats: Vec::new(),
            live: 0,
            couriers: Couriers::new(address, COURIERS),
            is_floor,
            publishers: 0,
            subscribers_publish: false,
            gathered_in: Duration::ZERO,
        })
    }

    /// Starts a process for each so many of them, and waits until all are live.
    fn share_out(&mut self, subscribers: &[(Manner, Part)], size: usize) -> Result<(), Failure> {
        for (at, some) in subscribers.chunks(size).enumerate() {
            let token = Token(SHARES + at);
            let share = Share::start(at, self.remote, self.address, some)?;
            self.shares.push(share.registered(self.poll.registry(), token)?);
            self.remote += some.len();
        }
        while !self.shares.iter().all(Share::is_live) {
            self.turn(Duration::from_millis(100), &mut Nobody)?;
        }
        Ok(())
    }

    /// How long it took until all were live.
    pub(super) fn gathered_in(&self) -> Duration {
        self.gathered_in
    }

    /// How many subscribers are in this process; then come the publishers.
    fn local(&self) -> usize {
        self.seats.len().saturating_sub(self.publishers)
    }

    /// What came with the reply to each subscriber's subscribe.
    pub(super) fn joined(&self) -> impl Iterator<Item = Option<&Joined>> {
        let remote = self.shares.iter().flat_map(Share::joined);
        remote.chain(self.seats.iter().take(self.local()).map(|seat| seat.member.joined()))
    }

    /// The first publisher publishes these payloads, back to back in one write: for
    /// a node to a channel, for a floor what it is to send.
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
        self.publish_from(self.local() + publisher, publications)
    }

    /// The same by a subscriber; those of other processes say nothing.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn publish_as(
        &mut self,
        subscriber: usize,
        publications: &[Publication<'_>],
    ) -> Result<(), Failure> {
        self.subscribers_publish = true;
        self.publish_from(subscriber, publications)
    }

    fn publish_from(&mut self, at: usize, publications: &[Publication<'_>]) -> Result<(), Failure> {
        let Some(Seat { member, .. }) = self.seats.get_mut(at) else { return Ok(()) };
        for publication in publications {
            match publication {
                Publication::Payload { channel, payload } => member.publish(channel, payload),
                Publication::Push(push) => member.send_on(push),
            }
        }
        self.flush(at)
    }

    /// Whether what is published goes to a floor, and so has to be what subscribers
    /// get.
    pub(super) fn is_floor(&self) -> bool {
        self.is_floor
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

    /// Reads whatever comes, until every publish is confirmed.
    ///
    /// # Errors
    /// As [`Crowd::complete`].
    pub(super) fn confirm(&mut self, audience: &mut impl Audience) -> Result<(), Failure> {
        let mut left = self.unconfirmed();
        let mut since = clock::now();
        while left > 0 {
            self.turn(Duration::from_millis(100), audience)?;
            if self.unconfirmed() != left {
                left = self.unconfirmed();
                since = clock::now();
            } else if since.elapsed() > PATIENCE {
                return Err(Failure::Delivery(format!("{left} publishes are not confirmed")));
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
                match at {
                    SHARES.. => return self.relay(at - SHARES, audience),
                    COURIERS.. => return self.couriers.serve(at, self.poll.registry()),
                    _ => self.open(at)?,
                }
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
        let first = if self.subscribers_publish { 0 } else { self.local() };
        self.seats.iter().skip(first).map(|seat| seat.member.unconfirmed()).sum()
    }

    /// Makes these connections, a bounded number at a time.
    fn fill(&mut self, mut parts: impl Iterator<Item = (Manner, Part)>) -> Result<(), Failure> {
        let mut live = self.live;
        let mut since = clock::now();
        loop {
            while self.seats.len() - self.live < OPENING
                && let Some((manner, part)) = parts.next()
            {
                self.begin(manner, part)?;
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

    fn begin(&mut self, manner: Manner, part: Part) -> Result<(), Failure> {
        let mut stream = match self.source {
            None => TcpStream::connect(self.address),
            Some(source) => connect_from(source, self.address),
        }
        .during("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.seats.len());
        self.poll.registry().register(&mut stream, token, interest).during("poll a socket")?;
        let member = Member::new(part, manner, &self.address.to_string());
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
        let voice = &mut member.voice;
        for body in voice.posts.drain(..) {
            self.couriers.send(body, self.poll.registry())?;
        }
        while !voice.out.is_empty() {
            match stream.write(&voice.out) {
                Ok(count) => {
                    voice.out.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ended(at, &error.to_string())),
            }
        }
        if voice.out.capacity() > 0 {
            voice.out = Vec::new();
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
                .feed(bytes, |line| audience.hear(self.remote + at, line, now))
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

    /// Takes what the subscribers of a share have heard.
    fn relay(&mut self, share: usize, audience: &mut impl Audience) -> Result<(), Failure> {
        let Some(share) = self.shares.get_mut(share) else { return Ok(()) };
        share.read(&mut self.scratch, |subscriber, line, at| {
            audience
                .hear(subscriber, line, at)
                .map_err(|surprise| ended(subscriber, &surprise.to_string()))
        })
    }
}

fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn ended(at: usize, why: &str) -> Failure {
    Failure::Server(format!("connection {at} failed: {why}"))
}
