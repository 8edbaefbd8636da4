//! What the program tells of itself: version, completions, manual pages.

use std::io::Write as _;
use std::process::ExitCode;

use super::{EXIT_USAGE, Failure};
use crate::server::VERSION;

/// Which form.
#[derive(clap::Args)]
pub(super) struct Version {
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Which shell.
#[derive(clap::Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(super) struct Completions {
    /// For this shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Which page.
#[derive(clap::Args)]
#[command(
    after_help = "Read it: sealcast man | man -l -\nInstall it: sealcast man > /usr/local/share/man/man1/sealcast.1"
)]
pub(super) struct Man {
    /// The page of this command, instead of the whole program's.
    command: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const COMPLETIONS_HELP: &str = "\
bash: sealcast completions bash > /etc/bash_completion.d/sealcast
zsh:  sealcast completions zsh > \"${fpath[1]}/_sealcast\"
fish: sealcast completions fish > ~/.config/fish/completions/sealcast.fish";

/// Prints the version.
pub(super) fn version(options: &Version) -> Result<ExitCode, Failure> {
    let text = if options.json {
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        format!(r#"{{"name":"sealcast","version":"{VERSION}","target":"{target}"}}"#)
    } else {
        format!("sealcast {VERSION}")
    };
    print(format!("{text}\n").as_bytes())
}

/// Prints completions.
pub(super) fn completions(
    options: &Completions,
    mut cli: clap::Command,
) -> Result<ExitCode, Failure> {
    let shell = match options.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli, "sealcast", &mut text);
    print(&text)
}

/// Prints a manual page in roff.
pub(super) fn man(options: &Man, mut cli: clap::Command) -> Result<ExitCode, Failure> {
    cli.build();
    let page = match &options.command {
        None => cli,
        Some(name) => {
            let command = cli.find_subcommand(name).cloned().ok_or_else(|| {
                let problem = format!("no command {name:?}; see sealcast --help");
                Failure::new(EXIT_USAGE, problem)
            })?;
            let name = format!("sealcast-{}", command.get_name());
            command.display_name(name)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|error| Failure::plain(format!("cannot make the page: {error}")))?;
    print(&text)
}

/// Prints; whoever reads only the beginning has what they wanted.
pub(super) fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let told = format!("cannot write the result: {error}; look where the output goes");
            Err(Failure::plain(told))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
