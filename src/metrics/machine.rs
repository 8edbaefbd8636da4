//! What the process may use at most: the limits of its control group, or what the
//! machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// The most that the process may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Bytes.
    pub memory: Option<f64>,
    /// Cores; a part of one counts as that.
    pub cores: Option<f64>,
}

impl Machine {
    /// Reads what the system tells. `root` is `/`, but for tests.
    #[must_use]
    pub fn read(root: &Path) -> Machine {
        let mut machine = Machine { memory: total_memory(root), cores: allowed_cores(root) };
        for group in groups(root) {
            lower(&mut machine.memory, group.memory());
            lower(&mut machine.cores, group.cores());
        }
        machine
    }
}

/// A control group, and which of the two kinds it is.
enum Group {
    /// Version 2: one tree for everything.
    Unified(PathBuf),
    /// Version 1: a tree for each controller.
    Memory(PathBuf),
    /// See `Memory`.
    Cpu(PathBuf),
}

impl Group {
    fn memory(&self) -> Option<f64> {
        match self {
            Group::Unified(path) => number(&path.join("memory.max")),
            // Without a limit, a number that no machine has.
            Group::Memory(path) => number(&path.join("memory.limit_in_bytes")),
            Group::Cpu(_) => None,
        }
    }

    fn cores(&self) -> Option<f64> {
        let (quota, period) = match self {
            Group::Unified(path) => {
                let text = fs::read_to_string(path.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
            Group::Cpu(path) => {
                (number(&path.join("cpu.cfs_quota_us"))?, number(&path.join("cpu.cfs_period_us"))?)
            }
            Group::Memory(_) => return None,
        };
        // Without a limit the quota is -1.
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    }
}

/// The groups that the process is in, and those above them. A container may see its
/// own at the top of the tree, whatever path it is told.
fn groups(root: &Path) -> Vec<Group> {
    let mut found = Vec::new();
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let tree = |name: &str| root.join("sys/fs/cgroup").join(name);
        let mut add = |tree: PathBuf, group: fn(PathBuf) -> Group| {
            let within = tree.join(path.trim_start_matches('/'));
            let up = within.ancestors().take_while(|folder| folder.starts_with(&tree));
            found.extend(up.map(|folder| group(folder.to_owned())));
        };
        if controllers.is_empty() {
            add(tree(""), Group::Unified);
        }
        for controller in controllers.split(',') {
            match controller {
                "memory" => add(tree("memory"), Group::Memory),
                "cpu" => add(tree(controllers), Group::Cpu),
                _ => {}
            }
        }
    }
    found
}

fn number(path: &Path) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn lower(most: &mut Option<f64>, other: Option<f64>) {
    *most = match (*most, other) {
        (Some(most), Some(other)) => Some(most.min(other)),
        (most, other) => most.or(other),
    };
}

fn total_memory(root: &Path) -> Option<f64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

/// The cores that the process may run on, told as ranges such as `0-3,8`.
fn allowed_cores(root: &Path) -> Option<f64> {
    let text = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let count = |range: &str| -> Option<f64> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<f64>().ok()? - first.parse::<f64>().ok()? + 1.0)
    };
    list.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a system with these files tells.
    fn machine(name: &str, files: &[(&str, &str)]) -> Machine {
        let root = std::env::temp_dir().join(format!("machine-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        let machine = Machine::read(&root);
        let _ = fs::remove_dir_all(root);
        machine
    }

    const MEMORY: (&str, &str) = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n");
    const CORES: (&str, &str) = ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-2,8\n");

    #[test]
    fn without_limits_it_is_what_the_machine_has() {
        assert_eq!(machine("none", &[]), Machine::default());
        let whole = Machine { memory: Some(1_024_000.0), cores: Some(4.0) };
        assert_eq!(machine("bare", &[MEMORY, CORES]), whole);
        let unlimited = [
            MEMORY,
            CORES,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ];
        assert_eq!(machine("max", &unlimited), whole);
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let files = [
            MEMORY,
            CORES,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "500000\n"),
            ("sys/fs/cgroup/a/memory.max", "400000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"),
        ];
        let limits = Machine { memory: Some(400_000.0), cores: Some(1.5) };
        assert_eq!(machine("unified", &files), limits);
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let files = [
            MEMORY,
            CORES,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n1:name=systemd:/x\n"),
            // The container's own, at the top.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        let limits = Machine { memory: Some(300_000.0), cores: Some(0.5) };
        assert_eq!(machine("first", &files), limits);
    }
}
