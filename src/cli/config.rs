//! `sealcast config`, `check-config` and `gen-config`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::about::print;
use super::exit::complain;
use super::{EXIT_CONFIG, Failure, input};
use crate::config::{self, Config, Fault, Format, Source};

/// What to do with a configuration.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the options that a configuration sets, where each value came from, and
    /// no secrets.
    Print {
        /// Configuration file: JSON, YAML or TOML, by its extension. Without one,
        /// the environment alone counts.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print also what has its default.
        #[arg(long)]
        effective: bool,
    },
    /// Print every option with type, default and meaning, as Markdown.
    Doc,
}

/// Which file to check.
#[derive(clap::Args)]
pub(super) struct Check {
    /// Configuration file: JSON, YAML or TOML, by its extension. SEALCAST_
    /// variables count too, as they do for a node.
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

/// Which file to write.
#[derive(clap::Args)]
pub(super) struct Generate {
    /// The new file; .yaml, .toml or .json.
    #[arg(value_name = "FILE", default_value = "sealcast.yaml")]
    config: PathBuf,
}

/// Carries out `sealcast config`.
pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Doc => print(config::markdown().as_bytes()),
        Command::Print { config, effective } => match input::sources(config).load() {
            Ok(config) => print(printed(&config, effective).as_bytes()),
            Err(faults) => Err(refuse(&faults)),
        },
    }
}

/// Says whether a configuration is right; exit code 78 with every fault if not.
pub(super) fn check(options: Check) -> Result<ExitCode, Failure> {
    let path = options.config.display().to_string();
    match input::sources(Some(options.config)).load() {
        Ok(config) => {
            for warning in &config.warnings {
                complain(&format!("warning: {warning}"));
            }
            print(format!("{path} is right\n").as_bytes())
        }
        Err(faults) => Err(refuse(&faults)),
    }
}

/// Writes a configuration to start with, which only its owner may read. A file that
/// is there is never touched.
pub(super) fn generate(options: &Generate) -> Result<ExitCode, Failure> {
    let path = &options.config;
    match write_new(path) {
        Ok(()) => {
            let path = path.display();
            let told = format!(
                "{path} holds a configuration with secrets of its own.\n\
                 Look at it, then start a node: sealcast serve --config {path}\n"
            );
            print(told.as_bytes())
        }
        Err(error) => {
            let problem = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "it exists; name another file, or move that one away".into()
                }
                io::ErrorKind::NotFound => "no such folder; make it first".into(),
                io::ErrorKind::PermissionDenied => {
                    "no permission to write there; choose another folder".into()
                }
                _ => error.to_string(),
            };
            Err(Failure::plain(format!("cannot write {}: {problem}", path.display())))
        }
    }
}

fn write_new(path: &Path) -> io::Result<()> {
    let Some(format) = Format::of(path) else {
        return Err(io::Error::other("its name must end in .yaml, .toml or .json"));
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(config::starting(format).as_bytes())?;
    file.sync_all()
}

/// One line for each option: its path, its value, and where that came from.
fn printed(config: &Config, effective: bool) -> String {
    let is_default = |source: &Source| {
        matches!(source, Source::Default | Source::Profile(_) | Source::Option(_))
    };
    config
        .settings
        .iter()
        .filter(|setting| effective || !is_default(&setting.source))
        .map(|setting| {
            let value = match &setting.value {
                Value::Null => "none".to_owned(),
                value => value.to_string(),
            };
            format!("{} = {value}  # {}\n", setting.place, setting.source)
        })
        .collect()
}

fn refuse(faults: &[Fault]) -> Failure {
    Failure { code: EXIT_CONFIG, lines: faults.iter().map(ToString::to_string).collect() }
}
