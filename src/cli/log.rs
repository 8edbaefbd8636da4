//! The log: one line an event on standard error, as JSON for machines or as text
//! for people.
//!
//! * One kind of event, which is one place in the code, gets ten lines a second;
//!   what is beyond is counted, and told by the next line of that kind or by
//!   [`Log::catch_up`] (S4-27). What an operator does is told whole.
//! * What came from a client cannot end a line or steer a terminal (T-44).
//! * Only this program's own events are logged: what libraries would say at their
//!   lowest levels could hold what must never be in a log (T-52).

mod line;
mod throttle;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::hub::Clock;
use crate::server::unix_time;
use line::Style;
use throttle::Throttle;

pub(super) use line::Line;

/// Where only what an operator does is logged, none of which may be left out: each
/// fault of a configuration is one line.
const OPERATORS: [&str; 2] = ["sealcast::server::reload", "sealcast::cli::serve"];

/// What to log, and how.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// What to log: error, warn, info, debug or trace.
    #[arg(long, default_value = "info", env = "SEALCAST_LOG_LEVEL")]
    log_level: tracing::Level,
    /// How to log: as text for people, which is the default at a terminal, or as
    /// lines of JSON for machines.
    #[arg(long, value_enum, env = "SEALCAST_LOG_FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Says what to do about an event's code or reason.
pub(super) type Hints = fn(&Line) -> Option<&'static str>;

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Log(Arc<Inner>);

struct Inner {
    level: tracing::Level,
    style: Style,
    hints: Option<Hints>,
    node: OnceLock<String>,
    now: Box<dyn Fn() -> Now + Send + Sync>,
    throttle: Mutex<Throttle<Identifier>>,
    out: Mutex<Box<dyn Write + Send>>,
}

/// Both times of one moment.
#[derive(Clone, Copy, Debug)]
struct Now {
    /// Since 1970.
    unix: Duration,
    /// Since the process began; never goes back.
    running: Duration,
}

/// Begins to log. `hints` are for those who develop against the node.
pub(super) fn start(options: &Options, hints: Option<Hints>) -> Log {
    let terminal = io::stderr().is_terminal();
    let style = match options.log_format {
        Some(Format::Json) => Style::Json,
        None if !terminal => Style::Json,
        _ => Style::Human { colour: terminal && std::env::var_os("NO_COLOR").is_none() },
    };
    let clock = Clock::start();
    let now = move || Now { unix: unix_time(), running: Duration::from_millis(clock.now().0) };
    let log = Log::new(options.log_level, style, hints, now, io::stderr());
    // Only fails if this process logs already, as tests may.
    let _ =
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log.clone()));
    log
}

/// How much faster than the clock the windows of [`log_into`] are over.
const FASTER: u32 = 100;

/// Logs what all nodes in this process say into `out`, as `serve --log-level trace
/// --log-format json` would, but up to a thousand lines a second of one kind: for a
/// process that is many nodes, as tests are. Says `false`, and does nothing, if the
/// process logs already.
pub fn log_into(out: impl Write + Send + 'static) -> bool {
    let clock = Clock::start();
    let now = move || {
        let running = Duration::from_millis(clock.now().0) * FASTER;
        Now { unix: unix_time(), running }
    };
    let log = Log::new(tracing::Level::TRACE, Style::Json, None, now, out);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log)).is_ok()
}

impl Log {
    fn new(
        level: tracing::Level,
        style: Style,
        hints: Option<Hints>,
        now: impl Fn() -> Now + Send + Sync + 'static,
        out: impl Write + Send + 'static,
    ) -> Log {
        Log(Arc::new(Inner {
            level,
            style,
            hints,
            node: OnceLock::new(),
            now: Box::new(now),
            throttle: Mutex::default(),
            out: Mutex::new(Box::new(out)),
        }))
    }

    /// The node's name, in every line from now on.
    pub(super) fn name(&self, node: &str) {
        let _ = self.0.node.set(node.to_owned());
    }

    /// Tells how many lines were left out of what has become quiet since. To be
    /// called each second.
    pub(super) fn catch_up(&self) {
        let now = (self.0.now)();
        let due = self.0.throttle.lock().due(now.running);
        for left_out in due {
            self.write(&Line::left_out(left_out), now);
        }
    }

    /// Tells of everything that was left out: the process ends.
    pub(super) fn finish(&self) {
        let due = self.0.throttle.lock().all();
        for left_out in due {
            self.write(&Line::left_out(left_out), (self.0.now)());
        }
    }

    fn write(&self, line: &Line, now: Now) {
        let text = line.render(self.0.style, now.unix, self.0.node.get().map(String::as_str));
        // A log that cannot be written to is no reason to stop serving.
        let _ = self.0.out.lock().write_all(text.as_bytes());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = metadata.target().split("::").next() == Some("sealcast");
        own && *metadata.level() <= self.0.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.0.level))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = (self.0.now)();
        let metadata = event.metadata();
        let mut left_out = 0;
        if !OPERATORS.contains(&metadata.target()) {
            let admitted = self.0.throttle.lock().admit(metadata.callsite(), now.running);
            let Some(before) = admitted else { return };
            left_out = before;
        }
        let mut line = Line::read(event);
        self.0.throttle.lock().call(&metadata.callsite(), line.event(), *metadata.level());
        line.suppressed = left_out;
        line.hint = self.0.hints.and_then(|hints| hints(&line));
        self.write(&line, now);
    }
}

#[cfg(test)]
mod tests;
