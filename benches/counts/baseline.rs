//! The file with what was recorded, and how it compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How much more a step may take than was recorded, percent.
pub(crate) const MARGIN: u64 = 8;

const FEATURES: &str = "# processor, as valgrind shows it: ";
const COMPILER: &str = "# compiler: ";

/// Instructions by the name of the step, and where that was counted.
pub(crate) struct Baseline {
    features: String,
    compiler: String,
    counts: BTreeMap<String, u64>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Within,
    Worse,
    OtherSteps,
    OtherProcessor,
}

impl Baseline {
    pub(crate) fn of([features, compiler]: &[String; 2], counts: &[(&str, u64)]) -> Baseline {
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Baseline { features: features.clone(), compiler: compiler.clone(), counts }
    }

    /// The line that is none of such a file is the error.
    pub(crate) fn parse(text: &str) -> Result<Baseline, &str> {
        let value = |key| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let counts = lines.map(|line| {
            let (count, name) = line.trim().split_once(' ').ok_or(line)?;
            Ok((name.trim().to_owned(), count.parse().map_err(|_| line)?))
        });
        Ok(Baseline {
            features: value(FEATURES).to_owned(),
            compiler: value(COMPILER).to_owned(),
            counts: counts.collect::<Result<_, &str>>()?,
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "# Instructions in user space for one time of each step, counted by callgrind with what\n\
             # scripts/counts builds. scripts/test fails if one takes more than {MARGIN} % above this;\n\
             # `scripts/counts record` writes it anew. The steps are in benches/counts/steps.rs.\n\
             # Libraries choose code by what the processor has; valgrind shows programs a processor\n\
             # of its own, so this holds wherever it shows the same.\n\
             {FEATURES}{}\n{COMPILER}{}\n",
            self.features, self.compiler
        );
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{count:>9} {name}");
        }
        text
    }

    /// Whether what was found is no worse than this, and a table for people.
    pub(crate) fn compare(&self, found: &Baseline) -> (Verdict, String) {
        let mut report = String::new();
        let mut worse = false;
        for (name, count) in &found.counts {
            let Some(recorded) = self.counts.get(name) else {
                let _ = writeln!(report, "{count:>9}      new  {name}");
                continue;
            };
            let percent = 100.0 * (*count as f64 / *recorded as f64 - 1.0);
            let above = *count * 100 > recorded * (100 + MARGIN);
            worse |= above;
            let mark = if above { "  TOO MUCH" } else { "" };
            let _ = writeln!(report, "{count:>9}  {percent:>+6.1} %  {name}{mark}");
        }
        if found.compiler != self.compiler {
            let _ =
                writeln!(report, "recorded with {}, found with {}", self.compiler, found.compiler);
        }
        let verdict = if found.features != self.features {
            let _ = writeln!(report, "recorded on {}, found on {}", self.features, found.features);
            Verdict::OtherProcessor
        } else if !found.counts.keys().eq(self.counts.keys()) {
            Verdict::OtherSteps
        } else if worse {
            Verdict::Worse
        } else {
            Verdict::Within
        };
        (verdict, report)
    }
}
