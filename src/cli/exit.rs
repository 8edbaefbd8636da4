//! How a command that cannot do its work ends: an exit code of `sysexits.h`, and
//! a word on what to do.

use std::process::ExitCode;

use super::text::printable;

/// The arguments do not fit together; clap's own code for wrong arguments.
pub(super) const EXIT_USAGE: u8 = 2;
/// An input is not what it should be (`EX_DATAERR`).
pub(super) const EXIT_DATA: u8 = 65;
/// An input is not there or cannot be read (`EX_NOINPUT`).
pub(super) const EXIT_NO_INPUT: u8 = 66;
/// The operating system refused what nobody else can grant (`EX_OSERR`).
pub(super) const EXIT_SYSTEM: u8 = 71;
/// A permission is missing (`EX_NOPERM`).
pub(super) const EXIT_NO_PERMISSION: u8 = 77;
/// The configuration is at fault (`EX_CONFIG`).
pub(super) const EXIT_CONFIG: u8 = 78;

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) code: u8,
    /// What is wrong and what to do, a line each.
    pub(super) lines: Vec<String>,
}

impl Failure {
    /// One line that says what to do.
    pub(super) fn new(code: u8, line: impl Into<String>) -> Failure {
        Failure { code, lines: vec![line.into()] }
    }

    /// What was tried did not work, or the answer is no.
    pub(super) fn plain(line: impl Into<String>) -> Failure {
        Failure::new(1, line)
    }

    /// Tells the person who started the program.
    pub(super) fn tell(&self) -> ExitCode {
        for line in &self.lines {
            complain(line);
        }
        ExitCode::from(self.code)
    }
}

/// A word to the person who started the program. What came from elsewhere cannot
/// steer their terminal.
#[expect(clippy::print_stderr, reason = "the command line speaks here")]
pub(super) fn complain(text: &str) {
    eprintln!("sealcast: {}", printable(text));
}
