//! Benches: a generator of load that starts the server it measures, and floors
//! to compare with, as processes of their own.
//!
//! CPU time and memory of the server are the kernel's figures, read from outside.
//! Every message that a bench causes is checked to come exactly once and in
//! order; if one does not, there is no figure and the exit code is not 0.
//!
//! * [`target`] starts a node or a [`floor`]; [`kernel`] measures it.
//! * [`crowd`] is the generator: connections ([`member`]) on one thread, or on one in each
//!   of several processes ([`shares`]). They hear over a [`link`], and speak ([`voice`]) on
//!   the same socket, or by a [`courier`].
//! * [`listeners`] and [`rooms`] check what comes ([`ledger`], [`message`]);
//!   [`call`] calls the server API.
//! * A [`yardstick`] tells how fast the machine is meanwhile.
//! * [`idle`], [`connect`], [`churn`], [`recover`], [`fanout`], [`rate`], [`publish`],
//!   [`api`], [`growth`] and [`mixed`] are the benches; [`report`] and [`stats`] make their tables.

mod api;
mod audience;
mod call;
mod churn;
mod clock;
mod connect;
mod courier;
mod crowd;
mod failure;
mod fanout;
mod floor;
mod growth;
mod idle;
mod kernel;
mod ledger;
mod link;
mod listeners;
mod member;
mod message;
mod mixed;
mod publish;
mod rate;
mod recover;
mod report;
mod rooms;
mod shares;
mod stats;
mod target;
mod token;
mod voice;
mod yardstick;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use failure::Failure;
use report::{Common, Outcome};

/// Which bench, and how.
#[derive(clap::Args)]
#[command(after_help = EXPLANATION)]
pub struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    Idle(idle::Options),
    Connect(connect::Options),
    Fanout(fanout::Options),
    Rate(rate::Options),
    Publish(publish::Options),
    Api(api::Options),
    Recover(recover::Options),
    Churn(churn::Options),
    Growth(growth::Options),
    Mixed(mixed::Options),
    /// The server of the benches that does the least.
    #[command(hide = true)]
    Floor {
        #[arg(long, value_enum)]
        kind: floor::Kind,
    },
    /// A process that has a part of the connections.
    #[command(hide = true)]
    Share,
    /// `sealcast serve` with these arguments, which ends with the bench that started it.
    #[command(hide = true)]
    Node {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

const EXPLANATION: &str = "\
Each bench starts its server anew, with a configuration of its own, and
connects to it over loopback; nothing else should be running. Every message is
checked to come exactly once and in order; if one does not, there is no figure
and the exit code is not 0. CPU time and memory are the kernel's figures for
the server's process. Compare figures only within one run: what they are in
microseconds depends on the machine, and on the minute.

10000 connections need as many open files in the server, and again in the
generator, which shares them among several processes if one may not have them
all. The limit is raised as far as the hard limit (ulimit -Hn) allows.";

/// Runs the bench that the options name. The exit code is 0 if there are figures.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let done = match &options.bench {
        Bench::Idle(options) => tell(|| idle::run(options), &options.common),
        Bench::Connect(options) => tell(|| connect::run(options), &options.common),
        Bench::Fanout(options) => tell(|| fanout::run(options), &options.common),
        Bench::Rate(options) => tell(|| rate::run(options), &options.common),
        Bench::Publish(options) => tell(|| publish::run(options), &options.common),
        Bench::Api(options) => tell(|| api::run(options), &options.common),
        Bench::Recover(options) => tell(|| recover::run(options), &options.common),
        Bench::Churn(options) => tell(|| churn::run(options), &options.common),
        Bench::Growth(options) => tell(|| growth::run(options), &options.common),
        Bench::Mixed(options) => tell(|| mixed::run(options), &options.common),
        Bench::Floor { kind } => floor::run(*kind),
        Bench::Share => shares::become_one(),
        Bench::Node { arguments } => target::become_node(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "sealcast bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn tell(run: impl FnOnce() -> Result<Outcome, Failure>, common: &Common) -> Result<(), Failure> {
    common.check()?;
    if let Some(connections) = common.per_process {
        shares::at_most(connections as usize);
    }
    run()?.tell(common)
}
