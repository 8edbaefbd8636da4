//! What the program tells of itself.

use std::process::Command;

use super::{Scratch, run};

const COMMANDS: [&[&str]; 18] = [
    &[],
    &["serve"],
    &["gen-token"],
    &["gen-sub-token"],
    &["check-token"],
    &["health"],
    &["config"],
    &["config", "print"],
    &["config", "doc"],
    &["check-config"],
    &["gen-config"],
    &["bench"],
    &["bench", "fanout"],
    &["bench", "idle"],
    &["bench", "connect"],
    &["bench", "rate"],
    &["completions"],
    &["man"],
];

#[tokio::test]
async fn the_help_of_every_command_fits_a_terminal() {
    for command in COMMANDS {
        for flag in ["--help", "-h"] {
            let ended = run(&[command, &[flag]].concat()).await;
            assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
            let wide = ended.stdout.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{command:?}");
        }
    }
    for command in ["serve", "gen-token", "gen-sub-token", "check-token", "health"] {
        let help = run(&[command, "--help"]).await.stdout;
        assert!(help.contains("Exit codes:"), "{command}");
        assert!(help.contains(&format!("sealcast {command}")) || help.contains("HEALTHCHECK"));
        assert!(help.contains("SEALCAST_CONFIG"), "{command}: {help}");
    }
    let all = run(&["--help"]).await.stdout;
    for command in COMMANDS.iter().filter_map(|command| command.first()) {
        assert!(all.contains(&format!("\n  {command} ")), "{command}");
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
        for command in COMMANDS.iter().filter_map(|command| command.first()) {
            assert!(ended.stdout.contains(command), "{shell}: {command}");
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
    for command in ["serve", "gen-token", "gen-sub-token", "check-token", "health"] {
        let page = run(&["man", command]).await;
        assert_eq!(page.code, Some(0), "{command}");
        assert!(page.stdout.contains(&format!(".TH sealcast-{command} 1")), "{}", page.stdout);
        assert!(page.stdout.contains("Exit codes:"), "{command}");
    }
}
