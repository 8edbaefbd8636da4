//! How many bytes a process has from its allocator, as that itself tells.
//!
//! The GNU C library answers `malloc_info` in the process only, and calling it there
//! would be unsafe code; so a debugger does it from outside, between two measurements.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::failure::{Failure, While};

/// Bytes that the process has asked for and not given back. gdb stops it for less than a
/// second.
///
/// # Errors
/// If there is no gdb, it may not look at the process, or that has another allocator.
pub(super) fn held(pid: u32) -> Result<u64, Failure> {
    let told = Told(
        std::env::temp_dir()
            .join(format!("sealcast-bench-{:032x}.xml", { rand::random::<u128>() })),
    );
    let path = told.0.display();
    let calls = [
        format!("set $told = ((void *(*)(char *, char *)) fopen)(\"{path}\", \"w\")"),
        "call ((int (*)(int, void *)) malloc_info)(0, $told)".to_owned(),
        "call ((int (*)(void *)) fclose)($told)".to_owned(),
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-p", &pid.to_string()]);
    gdb.args(calls.iter().flat_map(|call| ["-ex", call]));
    let done = gdb.stdin(Stdio::null()).output().during("start gdb, which --allocator needs")?;
    let text = told.read();
    text.as_deref().and_then(in_use).ok_or_else(|| {
        let said = String::from_utf8_lossy(&done.stderr);
        let last = said.trim().lines().next_back().unwrap_or_default().to_owned();
        Failure::Server(format!("gdb could not ask the allocator of process {pid}: {last}"))
    })
}

/// What the process wrote; removed with it.
struct Told(PathBuf);

impl Told {
    fn read(&self) -> Option<String> {
        let path: &Path = &self.0;
        fs::read_to_string(path).ok()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What all heaps together have from the system, without what is free in them, and with
/// what was mapped for itself; malloc_info(3). The sums stand behind the last heap.
fn in_use(told: &str) -> Option<u64> {
    let (_, sums) = told.rsplit_once("</heap>")?;
    let size = |what: &str| -> Option<u64> {
        let line = sums.lines().find(|line| line.starts_with(what))?;
        line.split_once("size=\"")?.1.split_once('"')?.0.parse().ok()
    };
    let free = size("<total type=\"fast\"")? + size("<total type=\"rest\"")?;
    let mapped = size("<total type=\"mmap\"")?;
    size("<system type=\"current\"")?.checked_sub(free)?.checked_add(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_neither_free_nor_of_one_heap_only() {
        let told = "<malloc version=\"1\">\n<heap nr=\"0\">\n\
            <total type=\"rest\" count=\"1\" size=\"7\"/>\n<system type=\"current\" size=\"9\"/>\n\
            </heap>\n<heap nr=\"1\">\n</heap>\n\
            <total type=\"fast\" count=\"2\" size=\"100\"/>\n\
            <total type=\"rest\" count=\"4\" size=\"1000\"/>\n\
            <total type=\"mmap\" count=\"1\" size=\"50000\"/>\n\
            <system type=\"current\" size=\"4000\"/>\n<system type=\"max\" size=\"8000\"/>\n\
            </malloc>\n";
        assert_eq!(in_use(told), Some(52_900));
        assert_eq!(in_use(&told.replace("type=\"mmap\"", "type=\"other\"")), None);
        assert_eq!(in_use(""), None);
    }
}
