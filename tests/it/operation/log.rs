//! The log of a whole process: one connection can be followed through it, a flood of
//! failures stays small and keeps its total, and nobody writes a line of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use sealcast_client::{Connection, Options};
use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::TestNode;
use crate::support::process::{Ended, Process};
use crate::support::{PATIENCE, eventually, evidence, token};

fn leaving_at_once() -> Value {
    json!({ "shutdown": { "lb_wait": "0s", "spread": "0s", "deadline": "10s" } })
}

fn serve(options: Value, arguments: &[&str]) -> Process {
    let mut all = leaving_at_once();
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    Process::serve_by(&[], all, arguments)
}

/// What a process logged, as JSON.
async fn ended(process: Process) -> Vec<Value> {
    process.signal(Signal::TERM);
    let Ended { code, stderr, .. } = process.ended().await;
    assert_eq!(code, Some(0), "{stderr}");
    stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

async fn open(process: &Process, token: &str) -> Wire {
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    let mut wire = Wire(Connection::open(&options).await.unwrap());
    wire.say(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    wire
}

/// What the scan of a test run looks through holds what every node said in it.
#[tokio::test]
async fn nodes_inside_this_process_log_as_well() {
    let node = TestNode::start().await;
    let (mut wire, connected) = Wire::admitted(&node, json!({ "token": token::of("ada") })).await;
    let id = connected["client"].as_str().unwrap();
    assert_eq!(wire.refused(r#"{"id":2,"publish":{"channel":"closed:a","data":1}}"#).await, 103);
    assert_eq!(wire.closed_by("{").await, 3501);
    let lines = || {
        let text = fs::read_to_string(evidence::log_file()).unwrap();
        let parse = |line| serde_json::from_str::<Value>(line).expect(line);
        text.lines().filter(|line| line.contains(id)).map(parse).collect::<Vec<_>>()
    };
    eventually("it logs the end", || !of(&lines(), "disconnected").is_empty()).await;
    let lines = lines();
    for event in ["opened", "connected", "command_refused"] {
        assert_eq!(of(&lines, event).len(), 1, "{event}: {lines:?}");
    }
    assert_eq!(of(&lines, "opened")[0]["address"], "127.0.0.0/24");
    assert!(of(&lines, "connected")[0]["user"].as_str().unwrap().starts_with("u_"), "{lines:?}");
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[tokio::test]
async fn one_connection_can_be_followed() {
    let process = serve(json!({ "node": { "name": "node-7" } }), &["--log-level", "debug"]);
    let mut wire = open(&process, &token::of("ada")).await;
    let connected = wire.hear_json().await;
    let id = connected["connect"]["client"].as_str().unwrap();
    assert_eq!(wire.refused(r#"{"id":2,"publish":{"channel":"closed:a","data":1}}"#).await, 103);
    assert_eq!(wire.refused(r#"{"id":3,"subscribe":{"channel":"unknown:a"}}"#).await, 102);
    assert_eq!(wire.closed_by("{").await, 3501);
    let mut refused = open(&process, &token::expiring("ada", -100)).await;
    refused.hear_json().await;
    let mut forged = open(&process, "a.b.c").await;
    assert_eq!(forged.closed().await, 3500);

    let lines = ended(process).await;
    let of_one: Vec<_> = lines.iter().filter(|line| line["client"] == id).collect();
    let events: Vec<_> = of_one.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let expected = ["opened", "connected", "command_refused", "command_refused", "disconnected"];
    assert_eq!(events, expected, "{of_one:#?}");
    assert_eq!(of_one[0]["address"], "127.0.0.0/24");
    let told = |at: usize, name: &str| of_one[at][name].clone();
    assert_eq!((told(2, "code"), told(2, "namespace")), (103.into(), "closed".into()));
    assert_eq!((told(3, "code"), told(3, "namespace")), (102.into(), "unknown".into()));
    assert_eq!((told(4, "code"), told(4, "reason")), (3501.into(), "bad request".into()));
    assert!(told(4, "duration_ms").is_u64());
    let users: Vec<_> = (0..5).map(|at| told(at, "user")).collect();
    let user = users[1].as_str().expect("a pseudonym").to_owned();
    assert!(user.starts_with("u_") && user.len() == 28 && !user.contains("ada"), "{user}");
    assert_eq!(users[2..], [user.as_str(), &user, &user], "the same in each line");
    assert_eq!(users[0], Value::Null, "nobody is known yet");
    let reasons: Vec<_> = of(&lines, "token_refused").iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["expired", "malformed"]);
    for line in &lines {
        for name in ["time", "level", "event", "message"] {
            assert!(line[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {line}");
        }
    }
    assert!(of_one.iter().all(|line| line["node"] == "node-7"));
    assert!(lines.iter().all(|line| line.get("hint").is_none()), "hints are for --dev");
}

/// Where an event gets its name in the code.
const NAMED: [&str; 3] =
    ["event = \"", "(event, client) = (\"", "(event, client, number, reason) =\n        (\""];

#[test]
fn every_event_is_on_the_page() {
    let page = include_str!("../../../docs/operation.md");
    let mut events = BTreeSet::new();
    for source in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        // Tests of the log make events up.
        let code = source.split("#[cfg(test)]").next().unwrap();
        for named in NAMED {
            for (at, _) in code.match_indices(named) {
                let name = code[at + named.len()..].split('"').next().unwrap();
                events.insert(name.to_owned());
            }
        }
    }
    assert!(events.contains("disconnected") && events.contains("command_refused"), "{events:?}");
    let missing: Vec<_> =
        events.iter().filter(|event| !page.contains(&format!("`{event}`"))).collect();
    assert!(missing.is_empty(), "not in docs/operation.md: {missing:?}");
}

fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_some_and(|name| name != "tests")
        {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// S4-27, at the socket: 10^5 failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_failures_is_few_lines_with_the_right_total() {
    const FRAMES: usize = 500;
    const EACH: usize = 200;
    let process = serve(json!({}), &[]);
    let mut wire = open(&process, &token::of("ada")).await;
    wire.hear().await;
    let frame: Vec<String> = (2..2 + EACH)
        .map(|id| format!(r#"{{"id":{id},"publish":{{"channel":"closed:a","data":1}}}}"#))
        .collect();
    let frame = frame.join("\n");
    for _ in 0..FRAMES {
        wire.say(&frame).await;
        let mut answers = 0;
        while answers < EACH {
            answers += wire.hear().await.lines().count();
        }
    }
    let lines = ended(process).await;
    let refused = of(&lines, "command_refused");
    let left_out: u64 = refused.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    let summaries = refused.iter().filter(|line| line.get("code").is_none()).count();
    let written = (refused.len() - summaries) as u64;
    assert_eq!(written + left_out, (FRAMES * EACH) as u64);
    assert!(refused.len() < 700, "{}", refused.len());
}

/// T-44.
#[tokio::test]
async fn nobody_writes_a_line_of_their_own() {
    // What HTTP lets through, and what it does not.
    const NASTY: [&str; 2] =
        ["x\",\"event\":\"forged\",\"y\":\"\u{9b}31m\u{202e}", "x\x1b[2J\rforged"];
    for format in ["json", "human"] {
        let process = serve(json!({}), &["--log-level", "trace", "--log-format", format]);
        for header in ["Origin", "User-Agent", "X-Forwarded-For", "Referer"] {
            for path in
                ["/connection/websocket", "/%0d%0aforged", "/connection/websocket?a=%1b[31m"]
            {
                for nasty in NASTY {
                    let request = format!(
                        "GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
                         {header}: {nasty}\r\nCookie: a\r\n\r\n"
                    );
                    assert!(matches!(ask(process.public, request).await.status, 400..=404));
                }
            }
        }
        // A user and a channel with what a name may have, and a name that may not.
        let user = "a\u{202e}\",\"event\":\"forged\" \u{2028}b";
        let claims = json!({ "sub": user, "exp": token::now() + 60 });
        let mut wire = open(&process, &token::signed(claims)).await;
        wire.hear().await;
        for channel in ["closed:\\\",\\\"event\\\":\\\"forged", "nasty\\u001b[31m\\nforged:a"] {
            let publish = format!(r#"{{"id":2,"publish":{{"channel":"{channel}","data":1}}}}"#);
            wire.refused(&publish).await;
        }
        process.signal(Signal::TERM);
        let stderr = process.ended().await.stderr;
        let steers = |character: char| {
            character != '\n' && character.is_control() || "\u{202e}\u{2028}".contains(character)
        };
        assert!(!stderr.contains(steers), "{stderr:?}");
        assert!(stderr.contains("handshake_refused") && stderr.contains("command_refused"));
        for line in stderr.lines() {
            if format == "json" {
                let line: Value = serde_json::from_str(line).expect(line);
                assert_ne!(line["event"], "forged");
            } else {
                assert!(line.starts_with("20") && line.contains("Z "), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn the_form_of_the_log_is_chosen_by_option_or_variable() {
    for (starter, arguments, json) in [
        (&[][..], &[][..], true),
        (&[], &["--log-format", "human"], false),
        (&["env", "SEALCAST_LOG_FORMAT=human"], &[], false),
        (&["env", "SEALCAST_LOG_FORMAT=human"], &["--log-format", "json"], true),
    ] {
        let process = Process::serve_by(starter, leaving_at_once(), arguments);
        process.signal(Signal::TERM);
        let stderr = process.ended().await.stderr;
        let first = stderr.lines().next().unwrap();
        assert_eq!(serde_json::from_str::<Value>(first).is_ok(), json, "{first}");
    }
    let warnings = &["env", "SEALCAST_LOG_LEVEL=warn"];
    let process = Process::serve_by(warnings, leaving_at_once(), &[]);
    process.signal(Signal::TERM);
    assert!(!process.ended().await.stderr.contains("\"ready\""));
}

/// Descriptors are raised as far as the system allows, and too few are told with
/// what is needed.
#[tokio::test]
async fn too_few_descriptors_are_told_with_their_number() {
    let limited = |hard: &str| {
        let line = format!("ulimit -Sn 100 && ulimit -Hn {hard} && exec \"$@\"");
        Process::serve_by(
            &["sh", "-c", &line, "sh"],
            json!({
                "client": { "connection_limit": 300 }, "limits": { "http_sockets": 50 },
            }),
            &[],
        )
    };
    for (hard, few) in [("499", true), ("500", false)] {
        let process = limited(hard);
        let limits = format!("/proc/{}/limits", process.pid().as_raw_nonzero());
        let limits = std::fs::read_to_string(limits).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some(hard), "the soft limit is raised");
        process.signal(Signal::TERM);
        process.signal(Signal::INT);
        let stderr = process.ended().await.stderr;
        assert_eq!(stderr.contains("few_descriptors"), few, "{stderr}");
        assert_eq!(stderr.contains("\"have\":499,\"needed\":500"), few, "{stderr}");
    }
}
