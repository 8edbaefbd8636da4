//! The usual `process_*` numbers, read from `/proc/self`, and the runtime's, when they
//! are asked for.

use metrics::{Key, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::METADATA;

/// Sets each number that this system tells; where `/proc` is missing, none.
pub(super) fn sample(recorder: &PrometheusRecorder) {
    let set = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value {
            recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(value);
        }
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    set("process_resident_memory_bytes", field("VmRSS:").map(|kib| kib * 1024.0));
    set("process_threads", field("Threads:"));
    set(
        "process_open_fds",
        std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
    );
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    set("process_max_fds", limits.current.map(|most| most as f64));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (user, system, began) = (seconds(&stat, 14), seconds(&stat, 15), seconds(&stat, 22));
    set("process_cpu_seconds", user.zip(system).map(|(user, system)| user + system));
    set("process_start_time_seconds", began.zip(boot()).map(|(began, boot)| boot + began));
    let runtime = tokio::runtime::Handle::try_current().ok();
    set("sealcast_tasks", runtime.map(|runtime| runtime.metrics().num_alive_tasks() as f64));
}

/// A field of `/proc/self/stat` that counts ticks, of which Linux has always shown
/// 100 a second to user space. Fields count from 1; the second is the name.
fn seconds(stat: &str, field: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: f64 = after_name.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()?;
    Some(ticks / 100.0)
}

/// When the system began, seconds since 1970.
fn boot() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
