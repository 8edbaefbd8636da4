//! What is measured: a node, or a floor, as a process of its own that ends with
//! its [`Target`].

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::failure::{Failure, While};
use super::floor;
use super::kernel;
use super::token::Tokens;

/// How long a server may take until it is ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to tell its metrics.
const METRICS: Duration = Duration::from_secs(10);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `sealcast serve`, of this same program.
    Node,
    /// A floor.
    Floor(floor::Kind),
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Node => "sealcast",
            Kind::Floor(floor::Kind::One) => "floor",
            Kind::Floor(floor::Kind::Batch) => "floorbatch",
        }
    }
}

/// A server that runs.
pub(super) struct Target {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    tokens: Tokens,
}

impl Target {
    /// Starts a server that takes so many connections, and waits until it is
    /// ready. What it complains of goes to standard error.
    ///
    /// # Errors
    /// If it cannot be started, or does not become ready.
    pub(super) fn start(kind: Kind, connections: usize) -> Result<Target, Failure> {
        let program = std::env::current_exe().during("find this program")?;
        let tokens = Tokens::new();
        let mut command = Command::new(program);
        let mut config = None;
        match kind {
            Kind::Node => {
                let config = config.insert(Config::write(&tokens, connections)?);
                command.args(["bench", "node", "--", "--config"]).arg(&config.0);
                command.args(["--ready-json", "--port", "0", "--metrics-port", "0"]);
                command.args(["--log-level", "error"]);
            }
            Kind::Floor(floor) => {
                command.args(["bench", "floor", "--kind"]);
                command.arg(match floor {
                    floor::Kind::One => "one",
                    floor::Kind::Batch => "batch",
                });
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| Failure::Server(format!("cannot start {}: {error}", kind.name())))?;
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut target = Target { kind, child, address: unspecified, metrics: None, tokens };
        let line = target.first_line()?;
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| ready.get(name)?.as_str()?.parse().ok();
        target.address = address("public").ok_or_else(|| {
            Failure::Server(format!("{} did not become ready, and ended", kind.name()))
        })?;
        target.metrics = address("metrics");
        Ok(target)
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it takes clients.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its users' tokens are made with.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// See [`kernel::cpu`].
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        kernel::cpu(self.child.id())
    }

    /// See [`kernel::resident`].
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        kernel::resident(self.child.id())
    }

    /// How many writes to clients it has counted; `None` of a floor, which does
    /// not count.
    ///
    /// # Errors
    /// If it does not tell.
    pub(super) fn writes(&self) -> Result<Option<u64>, Failure> {
        let Some(address) = self.metrics else { return Ok(None) };
        let text = get_metrics(address).during("read the server's metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix("sealcast_writes_total "));
        match value.and_then(|value| value.trim().parse().ok()) {
            Some(count) => Ok(Some(count)),
            None => Err(Failure::Server("the metrics lack sealcast_writes_total".into())),
        }
    }

    /// The first line that it prints; empty if it ends before.
    fn first_line(&mut self) -> Result<String, Failure> {
        let Some(stdout) = self.child.stdout.take() else { return Ok(String::new()) };
        let (send, receive) = sync_channel(1);
        // Reads on after the line, so that the server never writes in vain.
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = send.send(line);
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        receive.recv_timeout(START).map_err(|_| {
            let (name, seconds) = (self.kind.name(), START.as_secs());
            Failure::Server(format!("{name} was not ready after {seconds} s"))
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It has nothing to lose, and draining would take its time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Becomes a node that is killed when its parent ends, however that ends.
///
/// # Errors
/// If it cannot.
pub(super) fn become_node(arguments: &[OsString]) -> Result<(), Failure> {
    kernel::end_with_parent()?;
    let program = std::env::current_exe().during("find this program")?;
    Err(Command::new(program).arg("serve").args(arguments).exec()).during("become a node")
}

/// A configuration file, which is removed with it: it holds a secret.
struct Config(PathBuf);

impl Config {
    fn write(tokens: &Tokens, connections: usize) -> Result<Config, Failure> {
        let connections = (connections + 100).max(20_000);
        let text = serde_json::json!({
            "client": {
                "token": { "hmac_secret_key": tokens.secret() },
                "connection_limit": connections,
                "user_connection_limit": 0,
            },
            "channel": { "without_namespace": {
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
            } },
            "http_api": { "key": tokens.secret() },
            // All come from one address, and as fast as they can.
            "limits": {
                "profile": "none",
                "ip_connections": connections,
                "waiting_connections": connections,
                "http_sockets": 4_000,
            },
        });
        let name = format!("sealcast-bench-{:032x}.json", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        write_private(&path, &text.to_string()).during("write a configuration file")?;
        Ok(Config(path))
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn get_metrics(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, METRICS)?;
    stream.set_read_timeout(Some(METRICS))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
