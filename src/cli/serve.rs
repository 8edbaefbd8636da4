//! `sealcast serve`.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::complain;
use super::log::{self, Log};
use super::{EXIT_CONFIG, EXIT_NO_PERMISSION, EXIT_SYSTEM, Failure, input, process};
use crate::auth::advice;
use crate::broker::Unfit;
use crate::config::{self, Config, Fault};
use crate::http;
use crate::server::{Node, StartError, VERSION, give_back_soon};

/// How often the log tells what it left out.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);

/// Which node to run.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Options {
    /// Try things out: loopback only, secrets made at start, a chat page at `/`.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
    /// Configuration file: JSON, YAML or TOML, by its extension.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "SEALCAST_CONFIG",
        required_unless_present = "dev"
    )]
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
    #[command(flatten)]
    log: log::Options,
}

const AFTER_HELP: &str = "\
  sealcast serve --dev
  sealcast serve --config sealcast.json
  sealcast serve --config sealcast.json --port 8080 --log-format json

SIGTERM or SIGINT makes the node leave in order: not ready, then no newcomers,
then its clients are sent away over a while; a second one ends it at once. The
log goes to standard error, and says at most ten lines a second of one kind.

Exit codes: 0 the node has left after a signal; 1 it could not start, or was
ended by a second signal; 2 wrong arguments; 71 the system refused; 77 no
permission to use the port; 78 the configuration is at fault.";

/// Runs until a signal; exit code 78 if the configuration is at fault.
pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    // The log has a thread of its own.
    let gives_back = give_back_soon();
    let log = log::start(&options.log, options.dev.then_some(hint));
    if let Err(error) = gives_back {
        tracing::warn!(event = "memory_kept", %error, "memory that is free is kept for longer");
    }
    process::prepare();
    let (config, api_key) = load(options).map_err(|faults| input::unfit(&faults))?;
    process::check_descriptors(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(EXIT_SYSTEM, format!("cannot start threads: {error}")))?;
    let done = runtime.block_on(serve(options, &log, config, api_key.as_deref()));
    runtime.shutdown_background();
    log.finish();
    done
}

fn load(options: &Options) -> Result<(Config, Option<String>), Vec<Fault>> {
    let sources = sources(options);
    if options.dev {
        return config::development(sources.flags).map(|(config, key)| (config, Some(key)));
    }
    sources.load().map(|config| (config, None))
}

/// Where the configuration comes from; the flags win.
fn sources(options: &Options) -> config::Sources {
    let flags = [
        ("http_server.address", options.address.map(|address| address.to_string().into())),
        ("http_server.port", options.port.map(Into::into)),
        ("metrics.port", options.metrics_port.map(Into::into)),
    ];
    let flags = flags.into_iter().filter_map(|(place, value)| Some((place, value?))).collect();
    config::Sources { flags, ..input::sources(options.config.clone()) }
}

async fn serve(
    options: &Options,
    log: &Log,
    config: Config,
    api_key: Option<&str>,
) -> Result<ExitCode, Failure> {
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals.map(signal) else {
        return Err(Failure::new(EXIT_SYSTEM, "cannot wait for signals"));
    };
    tokio::spawn(catch_up(log.clone()));
    let fatal = {
        let log = log.clone();
        Arc::new(move |part: &'static str| {
            // The node would look alive and deliver nothing.
            log.finish();
            complain(&format!("the part {part:?} failed; the process ends"));
            std::process::abort();
        })
    };
    for warning in &config.warnings {
        tracing::warn!(event = "config_warning", place = warning.place, "{warning}");
    }
    let node = Node::start(config, fatal).await.map_err(|error| failure(&error))?;
    log.name(node.app().cluster.name());
    while !node.app().is_ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    announce(options, &node, api_key);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = hangup.recv() => reload(options, &node),
        }
    }
    tokio::select! {
        () = node.drain() => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Err(Failure::plain("a second signal; left at once")),
        _ = interrupt.recv() => Err(Failure::plain("a second signal; left at once")),
    }
}

async fn catch_up(log: Log) {
    loop {
        tokio::time::sleep(CATCH_UP_EVERY).await;
        log.catch_up();
    }
}

/// What to do about an event, for those who develop against the node.
fn hint(line: &log::Line) -> Option<&'static str> {
    match (line.event(), line.number("code"), line.text("reason")) {
        ("token_refused", _, Some(reason)) => Some(advice(reason)),
        (_, Some(code), _) => http::hint(code),
        _ => None,
    }
}

/// Why the node did not start, and what to do.
fn failure(error: &StartError) -> Failure {
    let (address, source) = match error {
        StartError::Listen { address, source } => (address, source),
        StartError::Redis(Unfit::Unreachable { .. }) => {
            return Failure::plain(format!("{error}; does it run, and is the address right?"));
        }
        _ => return Failure::new(EXIT_CONFIG, error.to_string()),
    };
    let (code, advice) = match source.kind() {
        io::ErrorKind::AddrInUse => {
            (1, "another process uses the port; stop it, or choose another port")
        }
        io::ErrorKind::PermissionDenied => (
            EXIT_NO_PERMISSION,
            "this port needs a permission; choose one from 1024, or grant CAP_NET_BIND_SERVICE",
        ),
        io::ErrorKind::AddrNotAvailable => {
            (EXIT_CONFIG, "this machine has no such address; choose one that it has")
        }
        _ => (EXIT_SYSTEM, "the system does not say why"),
    };
    Failure::new(code, format!("cannot listen on {address}: {advice} ({source})"))
}

/// Reads the configuration again, for SIGHUP. How it went stands in the log.
fn reload(options: &Options, node: &Node) {
    let loaded = if options.dev {
        let problem = "development mode has no configuration to read again".to_owned();
        Err(vec![Fault { place: String::new(), problem }])
    } else {
        sources(options).load()
    };
    let _ = node.reload(loaded);
}

/// Says where the node is: a line of JSON for machines, or for a person in
/// development mode what to do next.
fn announce(options: &Options, node: &Node, api_key: Option<&str>) {
    let Node { public, internal, metrics, .. } = node;
    let shown = internal.map(tracing::field::display);
    tracing::info!(event = "ready", %public, internal = shown, %metrics, version = VERSION, "ready");
    let mut out = io::stdout().lock();
    // Nobody may be reading; that is no reason to stop.
    let _ = if options.ready_json {
        let mut line = serde_json::json!({
            "event": "ready",
            "public": public.to_string(),
            "metrics": metrics.to_string(),
        });
        if let Some(members) = line.as_object_mut() {
            let internal = internal.map(|internal| ("internal", internal.to_string()));
            let key = api_key.map(|key| ("api_key", key.to_owned()));
            let more = internal.into_iter().chain(key);
            members.extend(more.map(|(name, text)| (name.to_owned(), text.into())));
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn each_reason_not_to_listen_has_its_code_and_its_advice() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        for (kind, code, advice) in [
            (io::ErrorKind::AddrInUse, 1, "another process"),
            (io::ErrorKind::PermissionDenied, 77, "from 1024"),
            (io::ErrorKind::AddrNotAvailable, 78, "no such address"),
            (io::ErrorKind::OutOfMemory, 71, "system"),
        ] {
            let told = failure(&StartError::Listen { address, source: kind.into() });
            assert_eq!(told.code, code, "{told:?}");
            assert!(told.lines[0].contains(advice) && told.lines[0].contains(":80"), "{told:?}");
        }
    }
}
