//! `sealcast limits`: what an operator sets for one user, tenant, client, address or
//! API key, by the server API of a node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;
use zeroize::Zeroizing;

use super::about::print;
use super::text::{duration, printable};
use super::{EXIT_NO_PERMISSION, EXIT_SYSTEM, EXIT_USAGE, Failure, input};
use crate::limit::duration::format;

/// Most bytes of an answer that are read.
const ANSWER: u64 = 16 << 20;
/// Longest time until the answer has come.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Set one, in the place of an earlier one for the same.
    Set(Set),
    /// List all that are in force, and why.
    List(List),
    /// Take one back.
    Remove(Remove),
}

/// Which node is asked, and by which key.
#[derive(clap::Args)]
struct Node {
    /// Where the node has its server API; without TLS.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: Url,
    /// The file with a key of the server API.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// A user, on all connections together.
    #[arg(long)]
    user: Option<String>,
    /// All users of a tenant, whom the claim `tenant` of tokens names, together.
    #[arg(long)]
    tenant: Option<String>,
    /// One connection, by its client id.
    #[arg(long)]
    client: Option<String>,
    /// An address; with IPv6 it stands for its /64.
    #[arg(long)]
    address: Option<String>,
    /// An API key, by its name.
    #[arg(long)]
    key: Option<String>,
}

#[derive(clap::Args)]
#[command(override_usage = "sealcast limits set --key-file <FILE> --user <USER> --rate <RATE>
         --for <TIME> --reason <REASON>")]
#[command(after_help = "\
A rate is written 10/s, or 100/m burst 20. At least one of --rate, --queue-messages,
--queue-bytes and --block is needed; a block stands by itself.")]
pub(super) struct Set {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    whom: Whom,
    /// In the place of the rate that holds for all: of a user and of a tenant the
    /// messages, of a client the commands, of an address the connects, of a key the calls.
    #[arg(long)]
    rate: Option<String>,
    /// How many messages may wait for each connection.
    #[arg(long, value_name = "COUNT")]
    queue_messages: Option<u64>,
    /// The same in bytes.
    #[arg(long, value_name = "BYTES")]
    queue_bytes: Option<u64>,
    /// End the connections, and let no new ones come.
    #[arg(long)]
    block: bool,
    /// How long it holds, such as 30m or 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Duration,
    /// Why, for those who see it in the list.
    #[arg(long)]
    reason: String,
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    node: Node,
    /// Print what the server API answers.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(override_usage = "sealcast limits remove --key-file <FILE> --user <USER>")]
pub(super) struct Remove {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    whom: Whom,
}

/// Does it; the exit code is 1 if the node refuses, or there was nothing to remove.
pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Set(set) => {
            let Whom { user, tenant, client, address, key } = &set.whom;
            let ttl = u64::try_from(set.lasts.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
            let wish = json!({
                "user": user, "tenant": tenant, "client": client, "address": address, "key": key,
                "rate": set.rate, "block": set.block, "ttl": ttl, "reason": set.reason,
                "queue_messages": set.queue_messages, "queue_bytes": set.queue_bytes,
            });
            set.node.call("limits_set", &wish)?;
            print(b"set\n")
        }
        Command::List(list) => {
            let listed = list.node.call("limits_list", &json!({}))?;
            if list.json {
                return print(format!("{listed}\n").as_bytes());
            }
            let unread = |_| Failure::plain("the node's answer is not a list of limits");
            let Listed { limits } = serde_json::from_value(listed).map_err(unread)?;
            let lines: String = limits.iter().map(InForce::line).collect();
            print(if lines.is_empty() { "none\n" } else { &lines }.as_bytes())
        }
        Command::Remove(remove) => {
            let answer = remove.node.call("limits_remove", &remove.whom.as_json())?;
            if answer.get("removed") == Some(&Value::Bool(true)) {
                print(b"removed\n")
            } else {
                Err(Failure::plain("there is no such limit"))
            }
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    limits: Vec<InForce>,
}

#[derive(Deserialize)]
struct InForce {
    user: Option<String>,
    tenant: Option<String>,
    client: Option<String>,
    address: Option<String>,
    key: Option<String>,
    rate: Option<String>,
    queue_messages: Option<u64>,
    queue_bytes: Option<u64>,
    #[serde(default)]
    block: bool,
    ttl: u64,
    reason: String,
    by: String,
}

impl InForce {
    /// Whom it is about, what holds, for how long, who set it and why.
    fn line(&self) -> String {
        let whom = [
            ("user", &self.user),
            ("tenant", &self.tenant),
            ("client", &self.client),
            ("address", &self.address),
            ("key", &self.key),
        ];
        let whom =
            whom.iter().filter_map(|(kind, name)| Some(format!("{kind} {}", (*name).as_ref()?)));
        let what = [
            self.rate.as_ref().map(|rate| format!("rate {rate}")),
            self.queue_messages.map(|count| format!("queue {count} messages")),
            self.queue_bytes.map(|bytes| format!("queue {bytes} bytes")),
            self.block.then(|| "block".to_owned()),
        ];
        let lasts = format!("for {}", format(Duration::from_secs(self.ttl)));
        let parts: Vec<_> = whom
            .chain(what.into_iter().flatten())
            .chain([lasts, format!("by {}", self.by), self.reason.clone()])
            .collect();
        printable(&parts.join(", ")) + "\n"
    }
}

impl Whom {
    fn as_json(&self) -> Value {
        let Whom { user, tenant, client, address, key } = self;
        json!({
            "user": user, "tenant": tenant, "client": client, "address": address, "key": key,
        })
    }
}

impl Node {
    /// The result of a method.
    fn call(&self, method: &str, request: &Value) -> Result<Value, Failure> {
        let host = self.url.host_str().unwrap_or_default();
        if self.url.scheme() != "http" || host.is_empty() {
            let problem = "--url: http://HOST:PORT is needed; TLS is not spoken here, so ask a \
                           node behind the proxy";
            return Err(Failure::new(EXIT_USAGE, problem));
        }
        let address = format!("{host}:{}", self.url.port_or_known_default().unwrap_or(80));
        let key = input::secret(&self.key_file)?;
        if !key.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            return Err(Failure::new(
                super::exit::EXIT_DATA,
                "the key has characters that none has",
            ));
        }
        let body = request.to_string();
        let path = format!("{}/api/{method}", self.url.path().trim_end_matches('/'));
        let request = Zeroizing::new(format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nX-API-Key: {}\r\nContent-Length: {}\r\n\r\n{body}",
            *key,
            body.len(),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Failure::new(EXIT_SYSTEM, format!("cannot start a runtime: {error}")),
        )?;
        let asked = async { tokio::time::timeout(PATIENCE, ask(&address, &request)).await };
        let answer = match runtime.block_on(asked) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let problem = format!("cannot ask {address}: {error}; does the node run there?");
                return Err(Failure::plain(problem));
            }
            Err(_) => return Err(Failure::plain(format!("no answer from {address} within 10s"))),
        };
        result(&address, &answer)
    }
}

async fn ask(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What the node says: the result, or why there is none.
fn result(address: &str, answer: &str) -> Result<Value, Failure> {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match status {
        Some("401") => {
            return Err(Failure::new(EXIT_NO_PERMISSION, "the node does not know this key"));
        }
        Some("404") => {
            return Err(Failure::plain("the node does not have these methods there"));
        }
        _ => {}
    }
    let mut answer: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(error) = answer.get("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        let code = error.get("code").and_then(Value::as_u64).unwrap_or_default();
        return Err(Failure::plain(format!("refused, {code}: {}", printable(message))));
    }
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(Failure::plain(format!("{address} does not answer as a Sealcast node does"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_far_as_they_matter() {
        let answer = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nx: y\r\n\r\n{body}");
        let of = |text: String| result("node", &text).map_err(|failure| failure.lines.join("\n"));
        assert_eq!(of(answer("200 OK", r#"{"result":{"a":1}}"#)), Ok(json!({ "a": 1 })));
        let error = r#"{"error":{"code":107,"message":"says nothing"}}"#;
        assert_eq!(of(answer("200 OK", error)), Err("refused, 107: says nothing".to_owned()));
        for other in ["", "SSH-2.0-x", "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 401 \r\n\r\n"] {
            assert!(of(other.to_owned()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_line_says_whom_what_how_long_and_why() {
        let one = json!({
            "user": "a\u{1b}da", "rate": "10/m burst 5", "queue_bytes": 7, "ttl": 90,
            "reason": "floods", "by": "ops",
        });
        let one: InForce = serde_json::from_value(one).expect("one");
        assert_eq!(
            one.line(),
            "user a\\u001bda, rate 10/m burst 5, queue 7 bytes, for 1m30s, by ops, floods\n"
        );
    }
}
