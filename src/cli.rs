//! The command line.

mod config;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The configuration is at fault (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// A realtime relay for the open internet: the Centrifuge protocol over
/// WebSocket, on stateless nodes.
#[derive(Parser)]
#[command(name = "sealcast", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Options),
    /// Look at a configuration, or at the options there are.
    #[command(subcommand)]
    Config(config::Command),
    /// Check a configuration file; exit code 78 with every fault if it is not right.
    CheckConfig(config::Check),
    /// Write a configuration to start with, with secrets made now.
    GenConfig(config::Generate),
    /// Measure a node: connections, memory, fan-out, latency.
    Bench(crate::bench::Options),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => serve::run(&options),
        Command::Config(command) => config::run(command),
        Command::CheckConfig(options) => config::check(options),
        Command::GenConfig(options) => config::generate(&options),
        Command::Bench(options) => crate::bench::run(&options),
    }
}
