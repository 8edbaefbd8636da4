//! `gen-config`, `config print` and secrets from files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use super::samples::check_config;
use crate::support::process::{PROGRAM, Process, run, scratch};
use crate::support::token::SECRET;

#[tokio::test]
async fn a_configuration_to_start_with_starts_a_node() {
    for extension in ["yaml", "toml", "json"] {
        let path = scratch(extension);
        let name = path.to_str().unwrap();
        let ended = run(&["gen-config", name]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{extension}");
        let text = fs::read_to_string(&path).unwrap();
        let again = run(&["gen-config", name]).await;
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.stderr.contains("name another file"), "{again:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is never overwritten");
        let serve = ["serve", "--config", name, "--ready-json", "--port", "0"];
        let process = Process::start(&[], &[&serve[..], &["--metrics-port", "0"]].concat());
        assert_eq!(process.ready["event"], "ready");
        fs::remove_file(path).unwrap();
    }
    let nameless = run(&["gen-config", "config"]).await;
    assert_eq!(nameless.code, Some(1), "{nameless:?}");
}

#[test]
fn every_value_is_printed_with_where_it_came_from() {
    let path = scratch("json");
    let secret = scratch("secret");
    fs::write(&secret, "canary-of-an-api-key\r\n").unwrap();
    let options = json!({
        "client": { "token": { "hmac_secret_key": SECRET }, "channel_limit": 7 },
        "http_api": { "key_file": secret },
        "limits": { "profile": "strict", "user_messages": "200/m" },
        "channel": { "namespaces": [
            { "name": "same" },
            { "name": "own", "message_bytes": 100 },
        ] },
    });
    fs::write(&path, options.to_string()).unwrap();
    let print = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["config", "print", "--config", path.to_str().unwrap()]).args(arguments);
        command.env_clear().env("SEALCAST_CLIENT_PING_INTERVAL", "60s");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let set = print(&[]);
    let file = format!("http_api.key = \"[redacted]\"  # file {}", secret.display());
    let expected = [
        "client.token.hmac_secret_key = \"[redacted]\"  # file",
        "client.ping_interval = \"1m\"  # environment SEALCAST_CLIENT_PING_INTERVAL",
        "client.channel_limit = 7  # file",
        "channel.namespaces[0].name = \"same\"  # file",
        "channel.namespaces[1].name = \"own\"  # file",
        "channel.namespaces[1].message_bytes = 100  # file",
        file.as_str(),
        "limits.profile = \"strict\"  # file",
        "limits.user_messages = \"200/m\"  # file",
    ];
    assert_eq!(set.lines().collect::<Vec<_>>(), expected);
    let all = print(&["--effective"]);
    for line in expected.iter().chain(&[
        "http_server.port = 8000  # default",
        "client.connection_limit = 500  # profile strict",
        "client.user_connection_limit = 3  # profile strict",
        "limits.conn_commands = \"10/s burst 20\"  # profile strict",
        "limits.ip_connects = \"10/10s\"  # profile strict",
        "channel.namespaces[0].message_bytes = 1024  # limits.message_bytes",
        "channel.without_namespace = none  # default",
    ]) {
        assert!(all.lines().any(|other| other == *line), "{line}\n{all}");
    }
    assert!(!all.contains("canary") && !all.contains(SECRET));
    fs::remove_file(path).unwrap();
    fs::remove_file(secret).unwrap();
}

#[test]
fn a_secret_that_anyone_may_read_is_warned_of() {
    let path = scratch("json");
    let secret = scratch("secret");
    let options = json!({ "client": { "token": { "hmac_secret_key_file": secret } } });
    fs::write(&path, options.to_string()).unwrap();
    for (mode, text, code, warned) in [
        (0o600, format!("{SECRET}\n"), 0, false),
        (0o644, SECRET.to_owned(), 0, true),
        (0o600, "\n".to_owned(), 78, false),
        (0o600, "x".repeat(70_000), 78, false),
    ] {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let output = check_config(&path, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(
            stderr.contains("warning: client.token.hmac_secret_key_file"),
            warned,
            "{stderr}"
        );
    }
    fs::remove_file(path).unwrap();
    fs::remove_file(secret).unwrap();
}
