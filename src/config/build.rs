//! From what the file says to what the rooms need.

mod admission;
mod api;
mod broker;
mod listeners;
mod token;

use std::collections::HashMap;
use std::net::IpAddr;

use sealcast_wire::name::MAX_NAME;
use serde_json::{Value, json};

use super::environment::Overlay;
use super::file::{File, HttpServer};
use super::load::Sources;
use super::settings::Setting;
use super::{Config, Drain, Fault, limits, namespaces};
use crate::auth::{BadOrigin, Issuer, Namespaces, OriginRule, Origins, Pseudonyms};
use crate::http::{Proxies, Transports};
use crate::limit::Profile;
use token::{tokens, verifier};

/// A node to try things on: loopback only, with secrets made now, open to any
/// user of its own page. Gives the server API's key too, which nobody else knows.
///
/// # Errors
/// If a secret cannot be used, or a flag.
pub fn development(flags: Vec<(&'static str, Value)>) -> Result<(Config, String), Vec<Fault>> {
    stays_on_loopback(&flags).map_err(|fault| vec![fault])?;
    let key = random_text();
    let options = json!({
        // One person tries things out, and cursors move as fast as the screen.
        "limits": { "profile": "none" },
        "client": { "token": { "hmac_secret_key": random_text() } },
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
                "presence": true,
                "join_leave": true,
                "allow_presence_for_subscriber": true,
                "history_size": 100,
                "history_ttl": "300s",
                "allow_recovery": true,
                "allow_history_for_subscriber": true,
            },
            "namespaces": [
                // What was drawn together.
                {
                    "name": "board",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_subscriber": true,
                    "history_size": 300,
                    "history_ttl": "1h",
                    "allow_recovery": true,
                    "allow_history_for_subscriber": true,
                },
                // What is worth nothing a moment later.
                {
                    "name": "cursors",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_subscriber": true,
                    "shaping": { "mode": "latest" },
                    "presence": true,
                    "join_leave": true,
                    "allow_presence_for_subscriber": true,
                },
                // What measures the node itself.
                {
                    "name": "burst",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_subscriber": true,
                },
                // What is being drawn.
                {
                    "name": "strokes",
                    "allow_subscribe_for_client": true,
                    "allow_publish_for_subscriber": true,
                    "shaping": { "mode": "batch" },
                },
            ],
        },
        // The page shows how each transport does.
        "http_stream": { "enabled": true },
        "sse": { "enabled": true },
        "http_api": { "key": key },
        "shutdown": { "lb_wait": "0s", "spread": "200ms", "deadline": "5s" },
        // Nobody scrapes it: several nodes may be tried side by side.
        "metrics": { "port": 0 },
    });
    let Value::Object(options) = options else { return Err(Vec::new()) };
    let sources = Sources { flags, ..Sources::default() };
    let (mut config, file) = sources.build(options, Overlay::default())?;
    let mut faults = Vec::new();
    config.dev = tokens(&file, &mut faults).and_then(|tokens| Issuer::new(&tokens));
    config.admission.tells_why = config.dev.is_some();
    if faults.is_empty() { Ok((config, key)) } else { Err(faults) }
}

fn stays_on_loopback(flags: &[(&'static str, Value)]) -> Result<(), Fault> {
    for (place, value) in flags {
        let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        if let Some(address) = address.filter(|address| !address.is_loopback()) {
            let problem = format!(
                "refusing to listen on {address} with --dev: it hands out tokens to anyone, so it \
                 listens on loopback only"
            );
            return Err(Fault { place: (*place).to_owned(), problem });
        }
    }
    Ok(())
}

/// 256 random bits as text.
pub(super) fn random_text() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the rooms need, of options that could be read; `profile` is the limits',
/// and `settings` tell where values came from.
pub(super) fn build(
    file: &File,
    profile: Profile,
    settings: &[Setting],
    faults: &mut Vec<Fault>,
) -> Config {
    let limits = limits::limits(file, profile, settings, faults);
    let namespaces = namespaces(file, limits.message_bytes, faults);
    Config {
        listeners: listeners::listeners(file, faults),
        proxies: proxies(&file.http_server.trusted_proxies, faults),
        proxy_protocol: proxy_protocol(&file.http_server, faults),
        http2: file.http_server.http2,
        origins: origins(&file.client.allowed_origins, faults),
        verifier: tokens(file, faults).and_then(|tokens| verifier(&tokens, faults)),
        dev: None,
        admission: admission::admission(&file.client, &namespaces, faults),
        transports: Transports {
            sse: file.sse.enabled,
            http_stream: file.http_stream.enabled,
            uni_sse: file.uni_sse.enabled,
            uni_http_stream: file.uni_http_stream.enabled,
            uni_websocket: file.uni_websocket.enabled,
            token_in_url: file.compat.sse_token_in_url,
        },
        compat: file.compat.centrifugo,
        api_keys: api::api_keys(&file.http_api, faults),
        api_errors: api::error_mode(&file.http_api, faults),
        api_rates: api::api_rates(&file.http_api),
        namespaces,
        limits,
        profile,
        drain: Drain {
            lb_wait: file.shutdown.lb_wait,
            spread: file.shutdown.spread,
            deadline: file.shutdown.deadline,
        },
        engine: broker::engine(&file.engine, faults),
        cluster: broker::cluster_key(file, faults),
        pseudonyms: pseudonyms(file, faults),
        name: file.node.name.clone(),
        settings: Vec::new(),
        warnings: Vec::new(),
    }
}

pub(super) fn fault(faults: &mut Vec<Fault>, place: impl Into<String>, problem: impl Into<String>) {
    faults.push(Fault { place: place.into(), problem: problem.into() });
}

fn pseudonyms(file: &File, faults: &mut Vec<Fault>) -> Option<Pseudonyms> {
    let made = Pseudonyms::new(&file.log.pseudonym_key.as_ref()?.secret());
    if made.is_none() {
        fault(faults, "log.pseudonym_key", "shorter than 32 bytes; take 32 random ones");
    }
    made
}

/// Without a proxy nobody would speak it.
fn proxy_protocol(http: &HttpServer, faults: &mut Vec<Fault>) -> bool {
    if http.proxy_protocol && http.trusted_proxies.is_empty() {
        let problem = "needs http_server.trusted_proxies: nobody else is believed";
        fault(faults, "http_server.proxy_protocol", problem);
    }
    http.proxy_protocol
}

fn proxies(networks: &[String], faults: &mut Vec<Fault>) -> Proxies {
    let mut parsed = Vec::new();
    for text in networks {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(Into::into)) {
            Ok(network) => parsed.push(network),
            Err(_) => fault(
                faults,
                "http_server.trusted_proxies",
                format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"),
            ),
        }
    }
    Proxies::new(parsed)
}

fn origins(entries: &[String], faults: &mut Vec<Fault>) -> Origins {
    let mut rules = Vec::new();
    for entry in entries {
        match OriginRule::parse(entry) {
            Ok(rule) => rules.push(rule),
            Err(bad) => {
                let why = match bad {
                    BadOrigin::Syntax => "is not an origin, such as https://app.example.com",
                    BadOrigin::Wildcard => {
                        "has a wildcard; list each origin (ports of loopback hosts may be *)"
                    }
                };
                fault(faults, "client.allowed_origins", format!("{entry:?} {why}"));
            }
        }
    }
    Origins::new(rules)
}

fn namespaces(file: &File, most_bytes: usize, faults: &mut Vec<Fault>) -> Namespaces {
    let meta_ttl = file.channel.history_meta_ttl;
    let common = namespaces::Common { meta_ttl, most_bytes, compat: file.compat.centrifugo };
    let without =
        file.channel.without_namespace.as_ref().map(|options| {
            namespaces::namespace("channel.without_namespace", options, common, faults)
        });
    let mut named = HashMap::new();
    for (at, one) in file.channel.namespaces.iter().enumerate() {
        let place = format!("channel.namespaces[{at}]");
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if one.name.len() < 2 || !one.name.bytes().all(known) {
            let problem = "needs two characters or more of letters, digits, `-`, `_` and `.`";
            fault(faults, format!("{place}.name"), problem);
        }
        let options = namespaces::namespace(&place, &one.options, common, faults);
        if named.insert(one.name.clone(), options).is_some() {
            fault(faults, format!("{place}.name"), format!("{:?} stands twice", one.name));
        }
    }
    let longest = file.channel.max_length;
    if longest == 0 || longest > MAX_NAME {
        fault(faults, "channel.max_length", format!("must be 1 to {MAX_NAME} bytes"));
    }
    Namespaces::new(without, named).with_longest_name(longest)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn faults(text: &str) -> Vec<String> {
        parse(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_small_file_is_enough_and_the_rest_is_shut() {
        let text = format!(r#"{{"client":{{"token":{{"hmac_secret_key":"{SECRET}"}}}}}}"#);
        let config = parse(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(config.listeners.public, "127.0.0.1:8000".parse().expect("an address"));
        assert!(config.verifier.is_some() && config.dev.is_none() && !config.compat);
        assert_eq!(config.admission, Default::default());
        assert!(!config.origins.allow("http://localhost:8000"));
        assert!(config.api_keys.check("").is_none());
        assert_eq!(config.limits, Profile::Standard.limits());
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_place() {
        let found = faults(
            r#"{"http_server":{"address":"nowhere","trusted_proxies":["x"]},
                "client":{"allowed_origins":["*"],"token":{"hmac_secret_key":"short"}},
                "http_api":{"key":"short"},
                "channel":{"namespaces":[{"name":"a"},{"name":"bb"},{"name":"bb"}]},
                "limits":{"profile":"loose"}}"#,
        );
        for place in [
            "http_server.address",
            "http_server.trusted_proxies",
            "client.allowed_origins",
            "client.token.hmac_secret_key",
            "http_api.key",
            "channel.namespaces[0].name",
            "channel.namespaces[2].name",
            "limits.profile",
        ] {
            assert!(found.iter().any(|fault| fault.starts_with(place)), "{place} in {found:?}");
        }
        assert!(!found.iter().any(|fault| fault.contains("short\"")), "no secret in {found:?}");
    }

    #[test]
    fn unknown_options_are_refused_and_named() {
        let found = faults(r#"{"client":{"insecure":true}}"#);
        assert!(found.iter().any(|fault| fault.starts_with("client.insecure: ")), "{found:?}");
        assert!(!faults(r#"{"channel":{"namespaces":[{"name":"aa","proxy":1}]}}"#).is_empty());
    }

    #[test]
    fn without_a_key_nobody_could_connect() {
        assert!(faults("{}").iter().any(|fault| fault.starts_with("client.token")));
        let open = r#"{"client":{"allow_anonymous_connect_without_token":true}}"#;
        assert!(faults(open).is_empty());
    }

    #[test]
    fn development_makes_its_own_secrets() {
        let (one, key) = development(Vec::new()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let (_, other) = development(Vec::new()).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_ne!(key, other);
        assert!(one.api_keys.check(&key).is_some());
        assert!(one.listeners.public.ip().is_loopback() && one.dev.is_some());
    }
}
