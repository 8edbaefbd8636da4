//! The floors: the least that a server must do, to compare with.
//!
//! A floor is one thread with epoll. It answers the WebSocket handshake in the
//! simplest way that clients accept, and from then on holds a bare list of
//! sockets. One connection, the one that asked for [`PUBLISH`], publishes: the
//! payload of each of its frames is sent to every other connection, in a frame
//! of its own, as it is. So a floor writes exactly the bytes that Sealcast
//! writes for the same publication, because the bench has them from Sealcast.
//!
//! * [`Kind::One`] sends each subscriber each publication by a send of its own.
//! * [`Kind::Batch`] joins all publications that one read brought, and sends each
//!   subscriber all of them at once.
//!
//! What a floor does not do: it has no protocol, tokens, channels, permissions,
//! replies, pings, timeouts, limits or metrics. It takes no lock, counts nothing
//! and decodes nothing. What subscribers send is thrown away. It keeps the rest
//! of a partial write, without bound, because it must not lose anything.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sealcast_wire::ws::{self, Incoming, Limits, Opcode, Receiver, Role};

use super::failure::{Failure, While};
use super::kernel;

/// The path of the connection that publishes.
pub(super) const PUBLISH: &str = "/publish";

/// Which floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// One send for each subscriber and publication.
    One,
    /// One send for each subscriber with all publications of one read.
    Batch,
}

const LISTENER: Token = Token(usize::MAX);
const READ: usize = 64 << 10;
/// The longest request head, bytes.
const HEAD: usize = 16 << 10;

/// Says where it listens, as the server's `--ready-json` does, and serves until
/// it is killed, which it is when its parent ends.
///
/// # Errors
/// If it cannot listen or poll.
pub(super) fn run(kind: Kind) -> Result<(), Failure> {
    kernel::end_with_parent()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut listener = TcpListener::bind(address).during("listen")?;
    let poll = Poll::new().during("make a poll")?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE).during("register a listener")?;
    let address = listener.local_addr().during("ask for the address")?;
    let ready = serde_json::json!({ "event": "ready", "public": address.to_string() });
    writeln!(io::stdout(), "{ready}").during("say that it is ready")?;
    let mut floor = Floor { kind, poll, listener, peers: Vec::new(), publications: Vec::new() };
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; READ];
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled.during("poll")?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(),
                Token(at) => floor.serve(at, &mut scratch),
            }
        }
    }
}

struct Floor {
    kind: Kind,
    poll: Poll,
    listener: TcpListener,
    /// By token; a place is not used again.
    peers: Vec<Option<Peer>>,
    /// Frames that the last read of the publisher brought, and where each ends.
    publications: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

enum Stage {
    Handshake(Vec<u8>),
    Subscriber,
    Publisher(Box<Receiver>),
}

impl Floor {
    fn accept(&mut self) {
        // An error that is not WouldBlock is of one socket, whose owner sees it.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = Token(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let _ = stream.set_nodelay(true);
            if self.poll.registry().register(&mut stream, token, interest).is_ok() {
                let stage = Stage::Handshake(Vec::new());
                self.peers.push(Some(Peer { stream, stage, unsent: Vec::new() }));
            }
        }
    }

    fn serve(&mut self, at: usize, scratch: &mut [u8]) {
        let Some(slot) = self.peers.get_mut(at) else { return };
        let Some(peer) = slot else { return };
        if !peer.unsent.is_empty() {
            peer.send(&[]);
        }
        loop {
            let Some(peer) = self.peers.get_mut(at).and_then(Option::as_mut) else { return };
            let count = match peer.stream.read(scratch) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    if let Some(slot) = self.peers.get_mut(at) {
                        *slot = None;
                    }
                    return;
                }
            };
            let Some(bytes) = scratch.get_mut(..count) else { return };
            if let Stage::Publisher(receiver) = &mut peer.stage {
                self.publications.clear();
                let mut ends = Vec::new();
                let publications = &mut self.publications;
                let _ = receiver.feed(bytes, |incoming| {
                    match incoming {
                        Incoming::Text(text) => {
                            ws::put_frame(publications, Opcode::Text, text.as_bytes());
                        }
                        Incoming::Binary(bytes) => {
                            ws::put_frame(publications, Opcode::Binary, bytes);
                        }
                        _ => return ControlFlow::Continue(()),
                    }
                    ends.push(publications.len());
                    ControlFlow::Continue(())
                });
                self.fan_out(&ends);
            } else {
                peer.take(bytes);
            }
            if count < scratch.len() {
                // The poll is edge-triggered, and tells of whatever comes now.
                return;
            }
        }
    }

    fn fan_out(&mut self, ends: &[usize]) {
        let all = [self.publications.len()];
        let mut from = 0;
        for &end in if self.kind == Kind::Batch { &all } else { ends } {
            let Some(bytes) = self.publications.get(from..end) else { return };
            from = end;
            for peer in self.peers.iter_mut().flatten() {
                if let Stage::Subscriber = peer.stage {
                    peer.send(bytes);
                }
            }
        }
    }
}

impl Peer {
    /// Takes what is not a publication: the handshake; the rest is thrown away.
    fn take(&mut self, bytes: &[u8]) {
        let Stage::Handshake(head) = &mut self.stage else { return };
        head.extend_from_slice(bytes);
        if head.len() > HEAD {
            let _ = self.stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        let Some((answer, publisher)) = answer(head) else { return };
        self.stage = if publisher {
            let limits = Limits { message: 1 << 20, fragments: 1 };
            Stage::Publisher(Box::new(Receiver::new(Role::Server, limits)))
        } else {
            Stage::Subscriber
        };
        self.send(answer.as_bytes());
    }

    /// Sends at once, behind what is still unsent; keeps what the socket does not
    /// take. A socket that is broken shows itself when it is read.
    fn send(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            let sent = write(&mut self.stream, &self.unsent);
            self.unsent.drain(..sent);
            return;
        }
        let sent = write(&mut self.stream, bytes);
        if let Some(rest @ [_, ..]) = bytes.get(sent..) {
            self.unsent.extend_from_slice(rest);
        }
    }
}

/// Writes until the socket is full; gives how much it took.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while let Some(rest @ [_, ..]) = bytes.get(sent..) {
        match stream.write(rest) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    sent
}

/// The answer to a complete request head, and whether it is the publisher's. A
/// client sends nothing behind the head before it has the answer.
fn answer(head: &[u8]) -> Option<(String, bool)> {
    let head = str::from_utf8(head.strip_suffix(b"\r\n\r\n")?).ok()?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        ws::accept_key(key)
    );
    Some((answer, head.split(' ').nth(1) == Some(PUBLISH)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sealcast_client::handshake::{self, Response};

    use super::*;

    #[test]
    fn the_answer_is_one_that_clients_accept() {
        for path in ["/", PUBLISH] {
            let key = handshake::key();
            let request = handshake::request("h", path, &key, None, &[]);
            for cut in [1, request.len() / 2, request.len() - 1] {
                assert!(answer(&request[..cut]).is_none());
            }
            let (text, publisher) = answer(&request).unwrap();
            assert_eq!(publisher, path == PUBLISH);
            let accepted = Response::new(&key, None).feed(text.as_bytes()).unwrap().unwrap();
            assert!(accepted.leftover.is_empty());
        }
    }
}
