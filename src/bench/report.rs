//! What a bench prints and writes.

mod html;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::failure::{Failure, While};
use super::kernel;
use super::stats::Spread;

/// What all benches can be told.
#[derive(clap::Args)]
pub(super) struct Common {
    /// How often each measurement is repeated; the table has the median, and the lowest and
    /// highest.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Writes every run and the medians to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the tables with plots to this file, as a page for people.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How many connections one process of the generator has at most; if there are more, several
    /// processes of it share them. [default: as many as descriptors and ports allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) per_process: Option<u32>,
    /// Few connections and short runs: to see that everything works, not for figures. Other
    /// options still count.
    #[arg(long)]
    pub(super) quick: bool,
}

impl Common {
    /// How many runs, if the options do not say.
    pub(super) fn runs(&self, usual: u16) -> usize {
        usize::from(self.runs.unwrap_or(if self.quick { 2 } else { usual }))
    }

    /// Whether the files can be written that are to be: known before the bench runs,
    /// not after.
    ///
    /// # Errors
    /// If not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (option, path) in [("--json", &self.json), ("--html", &self.html)] {
            let Some(path) = path else { continue };
            let opened = fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|error| {
                let path = path.display();
                Failure::Options(format!(
                    "cannot write {path}: {error}; name another file for {option}"
                ))
            })?;
        }
        Ok(())
    }

    /// One of two, by `--quick`.
    pub(super) fn either<T>(&self, quick: T, usual: T) -> T {
        if self.quick { quick } else { usual }
    }
}

/// What a bench found.
pub(super) struct Outcome {
    name: &'static str,
    tables: Vec<Table>,
    /// Each run as it was.
    runs: Vec<Value>,
}

impl Outcome {
    pub(super) fn new(name: &'static str, table: Table, runs: Vec<Value>) -> Outcome {
        Outcome { name, tables: vec![table], runs }
    }

    /// With one more table, if there is one.
    pub(super) fn also(mut self, table: Option<Table>) -> Outcome {
        self.tables.extend(table);
        self
    }

    /// Prints the tables, and writes the files that were asked for.
    ///
    /// # Errors
    /// If that cannot be done.
    pub(super) fn tell(&self, common: &Common) -> Result<(), Failure> {
        let machine = kernel::machine();
        let texts: Vec<String> = self.tables.iter().map(Table::text).collect();
        let text = format!("{}: {machine}\n{}", self.name, texts.join("\n"));
        io::stdout().lock().write_all(text.as_bytes()).during("print the result")?;
        if let Some(path) = &common.html {
            let version = env!("CARGO_PKG_VERSION");
            let about = format!("Version {version}, {}; {machine}", build(common.quick));
            let page = html::page(self.name, &about, &self.tables);
            fs::write(path, page).during("write the HTML file")?;
        }
        let Some(path) = &common.json else { return Ok(()) };
        let medians: Vec<&Value> = self.tables.iter().flat_map(|table| &table.medians).collect();
        let value = json!({
            "bench": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "machine": machine,
            "debug_build": cfg!(debug_assertions),
            "quick": common.quick,
            "medians": medians,
            "runs": self.runs,
        });
        fs::write(path, format!("{value:#}\n")).during("write the JSON file")
    }
}

/// What must be known of a figure's build and run.
fn build(quick: bool) -> &'static str {
    match (cfg!(debug_assertions), quick) {
        (true, _) => "a debug build, whose figures mean nothing",
        (false, true) => "a quick run, whose figures mean little",
        (false, false) => "a release build",
    }
}

/// The medians, for people and for machines. The first column stands to the left,
/// the others to the right.
pub(super) struct Table {
    /// What it is about, and what the columns mean.
    title: String,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
    figures: Vec<Vec<Figure>>,
    medians: Vec<Value>,
}

/// A figure's name for machines, its decimals for people, and what it is, if it
/// could be measured.
#[derive(Clone)]
pub(super) struct Figure(pub(super) &'static str, pub(super) usize, pub(super) Option<Spread>);

impl Table {
    pub(super) fn new(title: String, head: &'static [&'static str]) -> Table {
        Table { title, head, rows: Vec::new(), figures: Vec::new(), medians: Vec::new() }
    }

    /// Adds a row: what was measured, and the figures, a column each.
    pub(super) fn add(&mut self, of: &[(&'static str, Value)], figures: &[Figure]) {
        let label = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let cell = |spread: &Option<Spread>, digits| {
            spread.map_or_else(|| "-".to_owned(), |spread| spread.text(digits))
        };
        let labels = of.iter().map(|(_, value)| label(value));
        let cells = figures.iter().map(|Figure(_, digits, spread)| cell(spread, *digits));
        self.rows.push(labels.chain(cells).collect());
        let labels = of.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let spreads = figures.iter().map(|Figure(name, _, spread)| {
            ((*name).to_owned(), spread.map_or(Value::Null, Spread::json))
        });
        self.figures.push(figures.to_vec());
        self.medians.push(Value::Object(labels.chain(spreads).collect::<Map<_, _>>()));
    }

    /// How many figures are in a row.
    fn columns(&self) -> usize {
        self.figures.first().map_or(0, Vec::len)
    }

    fn text(&self) -> String {
        let head: Vec<String> = self.head.iter().map(ToString::to_string).collect();
        let lines = || std::iter::once(&head).chain(&self.rows);
        let width = |column| {
            lines()
                .filter_map(|line| line.get(column))
                .map(|cell: &String| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> =
            (0..head.len()).map(|column| width(column).unwrap_or_default()).collect();
        let mut text = format!("{}\n", self.title);
        for line in lines() {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(at, (cell, width))| match at {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// One line on a terminal that tells what is going on; nothing elsewhere.
pub(super) struct Progress(bool);

impl Progress {
    pub(super) fn new() -> Progress {
        Progress(io::stderr().is_terminal())
    }

    pub(super) fn say(&self, what: &str) {
        if self.0 {
            let _ = write!(io::stderr(), "\r\x1b[K{what}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_for_people_and_complete_for_machines() {
        let mut table = Table::new("title".into(), &["name", "size", "figure"]);
        let spread = Spread { median: 1.5, min: 1.0, max: 2.0 };
        table
            .add(&[("name", "a".into()), ("size", 1_000.into())], &[Figure("us", 1, Some(spread))]);
        table.add(&[("name", "longer".into()), ("size", 1.into())], &[Figure("us", 1, None)]);
        assert_eq!(
            table.text(),
            "title\n\
             name    size         figure\n\
             a       1000  1.5 [1.0-2.0]\n\
             longer     1              -\n"
        );
        assert_eq!(
            Value::from(table.medians),
            json!([
                { "name": "a", "size": 1_000, "us": { "median": 1.5, "min": 1.0, "max": 2.0 } },
                { "name": "longer", "size": 1, "us": null },
            ])
        );
    }
}
