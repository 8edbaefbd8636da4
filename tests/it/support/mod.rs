//! Nodes to test, tokens for them, and clients that say exactly what a test wants.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod descriptors;
pub(crate) mod driven;
pub(crate) mod evidence;
pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod token;

use std::time::Duration;

/// How long anything may take that is going to happen: generous, because it is
/// only waited out by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until the answer is yes.
#[track_caller]
pub(crate) fn eventually(what: &str, mut asked: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let waiting = async {
            while !asked() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{place}: not within {PATIENCE:?}: {what}");
        }
    }
}
