//! `sealcast serve`.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use tokio::signal::unix::{SignalKind, signal};

use super::EXIT_CONFIG;
use crate::broker::Unfit;
use crate::config::{self, Config, Fault};
use crate::server::{Node, StartError, VERSION};

/// Which node to run.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Try things out: loopback only, secrets made at start, a chat page at `/`.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
    /// Configuration file, JSON.
    #[arg(long, short, value_name = "FILE", required_unless_present = "dev")]
    config: Option<PathBuf>,
    /// Address for clients and the server API, instead of the file's.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Port for clients and the server API, instead of the file's; 0 takes a free one.
    #[arg(long, short)]
    port: Option<u16>,
    /// Port for metrics, instead of the file's; 0 takes a free one, and so does
    /// `--dev` unless one is given.
    #[arg(long)]
    metrics_port: Option<u16>,
    /// Print one line of JSON with the addresses when the node is ready.
    #[arg(long)]
    ready_json: bool,
    /// What to log: error, warn, info, debug or trace.
    #[arg(long, default_value = "info")]
    log_level: tracing::Level,
    /// How to log: as text for people, or JSON lines for machines.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

/// Runs until a signal; exit code 78 if the configuration is at fault.
pub(super) fn run(options: &Options) -> ExitCode {
    start_logging(options);
    prepare_process();
    let (config, api_key) = match load(options) {
        Ok(loaded) => loaded,
        Err(faults) => {
            for fault in faults {
                complain(&format!("configuration: {fault}"));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(serve(options, config, api_key.as_deref()));
    runtime.shutdown_background();
    code
}

fn load(options: &Options) -> Result<(Config, Option<String>), Vec<Fault>> {
    let (mut config, api_key) = match &options.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let problem = format!("cannot read {}: {error}", path.display());
                vec![Fault { place: String::new(), problem }]
            })?;
            (config::parse(&text)?, None)
        }
        None => {
            let (config, key) = config::development()?;
            (config, Some(key))
        }
    };
    if let Some(address) = options.address {
        config.public.set_ip(address);
    }
    if let Some(port) = options.port {
        config.public.set_port(port);
    }
    if let Some(port) = options.metrics_port {
        config.metrics.set_port(port);
    }
    Ok((config, api_key))
}

async fn serve(options: &Options, config: Config, api_key: Option<&str>) -> ExitCode {
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let Ok((mut terminate, mut interrupt)) = signals else {
        complain("cannot listen to signals");
        return ExitCode::FAILURE;
    };
    let fatal = Arc::new(|part: &'static str| {
        // The node would look alive and deliver nothing.
        complain(&format!("the part {part:?} failed; the process ends"));
        std::process::abort();
    });
    let node = match Node::start(config, fatal).await {
        Ok(node) => node,
        Err(error) => {
            complain(&error.to_string());
            return match error {
                StartError::Listen { .. } | StartError::Redis(Unfit::Unreachable { .. }) => {
                    ExitCode::FAILURE
                }
                _ => ExitCode::from(EXIT_CONFIG),
            };
        }
    };
    while !node.app().is_ready() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    announce(options, node.public, node.metrics, api_key);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = node.drain() => ExitCode::SUCCESS,
        _ = terminate.recv() => ExitCode::FAILURE,
        _ = interrupt.recv() => ExitCode::FAILURE,
    }
}

/// Says where the node is: a line of JSON for machines, or for a person in
/// development mode what to do next.
fn announce(options: &Options, public: SocketAddr, metrics: SocketAddr, api_key: Option<&str>) {
    tracing::info!(event = "ready", %public, %metrics, version = VERSION, "ready");
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason to stop.
    let _ = if options.ready_json {
        let mut line = serde_json::json!({
            "event": "ready",
            "public": public.to_string(),
            "metrics": metrics.to_string(),
        });
        if let (Some(key), Some(members)) = (api_key, line.as_object_mut()) {
            members.insert("api_key".into(), key.into());
        }
        writeln!(out, "{line}")
    } else if let Some(key) = api_key {
        writeln!(
            out,
            "\nSealcast {VERSION} runs for development, with secrets of its own.\n\n  \
             Open      http://{public}/\n  \
             Publish   curl http://{public}/api/publish -H 'X-API-Key: {key}' \\\n            \
             -d '{{\"channel\":\"room-lobby\",\"data\":{{\"text\":\"hello from curl\"}}}}'\n  \
             Metrics   http://{metrics}/metrics\n\n\
             Ctrl-C stops it.\n"
        )
    } else {
        Ok(())
    };
    let _ = out.flush();
}

/// As many descriptors as the system grants, and no core dumps, which would hold
/// secrets and payloads; nor may another process of the same user look into this
/// one.
fn prepare_process() {
    let descriptors = getrlimit(Resource::Nofile);
    let most = Rlimit { current: descriptors.maximum, maximum: descriptors.maximum };
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    for (resource, limit) in [(Resource::Nofile, most), (Resource::Core, no_core)] {
        if let Err(error) = setrlimit(resource, limit) {
            tracing::warn!(event = "limit_not_set", ?resource, %error, "a process limit stays");
        }
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(event = "still_dumpable", %error, "the process can be looked into");
    }
}

fn start_logging(options: &Options) {
    let human = match options.log_format {
        Some(format) => matches!(format, LogFormat::Human),
        None => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(options.log_level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if human {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).with_target(false).init();
    }
}

/// A word to the person who started the program.
#[expect(clippy::print_stderr, reason = "the command line speaks here")]
fn complain(text: &str) {
    eprintln!("sealcast: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_keeps_its_memory_to_itself() {
        prepare_process();
        let dumpable = rustix::process::dumpable_behavior();
        assert!(matches!(dumpable, Ok(DumpableBehavior::NotDumpable)), "{dumpable:?}");
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
