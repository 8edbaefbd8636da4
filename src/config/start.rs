//! A configuration to start with.

use super::build::random_text;
use super::tree::{self, Format};

/// The text of a configuration for a first node, with secrets made now. JSON has
/// no comments; the other formats say what each option is for.
#[must_use]
pub fn starting(format: Format) -> String {
    let filled = |text: &str| {
        text.replacen("HMAC_SECRET", &random_text(), 1).replacen("API_KEY", &random_text(), 1)
    };
    match format {
        Format::Yaml => filled(include_str!("start/start.yaml")),
        Format::Toml => filled(include_str!("start/start.toml")),
        Format::Json => {
            let options = tree::read(&filled(include_str!("start/start.yaml")), Format::Yaml);
            options
                .ok()
                .and_then(|options| serde_json::to_string_pretty(&options).ok())
                .map(|text| text + "\n")
                .unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::parse;
    use super::*;

    #[test]
    fn every_format_starts_the_same_node_with_secrets_of_its_own() {
        let mut secrets = Vec::new();
        let mut rest = Vec::new();
        for format in [Format::Yaml, Format::Toml, Format::Json, Format::Json] {
            let text = starting(format);
            let options = tree::read(&text, format).unwrap_or_else(|fault| panic!("{fault}"));
            let mut options = Value::Object(options);
            let config = parse(&options.to_string()).unwrap_or_else(|faults| panic!("{faults:?}"));
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
            for place in ["/client/token/hmac_secret_key", "/http_api/key"] {
                let secret = options.pointer_mut(place).map(Value::take);
                secrets.push(secret.and_then(|it| Some(it.as_str()?.to_owned())).expect("a text"));
            }
            rest.push(options);
        }
        assert!(secrets.iter().all(|secret| secret.len() == 64), "{secrets:?}");
        let count = secrets.len();
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), count, "each is new");
        rest.dedup();
        assert_eq!(rest.len(), 1, "{rest:#?}");
    }
}
