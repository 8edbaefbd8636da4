//! A node as a process of its own, for signals, memory and system calls.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::{self, Answer};
use super::node::config;
use super::{PATIENCE, evidence};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sealcast");

/// A running `sealcast serve`, killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: PathBuf,
    /// What it printed when it was ready.
    pub(crate) ready: Value,
    pub(crate) public: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Serves the test configuration, changed by what `options` says.
    pub(crate) fn serve(options: Value) -> Process {
        Process::serve_by(&[], options, &[])
    }

    /// The same with further arguments, under a program that starts others.
    pub(crate) fn serve_by(starter: &[&str], options: Value, arguments: &[&str]) -> Process {
        let path = scratch("json");
        fs::write(&path, config(options).to_string()).unwrap();
        let mut all = vec!["serve", "--ready-json", "--config", path.to_str().unwrap()];
        all.extend(arguments);
        let process = Process::start(starter, &all);
        fs::remove_file(path).unwrap();
        process
    }

    /// Runs the program until it is ready.
    pub(crate) fn start(starter: &[&str], arguments: &[&str]) -> Process {
        let (mut child, stderr) = spawn(starter, arguments);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = child.kill();
            panic!("{error}: {line:?}; {}", fs::read_to_string(&stderr).unwrap())
        });
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        let (public, metrics) = (address("public"), address("metrics"));
        Process { child, stdout, stderr, ready, public, metrics }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.public)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if [Signal::TERM, Signal::INT, Signal::KILL].contains(&signal) {
            self.leave_metrics();
        }
        kill_process(self.pid(), signal).unwrap();
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(mut self) -> Ended {
        let code = wait(&mut self.child, PATIENCE).await;
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        Ended { code, stdout, stderr: fs::read_to_string(&self.stderr).unwrap() }
    }

    /// Leaves what stands in its metrics to be looked through, if it still tells.
    fn leave_metrics(&self) {
        let within = Some(Duration::from_secs(1));
        let Ok(mut stream) = TcpStream::connect(self.metrics) else { return };
        let asked = stream.set_read_timeout(within).and_then(|()| {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
        });
        let mut bytes = Vec::new();
        // What came before an error counts, too.
        let _ = asked.and_then(|()| stream.read_to_end(&mut bytes));
        if let Some(Answer { status: 200, body, .. }) = http::parse(&bytes) {
            evidence::rendered(&String::from_utf8_lossy(&body));
        }
    }

    /// Resident memory, KiB.
    pub(crate) fn resident(&self) -> u64 {
        resident(self.child.id())
    }
}

/// Resident memory of a process, KiB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.leave_metrics();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program, which must end by itself.
pub(crate) async fn run(arguments: &[&str]) -> Ended {
    run_within(PATIENCE, arguments).await
}

/// The same for something that takes long.
pub(crate) async fn run_within(patience: Duration, arguments: &[&str]) -> Ended {
    let (mut child, stderr) = spawn(&[], arguments);
    let code = wait(&mut child, patience).await;
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let text = fs::read_to_string(&stderr).unwrap();
    Ended { code, stdout, stderr: text }
}

/// A file's path that nobody else uses.
pub(crate) fn scratch(extension: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{}-{number}.{extension}", env!("CARGO_CRATE_NAME"), std::process::id());
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn spawn(starter: &[&str], arguments: &[&str]) -> (Child, PathBuf) {
    let stderr = evidence::folder().join(scratch("log").file_name().unwrap());
    let all: Vec<&str> = starter.iter().chain(&[PROGRAM]).chain(arguments).copied().collect();
    let (program, arguments) = all.split_first().unwrap();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&stderr).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    (child, stderr)
}

async fn wait(child: &mut Child, patience: Duration) -> Option<i32> {
    let waiting = async {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(code) = tokio::time::timeout(patience, waiting).await else {
        let _ = child.kill();
        panic!("the process does not end");
    };
    code
}
