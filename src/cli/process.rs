//! What the process asks of the operating system.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::config::Config;
use crate::http::Transports;

/// Descriptors beside those of sockets that clients open: listeners, the runtime,
/// the broker's connections, the metrics listener's sockets.
const OWN_DESCRIPTORS: usize = 150;

/// As many descriptors as the system grants, and no core dumps, which would hold
/// secrets and payloads; nor may another process of the same user look into this
/// one.
pub(super) fn prepare() {
    let descriptors = getrlimit(Resource::Nofile);
    let most = Rlimit { current: descriptors.maximum, maximum: descriptors.maximum };
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    for (resource, limit) in [(Resource::Nofile, most), (Resource::Core, no_core)] {
        if let Err(error) = setrlimit(resource, limit) {
            tracing::warn!(event = "limit_not_set", ?resource, %error, "a process limit stays");
        }
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(event = "still_dumpable", %error, "the process can be looked into");
    }
}

/// Warns if the process may have fewer descriptors than its limits promise: clients
/// would be refused long before the limit is reached.
pub(super) fn check_descriptors(config: &Config) {
    let have = getrlimit(Resource::Nofile).current;
    let needed = needed(config);
    if let Some(have) = have.filter(|have| *have < needed) {
        let connections = config.limits.websocket_connections;
        tracing::warn!(
            event = "few_descriptors",
            have,
            needed,
            connections,
            "too few file descriptors for the configured connections; raise the hard limit \
             (ulimit -Hn, LimitNOFILE) to what is needed, or lower client.connection_limit"
        );
    }
}

fn needed(config: &Config) -> u64 {
    let limits = &config.limits;
    let internal = config.listeners.internal.map_or(0, |_| limits.http_sockets);
    let Transports { sse, http_stream, uni_sse, uni_http_stream, .. } = config.transports;
    let streams = sse || http_stream || uni_sse || uni_http_stream;
    let streams = if streams { limits.sse_connections } else { 0 };
    let other = limits.http_sockets.saturating_add(internal).saturating_add(streams);
    let sockets = limits.websocket_connections.saturating_add(other);
    sockets.saturating_add(OWN_DESCRIPTORS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_keeps_its_memory_to_itself() {
        prepare();
        let dumpable = rustix::process::dumpable_behavior();
        assert!(matches!(dumpable, Ok(DumpableBehavior::NotDumpable)), "{dumpable:?}");
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
