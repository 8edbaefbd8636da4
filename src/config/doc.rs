//! The documentation of the options, made from their declarations.

use std::fmt::Write;

use super::settings;

/// Every option with type, default and meaning, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    let mut section = "";
    let options = settings::options();
    for option in &options {
        let (first, _) = option.place.split_once('.').unwrap_or((&option.place, ""));
        if first != section {
            section = first;
            let _ = write!(
                text,
                "{}### {section}\n\n| option | type | default | meaning |\n|---|---|---|---|\n",
                if text.is_empty() { "" } else { "\n" },
            );
        }
        let _ = writeln!(
            text,
            "| `{}`{} | {} | {} | {} |",
            option.place,
            if option.restart { " ↻" } else { "" },
            option.kind,
            option.default,
            option.meaning.replace('|', "\\|"),
        );
    }
    text
}
