//! What is measured: a node, with a Redis of its own or without, or a floor, as
//! processes that end with their [`Target`]; or a peer that runs anyway.

mod config;
mod peer;
mod redis;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use config::Config;
pub(super) use config::{HISTORY, namespace};
pub(super) use peer::Peer;
use redis::Redis;

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
    /// The same with a Redis of its own.
    OnRedis,
    /// The same with so many, among which it shares its channels.
    OnShards(u8),
    /// Another that runs already.
    Peer,
    /// A floor.
    Floor(floor::Kind),
}

impl Kind {
    /// What benches compare that have no floor.
    pub(super) fn list(redis: bool, peer: &Peer) -> Vec<Kind> {
        let others = [(redis, Kind::OnRedis), (peer.is_given(), Kind::Peer)];
        let others = others.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind));
        std::iter::once(Kind::Node).chain(others).collect()
    }

    pub(super) fn is_floor(self) -> bool {
        matches!(self, Kind::Floor(_))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Node => "sealcast",
            Kind::OnRedis | Kind::OnShards(_) => "sealcast on Redis",
            Kind::Peer => "peer",
            Kind::Floor(floor::Kind::One) => "floor",
            Kind::Floor(floor::Kind::Batch) => "floorbatch",
        }
    }
}

/// A server that runs.
pub(super) struct Target {
    kind: Kind,
    process: Process,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    tokens: Tokens,
    /// A key of the server API.
    api_key: Option<String>,
    redis: Vec<Redis>,
}

enum Process {
    Own(Child),
    Other(u32),
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
        let shards = match kind {
            Kind::OnRedis => 1,
            Kind::OnShards(shards) => shards,
            _ => 0,
        };
        let redis = (0..shards).map(|_| Redis::start()).collect::<Result<Vec<_>, _>>()?;
        let mut config = None;
        match kind {
            Kind::Node | Kind::OnRedis | Kind::OnShards(_) => {
                let urls: Vec<String> = redis.iter().map(Redis::url).collect();
                let config = config.insert(Config::write(&tokens, connections, &urls)?);
                command.args(["bench", "node", "--", "--config"]).arg(config.path());
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
            Kind::Peer => return Err(Failure::Options("a peer runs already".into())),
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| Failure::Server(format!("cannot start {}: {error}", kind.name())))?;
        let stdout = child.stdout.take();
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let api_key = Some(tokens.secret().to_owned());
        let process = Process::Own(child);
        let mut target =
            Target { kind, process, address: unspecified, metrics: None, tokens, api_key, redis };
        let line = first_line(kind, stdout)?;
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| ready.get(name)?.as_str()?.parse().ok();
        target.address = address("public").ok_or_else(|| {
            Failure::Server(format!("{} did not become ready, and ended", kind.name()))
        })?;
        target.metrics = address("metrics");
        Ok(target)
    }

    /// As [`Target::start`]; but a peer is only looked at.
    ///
    /// # Errors
    /// Also if the peer cannot be reached.
    pub(super) fn of(kind: Kind, connections: usize, peer: &Peer) -> Result<Target, Failure> {
        if kind != Kind::Peer {
            return Target::start(kind, connections);
        }
        let peer = peer.reach()?;
        let unreachable =
            |error| Failure::Server(format!("cannot reach the peer at {}: {error}", peer.address));
        TcpStream::connect_timeout(&peer.address, METRICS).map_err(unreachable)?;
        kernel::cpu(peer.pid)?;
        Ok(Target {
            kind,
            process: Process::Other(peer.pid),
            address: peer.address,
            metrics: None,
            tokens: Tokens::with(peer.secret),
            api_key: peer.api_key,
            redis: Vec::new(),
        })
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
        kernel::cpu(self.pid())
    }

    /// The CPU time of its Redis, all together; nothing without one.
    ///
    /// # Errors
    /// If that has gone.
    pub(super) fn redis_cpu(&self) -> Result<Duration, Failure> {
        self.redis.iter().map(|redis| kernel::cpu(redis.pid())).sum()
    }

    /// A key of its server API.
    ///
    /// # Errors
    /// If a peer came without one.
    pub(super) fn api_key(&self) -> Result<&str, Failure> {
        let missing = || Failure::Options("--against needs --api-key-file here".into());
        self.api_key.as_deref().ok_or_else(missing)
    }

    /// See [`kernel::resident`].
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        kernel::resident(self.pid())
    }

    /// Bytes that it has from its allocator, without what that keeps for later; `None` of
    /// what does not tell.
    ///
    /// # Errors
    /// If its metrics cannot be read.
    pub(super) fn allocated(&self) -> Result<Option<u64>, Failure> {
        self.count("sealcast_allocated_bytes ")
    }

    /// How many writes to clients it has counted; `None` of what does not count.
    ///
    /// # Errors
    /// If it does not tell.
    pub(super) fn writes(&self) -> Result<Option<u64>, Failure> {
        self.count("sealcast_writes_total ")
    }

    /// What a counter of this server stands at, by its name and labels as the metrics
    /// have them, and a space; `None` of a floor or a peer.
    ///
    /// # Errors
    /// If it does not tell.
    pub(super) fn count(&self, series: &str) -> Result<Option<u64>, Failure> {
        let Some(address) = self.metrics else { return Ok(None) };
        let text = get_metrics(address).during("read the server's metrics")?;
        // A counter with labels is not there before it first counts.
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        match value.map_or(Ok(0.0), |value| value.trim().parse::<f64>()) {
            Ok(count) => Ok(Some(count as u64)),
            Err(_) => Err(Failure::Server(format!("the metrics have no number for {series}"))),
        }
    }

    fn pid(&self) -> u32 {
        match &self.process {
            Process::Own(child) => child.id(),
            Process::Other(pid) => *pid,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It has nothing to lose, and draining would take its time.
        if let Process::Own(child) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
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

/// The first line that a server prints; empty if it ends before.
fn first_line(kind: Kind, stdout: Option<ChildStdout>) -> Result<String, Failure> {
    let Some(stdout) = stdout else { return Ok(String::new()) };
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
        let (name, seconds) = (kind.name(), START.as_secs());
        Failure::Server(format!("{name} was not ready after {seconds} s"))
    })
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
