//! Between a broker and its Redis: passes everything on, until told not to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, sleep};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passes {
    /// Everything.
    All,
    /// Nothing; every connection stays open, and what was sent waits.
    Nothing,
    /// Everything but what Redis pushes to who has subscribed, which is lost
    /// while pings go on being answered.
    NoPushes,
    /// Everything but what Redis pushes with [`NEEDLE`] in it.
    NoNeedle,
    /// The first half of what Redis sends, and then the connection is closed.
    Half,
    /// Everything, but Redis says that it is version 5.
    OldVersion,
    /// What Redis sends; what is sent to it waits.
    NothingTo,
    /// What is sent to Redis; what it sends waits.
    NothingFrom,
    /// Everything, but of every tenth piece that Redis sends one bit is another.
    Flipped,
}

/// Something to publish that is not to come.
pub(crate) const NEEDLE: &str = "a-needle-that-is-lost";

/// Runs as long as the test's runtime.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    passes: Arc<AtomicU8>,
    swallowed: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(to: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passes = Arc::new(AtomicU8::new(Passes::All as u8));
        let swallowed = Arc::new(AtomicUsize::new(0));
        let proxy =
            Proxy { address, passes: Arc::clone(&passes), swallowed: Arc::clone(&swallowed) };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&to).await else { continue };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                let nothing = Arc::new(AtomicUsize::new(0));
                tokio::spawn(pass(near_read, far_write, Arc::clone(&passes), nothing, false));
                let lost = Arc::clone(&swallowed);
                tokio::spawn(pass(far_read, near_write, Arc::clone(&passes), lost, true));
            }
        });
        proxy
    }

    pub(crate) fn set(&self, passes: Passes) {
        self.passes.store(passes as u8, Ordering::Relaxed);
    }

    /// How many bytes from Redis were lost or changed.
    pub(crate) fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::Relaxed)
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passes: Arc<AtomicU8>,
    swallowed: Arc<AtomicUsize>,
    is_from_redis: bool,
) {
    const PONG: &[u8] = b"+PONG\r\n";
    let stalled = if is_from_redis { Passes::NothingFrom } else { Passes::NothingTo };
    let mut buffer = vec![0; 64 << 10];
    let mut pieces = 0;
    while let Ok(count) = from.read(&mut buffer).await {
        while [Passes::Nothing as u8, stalled as u8].contains(&passes.load(Ordering::Relaxed)) {
            sleep(Duration::from_millis(5)).await;
        }
        pieces += 1;
        if passes.load(Ordering::Relaxed) == Passes::Flipped as u8
            && is_from_redis
            && pieces % 10 == 0
            && count > 0
        {
            // Another place each time, and another bit.
            buffer[pieces * 7 % count] ^= 1 << (pieces / 10 % 8);
            swallowed.fetch_add(1, Ordering::Relaxed);
        }
        let bytes = &buffer[..count];
        let deaf = passes.load(Ordering::Relaxed) == Passes::NoPushes as u8 && is_from_redis;
        // A push of a message begins so, and nothing that a lane is answered has it.
        let pushes = bytes.windows(7).any(|at| at == b"message");
        let passed = if deaf && pushes {
            swallowed.fetch_add(count, Ordering::Relaxed);
            let pong = bytes.windows(PONG.len()).any(|at| at == PONG);
            to.write_all(if pong { PONG } else { b"" }).await
        } else if passes.load(Ordering::Relaxed) == Passes::NoNeedle as u8
            && let Some((from, until)) = needle(bytes)
        {
            swallowed.fetch_add(until - from, Ordering::Relaxed);
            to.write_all(&[&bytes[..from], &bytes[until..]].concat()).await
        } else if passes.load(Ordering::Relaxed) == Passes::Half as u8 && is_from_redis {
            swallowed.fetch_add(count - count / 2, Ordering::Relaxed);
            let _ = to.write_all(&bytes[..count / 2]).await;
            return;
        } else if passes.load(Ordering::Relaxed) == Passes::OldVersion as u8
            && let Some(at) = version(bytes)
        {
            to.write_all(&[&bytes[..at], b"5", &bytes[at + 1..]].concat()).await
        } else {
            to.write_all(bytes).await
        };
        if count == 0 || passed.is_err() {
            return;
        }
    }
}

/// Where the answer to `HELLO` has the first digit of the version.
fn version(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"$7\r\nversion\r\n";
    let end = bytes.windows(NAME.len()).position(|at| at == NAME)? + NAME.len();
    let length = bytes[end..].windows(2).position(|at| at == b"\r\n")?;
    Some(end + length + 2)
}

/// Where the push with the needle begins and ends, if there is one.
fn needle(bytes: &[u8]) -> Option<(usize, usize)> {
    const PUSH: &[u8] = b">3\r\n$7\r\nmessage\r\n";
    let at = bytes.windows(NEEDLE.len()).position(|at| at == NEEDLE.as_bytes())?;
    let from = bytes[..at].windows(PUSH.len()).rposition(|at| at == PUSH)?;
    let end = bytes[at..].windows(2).position(|at| at == b"\r\n")?;
    Some((from, at + end + 2))
}
