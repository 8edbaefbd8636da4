//! Between a broker and its Redis: passes everything on, until told not to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
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
    /// What Redis sends, while nothing is sent to it: that waits.
    NothingTo,
    /// What is sent to Redis, while nothing that it sends comes: that waits.
    NothingFrom,
    /// Everything, with a wrong bit in some of what Redis sends.
    Flipped,
}

/// Something to publish that is not to come.
pub(crate) const NEEDLE: &str = "a-needle-that-is-lost";

/// How much of what is read at once from Redis gets a wrong bit.
const FLIPPED: f64 = 0.02;

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
            for number in 0.. {
                let Ok((near, _)) = listener.accept().await else { return };
                let Ok(far) = TcpStream::connect(&to).await else { continue };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                let nothing = Arc::new(AtomicUsize::new(0));
                let flips = StdRng::seed_from_u64(number);
                let there = (near_read, far_write);
                tokio::spawn(pass(there, Arc::clone(&passes), nothing, None));
                let lost = Arc::clone(&swallowed);
                let back = (far_read, near_write);
                tokio::spawn(pass(back, Arc::clone(&passes), lost, Some(flips)));
            }
        });
        proxy
    }

    pub(crate) fn set(&self, passes: Passes) {
        self.passes.store(passes as u8, Ordering::Relaxed);
    }

    /// How many bytes from Redis were lost or are wrong.
    pub(crate) fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::Relaxed)
    }
}

/// One direction of a connection; from Redis if there is something to choose wrong
/// bits by.
async fn pass(
    (mut from, mut to): (OwnedReadHalf, OwnedWriteHalf),
    passes: Arc<AtomicU8>,
    swallowed: Arc<AtomicUsize>,
    mut flips: Option<StdRng>,
) {
    const PONG: &[u8] = b"+PONG\r\n";
    let is_from_redis = flips.is_some();
    let stalled = if is_from_redis { Passes::NothingFrom } else { Passes::NothingTo };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer).await {
        while [Passes::Nothing as u8, stalled as u8].contains(&passes.load(Ordering::Relaxed)) {
            sleep(Duration::from_millis(5)).await;
        }
        if passes.load(Ordering::Relaxed) == Passes::Flipped as u8
            && count > 0
            && let Some(random) = &mut flips
            && random.random_bool(FLIPPED)
        {
            buffer[random.random_range(0..count)] ^= 1 << random.random_range(0..8);
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
