//! What the program tells of itself.

use std::process::Command;

use super::{Scratch, run};

/// Every command that the help names, and those within them; the program itself first.
pub(super) async fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while let Some(command) = found.get(at).cloned() {
        let help = help(&command, "--help").await;
        let list = help.split_once("\nCommands:\n").map_or("", |(_, list)| list);
        for line in list.lines().take_while(|line| !line.is_empty()) {
            let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
            let name = name.and_then(|line| line.split(' ').next());
            if let Some(name) = name.filter(|name| *name != "help") {
                found.push([&command[..], &[name.to_owned()]].concat());
            }
        }
        at += 1;
    }
    found
}

async fn help(command: &[String], flag: &str) -> String {
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain([flag]).collect();
    let ended = run(&arguments).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{command:?}: {ended:?}");
    ended.stdout
}

/// The names of the commands that stand at the top.
async fn names() -> Vec<String> {
    commands().await.into_iter().filter(|one| one.len() == 1).flatten().collect()
}

#[tokio::test]
async fn the_help_of_every_command_fits_a_terminal() {
    let commands = commands().await;
    assert!(commands.len() >= 19, "{commands:?}");
    for command in commands {
        for flag in ["--help", "-h"] {
            let help = help(&command, flag).await;
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{command:?}");
        }
    }
    for command in ["serve", "gen-token", "gen-sub-token", "check-token", "health"] {
        let help = run(&[command, "--help"]).await.stdout;
        assert!(help.contains("Exit codes:"), "{command}");
        assert!(help.contains(&format!("sealcast {command}")) || help.contains("HEALTHCHECK"));
        assert!(help.contains("SEALCAST_CONFIG"), "{command}: {help}");
    }
    for name in [
        "serve",
        "check-config",
        "gen-config",
        "gen-token",
        "gen-sub-token",
        "check-token",
        "bench",
    ] {
        assert!(names().await.contains(&name.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn the_version_is_told_to_people_and_machines() {
    let version = env!("CARGO_PKG_VERSION");
    for flag in [&["version"][..], &["--version"]] {
        let ended = run(flag).await;
        assert_eq!((ended.code, ended.stdout), (Some(0), format!("sealcast {version}\n")));
    }
    let ended = run(&["version", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["name"], &told["version"]), (&"sealcast".into(), &version.into()));
}

#[tokio::test]
async fn completions_are_scripts_that_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]).await;
        assert_eq!(ended.code, Some(0), "{shell}");
        for command in names().await {
            assert!(ended.stdout.contains(&command), "{shell}: {command}");
        }
        if shell == "bash" {
            let script = Scratch::new(&ended.stdout);
            let words = "COMP_WORDS=(sealcast he); COMP_CWORD=1; _sealcast sealcast he sealcast; \
                         printf '%s\\n' \"${COMPREPLY[@]}\"";
            let line = format!("set -e; . {}; {words}", script.path());
            let completed = Command::new("bash").args(["-c", &line]).output().unwrap();
            let completed = String::from_utf8(completed.stdout).unwrap();
            assert!(completed.lines().any(|word| word == "health"), "{completed}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).await.code, Some(2));
}

#[tokio::test]
async fn there_is_a_manual_page_for_each_command() {
    let whole = run(&["man"]).await;
    assert_eq!(whole.code, Some(0));
    assert!(whole.stdout.contains(".TH sealcast 1") && whole.stdout.contains("gen\\-token"));
    for command in names().await {
        let page = run(&["man", &command]).await;
        assert_eq!(page.code, Some(0), "{command}");
        assert!(page.stdout.contains(&format!(".TH sealcast-{command} 1")), "{}", page.stdout);
    }
    for command in ["serve", "gen-token", "gen-sub-token", "check-token", "health"] {
        assert!(run(&["man", command]).await.stdout.contains("Exit codes:"), "{command}");
    }
}
