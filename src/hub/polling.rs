//! Sockets stay watched while a thread is busy for long.
//!
//! The thread of the runtime that waits for events also carries out what they wake.
//! If that is a single task, no other thread is woken, and until that task rests
//! nobody learns that something has come. The runtime could see to it by itself
//! (tokio's eager driver handoff), but not in its stable part.

use tokio::runtime::Handle;

/// Wakes another thread of the runtime, if one sleeps, and it waits for events in the
/// place of this one. Costs some microseconds: for before what takes a millisecond.
pub fn hand_over_polling() {
    let Ok(runtime) = Handle::try_current() else { return };
    // Alone, a task stays with this thread. The second one makes the first a task that
    // others may take, and they are told.
    for _ in 0..2 {
        runtime.spawn(async {});
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;
    use std::os::unix::net::UnixStream as Peer;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use tokio::net::UnixStream;

    use super::*;

    fn pair() -> (Peer, UnixStream) {
        let (peer, own) = Peer::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        (peer, UnixStream::from_std(own).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_while_a_thread_is_busy_is_seen_by_another() {
        let (mut first, begins) = pair();
        let (mut second, waits) = pair();
        let (told, seen) = sync_channel(1);
        let busy = tokio::spawn(async move {
            begins.readable().await.unwrap();
            hand_over_polling();
            second.write_all(b"now").unwrap();
            // It is busy, and does not wait as a task does.
            seen.recv_timeout(Duration::from_secs(10)).is_ok()
        });
        tokio::spawn(async move {
            waits.readable().await.unwrap();
            told.send(()).unwrap();
        });
        // Threads that do not rest by then see it in any case.
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.write_all(b"begin").unwrap();
        assert!(busy.await.unwrap());
    }

    #[test]
    fn where_nothing_is_polled_it_does_nothing() {
        hand_over_polling();
    }
}
