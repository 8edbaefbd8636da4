//! The command line.

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
    /// Measure a node: connections, memory, fan-out, latency.
    Bench(crate::bench::Options),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => serve::run(&options),
        Command::Bench(options) => crate::bench::run(&options),
    }
}
