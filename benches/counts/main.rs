//! How many instructions the steps of a message's way take, beside those that were
//! recorded: `scripts/counts` builds this, and runs each step under callgrind.
//!
//! A step is run twice, a few times and three times as often; the difference is what it
//! takes once everything is warm, and neither the start of a process nor the preparation
//! is in it. Instructions of the kernel are not counted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod baseline;
mod steps;

use std::path::Path;
use std::process::{Command, ExitCode};

use baseline::{Baseline, Verdict};
use steps::{STEPS, Step};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["compare", file] => compare(Path::new(file)),
        ["record", file] => {
            let text = Baseline::of(&environment(), &count_all()).text();
            std::fs::write(file, text).expect("written");
            println!("recorded in {file}");
            ExitCode::SUCCESS
        }
        // What callgrind runs.
        ["run", name, times] => {
            let step = STEPS.iter().find(|step| step.name == name).expect("a step");
            let mut work = (step.prepare)();
            (0..times.parse().expect("a number")).for_each(|_| work());
            ExitCode::SUCCESS
        }
        ["features"] => {
            println!("{}", features());
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("counts compare FILE | counts record FILE");
            ExitCode::from(2)
        }
    }
}

fn compare(file: &Path) -> ExitCode {
    let text = std::fs::read_to_string(file).expect("a baseline");
    let recorded = Baseline::parse(&text).unwrap_or_else(|line| panic!("not a count: {line}"));
    let found = Baseline::of(&environment(), &count_all());
    let (verdict, report) = recorded.compare(&found);
    print!("{report}");
    match verdict {
        Verdict::Within => ExitCode::SUCCESS,
        Verdict::Worse => {
            eprintln!(
                "A step takes more than {} % above what is recorded in {}. If that is meant, or \
                 comes of another compiler, record anew with `scripts/counts record`.",
                baseline::MARGIN,
                file.display()
            );
            ExitCode::FAILURE
        }
        Verdict::OtherSteps => {
            eprintln!("{} has other steps: `scripts/counts record`", file.display());
            ExitCode::FAILURE
        }
        Verdict::OtherProcessor => {
            eprintln!(
                "{} is of a processor with other features, for which libraries have other code: \
                 nothing can be said here.",
                file.display()
            );
            ExitCode::FAILURE
        }
    }
}

fn count_all() -> Vec<(&'static str, u64)> {
    STEPS.iter().map(|step| (step.name, count(step))).collect()
}

/// Instructions for one time.
fn count(step: &Step) -> u64 {
    let [few, many] = [step.times, 3 * step.times].map(|times| {
        let text = under_callgrind(&["run", step.name, &times.to_string()]).1;
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        line.and_then(|(_, count)| count.trim().parse::<u64>().ok())
            .unwrap_or_else(|| panic!("no count of {}: {text}", step.name))
    });
    (many - few) / (2 * step.times)
}

/// What the counts depend on beside the code: processor features as programs see them
/// under callgrind, and the compiler.
fn environment() -> [String; 2] {
    let features = under_callgrind(&["features"]).0.trim().to_owned();
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("a compiler").stdout;
    [features, String::from_utf8_lossy(&version).trim().to_owned()]
}

#[cfg(target_arch = "x86_64")]
fn features() -> String {
    let known = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("adx", is_x86_feature_detected!("adx")),
        ("sha", is_x86_feature_detected!("sha")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    let found = known.iter().filter(|(_, there)| *there).map(|(name, _)| format!(" {name}"));
    format!("x86_64{}", found.collect::<String>())
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> String {
    std::env::consts::ARCH.to_owned()
}

/// What this program says under callgrind, on standard output and error.
fn under_callgrind(arguments: &[&str]) -> (String, String) {
    let program = std::env::current_exe().expect("this program");
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{arguments:?}: {}", text(&done.stderr));
    (text(&done.stdout), text(&done.stderr))
}
