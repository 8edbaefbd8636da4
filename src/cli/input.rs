//! What commands read: configuration, secrets, tokens. Each in a file or from
//! standard input; no argument ever is a secret, because anyone on the machine
//! can read arguments.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::exit::{EXIT_DATA, complain};
use super::{EXIT_CONFIG, EXIT_NO_INPUT, Failure};
use crate::config::{Config, Fault, Sources, unreadable};

/// Largest file that is read, bytes.
const LARGEST: u64 = 8 << 20;

/// Variables that are options of the command line, and none of the configuration.
const OWN_VARIABLES: [&str; 3] = ["SEALCAST_CONFIG", "SEALCAST_LOG_LEVEL", "SEALCAST_LOG_FORMAT"];

/// The configuration in a file, with the process' environment over it.
pub(super) fn config(path: &Path) -> Result<Config, Failure> {
    sources(Some(path.to_owned())).load().map_err(|faults| unfit(&faults))
}

/// Where a configuration comes from: a file, and the process' environment.
pub(super) fn sources(file: Option<PathBuf>) -> Sources {
    let mut sources = Sources::of_process(file);
    sources.variables.retain(|(name, _)| !OWN_VARIABLES.contains(&name.as_str()));
    sources
}

/// The configuration is at fault: all that is wrong with it.
pub(super) fn unfit(faults: &[Fault]) -> Failure {
    Failure {
        code: EXIT_CONFIG,
        lines: faults.iter().map(|fault| format!("configuration: {fault}")).collect(),
    }
}

/// A secret in a file, without the line end behind it.
pub(super) fn secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    one_line(path, "secret")
}

/// A token in a file, or from standard input.
pub(super) fn token(path: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    match path {
        Some(path) if path != Path::new("-") => one_line(path, "token"),
        _ => {
            if io::stdin().is_terminal() {
                complain("paste the token, then press Enter and Ctrl-D");
            }
            let text = take(io::stdin().lock()).map_err(|problem| {
                Failure::new(EXIT_NO_INPUT, format!("standard input: {problem}"))
            })?;
            trimmed(&text, "standard input", "token")
        }
    }
}

fn one_line(path: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let place = path.display().to_string();
    let text = read(path).map_err(|problem| {
        Failure::new(EXIT_NO_INPUT, format!("{what} file: {place}: {problem}"))
    })?;
    trimmed(&text, &place, what)
}

fn trimmed(text: &str, place: &str, what: &str) -> Result<Zeroizing<String>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::new(EXIT_DATA, format!("{place}: empty; put the {what} into it")));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    take(File::open(path).map_err(|error| unreadable(&error))?)
}

fn take(from: impl Read) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("larger than {} MiB; is it the right file?", LARGEST >> 20));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| unreadable(&io::Error::new(io::ErrorKind::InvalidData, error)))?;
    Ok(Zeroizing::new(text.to_owned()))
}
