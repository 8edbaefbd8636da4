//! `http_api`: the keys of the server API, and what each may do.

use std::collections::HashMap;

use super::super::Fault;
use super::super::file::{ApiKey as Entry, HttpApi};
use super::super::secret::SecretText;
use super::fault;
use crate::auth::{ApiKey, ApiKeys, ApiMethod, BadApiKey, ChannelPattern, Scope};
use crate::http::ErrorMode;
use crate::limit::Rate;

/// The name of `http_api.key`, which may do everything.
const SINGLE: &str = "default";

/// All keys, of which names and secrets must be distinct.
pub(super) fn api_keys(section: &HttpApi, faults: &mut Vec<Fault>) -> ApiKeys {
    let mut keys = Vec::new();
    if let Some(secret) = &section.key {
        add(&mut keys, "http_api", SINGLE, secret, Scope::default(), faults);
    }
    for (at, entry) in section.keys.iter().enumerate() {
        let place = format!("http_api.keys[{at}]");
        let scope = scope(&place, entry, faults);
        add(&mut keys, &place, &entry.name, &entry.key, scope, faults);
    }
    ApiKeys::new(keys)
}

/// How fast each key may call, by its name.
pub(super) fn api_rates(section: &HttpApi) -> HashMap<String, Rate> {
    let named = section.keys.iter().map(|entry| (entry.name.clone(), entry.rate));
    let single = section.key.is_some().then(|| (SINGLE.to_owned(), section.rate));
    named.chain(single).filter(|(_, rate)| !rate.is_none()).collect()
}

/// How the server API tells errors unless a request says otherwise.
pub(super) fn error_mode(section: &HttpApi, faults: &mut Vec<Fault>) -> ErrorMode {
    match section.error_mode.as_str() {
        "" => ErrorMode::Body,
        "transport" => ErrorMode::Transport,
        _ => {
            let problem = "neither \"transport\" nor empty, which stands for errors in the body";
            fault(faults, "http_api.error_mode", problem);
            ErrorMode::Body
        }
    }
}

fn add(
    keys: &mut Vec<ApiKey>,
    place: &str,
    name: &str,
    secret: &SecretText,
    scope: Scope,
    faults: &mut Vec<Fault>,
) {
    let key = match ApiKey::new(name, &secret.secret(), scope) {
        Ok(key) => key,
        Err(bad) => {
            let option = match bad {
                BadApiKey::Name => "name",
                BadApiKey::Short => "key",
            };
            return fault(faults, format!("{place}.{option}"), bad.to_string());
        }
    };
    if keys.iter().any(|other| other.name() == name) {
        let hint = if name == SINGLE { ", which is the name of http_api.key" } else { "" };
        fault(faults, format!("{place}.name"), format!("{name:?} stands twice{hint}"));
    }
    if let Some(other) = keys.iter().find(|other| other.is_same_secret(&key)) {
        let problem = format!("the same as that of {:?}; each needs its own", other.name());
        fault(faults, format!("{place}.key"), problem);
    }
    keys.push(key);
}

fn scope(place: &str, entry: &Entry, faults: &mut Vec<Fault>) -> Scope {
    let methods = entry.methods.as_deref().map(|names| {
        let place = format!("{place}.methods");
        let parsed = names.iter().filter_map(|name| method(&place, name, entry, faults));
        parsed.collect()
    });
    let channels = entry.channels.as_deref().map(|patterns| {
        let parsed = patterns.iter().filter_map(|text| {
            let parsed = ChannelPattern::parse(text);
            if let Err(bad) = &parsed {
                fault(faults, format!("{place}.channels"), format!("{text:?} is {bad}"));
            }
            parsed.ok()
        });
        parsed.collect()
    });
    Scope { methods, channels }
}

fn method(place: &str, name: &str, entry: &Entry, faults: &mut Vec<Fault>) -> Option<ApiMethod> {
    let Some(method) = ApiMethod::parse(name) else {
        let hint = if name == "batch" {
            "needs no permission; name the methods that it may carry"
        } else {
            "is not a method of the server API"
        };
        fault(faults, place, format!("{name:?} {hint}"));
        return None;
    };
    if entry.channels.is_some() && !method.stays_in_channels() {
        let problem =
            format!("{name:?} reaches beyond channels; a key with channels cannot have it");
        fault(faults, place, problem);
    }
    Some(method)
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;

    const OPEN: &str = r#""client":{"allow_anonymous_connect_without_token":true}"#;
    const ONE: &str = "0123456789abcdef-one";
    const TWO: &str = "0123456789abcdef-two";

    fn faults(http_api: &str) -> Vec<String> {
        let text = format!(r#"{{{OPEN},"http_api":{http_api}}}"#);
        parse(&text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_are_read_with_what_they_may_do() {
        let text = format!(
            r#"{{{OPEN},"http_api":{{"key":"{ONE}","error_mode":"transport","keys":[
                {{"name":"news","key":"{TWO}","methods":["publish"],"channels":["news:*"]}}]}}}}"#
        );
        let config = parse(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(config.api_keys.check(ONE).expect("a key").name(), "default");
        assert_eq!(config.api_keys.check(TWO).expect("a key").name(), "news");
        assert_eq!(config.api_errors, crate::http::ErrorMode::Transport);
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_secret() {
        let found = faults(&format!(
            r#"{{"key":"{ONE}","error_mode":"loud","keys":[
                {{"name":"default","key":"{TWO}"}},
                {{"name":"a b","key":"{TWO}-a"}},
                {{"name":"short","key":"0123456789"}},
                {{"name":"same","key":"{ONE}"}},
                {{"name":"m","key":"{TWO}-m","methods":["publish","shout","batch"]}},
                {{"name":"c","key":"{TWO}-c","channels":["news:*","[","é"]}},
                {{"name":"c","key":"{TWO}-d","methods":["info"],"channels":[]}}]}}"#
        ));
        let places: Vec<&str> =
            found.iter().filter_map(|fault| Some(fault.split_once(": ")?.0)).collect();
        let expected = [
            "http_api.keys[0].name",
            "http_api.keys[1].name",
            "http_api.keys[2].key",
            "http_api.keys[3].key",
            "http_api.keys[4].methods",
            "http_api.keys[4].methods",
            "http_api.keys[5].channels",
            "http_api.keys[5].channels",
            "http_api.keys[6].methods",
            "http_api.keys[6].name",
            "http_api.error_mode",
        ];
        assert_eq!(places, expected, "{found:#?}");
        assert!(!found.iter().any(|fault| fault.contains("0123")), "{found:#?}");
    }

    #[test]
    fn what_is_no_list_or_no_text_is_refused() {
        for keys in [
            r#"[{"name":"a"}]"#,
            r#"[{"key":"0123456789abcdef"}]"#,
            r#"[{"name":"a","key":"0123456789abcdef","methods":null}]"#,
            r#"[{"name":"a","key":"0123456789abcdef","channels":null}]"#,
            r#"[{"name":"a","key":"0123456789abcdef","channels":"news:*"}]"#,
            r#"[{"name":"a","key":"0123456789abcdef","channel":["news:*"]}]"#,
        ] {
            assert_eq!(faults(&format!(r#"{{"keys":{keys}}}"#)).len(), 1, "{keys}");
        }
        let number = faults(r#"{"key":12345678901234567}"#);
        assert!(!number.iter().any(|fault| fault.contains("1234")), "{number:?}");
    }
}
