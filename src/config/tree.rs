//! The text of a configuration as one value, from JSON, YAML or TOML alike.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::Fault;

/// The longest text that is read, bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most values of a YAML text, with those that its aliases repeat.
const MAX_VALUES: usize = 50_000;

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML 1.2.
    Yaml,
    /// TOML.
    Toml,
}

impl Format {
    /// The format that a file's name tells by its extension.
    #[must_use]
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "yaml" | "yml" => Some(Format::Yaml),
            "toml" => Some(Format::Toml),
            _ => None,
        }
    }
}

/// Reads a text; an empty one is a configuration that says nothing.
///
/// # Errors
/// The first thing that keeps the text from being read, with its line and column.
/// It never repeats the text, which may hold secrets, except for names of members.
pub(super) fn read(text: &str, format: Format) -> Result<Map<String, Value>, Fault> {
    if text.len() > MAX_TEXT {
        let problem = format!("longer than {MAX_TEXT} bytes");
        return Err(Fault { place: String::new(), problem });
    }
    let value = match format {
        Format::Json => json(text)?,
        Format::Yaml => yaml(text)?,
        Format::Toml => toml(text)?,
    };
    match value {
        Value::Object(members) => Ok(members),
        // A YAML text of comments only.
        Value::Null if format == Format::Yaml => Ok(Map::new()),
        other => {
            let problem = format!("must hold an object with options, not {}", kind(&other));
            Err(Fault { place: String::new(), problem })
        }
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads one JSON value.
pub(super) fn json(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map(|Whole(value)| value).map_err(|error| {
        let told = error.to_string();
        let problem = told.rsplit_once(" at line ").map_or(told.as_str(), |(problem, _)| problem);
        at(error.line() as u64, error.column() as u64, problem)
    })
}

fn yaml(text: &str) -> Result<Value, Fault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_VALUES,
            max_nodes: MAX_VALUES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: 2 * MAX_TEXT,
            max_recorded_anchor_bytes: MAX_TEXT,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map(|Whole(value)| value).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((0, 0), |place| (place.line(), place.column()));
        let told = error.without_snippet().to_string();
        let first = told.lines().next().unwrap_or_default();
        let problem = match first.split(" at line ").next().unwrap_or_default() {
            beyond if beyond.contains("budget") => {
                "more than is read: one document, not too large, with aliases too, nor too deep"
            }
            // What follows is advice for programs.
            problem => problem.split(", set ").next().unwrap_or_default(),
        };
        at(line, column, problem)
    })
}

fn toml(text: &str) -> Result<Value, Fault> {
    toml::from_str(text).map(|Whole(value)| value).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() as u64 + 1;
        let column = before.chars().rev().take_while(|one| *one != '\n').count() as u64 + 1;
        at(line, column, error.message().lines().next().unwrap_or_default())
    })
}

fn at(line: u64, column: u64, problem: &str) -> Fault {
    let place = if line == 0 { String::new() } else { format!("line {line}, column {column}") };
    Fault { place, problem: problem.to_owned() }
}

/// A value of which no object names a member twice: which of the two counts would
/// depend on the reader.
struct Whole(Value);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Whole, D::Error> {
        Depth(0).deserialize(from).map(Whole)
    }
}

struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if self.0 > MAX_DEPTH {
            return Err(D::Error::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        from.deserialize_any(self)
    }
}

macro_rules! plain {
    ($($visit:ident: $kind:ty,)*) => {
        $(fn $visit<E: Error>(self, value: $kind) -> Result<Value, E> {
            Ok(value.into())
        })*
    };
}

impl<'de> Visitor<'de> for Depth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    plain! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_str: &str,
        visit_string: String,
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(Depth(self.0 + 1))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("{name:?} stands twice")));
            }
            let value = from.next_value_seed(Depth(self.0 + 1))?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_three_formats_say_the_same() {
        let expected = json!({"a": {"b": [1, "x", true]}, "c": "25s"});
        for (format, text) in [
            (Format::Json, r#"{"a":{"b":[1,"x",true]},"c":"25s"}"#),
            (Format::Yaml, "# why\na:\n  b: [1, x, true]\nc: 25s\n"),
            (Format::Toml, "c = \"25s\"\n[a]\nb = [1, \"x\", true]\n"),
        ] {
            let members = read(text, format).unwrap_or_else(|fault| panic!("{format:?}: {fault}"));
            assert_eq!(Value::Object(members), expected, "{format:?}");
        }
        assert_eq!(read("# nothing\n", Format::Yaml), Ok(Map::new()));
        assert_eq!(read("", Format::Toml), Ok(Map::new()));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_without_its_text() {
        for (format, text, place) in [
            (Format::Json, "{\"secret\": \"canary\",\n \"b\" 1}", "line 2, column 6"),
            (Format::Json, "{\"a\":1,\n\"a\":2}", "line 2, column 3"),
            (Format::Yaml, "a: canary\n b: 2\n", "line 2, column 3"),
            (Format::Yaml, "a: canary\na: canary\n", "line 2, column 1"),
            (Format::Toml, "a = canary\n", "line 1, column 5"),
            (Format::Toml, "[s]\na = \"canary\"\na = \"canary\"\n", "line 3, column 1"),
        ] {
            let fault = read(text, format).expect_err(text);
            assert_eq!(fault.place, place, "{text:?}: {fault}");
            assert!(!fault.problem.contains("canary"), "{text:?}: {fault}");
            assert!(!fault.problem.contains('\n') && !fault.problem.is_empty(), "{fault}");
        }
        for (format, text) in [(Format::Json, "[]"), (Format::Yaml, "- 1"), (Format::Json, "")] {
            assert!(read(text, format).is_err(), "{text}");
        }
    }

    #[test]
    fn no_text_grows_without_bound() {
        let deep = |open: &str, close: &str| open.repeat(200) + &close.repeat(200);
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            laughs += &format!("a{level}: &a{level} [{}]\n", below.trim_end_matches(", "));
        }
        for (format, text) in [
            (Format::Yaml, laughs),
            (Format::Yaml, format!("a: {}", deep("[", "]"))),
            (Format::Json, format!("{{\"a\":{}}}", deep("[", "]"))),
            (Format::Toml, format!("a = {}", deep("[", "]"))),
            (Format::Yaml, "#".repeat(MAX_TEXT + 1)),
        ] {
            assert!(read(&text, format).is_err(), "{format:?}");
        }
    }
}
