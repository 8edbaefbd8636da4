//! Threads that run only where no other thread wants to. Attackers share the machine with
//! the node and with honest clients; what those notice is to be the node's doing, and not
//! that an attacker's thread was before theirs.

use std::process::Command;

use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

/// A runtime with such threads.
pub(super) struct Idle(Option<Runtime>);

impl Idle {
    pub(super) fn begin() -> Idle {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().on_thread_start(give_way);
        Idle(Some(builder.build().unwrap()))
    }

    pub(super) async fn run(&self, task: BoxFuture<'static, ()>) {
        self.0.as_ref().unwrap().spawn(task).await.unwrap();
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // Waiting is not allowed where the test itself runs.
        self.0.take().unwrap().shutdown_background();
    }
}

fn give_way() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap();
    let done = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).output();
    assert!(done.unwrap().status.success(), "chrt, of util-linux");
}
