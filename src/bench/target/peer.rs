//! Another server that speaks the Centrifuge protocol and runs already.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;

/// A second server that does the same work, in turns with this one.
#[derive(clap::Args, Clone, Debug)]
pub(in super::super) struct Peer {
    /// Compares with the server at this address, which runs already: any that speaks the
    /// Centrifuge protocol, on this machine. See docs/performance.md for what it must allow.
    #[arg(long, value_name = "URL", requires = "pid", requires = "secret_file")]
    against: Option<String>,
    /// The process of that server, whose CPU time and memory are read.
    #[arg(long, value_name = "PID", requires = "against")]
    pid: Option<u32>,
    /// A file with the secret that its tokens are signed with (HS256).
    #[arg(long, value_name = "FILE", requires = "against")]
    secret_file: Option<PathBuf>,
    /// A file with a key of its server API; needed by `api` and `recover`.
    #[arg(long, value_name = "FILE", requires = "against")]
    api_key_file: Option<PathBuf>,
}

/// How to reach it.
pub(super) struct Reach {
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
    pub(super) secret: String,
    pub(super) api_key: Option<String>,
}

impl Peer {
    /// Whether there is one.
    pub(in super::super) fn is_given(&self) -> bool {
        self.against.is_some()
    }

    /// # Errors
    /// If something about it is missing or cannot be read.
    pub(super) fn reach(&self) -> Result<Reach, Failure> {
        let (Some(url), Some(pid), Some(secret)) = (&self.against, self.pid, &self.secret_file)
        else {
            return Err(Failure::Options("--against needs --pid and --secret-file".into()));
        };
        Ok(Reach {
            address: address(url)?,
            pid,
            secret: read(secret)?,
            api_key: self.api_key_file.as_deref().map(read).transpose()?,
        })
    }
}

/// `ws://host:port`, `http://host:port` or `host:port`.
fn address(url: &str) -> Result<SocketAddr, Failure> {
    let rest = ["ws://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let place = rest.unwrap_or(url).trim_end_matches('/');
    let found = place.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Failure::Options(format!("--against {url}: give it as ws://HOST:PORT, without a path"))
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Failure::Options(format!("cannot read {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_address_is_that_of_a_socket() {
        for good in ["ws://127.0.0.1:8000", "http://127.0.0.1:8000/", "127.0.0.1:8000"] {
            assert_eq!(address(good).unwrap().to_string(), "127.0.0.1:8000");
        }
        for bad in ["", "ws://127.0.0.1", "ws://127.0.0.1:8000/connection/websocket"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
