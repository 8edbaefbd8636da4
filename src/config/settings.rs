//! What is known of the options: their descriptions, and in a configuration that
//! was read the value of each and where it came from.

use std::fmt;

use serde_json::Value;

use super::file::File;
use super::kind::Written;
use super::reader::describe;
use crate::limit::Profile;

/// What stands where there is no value.
pub(super) const NONE: &str = "–";

/// An option and its value in a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its path, with dots.
    pub place: String,
    /// Its value; that of a secret is not shown, and `null` is none.
    pub value: Value,
    /// Where the value came from.
    pub source: Source,
    /// It cannot change while the node runs.
    pub restart: bool,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The limit profile's number.
    Profile(Profile),
    /// Another option, which holds where this one says nothing.
    Option(&'static str),
    /// The configuration file.
    File,
    /// A file that the configuration names.
    SecretFile(String),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Profile(profile) => write!(f, "profile {profile}"),
            Source::Option(place) => f.write_str(place),
            Source::File => f.write_str("file"),
            Source::SecretFile(path) => write!(f, "file {path}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag => f.write_str("flag"),
        }
    }
}

/// An option as the documentation tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Its path; `[]` stands for any entry of a list.
    pub(super) place: String,
    /// Its type.
    pub(super) kind: String,
    /// Its default.
    pub(super) default: String,
    /// What it is for.
    pub(super) meaning: String,
    /// It cannot change while the node runs.
    pub(super) restart: bool,
    /// Its default depends on the limit profile.
    pub(super) by_profile: bool,
    /// How its environment variable says it.
    pub(super) written: Written,
}

impl Description {
    /// Its environment variable; none for what stands within a list.
    pub(super) fn variable(&self) -> Option<String> {
        let inside = self.place.contains('[');
        let name = || format!("SEALCAST_{}", self.place.replace('.', "_").to_ascii_uppercase());
        (!inside).then(name)
    }
}

/// Every option that there is, in the order of the documentation.
pub(super) fn options() -> Vec<Description> {
    describe::<File>()
}

/// How the documentation shows defaults under the profiles standard and strict.
pub(super) fn default_text(defaults: &[Option<Value>; 2]) -> String {
    let [standard, strict] = defaults;
    let text = |value: &Option<Value>| match value {
        None | Some(Value::Null) => NONE.to_owned(),
        Some(value) => format!("`{value}`"),
    };
    if standard == strict {
        text(standard)
    } else {
        format!("{}; strict: {}", text(standard), text(strict))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_option_has_a_meaning_and_a_variable_of_its_own() {
        let options = options();
        let mut variables = BTreeSet::new();
        for option in &options {
            assert!(option.meaning.ends_with('.'), "{option:?}");
            if let Some(variable) = option.variable() {
                assert!(variables.insert(variable), "{option:?}");
            }
        }
        assert!(variables.contains("SEALCAST_CLIENT_TOKEN_HMAC_SECRET_KEY"));
        assert!(variables.contains("SEALCAST_CLIENT_TOKEN_HMAC_SECRET_KEY_FILE"));
        assert!(options.iter().any(|option| option.place == "channel.namespaces[].history_size"));
    }
}
