//! What the kernel tells and allows: CPU time and memory of a process, seen from
//! outside, and how many sockets this one may have.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};

use super::failure::{Failure, While};

/// Descriptors beside the connections: files, pipes, the listener, threads' polls.
const MARGIN: u64 = 200;
/// What a connection takes with both its ends, bytes: some 8 KB of the kernel, and what
/// the generator and the server hold.
const MEMORY: u64 = 16_384;
/// Ports that something else may be using.
const SPARE_PORTS: usize = 500;

/// Makes sure that a server that is started may have so many connections, and that
/// this machine can hold both ends of them; raises what limits that if it may.
///
/// # Errors
/// What is missing and how to get it.
pub(super) fn allow_connections(connections: usize) -> Result<(), Failure> {
    let needed = connections as u64 + MARGIN;
    if let Some(free) = free_memory()
        && connections as u64 > free / MEMORY
    {
        return Err(Failure::Machine(format!(
            "{connections} connections with both their ends on this machine take about \
             {MEMORY} bytes each; {free} are free"
        )));
    }
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_none_or(|hard| hard >= needed) {
        return allow_files();
    }
    let raised = Rlimit { current: Some(needed), maximum: Some(needed) };
    setrlimit(Resource::Nofile, raised).map_err(|_| {
        let hard = limit.maximum.unwrap_or_default();
        Failure::Machine(format!(
            "{connections} connections need {needed} open files in the server; the hard limit \
             for each process is {hard}. Raise it (ulimit -Hn {needed}) or take fewer connections"
        ))
    })
}

/// Lets this process and those it starts have as many open files as they may.
///
/// # Errors
/// If the kernel does not.
pub(super) fn allow_files() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| Failure::Machine(format!("cannot raise the limit of open files: {error}")))
}

/// How many connections to one address a process may have from another.
pub(super) fn connections_of_a_process() -> usize {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(MARGIN);
    let ports = ports().unwrap_or(usize::MAX).saturating_sub(SPARE_PORTS);
    usize::try_from(files).unwrap_or(usize::MAX).min(ports)
}

/// Asks to be killed when the parent ends, however that ends.
///
/// # Errors
/// If the kernel does not do it.
pub(super) fn end_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .during("ask to end with the bench")
}

/// The CPU time that the process has used, user and system, on all its threads.
/// As exact as the kernel's scheduler once the process is idle.
///
/// # Errors
/// If the process has gone.
pub(super) fn cpu(pid: u32) -> Result<Duration, Failure> {
    let gone = || Failure::Server(format!("cannot read the CPU time of process {pid}"));
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| gone())? {
        let path = task.map_err(|_| gone())?.path().join("schedstat");
        // A thread may have ended since; what it used is lost, and is little.
        let Ok(text) = fs::read_to_string(path) else { continue };
        let nanos = text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok());
        sum += nanos.ok_or_else(gone)?;
    }
    if sum == 0 {
        return Err(Failure::Machine(
            "the kernel does not tell the CPU time of threads (/proc/PID/task/*/schedstat)".into(),
        ));
    }
    Ok(Duration::from_nanos(sum))
}

/// Resident memory of the process, bytes (`VmRSS`).
///
/// # Errors
/// If the process has gone.
pub(super) fn resident(pid: u32) -> Result<u64, Failure> {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .as_deref()
        .and_then(vm_rss)
        .ok_or_else(|| Failure::Server(format!("cannot read the memory of process {pid}")))
}

/// The machine in a few words: processor and kernel.
pub(super) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name))
        .unwrap_or("unknown processor");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}

fn vm_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Bytes that could be had without swapping.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

fn ports() -> Option<usize> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_process_can_be_measured_from_outside() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        assert!(before > Duration::ZERO);
        assert!(resident(pid).unwrap() > 100_000);
        assert!(cpu(pid).unwrap() >= before);
        assert!(cpu(u32::MAX).is_err() && resident(u32::MAX).is_err());
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(vm_rss("Name:\tx\nVmHWM:\t  90 kB\nVmRSS:\t    12 kB\n"), Some(12_288));
        assert_eq!(vm_rss("Name:\tx\n"), None);
    }

    #[test]
    fn more_connections_than_the_machine_has_is_a_clear_failure() {
        assert!(allow_connections(1).is_ok());
        let refusal = allow_connections(50_000_000).unwrap_err();
        assert!(refusal.to_string().contains("50000000 connections"), "{refusal}");
    }
}
