//! `sealcast health`: asks a node whether it is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::about::print;
use super::text::duration;
use super::{EXIT_SYSTEM, EXIT_USAGE, Failure, input};

/// Most bytes of an answer that are read.
const ANSWER: u64 = 4 << 10;

/// Which node, and how long to wait.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Options {
    /// Where the node listens, for clients or for metrics; then no configuration
    /// is read.
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    /// The node's configuration file, which says where it serves metrics;
    /// without either, 127.0.0.1:8000 is asked.
    #[arg(long, short, value_name = "FILE", env = "SEALCAST_CONFIG")]
    config: Option<PathBuf>,
    /// Longest time until the answer has come.
    #[arg(long, default_value = "2s", value_parser = duration)]
    timeout: Duration,
    /// Say nothing; the exit code tells.
    #[arg(long, short)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
Asks GET /health/ready over plain HTTP. Ready means that the node takes clients:
it is not leaving, and within the last three seconds a message went through its
broker and came back.

Exit codes: 0 ready; 1 not ready, or no answer; 78 the configuration is at fault.

As the check of a container:
  HEALTHCHECK CMD [\"sealcast\", \"health\", \"--quiet\"]";

/// Asks; the exit code is 0 if the node is ready.
pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let address = address(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(EXIT_SYSTEM, format!("cannot start a runtime: {error}")))?;
    let asked = async { tokio::time::timeout(options.timeout, ask(address)).await };
    let problem = match runtime.block_on(asked) {
        Err(_) => format!(
            "no answer from {address} within {:?}; is the node overloaded or the address wrong?",
            options.timeout
        ),
        Ok(Err(error)) => format!("cannot ask {address}: {error}; does the node run there?"),
        Ok(Ok(answer)) => match Answer::read(&answer) {
            Some(Answer { status: 200, .. }) => {
                return if options.quiet { Ok(ExitCode::SUCCESS) } else { print(b"ready\n") };
            }
            Some(Answer { status: 503, reason }) => format!("not ready: {}", advice(reason)),
            Some(Answer { status, .. }) => {
                format!("{address} answers with status {status}; is it a Sealcast node?")
            }
            None => format!("{address} does not answer in HTTP; is it a Sealcast node?"),
        },
    };
    let mut failure = Failure::plain(problem);
    if options.quiet {
        failure.lines.clear();
    }
    Err(failure)
}

fn address(options: &Options) -> Result<SocketAddr, Failure> {
    let mut address = match (&options.address, &options.config) {
        (Some(address), _) => *address,
        (None, Some(path)) => input::config(path)?.listeners.metrics(),
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, 8_000)),
    };
    if address.port() == 0 {
        let problem = "the node's metrics port is 0, a free one; name it with --address";
        return Err(Failure::new(EXIT_USAGE, problem));
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What matters of an HTTP answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer<'a> {
    status: u16,
    reason: &'a str,
}

impl<'a> Answer<'a> {
    fn read(text: &'a str) -> Option<Answer<'a>> {
        let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let reason = text.split_once("\"reason\":\"").and_then(|(_, rest)| rest.split_once('"'));
        Some(Answer { status, reason: reason.map_or("", |(reason, _)| reason) })
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "starting" => "the node is starting; ask again in a second",
        "leaving" => "the node is leaving, and takes no new clients",
        "broker" => "no message came back from the broker within 3 s; look at the node's log",
        _ => "the node gives no reason; look at its log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_far_as_they_matter() {
        let not_ready =
            "HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"reason\":\"leaving\"}\n";
        assert_eq!(Answer::read(not_ready), Some(Answer { status: 503, reason: "leaving" }));
        let ready = "HTTP/1.1 200 OK\r\n\r\n{}\n";
        assert_eq!(Answer::read(ready), Some(Answer { status: 200, reason: "" }));
        for other in ["", "HTTP/1.1", "HTTP/1.1 2", "SSH-2.0-x", "HTTP/1.1 abc"] {
            assert_eq!(Answer::read(other), None, "{other}");
        }
    }
}
