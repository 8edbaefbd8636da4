//! Bad input to every command: the right exit code, and one line that says what to
//! do, without a backtrace.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use super::help::commands;
use super::{Scratch, finish, run_with};
use crate::support::process::{Ended, PROGRAM, scratch};
use crate::support::token;

/// One line, which contains `part`.
#[track_caller]
fn check(ended: &Ended, code: i32, part: &str) {
    assert_eq!(ended.code, Some(code), "{part}: {ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    assert!(!ended.stderr.contains("panicked") && !ended.stderr.contains("backtrace"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    let told = ["sealcast: ", "sealcast bench: "];
    assert!(told.iter().any(|start| ended.stderr.starts_with(start)), "{ended:?}");
}

#[tokio::test]
async fn each_fault_has_its_code_and_its_line() {
    let config = Scratch::config(json!({}));
    let broken = Scratch::new("{");
    let empty = Scratch::new(" \n");
    let short = Scratch::new("short");
    let binary = scratch("json");
    fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    let binary_path = binary.to_str().unwrap().to_owned();
    let secret = Scratch::new(token::SECRET);
    let directory = env!("CARGO_TARGET_TMPDIR");
    let missing = "/nonexistent/file.json";
    let (c, b, e, s) = (config.path(), broken.path(), empty.path(), short.path());
    let free_port = Scratch::config(json!({ "metrics": { "port": 0 } }));
    let f = free_port.path();
    let k = secret.path();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = &listening.local_addr().unwrap().port().to_string();
    let table: &[(&[&str], i32, &str)] = &[
        (&["serve", "--config", missing], 78, "no such file; check the path"),
        (&["serve", "--config", directory], 78, "must end in .json"),
        (&["serve", "--config", b], 78, "line 1"),
        (&["serve", "--config", &binary_path], 78, "UTF-8"),
        (&["serve"], 2, "--config"),
        (&["serve", "--dev", "--config", c], 2, "cannot be used with"),
        (&["serve", "--dev", "--port", "99999"], 2, "--port"),
        (&["serve", "--dev", "--port", "http"], 2, "--port"),
        (&["serve", "--dev", "--prot", "1"], 2, "similar argument exists: '--port'"),
        (&["serve", "--dev", "--port", "0", "--metrics-port", taken], 1, "another process"),
        (&["serve", "--dev", "--port", taken, "--metrics-port", "0"], 1, "another process"),
        (&["serve", "--config", c, "--port", "7", "--metrics-port", "7"], 78, "choose another"),
        (&["serve", "--dev", "--log-level", "loud"], 2, "--log-level"),
        (&["serve", "--config", c, "--address", "203.0.113.1"], 78, "trusted_proxies"),
        (&["gen-token", "--user", "ada"], 2, "--config"),
        (&["gen-token", "--config", missing, "--user", "ada"], 78, "no such file; check the path"),
        (&["gen-token", "--config", c], 2, "--user"),
        (&["gen-token", "--config", c, "--user", "a\nb"], 2, "control characters"),
        (&["gen-token", "--config", c, "--user", "ada", "--ttl", "soon"], 2, "90s, 15m"),
        (&["gen-token", "--config", c, "--user", "ada", "--info", "{"], 2, "not JSON"),
        (&["gen-token", "--config", c, "--user", "ada", "--claims", "[]"], 2, "JSON object"),
        (&["gen-token", "--secret-file", missing, "--user", "ada"], 66, "no such file"),
        (&["gen-token", "--secret-file", directory, "--user", "ada"], 66, "a directory"),
        (&["gen-token", "--secret-file", e, "--user", "ada"], 65, "empty"),
        (&["gen-token", "--secret-file", s, "--user", "ada"], 65, "32 random bytes"),
        (&["gen-token", "--secret-file", k, "--algorithm", "RS256", "--user", "ada"], 65, "HS256"),
        (&["gen-sub-token", "--config", c, "--user", "ada"], 2, "--channel"),
        (&["gen-sub-token", "--config", c, "--user", "ada", "--channel", ""], 2, "--channel"),
        (&["check-token", "--config", missing], 78, "no such file; check the path"),
        (&["check-token", "--config", c, "--token-file", missing], 66, "no such file"),
        (&["check-token", "--config", c, "--token-file", e], 65, "empty"),
        (&["check-token", "--config", c], 65, "standard input: empty"),
        (&["check-token", "--config", c, "a.b.c"], 2, "unexpected argument"),
        (&["health", "--address", "here"], 2, "--address"),
        (&["health", "--timeout", "0s"], 2, "--timeout"),
        (&["health", "--config", missing], 78, "no such file; check the path"),
        (&["health", "--address", "127.0.0.1:1"], 1, "does the node run there"),
        (&["health", "--config", f], 2, "--address"),
        (&["health", "--config", b], 78, "line 1"),
        (&["limits", "nothing"], 2, "'nothing'"),
        (&["limits", "list", "--key-file", missing], 66, "no such file"),
        (&["limits", "list", "--key-file", k, "--url", "https://here"], 2, "http://HOST:PORT"),
        (&["limits", "list", "--key-file", k, "--url", "http://127.0.0.1:1"], 1, "run there"),
        (&["limits", "set", "--key-file", k, "--user", "ada", "--for", "soon"], 2, "90s, 15m"),
        (&["limits", "set", "--user", "ada", "--for", "1h", "--reason", "r"], 2, "--key-file"),
        (&["limits", "remove", "--key-file", k], 2, "--user"),
        (&["limits", "remove", "--key-file", k, "--user", "a", "--key", "b"], 2, "cannot be used"),
        (&["config", "print", "--config", missing], 78, "no such file; check the path"),
        (&["config", "print", "--config", directory], 78, "must end in .json"),
        (&["config", "print", "--config", b], 78, "line 1"),
        (&["config", "print", "--config", &binary_path], 78, "UTF-8"),
        (&["config", "print", "--everything"], 2, "--everything"),
        (&["config", "doc", "more"], 2, "'more'"),
        (&["config", "nothing"], 2, "'nothing'"),
        (&["check-config"], 2, "<FILE>"),
        (&["check-config", missing], 78, "no such file; check the path"),
        (&["check-config", directory], 78, "must end in .json"),
        (&["check-config", b], 78, "line 1"),
        (&["check-config", &binary_path], 78, "UTF-8"),
        (&["gen-config", c], 1, "name another file"),
        (&["gen-config", "/nonexistent/new.yaml"], 1, "make it first"),
        (&["gen-config", "new.conf"], 1, "must end in .yaml"),
        (&["gen-config", "new.yaml", "old.yaml"], 2, "'old.yaml'"),
        (&["completions"], 2, "<SHELL>"),
        (&["completions", "tcsh"], 2, "possible values: bash, zsh, fish"),
        (&["man", "nothing"], 2, "no command"),
        (&["version", "--yaml"], 2, "--yaml"),
        (&["bench", "nothing"], 2, "nothing"),
        (&["bench", "idle", "--connections", "0"], 2, "--connections"),
        (&["bench", "connect", "--runs", "few"], 2, "--runs"),
        (&["bench", "fanout", "--json", missing], 1, "another file for --json"),
        (&["bench", "rate", "--json", directory], 1, "another file for --json"),
        (&["bench", "publish", "--bytes", "3"], 1, "--bytes must be at least"),
        (&["bench", "api", "--html", missing], 1, "another file for --html"),
        (&["bench", "recover", "--missed", "0"], 2, "--missed"),
        (&["bench", "churn", "--pace", "0"], 2, "--pace"),
        (&["bench", "mixed", "--seconds", "0"], 2, "--seconds"),
        (&["bench", "growth", "--of", "size"], 2, "--of"),
        (&["nothing"], 2, "nothing"),
        (&["\u{1b}[31m"], 2, ""),
    ];
    for command in commands().await {
        let of = |arguments: &[&str]| command.iter().eq(arguments.iter().take(command.len()));
        assert!(
            table.iter().any(|(arguments, ..)| of(arguments)),
            "nothing wrong with {command:?}"
        );
    }
    for (arguments, code, part) in table {
        let ended = run_with(arguments, "", &[("RUST_BACKTRACE", "1")]).await;
        check(&ended, *code, part);
        assert!(!ended.stderr.contains(token::SECRET), "{ended:?}");
    }
    fs::remove_file(binary).unwrap();
}

/// As a user who owns nothing: the tests may run as root, who may read everything.
fn as_nobody(arguments: &[&str]) -> Ended {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
        .arg(PROGRAM)
        .args(arguments);
    finish(command, "")
}

/// Whether this process can become someone else, and that someone can reach the
/// program.
fn can_be_nobody() -> bool {
    rustix::process::geteuid().is_root() && as_nobody(&["version"]).code == Some(0)
}

#[test]
fn what_may_not_be_read_is_told() {
    let secret = Scratch::new(token::SECRET);
    let config = Scratch::config(json!({}));
    for file in [&secret, &config] {
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let (c, s) = (config.path(), secret.path());
    for (arguments, code) in [
        (&["gen-token", "--user", "ada", "--secret-file", s][..], 66),
        (&["gen-sub-token", "--user", "ada", "--channel", "$a", "--secret-file", s], 66),
        (&["check-token", "--secret-file", s], 66),
        (&["serve", "--config", c], 78),
        (&["gen-token", "--user", "ada", "--config", c], 78),
        (&["check-token", "--config", c], 78),
        (&["health", "--config", c], 78),
        (&["check-config", c], 78),
        (&["config", "print", "--config", c], 78),
        (&["gen-config", "/no-permission.yaml"], 1),
        (&["bench", "idle", "--json", "/no-permission.json"], 1),
    ] {
        let ended = if rustix::process::geteuid().is_root() {
            if !can_be_nobody() {
                eprintln!("not tried: no other user can run the program here");
                return;
            }
            as_nobody(arguments)
        } else {
            let mut command = Command::new(PROGRAM);
            command.args(arguments);
            finish(command, "")
        };
        check(&ended, code, "ermission");
    }
}

/// Who has been told nothing must not be told that all went well.
#[test]
fn a_result_that_cannot_be_written_is_told() {
    let config = Scratch::config(json!({}));
    for arguments in [
        &["version"][..],
        &["config", "doc"],
        &["man"],
        &["completions", "bash"],
        &["gen-token", "--user", "ada", "--config", config.path()],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(PROGRAM).args(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.lines().count() == 1 && told.contains("cannot write the result"), "{told}");
    }
}

#[test]
fn a_port_that_needs_a_permission_is_told() {
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first_free.trim().parse::<u16>().unwrap() <= 1 {
        // Here nobody needs a permission, which the unit test of the advice does not mind.
        return;
    }
    let mut command = Command::new("setpriv");
    let no_port = ["--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service"];
    command.args(if rustix::process::geteuid().is_root() { &no_port[..] } else { &[] });
    command.arg(PROGRAM).args(["serve", "--dev", "--port", "1"]);
    check(&finish(command, ""), 77, "CAP_NET_BIND_SERVICE");
}
