//! Events as they are written, at times that the test chooses.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::*;

/// A log that is read by the test, and its clock in milliseconds.
#[derive(Clone, Default)]
struct Read {
    written: Arc<Mutex<Vec<u8>>>,
    clock: Arc<AtomicU64>,
}

impl Write for Read {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read {
    /// Logs what `events` does.
    fn log(&self, level: tracing::Level, style: Style, events: impl FnOnce(&Log)) -> String {
        self.log_with(level, style, None, events)
    }

    fn log_with(
        &self,
        level: tracing::Level,
        style: Style,
        hints: Option<Hints>,
        events: impl FnOnce(&Log),
    ) -> String {
        let clock = Arc::clone(&self.clock);
        let now = move || {
            let running = Duration::from_millis(clock.load(Ordering::Relaxed));
            Now { unix: Duration::from_secs(1_800_000_000) + running, running }
        };
        let log = Log::new(level, style, hints, now, self.clone());
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, || events(&log));
        String::from_utf8(std::mem::take(&mut *self.written.lock())).expect("text")
    }

    fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }
}

const INFO: tracing::Level = tracing::Level::INFO;
const HUMAN: Style = Style::Human { colour: false };

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn a_line_has_its_members_in_both_forms() {
    let read = Read::default();
    let event = |log: &Log| {
        log.name("node-1");
        tracing::info!(event = "connected", client = "c1", code = 3_000, good = true, "well");
    };
    assert_eq!(
        read.log(INFO, Style::Json, event),
        "{\"time\":\"2027-01-15T08:00:00.000Z\",\"level\":\"INFO\",\"node\":\"node-1\",\
         \"event\":\"connected\",\"message\":\"well\",\"client\":\"c1\",\"code\":3000,\
         \"good\":true}\n"
    );
    assert_eq!(
        read.log(INFO, HUMAN, event),
        "2027-01-15T08:00:00.000Z  INFO connected: well client=c1 code=3000 good=true\n"
    );
}

/// T-44.
#[test]
fn what_a_client_sends_stays_in_its_value() {
    let nasty = "a\r\nINFO forged: \u{1b}[2J\u{9b}31m\",\"event\":\"forged\u{202e}\0";
    let event = |_: &Log| {
        tracing::info!(event = "refused", origin = nasty, path = ?nasty, "no");
        tracing::info!(event = "refused", "{nasty}");
    };
    let read = Read::default();
    let lines = json(&read.log(INFO, Style::Json, event));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["origin"], nasty);
    assert_eq!(lines[1]["message"], nasty);
    assert!(lines.iter().all(|line| line["event"] == "refused"), "{lines:?}");
    let human = read.log(INFO, HUMAN, event);
    assert_eq!(human.lines().count(), 2, "{human:?}");
    let steers = |character: char| character != '\n' && character.is_control();
    assert!(!human.contains(steers) && !human.contains('\u{202e}'), "{human:?}");
    let long = read.log(INFO, HUMAN, |_| tracing::info!(origin = "x".repeat(100_000), "no"));
    assert!(long.len() < 1_000);
}

#[test]
fn only_our_own_events_of_the_level_are_written() {
    let read = Read::default();
    let text = read.log(tracing::Level::DEBUG, HUMAN, |_| {
        tracing::trace!(event = "one", "too low");
        tracing::debug!(event = "two", "low enough");
        tracing::error!(target: "hyper::proto", secret = "canary", "of a library");
        tracing::error!(target: "sealcast_not", "of another");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("two"));
}

/// S4-27.
#[test]
fn a_hundred_thousand_failures_are_few_lines_with_the_right_total() {
    let read = Read::default();
    let text = read.log(INFO, Style::Json, |log| {
        for number in 0..100_000 {
            if number % 1_000 == 0 {
                read.pass(600);
                log.catch_up();
            }
            tracing::info!(event = "refused", number, "no");
        }
        log.finish();
    });
    let lines = json(&text);
    assert!(lines.len() < 700, "{}", lines.len());
    let written = lines.iter().filter(|line| line["message"] == "no").count() as u64;
    let left_out: u64 = lines.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    assert_eq!(written + left_out, 100_000);
    assert!(lines.iter().all(|line| line["event"] == "refused"));
}

#[test]
fn every_fault_of_a_configuration_is_told() {
    let text = Read::default().log(INFO, HUMAN, |_| {
        for _ in 0..60 {
            tracing::error!(target: "sealcast::server::reload", event = "config_fault", "wrong");
        }
    });
    assert_eq!(text.lines().count(), 60);
}

#[test]
fn what_was_left_out_is_told_once_it_is_quiet() {
    let read = Read::default();
    let text = read.log(INFO, HUMAN, |log| {
        for _ in 0..12 {
            tracing::warn!(event = "refused", "no");
        }
        log.catch_up();
        read.pass(1_000);
        log.catch_up();
        read.pass(1_000);
        log.catch_up();
    });
    assert_eq!(text.lines().count(), 11, "{text}");
    let last = text.lines().last().expect("a line");
    assert!(last.contains("WARN refused: more of the same") && last.ends_with("suppressed=2"));
}

#[test]
fn hints_are_for_those_who_asked_for_them() {
    let hints: Hints = |line| (line.number("code") == Some(103)).then_some("allow it");
    let event = |_: &Log| {
        tracing::info!(event = "refused", code = 103, "no");
        tracing::info!(event = "refused", code = 104, "no");
    };
    let read = Read::default();
    let lines = json(&read.log_with(INFO, Style::Json, Some(hints), event));
    assert_eq!((&lines[0]["hint"], &lines[1]["hint"]), (&"allow it".into(), &Value::Null));
    assert!(read.log_with(INFO, HUMAN, Some(hints), event).contains("hint=\"allow it\""));
    assert!(!read.log(INFO, HUMAN, event).contains("hint"));
}
