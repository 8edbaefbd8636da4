//! The command line.

mod about;
mod config;
mod exit;
mod health;
mod input;
mod limits;
mod log;
mod process;
mod serve;
mod text;
mod token;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

pub use log::log_into;

use exit::{EXIT_CONFIG, EXIT_NO_INPUT, EXIT_NO_PERMISSION, EXIT_SYSTEM, EXIT_USAGE, Failure};

/// A realtime relay for the open internet: the Centrifuge protocol over
/// WebSocket, on stateless nodes.
#[derive(Parser)]
#[command(
    name = "sealcast",
    version,
    arg_required_else_help = true,
    term_width = 80,
    after_help = AFTER_HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Options),
    /// Make a connection token.
    GenToken(token::Connection),
    /// Make a subscription token.
    GenSubToken(token::Subscription),
    /// Say whether a node takes a token, and if not, why.
    CheckToken(token::Check),
    /// Ask a node whether it is ready.
    Health(health::Options),
    /// Set, list and remove limits for one user, tenant, client, address or API key.
    #[command(subcommand)]
    Limits(limits::Command),
    /// Look at a configuration, or at the options there are.
    #[command(subcommand)]
    Config(config::Command),
    /// Check a configuration file; exit code 78 with every fault if it is not right.
    CheckConfig(config::Check),
    /// Write a configuration to start with, with secrets made now.
    GenConfig(config::Generate),
    /// Measure a node: connections, memory, fan-out, latency.
    Bench(crate::bench::Options),
    /// Print the version.
    Version(about::Version),
    /// Print completions for a shell.
    Completions(about::Completions),
    /// Print a manual page.
    Man(about::Man),
}

const AFTER_HELP: &str = "\
Try it: `sealcast serve --dev`, and open the address that it prints.

Exit codes: 0 done; 1 not done, or the answer is no; 2 wrong arguments;
65 an input is not what it should be; 66 an input cannot be read; 71 the
system refused; 77 no permission; 78 the configuration is at fault.

Environment: SEALCAST_CONFIG, SEALCAST_LOG_LEVEL and SEALCAST_LOG_FORMAT stand
for the options of the same name.";

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let done = match cli.command {
        Command::Serve(options) => serve::run(&options),
        Command::GenToken(options) => token::connection(&options),
        Command::GenSubToken(options) => token::subscription(&options),
        Command::CheckToken(options) => token::check(&options),
        Command::Health(options) => health::run(&options),
        Command::Limits(command) => limits::run(&command),
        Command::Config(command) => config::run(command),
        Command::CheckConfig(options) => config::check(options),
        Command::GenConfig(options) => config::generate(&options),
        Command::Bench(options) => return crate::bench::run(&options),
        Command::Version(options) => about::version(&options),
        Command::Completions(options) => about::completions(&options, Cli::command()),
        Command::Man(options) => about::man(&options, Cli::command()),
    };
    done.unwrap_or_else(|failure| failure.tell())
}

/// Wrong arguments: one line that says which and what there is. Help that was asked
/// for, or that stands for a command that is missing, is printed as it is.
fn misused(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE);
    if let ErrorKind::DisplayHelp
    | ErrorKind::DisplayVersion
    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand = error.kind()
    {
        let _ = error.print();
        return ExitCode::from(code);
    }
    // The first paragraph is what is wrong; a tip may follow, and then how to call it.
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let wrong = paragraphs.next().unwrap_or_default();
    let mut line = in_one(wrong.strip_prefix("error: ").unwrap_or(wrong));
    for tip in paragraphs.filter_map(|paragraph| paragraph.trim_start().strip_prefix("tip: ")) {
        line = format!("{line}; {}", in_one(tip));
    }
    Failure::new(code, line + "; see --help").tell()
}

/// Several lines as one.
fn in_one(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
