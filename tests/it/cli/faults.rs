//! Bad input to every command: the right exit code, and one line that says what to
//! do, without a backtrace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

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
    if code != 2 {
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(ended.stderr.starts_with("sealcast: "), "{ended:?}");
    }
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
    let table: &[(&[&str], i32, &str)] = &[
        (&["serve", "--config", missing], 78, "No such file"),
        (&["serve", "--config", directory], 78, "must end in .json"),
        (&["serve", "--config", b], 78, "line 1"),
        (&["serve", "--config", &binary_path], 78, "UTF-8"),
        (&["serve"], 2, "--config"),
        (&["serve", "--dev", "--config", c], 2, "cannot be used with"),
        (&["serve", "--dev", "--port", "99999"], 2, "--port"),
        (&["serve", "--dev", "--log-level", "loud"], 2, "--log-level"),
        (&["serve", "--config", c, "--address", "203.0.113.1"], 78, "trusted_proxies"),
        (&["gen-token", "--user", "ada"], 2, "--config"),
        (&["gen-token", "--config", missing, "--user", "ada"], 78, "No such file"),
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
        (&["check-token", "--config", missing], 78, "No such file"),
        (&["check-token", "--config", c, "--token-file", missing], 66, "no such file"),
        (&["check-token", "--config", c, "--token-file", e], 65, "empty"),
        (&["check-token", "--config", c], 65, "standard input: empty"),
        (&["check-token", "--config", c, "a.b.c"], 2, "unexpected argument"),
        (&["health", "--address", "here"], 2, "--address"),
        (&["health", "--timeout", "0s"], 2, "--timeout"),
        (&["health", "--config", missing], 78, "No such file"),
        (&["health", "--address", "127.0.0.1:1"], 1, "does the node run there"),
        (&["health", "--config", f], 2, "--address"),
        (&["completions"], 2, "<SHELL>"),
        (&["man", "nothing"], 2, "no command"),
        (&["bench", "nothing"], 2, "nothing"),
        (&["nothing"], 2, "nothing"),
        (&["\u{1b}[31m"], 2, ""),
    ];
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
    let gen_token = ["gen-token", "--user", "ada", "--secret-file", secret.path()];
    let serve = ["serve", "--config", config.path()];
    for (arguments, code) in [(&gen_token[..], 66), (&serve, 78)] {
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
