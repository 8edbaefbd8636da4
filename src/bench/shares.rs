//! Processes that hold a part of the subscribers each, where one may not have so many
//! sockets, or one address so many ports. Each connects from a loopback address of its
//! own, keeps its connections as [`Crowd`] does, and tells what they hear; whether it is
//! right is checked by the process that publishes, as if the sockets were its own.

use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};
use sealcast_wire::Encoding;
use serde::{Deserialize, Serialize};

use super::audience::Audience;
use super::clock;
use super::crowd::Crowd;
use super::failure::{Failure, While};
use super::kernel;
use super::link::{Line, Manner};
use super::member::{Joined, Part, Surprise};

/// What the options say of [`size`].
static ASKED: OnceLock<usize> = OnceLock::new();

/// Loopback addresses that there are for shares; more than enough processes.
const ADDRESSES: usize = 200;
/// What a share says: that all are live, that one heard something, why it ends.
const LIVE: u8 = 0;
const JSON: u8 = 1;
const PROTOBUF: u8 = 2;
const FAILED: u8 = 3;
/// Of what it says, the length and the kind.
const HEAD: usize = 5;
/// Of what was heard, the subscriber and when.
const HEARD: usize = 12;

/// No process of the generator is to have more connections than this.
pub(super) fn at_most(connections: usize) {
    let _ = ASKED.set(connections);
}

/// How many subscribers a share gets; `None` if this process can have all.
///
/// # Errors
/// If this machine cannot have so many.
pub(super) fn size(subscribers: usize, publishers: usize) -> Result<Option<usize>, Failure> {
    let possible = kernel::connections_of_a_process();
    let most = ASKED.get().copied().unwrap_or(possible).min(possible);
    if subscribers + publishers <= most {
        return Ok(None);
    }
    if publishers > possible || subscribers.div_ceil(most.max(1)) > ADDRESSES {
        return Err(Failure::Machine(format!(
            "{subscribers} clients that listen and {publishers} that publish; a process may have \
             {possible} connections here (ulimit -Hn, net.ipv4.ip_local_port_range), those who \
             publish are in one, and the others in {ADDRESSES} at most"
        )));
    }
    Ok(Some(most))
}

/// One of these processes; ends when dropped.
pub(super) struct Share {
    child: Child,
    pipe: Receiver,
    /// The number of its first subscriber.
    first: usize,
    /// What came of something that is not whole.
    part: Vec<u8>,
    joined: Option<Vec<Option<Joined>>>,
}

/// What a share is told.
#[derive(Deserialize, Serialize)]
struct Task<S> {
    source: IpAddr,
    address: SocketAddr,
    subscribers: S,
}

impl Share {
    /// Starts the process with this number, whose subscribers are numbered from `first` on.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(
        at: usize,
        first: usize,
        address: SocketAddr,
        subscribers: &[(Manner, Part)],
    ) -> Result<Share, Failure> {
        // 127.0.0.1 is everybody else's.
        let last = u8::try_from(at + 1).map_err(|_| Failure::Machine("too many shares".into()))?;
        let source = IpAddr::from([127, 0, 1, last]);
        let program = std::env::current_exe().during("find this program")?;
        let mut child = Command::new(program)
            .args(["bench", "share"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during("start another process of the generator")?;
        let task = Task { source, address, subscribers };
        let text = serde_json::to_string(&task).map_err(io::Error::from);
        let told = text.and_then(|text| match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(format!("{text}\n").as_bytes()),
            None => Ok(()),
        });
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe.into());
        let pipe = stdout.and_then(|stdout| {
            let pipe = Receiver::from(stdout);
            pipe.set_nonblocking(true).map(|()| pipe)
        });
        // Dropped from here on, it ends.
        let share = |pipe| Share { child, pipe, first, part: Vec::new(), joined: None };
        let share = pipe.map(share).during("talk to another process of the generator")?;
        told.during("tell another process of the generator its task")?;
        Ok(share)
    }

    /// # Errors
    /// If it cannot be polled.
    pub(super) fn registered(
        mut self,
        registry: &Registry,
        token: Token,
    ) -> Result<Share, Failure> {
        let registered = registry.register(&mut self.pipe, token, Interest::READABLE);
        registered.during("poll another process of the generator").map(|()| self)
    }

    /// Whether all its subscribers receive.
    pub(super) fn is_live(&self) -> bool {
        self.joined.is_some()
    }

    /// As [`Crowd::joined`].
    pub(super) fn joined(&self) -> impl Iterator<Item = Option<&Joined>> {
        self.joined.iter().flatten().map(Option::as_ref)
    }

    /// Takes what its subscribers have heard, and when.
    ///
    /// # Errors
    /// If it failed, or what `hear` says.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        mut hear: impl FnMut(usize, Line<'_>, Instant) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let count = match self.pipe.read(scratch) {
                Ok(0) => {
                    let gone = "a process of the generator has ended";
                    return Err(Failure::Server(gone.into()));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::System("hear another process of the generator", error));
                }
            };
            self.part.extend_from_slice(scratch.get(..count).unwrap_or_default());
            let (now, unix) = (clock::now(), clock::unix_nanos());
            let mut rest = &*std::mem::take(&mut self.part);
            while let Some((kind, body, behind)) = said(rest) {
                rest = behind;
                match kind {
                    LIVE => self.joined = Some(serde_json::from_slice(body).map_err(garbled)?),
                    FAILED => {
                        return Err(Failure::Server(String::from_utf8_lossy(body).into_owned()));
                    }
                    kind => {
                        let Some((subscriber, read, bytes)) = heard(body) else {
                            return Err(Failure::Server("a share is garbled".into()));
                        };
                        let encoding =
                            if kind == PROTOBUF { Encoding::Protobuf } else { Encoding::Json };
                        let ago = Duration::from_nanos(unix.saturating_sub(read));
                        let at = now.checked_sub(ago).unwrap_or(now);
                        hear(self.first + subscriber, Line { encoding, bytes }, at)?;
                    }
                }
            }
            self.part = rest.to_vec();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Becomes a share: takes its task from standard input, and tells on standard output
/// what comes, until it is killed, which it is when its parent ends.
///
/// # Errors
/// If it cannot tell anybody.
pub(super) fn become_one() -> Result<(), Failure> {
    kernel::end_with_parent()?;
    kernel::allow_files()?;
    let mut teller = Teller { out: Vec::new() };
    let failure = match work(&mut teller) {
        Ok(()) => return Ok(()),
        Err(failure) => failure.to_string(),
    };
    teller.put(FAILED, &[failure.as_bytes()]);
    teller.tell()
}

fn work(teller: &mut Teller) -> Result<(), Failure> {
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).during("read the task")?;
    let task: Task<Vec<(Manner, Part)>> = serde_json::from_str(&text).map_err(garbled)?;
    let mut crowd = Crowd::from_source(task.source, task.address, task.subscribers)?;
    let joined = serde_json::to_vec(&crowd.joined().collect::<Vec<_>>()).map_err(garbled)?;
    teller.put(LIVE, &[&joined]);
    loop {
        teller.tell()?;
        crowd.turn(Duration::from_secs(1), teller)?;
    }
}

fn garbled(error: serde_json::Error) -> Failure {
    Failure::Server(format!("another process of the generator is garbled: {error}"))
}

/// An audience that leaves judging to another process.
struct Teller {
    out: Vec<u8>,
}

impl Teller {
    fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.extend_from_slice(&(length as u32).to_le_bytes());
        self.out.push(kind);
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let told = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        told.during("tell what came")
    }
}

impl Audience for Teller {
    fn hear(&mut self, subscriber: usize, line: Line<'_>, at: Instant) -> Result<(), Surprise> {
        let kind = if line.encoding == Encoding::Protobuf { PROTOBUF } else { JSON };
        let ago = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let read = clock::unix_nanos().saturating_sub(ago).to_le_bytes();
        self.put(kind, &[&(subscriber as u32).to_le_bytes(), &read, line.bytes]);
        Ok(())
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

/// The kind and the body of the first thing that was said, and what is behind it; `None`
/// if it is not whole.
fn said(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (length, kind) = head.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((*kind.first()?, body, rest))
}

/// Who heard something, when that was, and what.
fn heard(body: &[u8]) -> Option<(usize, u64, &[u8])> {
    let (head, bytes) = body.split_at_checked(HEARD)?;
    let (subscriber, read) = head.split_first_chunk::<4>()?;
    Some((
        u32::from_le_bytes(*subscriber) as usize,
        u64::from_le_bytes(read.try_into().ok()?),
        bytes,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_share_says_is_taken_apart_wherever_it_is_cut() {
        let mut teller = Teller { out: Vec::new() };
        let line = Line { encoding: Encoding::Protobuf, bytes: &[1, 7] };
        teller.hear(9, line, clock::now()).unwrap();
        teller.put(LIVE, &[b"[", b"]"]);
        for cut in 0..HEAD + HEARD + 2 {
            assert!(said(&teller.out[..cut]).is_none());
        }
        let (kind, body, rest) = said(&teller.out).unwrap();
        let (subscriber, read, bytes) = heard(body).unwrap();
        assert_eq!((kind, subscriber, bytes), (PROTOBUF, 9, &[1, 7][..]));
        assert!(read <= clock::unix_nanos());
        assert_eq!(said(rest), Some((LIVE, &b"[]"[..], &[][..])));
    }

    #[test]
    fn who_publishes_is_in_one_process_and_the_others_are_shared_out() {
        let possible = kernel::connections_of_a_process();
        assert_eq!(size(possible, 0).unwrap(), None);
        assert_eq!(size(possible, 1).unwrap(), Some(possible));
        assert!(size(1, possible + 1).is_err());
        assert!(size(possible * (ADDRESSES + 1), 0).is_err());
    }
}
