//! Environment variables: each option has one, `SEALCAST_` and its path in upper
//! case with `_` for the dots. An empty variable counts as none.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kind::Written;
use super::nearest::nearest;
use super::settings::{self, Description, Source};
use super::{Fault, tree};

const PREFIX: &str = "SEALCAST_";
/// The prefix of the server that a node may have taken the place of.
const OTHER_PREFIX: &str = "CENTRIFUGO_";

/// What the variables did and said.
#[derive(Default)]
pub(super) struct Overlay {
    /// Options that they set.
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

/// Lays what the variables say over the file's `options`.
pub(super) fn lay_over(
    options: &mut Map<String, Value>,
    variables: &[(String, String)],
) -> Overlay {
    let mut overlay = Overlay::default();
    let known: Vec<(String, Description)> = settings::options()
        .into_iter()
        .filter_map(|option| Some((option.variable()?, option)))
        .collect();
    let given = |name: &str| variables.iter().find(|(other, _)| other == name);
    // In the order of the documentation: what holds others comes before them.
    for (name, option) in &known {
        let Some((_, text)) = given(name).filter(|(_, text)| !text.is_empty()) else { continue };
        match value(option, text) {
            Ok(value) => {
                let source = Source::Environment(name.clone());
                set(options, &option.place, value);
                overlay.sources.insert(option.place.clone(), source);
            }
            Err(problem) => overlay.faults.push(Fault { place: name.clone(), problem }),
        }
    }
    for (name, _) in variables.iter().filter(|(name, _)| is_ours(name)) {
        if known.iter().any(|(other, _)| other == name) {
            continue;
        }
        let mut problem = "no option has this variable".to_owned();
        if let Some(meant) = nearest(name, known.iter().map(|(name, _)| name.as_str())) {
            problem += &format!("; did you mean {meant}?");
        }
        overlay.faults.push(Fault { place: name.clone(), problem });
    }
    let others: Vec<&str> = variables
        .iter()
        .filter_map(|(name, _)| name.starts_with(OTHER_PREFIX).then_some(name.as_str()))
        .collect();
    if !others.is_empty() {
        let problem = format!(
            "{} not read; the variables here begin with {PREFIX} and go on alike",
            others.join(", ")
        );
        overlay.warnings.push(Fault { place: "environment".to_owned(), problem });
    }
    overlay
}

/// Sets an option by its path. What is no object in the way stays: the reader
/// finds it.
pub(super) fn set(options: &mut Map<String, Value>, place: &str, value: Value) {
    match place.split_once('.') {
        None => {
            options.insert(place.to_owned(), value);
        }
        Some((section, rest)) => {
            let within = options.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(within) = within {
                set(within, rest, value);
            }
        }
    }
}

/// Whether a variable is meant for a node. Kubernetes gives every container
/// variables with the names and ports of the services around it, and one of these
/// may well be called `sealcast`.
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let service = rest == "PORT"
        || rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || rest
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !service
}

/// What a variable's text stands for. A text that is not of the option's type goes
/// to the reader, which says so.
fn value(option: &Description, text: &str) -> Result<Value, String> {
    if option.written == Written::Text {
        return Ok(Value::String(text.to_owned()));
    }
    match tree::json(text) {
        Ok(value) => Ok(value),
        Err(_) if matches!(option.kind.as_str(), "number" | "true or false") => {
            Ok(Value::String(text.to_owned()))
        }
        Err(fault) => Err(format!("a {} must be written as JSON: {}", option.kind, fault.problem)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn laid(options: Value, variables: &[(&str, &str)]) -> (Value, Overlay) {
        let Value::Object(mut options) = options else { panic!("an object") };
        let variables: Vec<_> =
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let overlay = lay_over(&mut options, &variables);
        (Value::Object(options), overlay)
    }

    #[test]
    fn variables_win_over_the_file() {
        let file = json!({"client": {"channel_limit": 1, "ping_interval": "5s"}});
        let (options, overlay) = laid(
            file,
            &[
                ("SEALCAST_CLIENT_CHANNEL_LIMIT", "2"),
                ("SEALCAST_CLIENT_TOKEN_HMAC_SECRET_KEY", "123"),
                ("SEALCAST_CLIENT_ALLOWED_ORIGINS", r#"["https://a.example"]"#),
                ("SEALCAST_CHANNEL_WITHOUT_NAMESPACE", "{}"),
                ("SEALCAST_CHANNEL_WITHOUT_NAMESPACE_PRESENCE", "true"),
                ("SEALCAST_NODE_NAME", ""),
                ("HOME", "/"),
            ],
        );
        let expected = json!({
            "client": {
                "channel_limit": 2,
                "ping_interval": "5s",
                "token": {"hmac_secret_key": "123"},
                "allowed_origins": ["https://a.example"],
            },
            "channel": {"without_namespace": {"presence": true}},
        });
        assert_eq!(options, expected);
        assert!(overlay.faults.is_empty() && overlay.warnings.is_empty());
        let source = Source::Environment("SEALCAST_CLIENT_CHANNEL_LIMIT".to_owned());
        assert_eq!(overlay.sources.get("client.channel_limit"), Some(&source));
    }

    #[test]
    fn unknown_ones_are_faults_and_those_of_others_are_named() {
        let (_, overlay) = laid(
            json!({}),
            &[
                ("SEALCAST_CLIENT_CHANEL_LIMIT", "2"),
                ("SEALCAST_CLIENT_ALLOWED_ORIGINS", "https://a.example"),
                ("CENTRIFUGO_HTTP_API_KEY", "canary"),
                ("SEALCAST_SERVICE_HOST", "10.0.0.1"),
                ("SEALCAST_SERVICE_PORT_HTTP", "8000"),
                ("SEALCAST_PORT", "tcp://10.0.0.1:8000"),
                ("SEALCAST_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ],
        );
        let told: Vec<String> = overlay.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "SEALCAST_CLIENT_ALLOWED_ORIGINS: a list of texts must be written as JSON: \
                 expected value",
                "SEALCAST_CLIENT_CHANEL_LIMIT: no option has this variable; did you mean \
                 SEALCAST_CLIENT_CHANNEL_LIMIT?",
            ]
        );
        let warned: Vec<String> = overlay.warnings.iter().map(ToString::to_string).collect();
        assert!(matches!(&warned[..], [one] if one.contains("CENTRIFUGO_HTTP_API_KEY")));
        assert!(!warned.concat().contains("canary"));
    }
}
