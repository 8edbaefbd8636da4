//! What tests leave for `tests/logs/scan.py`, which looks through everything that nodes
//! have said once all tests have run. On the one side the logs, the metrics, and the
//! errors that clients got; on the other what must stand in none of them: signatures of
//! tokens, users, channels, payloads, and addresses of clients.
//!
//! Each kind is a file of the harness with one JSON text a line.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use serde_json::Value;

use super::http::Answer;

/// The harness: these files are a part of more than one.
const HARNESS: &str = env!("CARGO_CRATE_NAME");
/// How much of one thing is noted; enough to find it by, also where it was cut.
const LENGTH: usize = 64;
/// How many things of one kind one process notes.
const MANY: usize = 10_000;
/// What is shorter could stand in a line by chance.
const LEAST: usize = 8;
/// Larger frames and bodies are not looked into.
const LOOKED_INTO: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Signatures,
    Users,
    Channels,
    Payloads,
    Addresses,
    /// What stood in metrics, without the numbers.
    Metrics,
    /// Errors and reasons, as clients got them.
    Told,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Signatures => "signatures",
            Kind::Users => "users",
            Kind::Channels => "channels",
            Kind::Payloads => "payloads",
            Kind::Addresses => "addresses",
            Kind::Metrics => "metrics",
            Kind::Told => "told",
        }
    }
}

/// Where all of it lies, and the logs of nodes that are processes.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("logs");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// From now on everything that nodes in this process log is written there, too.
pub(crate) fn log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let file = File::create(log_file()).unwrap();
        assert!(sealcast::cli::log_into(file), "this process logs already");
    });
}

/// Where nodes in this process log.
pub(crate) fn log_file() -> PathBuf {
    folder().join(format!("{HARNESS}-inside-{}.log", std::process::id()))
}

/// Notes something, once.
pub(crate) fn note(kind: Kind, text: &str) {
    let text: String = text.chars().take(LENGTH.max(longest(kind))).collect();
    if text.is_empty() || !is_new(kind, &text) {
        return;
    }
    let path = folder().join(format!("{HARNESS}.{}", kind.name()));
    let line = format!("{}\n", Value::from(text));
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// Notes what a client said in a text frame or the body of a request.
pub(crate) fn sent(bytes: &[u8]) {
    if bytes.len() > LOOKED_INTO {
        return;
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = serde_json::from_slice(line) {
            look_into(&value);
        }
    }
}

/// Notes a payload, in whatever format.
pub(crate) fn published(bytes: &[u8]) {
    if bytes.len() > LOOKED_INTO {
        return;
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => payload(&value),
        Err(_) => text(&String::from_utf8_lossy(bytes)),
    }
}

/// Notes what a request brought: its body, and who the client is, which it says itself or
/// a proxy announced before it.
pub(crate) fn requested(request: &[u8]) {
    // PROXY protocol 2: 12 bytes, the version, the family, a length, and what has that.
    const PROXIED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let mut request = request;
    if request.starts_with(PROXIED)
        && let Some([_, 0x11, high, low, a, b, c, d, ..]) = request.get(12..)
    {
        note(Kind::Addresses, &Ipv4Addr::new(*a, *b, *c, *d).to_string());
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        request = request.get(16 + length..).unwrap_or_default();
    }
    let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(request.len());
    for line in String::from_utf8_lossy(&request[..end.min(LOOKED_INTO)]).lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("x-forwarded-for")
        {
            for address in value.split(',').map(str::trim) {
                if address.parse::<IpAddr>().is_ok() {
                    note(Kind::Addresses, address);
                }
            }
        }
    }
    sent(request.get(end + 4..).unwrap_or_default());
}

/// Notes what was refused by HTTP, and where an answer sent somebody.
pub(crate) fn answered(answer: &Answer) {
    if answer.status >= 400 {
        note(Kind::Told, &String::from_utf8_lossy(&answer.body));
    }
    note(Kind::Told, answer.header("location").unwrap_or_default());
}

/// Notes what stands in metrics as they are rendered.
pub(crate) fn rendered(metrics: &str) {
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        note(Kind::Metrics, line.rsplit_once(' ').map_or(line, |(series, _)| series));
    }
}

/// In a command, a call of the server API, or several of either.
fn look_into(value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("data" | "info" | "tags", _) => payload(value),
                    ("channel", Value::String(name)) => telling(Kind::Channels, name),
                    _ => look_into(value),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(look_into),
        _ => {}
    }
}

fn payload(value: &Value) {
    match value {
        Value::String(of) => text(of),
        Value::Object(members) => members.values().for_each(payload),
        Value::Array(values) => values.iter().for_each(payload),
        _ => {}
    }
    if value.is_object() || value.is_array() {
        telling(Kind::Payloads, &value.to_string());
    }
}

fn text(of: &str) {
    // What is said by `/emulation` are commands within a text.
    if of.starts_with('{') {
        sent(of.as_bytes());
    } else {
        telling(Kind::Payloads, of);
    }
}

/// Notes what could not stand anywhere by chance.
fn telling(kind: Kind, text: &str) {
    if text.len() >= LEAST && text.chars().collect::<HashSet<_>>().len() >= LEAST / 2 {
        note(kind, text);
    }
}

/// What nodes said is kept whole, as far as that goes.
fn longest(kind: Kind) -> usize {
    if matches!(kind, Kind::Metrics | Kind::Told | Kind::Signatures) { 4_096 } else { 0 }
}

fn is_new(kind: Kind, text: &str) -> bool {
    static SEEN: LazyLock<Mutex<HashMap<Kind, HashSet<u64>>>> = LazyLock::new(Mutex::default);
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.entry(kind).or_default();
    seen.len() < MANY && seen.insert(hash)
}
