//! Sockets that carry what those say who listen to event streams: one request each at a
//! time, to `/emulation`.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::failure::{Failure, While};

/// How many there are at most.
const MOST: usize = 32;
/// The longest answer, bytes.
const ANSWER: usize = 16 << 10;
/// How often a request is sent again whose socket was closed without an answer.
const TRIES: u32 = 3;

/// See the module's text. Their tokens begin with `first`.
pub(super) struct Couriers {
    address: SocketAddr,
    first: usize,
    sockets: Vec<Option<Courier>>,
    waiting: VecDeque<Errand>,
}

struct Errand {
    body: String,
    tries: u32,
}

struct Courier {
    stream: TcpStream,
    open: bool,
    out: Vec<u8>,
    answer: Vec<u8>,
    errand: Option<Errand>,
}

impl Couriers {
    pub(super) fn new(address: SocketAddr, first: usize) -> Couriers {
        Couriers { address, first, sockets: Vec::new(), waiting: VecDeque::new() }
    }

    /// Sends this body when a socket is free for it.
    ///
    /// # Errors
    /// If no socket can be made.
    pub(super) fn send(&mut self, body: String, registry: &Registry) -> Result<(), Failure> {
        self.waiting.push_back(Errand { body, tries: 0 });
        self.go(registry)
    }

    /// Something happened to the socket with this token.
    ///
    /// # Errors
    /// If a request is not taken.
    pub(super) fn serve(&mut self, token: usize, registry: &Registry) -> Result<(), Failure> {
        let at = token - self.first;
        let Some(Some(courier)) = self.sockets.get_mut(at) else { return Ok(()) };
        if courier.serve()? {
            return self.go(registry);
        }
        let errand = courier.errand.take();
        if let Some(slot) = self.sockets.get_mut(at) {
            *slot = None;
        }
        if let Some(Errand { body, tries }) = errand {
            if tries == TRIES {
                return Err(Failure::Server("requests to /emulation are not answered".into()));
            }
            self.waiting.push_front(Errand { body, tries: tries + 1 });
        }
        self.go(registry)
    }

    /// Hands what waits to those who are free.
    fn go(&mut self, registry: &Registry) -> Result<(), Failure> {
        while !self.waiting.is_empty() {
            let free = |slot: &Option<Courier>| slot.as_ref().is_some_and(|it| it.errand.is_none());
            let at = match self.sockets.iter().position(free) {
                Some(at) => at,
                None => match self.sockets.iter().position(Option::is_none) {
                    Some(at) => self.dial(at, registry)?,
                    None if self.sockets.len() < MOST => {
                        self.sockets.push(None);
                        self.dial(self.sockets.len() - 1, registry)?
                    }
                    None => return Ok(()),
                },
            };
            let Some(Some(courier)) = self.sockets.get_mut(at) else { return Ok(()) };
            if let Some(errand) = self.waiting.pop_front() {
                courier.take(errand, self.address);
            }
        }
        Ok(())
    }

    fn dial(&mut self, at: usize, registry: &Registry) -> Result<usize, Failure> {
        let mut stream = TcpStream::connect(self.address).during("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(self.first + at), interest).during("poll a socket")?;
        let (out, answer) = Default::default();
        if let Some(slot) = self.sockets.get_mut(at) {
            *slot = Some(Courier { stream, open: false, out, answer, errand: None });
        }
        Ok(at)
    }
}

impl Courier {
    fn take(&mut self, errand: Errand, host: SocketAddr) {
        let (body, length) = (&errand.body, errand.body.len());
        self.out = format!(
            "POST /emulation HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes();
        self.errand = Some(errand);
        // What is not taken now is written when the socket is ready; what is broken is
        // seen when it is read.
        let _ = self.flush();
    }

    /// Whether the socket is good still.
    fn serve(&mut self) -> Result<bool, Failure> {
        if !self.open {
            if let Some(error) = self.stream.take_error().during("ask a socket")? {
                return Err(Failure::Server(format!("cannot connect for /emulation: {error}")));
            }
            self.open = true;
            let _ = SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
            let _ = self.stream.set_nodelay(true);
        }
        if self.flush().is_err() {
            return Ok(false);
        }
        let mut some = [0; 4_096];
        loop {
            match self.stream.read(&mut some) {
                Ok(count @ 1..) => {
                    self.answer.extend_from_slice(some.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Ok(false),
            }
            if self.answer.ends_with(b"\r\n\r\n") && self.answer.starts_with(b"HTTP/1.1 204 ") {
                self.answer.clear();
                self.errand = None;
            } else if self.answer.len() > ANSWER
                || self.answer.windows(4).any(|it| it == b"\r\n\r\n")
            {
                let answer = String::from_utf8_lossy(&self.answer);
                let short: String = answer.chars().take(300).collect();
                return Err(Failure::Server(format!("/emulation was answered by {short:?}")));
            }
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.open && !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => {
                    self.out.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
