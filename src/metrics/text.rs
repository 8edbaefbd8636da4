//! Prometheus' text format where the recorder does not write it.

use std::fmt::Write as _;

use super::{COUNTERS, GAUGES};

/// Names what nothing has been counted of yet, so that whoever looks at the numbers
/// finds all there are. The histograms always stand there.
pub(super) fn name_the_others(text: &mut String) {
    let mut missing = String::new();
    for (kind, list) in [("counter", COUNTERS), ("gauge", GAUGES)] {
        for (name, meaning) in list {
            let stands = format!("# TYPE {name} {kind}");
            if !text.lines().any(|line| line == stands) {
                let _ = writeln!(missing, "# HELP {name} {meaning}\n{stands}\n");
            }
        }
    }
    text.push_str(&missing);
}
