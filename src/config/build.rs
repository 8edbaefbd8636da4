//! From what the file says to what the rooms need.

mod admission;
mod api;
mod broker;
mod token;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::file::{self, File};
use super::namespaces;
use super::{Config, Drain, Fault};
use crate::auth::{BadOrigin, Issuer, Namespaces, OriginRule, Origins};
use crate::http::Proxies;
use crate::limit::{Limits, Profile};
use token::{tokens, verifier};

/// Centrifugo's port.
const PORT: u16 = 8_000;
const METRICS_PORT: u16 = 9_000;
/// How long a stream's position outlives its last publication.
const META_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The largest frame that can be configured, bytes.
const MAX_FRAME: usize = 1 << 20;

/// Reads a configuration file's text.
///
/// # Errors
/// Everything that is wrong with it; a text that cannot be read at all, or has
/// an unknown option, is one fault with its line.
pub fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| vec![Fault { place: String::new(), problem: error.to_string() }])?;
    let mut faults = Vec::new();
    let config = build(&file, &mut faults);
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// A node to try things on: loopback only, with secrets made now, open to any
/// user of its own page. Gives the server API's key too, which nobody else knows.
///
/// # Errors
/// If a secret cannot be used.
pub fn development() -> Result<(Config, String), Vec<Fault>> {
    let key = random_text();
    let file = File {
        client: file::Client {
            token: file::Token {
                hmac_secret_key: Some(file::SecretText::new(random_text())),
                ..Default::default()
            },
            ..Default::default()
        },
        channel: file::Channels {
            without_namespace: Some(file::Options {
                allow_subscribe_for_client: true,
                allow_publish_for_client: true,
                history_size: 100,
                history_ttl: Some(file::Time(Duration::from_secs(300))),
                allow_recovery: true,
                ..Default::default()
            }),
            ..Default::default()
        },
        http_api: file::HttpApi {
            key: Some(file::SecretText::new(key.clone())),
            ..Default::default()
        },
        shutdown: file::Shutdown {
            lb_wait: Some(file::Time(Duration::ZERO)),
            spread: Some(file::Time(Duration::from_millis(200))),
            deadline: Some(file::Time(Duration::from_secs(5))),
        },
        // Nobody scrapes it: several nodes may be tried side by side.
        metrics: file::Listener { port: Some(0), ..Default::default() },
        ..File::default()
    };
    let mut faults = Vec::new();
    let mut config = build(&file, &mut faults);
    config.dev = tokens(&file, &mut faults).and_then(|tokens| Issuer::new(&tokens));
    if faults.is_empty() { Ok((config, key)) } else { Err(faults) }
}

/// 256 random bits as text.
fn random_text() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn build(file: &File, faults: &mut Vec<Fault>) -> Config {
    let limits = limits(file, faults);
    let namespaces = namespaces(file, faults);
    Config {
        public: address(
            "http_server",
            file.http_server.address.as_deref(),
            file.http_server.port.unwrap_or(PORT),
            faults,
        ),
        metrics: address(
            "metrics",
            file.metrics.address.as_deref(),
            file.metrics.port.unwrap_or(METRICS_PORT),
            faults,
        ),
        proxies: proxies(&file.http_server.trusted_proxies, faults),
        origins: origins(&file.client.allowed_origins, faults),
        verifier: tokens(file, faults).and_then(|tokens| verifier(&tokens, faults)),
        dev: None,
        admission: admission::admission(&file.client, &namespaces, faults),
        compat: file.compat.centrifugo,
        api_keys: api::api_keys(&file.http_api, faults),
        api_errors: api::error_mode(&file.http_api, faults),
        namespaces,
        limits,
        drain: drain(&file.shutdown),
        engine: broker::engine(&file.engine, faults),
        cluster: broker::cluster_key(file, faults),
        name: file.node.name.clone(),
    }
}

pub(super) fn fault(faults: &mut Vec<Fault>, place: impl Into<String>, problem: impl Into<String>) {
    faults.push(Fault { place: place.into(), problem: problem.into() });
}

fn address(section: &str, address: Option<&str>, port: u16, faults: &mut Vec<Fault>) -> SocketAddr {
    let ip = match address.map(str::parse::<IpAddr>) {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(Ok(ip)) => ip,
        Some(Err(_)) => {
            fault(faults, format!("{section}.address"), "not an IP address, such as 127.0.0.1");
            Ipv4Addr::LOCALHOST.into()
        }
    };
    SocketAddr::new(ip, port)
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

fn namespaces(file: &File, faults: &mut Vec<Fault>) -> Namespaces {
    let meta_ttl = file.channel.history_meta_ttl.map_or(META_TTL, |time| time.0);
    let compat = file.compat.centrifugo;
    let without = file.channel.without_namespace.as_ref().map(|options| {
        namespaces::namespace("channel.without_namespace", options, meta_ttl, compat, faults)
    });
    let mut named = HashMap::new();
    for (at, one) in file.channel.namespaces.iter().enumerate() {
        let place = format!("channel.namespaces[{at}]");
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if one.name.len() < 2 || !one.name.bytes().all(known) {
            let problem = "needs two characters or more of letters, digits, `-`, `_` and `.`";
            fault(faults, format!("{place}.name"), problem);
        }
        let options = namespaces::namespace(&place, &one.options(), meta_ttl, compat, faults);
        if named.insert(one.name.clone(), options).is_some() {
            fault(faults, format!("{place}.name"), format!("{:?} stands twice", one.name));
        }
    }
    Namespaces::new(without, named)
}

fn limits(file: &File, faults: &mut Vec<Fault>) -> Limits {
    let profile = match file.limits.profile.as_deref().map(str::parse::<Profile>) {
        None => Profile::default(),
        Some(Ok(profile)) => profile,
        Some(Err(_)) => {
            fault(faults, "limits.profile", "neither strict nor standard");
            Profile::default()
        }
    };
    let mut limits = profile.limits();
    let time = |slot: &mut Duration, value: Option<file::Time>| {
        if let Some(file::Time(value)) = value {
            *slot = value;
        }
    };
    time(&mut limits.ping_interval, file.client.ping_interval);
    time(&mut limits.pong_timeout, file.client.pong_timeout);
    time(&mut limits.connect_deadline, file.client.stale_close_delay);
    time(&mut limits.expired_close_delay, file.client.expired_close_delay);
    time(&mut limits.expired_sub_close_delay, file.client.expired_sub_close_delay);
    time(&mut limits.message_deadline, file.limits.message_deadline);
    time(&mut limits.header_timeout, file.limits.header_timeout);
    time(&mut limits.body_timeout, file.limits.body_timeout);
    time(&mut limits.write_timeout, file.limits.write_timeout);
    let count = |slot: &mut usize, value: Option<usize>| {
        if let Some(value) = value {
            *slot = value;
        }
    };
    count(&mut limits.channels_per_connection, file.client.channel_limit);
    count(&mut limits.queue_bytes, file.client.queue_max_size);
    count(&mut limits.history_publications, file.client.history_max_publication_limit);
    count(&mut limits.recovery_publications, file.client.recovery_max_publication_limit);
    count(&mut limits.history_bytes, file.limits.history_bytes);
    count(&mut limits.node_history_bytes, file.limits.node_history_bytes);
    count(&mut limits.node_tail_bytes, file.limits.node_tail_bytes);
    count(&mut limits.websocket_connections, file.client.connection_limit);
    count(&mut limits.frame_bytes, file.websocket.message_size_limit);
    count(&mut limits.message_bytes, file.limits.message_bytes);
    count(&mut limits.queue_messages, file.limits.queue_messages);
    count(&mut limits.node_queue_bytes, file.limits.node_queue_bytes);
    count(&mut limits.waiting_connections, file.limits.waiting_connections);
    count(&mut limits.http_sockets, file.limits.http_sockets);
    if limits.frame_bytes == 0 || limits.frame_bytes > MAX_FRAME {
        fault(faults, "websocket.message_size_limit", format!("must be 1 to {MAX_FRAME} bytes"));
    }
    if limits.ping_interval < Duration::from_secs(1) || limits.ping_interval.subsec_nanos() != 0 {
        fault(faults, "client.ping_interval", "must be whole seconds, because clients are told so");
    }
    limits
}

fn drain(shutdown: &file::Shutdown) -> Drain {
    let default = Drain::default();
    let time =
        |value: Option<file::Time>, default| value.map_or(default, |time: file::Time| time.0);
    Drain {
        lb_wait: time(shutdown.lb_wait, default.lb_wait),
        spread: time(shutdown.spread, default.spread),
        deadline: time(shutdown.deadline, default.deadline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn faults(text: &str) -> Vec<String> {
        parse(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_small_file_is_enough_and_the_rest_is_shut() {
        let text = format!(r#"{{"client":{{"token":{{"hmac_secret_key":"{SECRET}"}}}}}}"#);
        let config = parse(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(config.public, "127.0.0.1:8000".parse().expect("an address"));
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
        assert!(found.iter().any(|fault| fault.contains("`insecure`")), "{found:?}");
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
        let (one, key) = development().unwrap_or_else(|faults| panic!("{faults:?}"));
        let (_, other) = development().unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_ne!(key, other);
        assert!(one.api_keys.check(&key).is_some());
        assert!(one.public.ip().is_loopback() && one.dev.is_some());
    }
}
