//! The usual `process_*` numbers, read from `/proc/self` when they are asked for.

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
    set("process_cpu_seconds", cpu_seconds());
}

/// User and system time of the process: the fields 14 and 15 of `stat`, counted
/// in ticks, of which Linux has always shown 100 a second to user space.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user = fields.next()?.parse::<f64>().ok()?;
    let system = fields.next()?.parse::<f64>().ok()?;
    Some((user + system) / 100.0)
}
