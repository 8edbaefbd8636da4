//! The usual `process_*` numbers, read from `/proc/self`, and the runtime's, when they
//! are asked for.

use std::fmt::Write as _;
use std::path::Path;

use metrics::{Key, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::METADATA;
use super::machine::Machine;

/// Its usual name.
pub(super) const CPU_SECONDS: &str = "process_cpu_seconds_total";

/// Sets each number that this system tells; where `/proc` is missing, none.
pub(super) fn sample(recorder: &PrometheusRecorder) {
    let set = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value {
            recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(value);
        }
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    set("process_resident_memory_bytes", resident(&status));
    set("sealcast_allocated_bytes", allocated());
    set("process_threads", field(&status, "Threads:"));
    set("process_open_fds", open_descriptors());
    set("process_max_fds", most_descriptors());
    let machine = Machine::read(Path::new("/"));
    set("sealcast_memory_limit_bytes", machine.memory);
    set("sealcast_cpu_limit_cores", machine.cores);
    let began = seconds(&stat(), 22);
    set("process_start_time_seconds", began.zip(boot()).map(|(began, boot)| boot + began));
    let runtime = tokio::runtime::Handle::try_current().ok();
    set("sealcast_tasks", runtime.map(|runtime| runtime.metrics().num_alive_tasks() as f64));
}

/// The CPU time in Prometheus' text format, because the recorder's counters hold
/// whole numbers only.
pub(super) fn cpu_seconds(out: &mut String) {
    let stat = stat();
    if let (Some(user), Some(system)) = (seconds(&stat, 14), seconds(&stat, 15)) {
        let meaning = super::COUNTERS.iter().find(|(name, _)| *name == CPU_SECONDS);
        let meaning = meaning.map_or("", |(_, meaning)| meaning);
        let (name, spent) = (CPU_SECONDS, user + system);
        let _ = writeln!(out, "# HELP {name} {meaning}\n# TYPE {name} counter\n{name} {spent}\n");
    }
}

/// Resident memory of the process, bytes, if this system tells.
#[must_use]
pub fn resident_memory() -> Option<f64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Bytes that the process has from its allocator and has not given back, without what that
/// keeps for later; as of now.
fn allocated() -> Option<f64> {
    // The allocator's figures stand still until then.
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    Some(tikv_jemalloc_ctl::stats::allocated::read().ok()? as f64)
}

/// Open descriptors of the process, if this system tells.
#[must_use]
pub fn open_descriptors() -> Option<f64> {
    // Since Linux 6.2 the folder's size is their number.
    let told = std::fs::metadata("/proc/self/fd").ok().map(|folder| folder.len());
    match told.filter(|count| *count > 0) {
        Some(count) => Some(count as f64),
        None => std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
    }
}

/// The process' limit of descriptors, if it has one.
#[must_use]
pub fn most_descriptors() -> Option<f64> {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limits.current.map(|most| most as f64)
}

fn resident(status: &str) -> Option<f64> {
    field(status, "VmRSS:").map(|kib| kib * 1024.0)
}

fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn stat() -> String {
    std::fs::read_to_string("/proc/self/stat").unwrap_or_default()
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
