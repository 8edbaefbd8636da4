//! Commands as a person or a script runs them: what they print, how they end, and
//! what they say of bad input.

mod faults;
mod health;
mod help;
mod tokens;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::node::config;
use crate::support::process::{Ended, PROGRAM, scratch};

/// Runs the program with these arguments and nothing of the tests' environment.
pub(crate) async fn run(arguments: &[&str]) -> Ended {
    run_with(arguments, "", &[]).await
}

/// The same with standard input and variables.
async fn run_with(arguments: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let stdin = stdin.to_owned();
    // The program may be asking a node of this very runtime.
    tokio::task::spawn_blocking(move || finish(command, &stdin)).await.unwrap()
}

fn finish(mut command: Command, stdin: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends before it has read is right to do so.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code(), stdout, stderr }
}

/// A file that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(text: &str) -> Scratch {
        let path = scratch("json");
        fs::write(&path, text).unwrap();
        Scratch(path)
    }

    /// A configuration like that of test nodes.
    fn config(options: Value) -> Scratch {
        Scratch::new(&config(options).to_string())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
