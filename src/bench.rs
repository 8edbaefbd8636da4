//! Benchmarks.

/// x
#[derive(clap::Args)]
pub struct Options {}

/// x
pub fn run(_: &Options) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
