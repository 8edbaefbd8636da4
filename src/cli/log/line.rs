//! One line of the log. Its members, in order: `time`, `level`, `node`, `event`,
//! `message`, the event's own, `hint`, `suppressed`.

use std::fmt::{self, Write as _};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::super::text::{date, printable, put_quoted};
use super::throttle::LeftOut;

/// What an event says.
pub(in crate::cli) struct Line {
    level: Level,
    event: String,
    message: String,
    members: Vec<(&'static str, Value)>,
    pub(super) hint: Option<&'static str>,
    /// How many of the kind were left out before this one.
    pub(super) suppressed: u64,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Human { colour: bool },
}

enum Value {
    /// Numbers and truth values, as they are written in JSON.
    Plain(String),
    Text(String),
}

impl Line {
    /// Reads an event. Its member `event` must be one of a fixed few: it names the
    /// kind.
    pub(super) fn read(event: &Event<'_>) -> Line {
        let mut line = Line {
            level: *event.metadata().level(),
            event: String::new(),
            message: String::new(),
            members: Vec::new(),
            hint: None,
            suppressed: 0,
        };
        event.record(&mut Reader(&mut line));
        line
    }

    /// Tells that events of one kind were not written.
    pub(super) fn left_out(what: LeftOut) -> Line {
        Line {
            level: what.level,
            event: what.event,
            message: "more of the same were not written".into(),
            members: Vec::new(),
            hint: None,
            suppressed: what.count,
        }
    }

    /// The kind.
    pub(in crate::cli) fn event(&self) -> &str {
        &self.event
    }

    /// A member that is a text.
    pub(in crate::cli) fn text(&self, name: &str) -> Option<&str> {
        match self.member(name)? {
            Value::Text(text) => Some(text),
            Value::Plain(_) => None,
        }
    }

    /// A member that is a number.
    pub(in crate::cli) fn number(&self, name: &str) -> Option<u32> {
        match self.member(name)? {
            Value::Plain(number) => number.parse().ok(),
            Value::Text(_) => None,
        }
    }

    /// The line with its end.
    pub(super) fn render(&self, style: Style, unix: Duration, node: Option<&str>) -> String {
        match style {
            Style::Json => self.json(unix, node),
            Style::Human { colour } => self.human(unix, colour),
        }
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn json(&self, unix: Duration, node: Option<&str>) -> String {
        let mut out = format!(r#"{{"time":"{}","level":"{}""#, date(unix), self.level);
        let mut add = |name: &str, value: &str| {
            let _ = write!(out, r#","{name}":"#);
            put_quoted(&mut out, value);
        };
        if let Some(node) = node {
            add("node", node);
        }
        add("event", &self.event);
        add("message", &self.message);
        for (name, value) in &self.members {
            let _ = write!(out, r#","{name}":"#);
            match value {
                Value::Plain(text) => out.push_str(text),
                Value::Text(text) => put_quoted(&mut out, text),
            }
        }
        if let Some(hint) = self.hint {
            out.push_str(r#","hint":"#);
            put_quoted(&mut out, hint);
        }
        if self.suppressed > 0 {
            let _ = write!(out, r#","suppressed":{}"#, self.suppressed);
        }
        out.push_str("}\n");
        out
    }

    fn human(&self, unix: Duration, colour: bool) -> String {
        let number = match self.level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            _ => 34,
        };
        let (on, off) =
            if colour { (format!("\x1b[{number}m"), "\x1b[0m") } else { (String::new(), "") };
        let mut out = format!("{} {on}{:>5}{off} {}: ", date(unix), self.level, self.event);
        out.push_str(&printable(&self.message));
        for (name, value) in &self.members {
            let _ = write!(out, " {name}=");
            match value {
                Value::Plain(text) => out.push_str(text),
                Value::Text(text) if is_word(text) => out.push_str(text),
                Value::Text(text) => put_quoted(&mut out, text),
            }
        }
        if let Some(hint) = self.hint {
            let _ = write!(out, " hint={hint:?}");
        }
        if self.suppressed > 0 {
            let _ = write!(out, " suppressed={}", self.suppressed);
        }
        out.push('\n');
        out
    }
}

/// Whether a value needs no quotes.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/[]".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(plain)
}

struct Reader<'a>(&'a mut Line);

impl Reader<'_> {
    fn add(&mut self, field: &Field, value: Value) {
        self.0.members.push((field.name(), value));
    }
}

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.message = value.to_owned(),
            "event" => self.0.event = value.to_owned(),
            _ => self.add(field, Value::Text(value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = if value.is_finite() { value.to_string() } else { "null".into() };
        self.add(field, Value::Plain(text));
    }
}
