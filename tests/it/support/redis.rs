//! A real redis-server of one's own, to be broken at will.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, IntoConnectionInfo as _};
use rustix::process::{Pid, Signal, kill_process};
use sealcast::broker::{Credentials, Durability, Endpoint, RedisConfig, Topology};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::port::Port;
use super::process::scratch;
use super::{PATIENCE, evidence};

/// Who a node is to Redis: the user of `deploy/redis/users.acl`.
const NODE: &str = "relay";
const PASSWORD: &str = "a-long-random-password-of-the-nodes";

/// Options of a server that has in its file what it has answered.
pub(super) const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "no"];

/// A running redis-server; ends when dropped, and its files with it. It knows the
/// user of nodes, which must not have been refused anything until then.
pub(crate) struct RedisServer {
    child: Option<Child>,
    pub(crate) port: u16,
    _reserved: Vec<Port>,
    folder: PathBuf,
    /// A configuration file, which a sentinel needs.
    file: Option<String>,
    options: Vec<String>,
}

impl RedisServer {
    /// Without persistence.
    pub(crate) async fn start() -> RedisServer {
        RedisServer::with(&[]).await
    }

    /// With every write in its file before it is answered, and so after it was killed. Nobody
    /// cuts the power: what the kernel has need not be on the disk, for which all would wait.
    pub(crate) async fn durable() -> RedisServer {
        RedisServer::with(DURABLE).await
    }

    /// With options of redis-server.
    pub(crate) async fn with(options: &[&str]) -> RedisServer {
        RedisServer::run_as(None, options, Vec::new()).await
    }

    /// With a second port that speaks TLS, which these options configure.
    pub(crate) async fn with_tls(options: &[&str]) -> RedisServer {
        RedisServer::with_port("--tls-port", options).await
    }

    /// To be a member of a cluster, with options of redis-server.
    pub(crate) async fn member(options: &[&str]) -> RedisServer {
        let options = [&["--cluster-enabled", "yes"], options].concat();
        RedisServer::with_port("--cluster-port", &options).await
    }

    /// A sentinel, with what its configuration file says.
    pub(crate) async fn sentinel(file: &str) -> RedisServer {
        RedisServer::run_as(Some(file), &["--sentinel"], Vec::new()).await
    }

    /// With a second port, which the first of its options says.
    async fn with_port(option: &str, options: &[&str]) -> RedisServer {
        let port = Port::reserve();
        let number = port.number().to_string();
        let options = [&[option, &number], options].concat();
        RedisServer::run_as(None, &options, vec![port]).await
    }

    async fn run_as(file: Option<&str>, options: &[&str], more: Vec<Port>) -> RedisServer {
        evidence::log();
        let folder = scratch("redis");
        fs::create_dir_all(&folder).unwrap();
        let port = Port::reserve();
        let mut server = RedisServer {
            child: None,
            port: port.number(),
            _reserved: more.into_iter().chain([port]).collect(),
            folder,
            file: file.map(str::to_owned),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        server.start_again().await;
        server
    }

    /// Where it speaks TLS.
    pub(crate) fn tls_address(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.options[1])
    }

    /// Starts it again where it was.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        assert!(self.run().await, "{}", fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How a broker uses it.
    pub(crate) fn config(&self) -> RedisConfig {
        self.config_with(&credentials())
    }

    pub(crate) fn config_with(&self, with: &Credentials) -> RedisConfig {
        RedisServer::config_at(&self.address(), with)
    }

    /// How the configuration of a node says that.
    pub(crate) fn as_node(&self) -> Value {
        as_node(json!({ "address": self.address() }))
    }

    /// A client that is let in as a node is, and may do as little.
    pub(crate) fn client_as_node(&self) -> redis::Client {
        let info = format!("redis://{}", self.address()).into_connection_info().unwrap();
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let settings = settings.set_username(NODE).set_password(PASSWORD);
        redis::Client::open(info.set_redis_settings(settings)).unwrap()
    }

    /// How a broker uses it through something in between.
    pub(crate) fn config_at(address: &str, with: &Credentials) -> RedisConfig {
        config(Topology::Primaries(vec![Endpoint::parse(address, with).unwrap()]))
    }

    /// Runs a command by a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let words: Vec<_> = command.split(' ').collect();
        self.ask_words(&words).await
    }

    /// The same, with words that may be empty or hold spaces.
    pub(crate) async fn ask_words<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap()
    }

    async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = Cmd::new();
        command.arg(words);
        let client = redis::Client::open(format!("redis://{}", self.address())).unwrap();
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        command.query_async(&mut connection).await
    }

    /// Runs a command until the answer has this in it.
    pub(crate) async fn says(&self, command: &str, text: &str) {
        let mut answer = String::new();
        let asking = async {
            while !answer.contains(text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                // A sentinel that promotes it ends its connections.
                let words: Vec<_> = command.split(' ').collect();
                answer = self.try_ask(&words).await.unwrap_or_default();
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        assert!(asked.is_ok(), "no {text:?} in the answer to {command:?}: {answer}");
    }

    /// Waits until it has all that its primary has.
    pub(crate) async fn follows(&self, primary: &RedisServer) {
        let offset = async |server: &RedisServer, of: &str| {
            let info: String = server.ask("INFO replication").await;
            let line = info.lines().find_map(|line| line.strip_prefix(of));
            line.map(|offset| offset.trim().parse::<u64>().unwrap()).unwrap_or_default()
        };
        let all = offset(primary, "master_repl_offset:").await;
        let waiting = async {
            while offset(self, "slave_repl_offset:").await < all {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the replica follows");
    }

    /// Runs it until it answers; `false` if it ends.
    async fn run(&mut self) -> bool {
        let log = File::create(self.folder.join("log")).unwrap();
        let file = self.file.as_ref().map(|text| {
            let path = self.folder.join("conf");
            fs::write(&path, text).unwrap();
            path
        });
        let sets_up_users = file.is_some() || self.options.iter().any(|it| it == "--aclfile");
        let user = users().find(|user| user.starts_with(&format!("user {NODE} ")));
        let user = user.expect("the file has it").replacen("user", "--user", 1);
        let child = Command::new("redis-server")
            .args(file)
            .args(user.split(' ').filter(|_| !sets_up_users))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server, which scripts/test installs: {error}"));
        let child = self.child.insert(child);
        let answers = async {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
            loop {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                    let pong = redis::cmd("PING").query_async::<String>(&mut connection).await;
                    if pong.is_ok() {
                        return true;
                    }
                    // Its password is asked for: it answers.
                    if pong.is_err_and(|error| error.code() == Some("NOAUTH")) {
                        return true;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answers).await.expect("redis-server answers")
    }
}

/// The users of `deploy/redis/users.acl`, a line each.
pub(crate) fn users() -> impl Iterator<Item = String> {
    let hash = |password: &str| -> String {
        Sha256::digest(password).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let rules = include_str!("../../../deploy/redis/users.acl");
    // Redis takes no comments here.
    rules.lines().filter(|line| line.starts_with("user ")).map(move |line| {
        line.replace("RELAY_PASSWORD_SHA256", &hash(PASSWORD))
            .replace("OPS_PASSWORD_SHA256", &hash("of ops"))
    })
}

/// What a node says to be let in.
pub(crate) fn credentials() -> Credentials {
    let (user, password) = (Some(NODE.to_owned()), Some(PASSWORD.to_owned()));
    Credentials { user, password, ..Credentials::default() }
}

/// The same in the configuration of a node.
pub(crate) fn as_node(mut redis: Value) -> Value {
    redis["user"] = NODE.into();
    redis["password"] = PASSWORD.into();
    redis
}

/// How a broker spreads channels over several.
pub(crate) fn spread(servers: &[RedisServer]) -> RedisConfig {
    let with = credentials();
    let endpoint = |server: &RedisServer| Endpoint::parse(&server.address(), &with).unwrap();
    config(Topology::Primaries(servers.iter().map(endpoint).collect()))
}

/// How a broker uses what hangs together like this.
pub(crate) fn config(topology: Topology) -> RedisConfig {
    RedisConfig { topology, prefix: "sealcast".into(), durability: Durability::default() }
}

/// What it refused to whom, if it still answers everybody.
fn refused(port: u16) -> Option<String> {
    const WITHIN: Duration = Duration::from_millis(500);
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    connection.set_read_timeout(Some(WITHIN)).ok()?;
    connection.write_all(b"ACL LOG\r\n").ok()?;
    let mut answer = [0; 4_096];
    let length = connection.read(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    (answer.starts_with('*') && answer != "*0\r\n").then_some(answer)
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let mut refusals = None;
        if let Some(mut child) = self.child.take() {
            if !std::thread::panicking() {
                refusals = refused(self.port);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.folder.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        }
        assert_eq!(refusals, None, "somebody was refused something");
    }
}
