//! Every limit that an operator can set: within which bounds, what a client meets
//! at it, and which number shows how much of it is used.

mod contradictions;

use std::fmt::Write;
use std::time::Duration;

use super::Fault;
use super::build::fault;
use super::file::File;
use super::settings::{Setting, Source};
use crate::limit::{Limits, Profile, Rate, duration};
use contradictions::contradictions;

/// One limit.
pub struct Limit {
    /// Its name, which is the label `limit` of `sealcast_limit`.
    pub name: &'static str,
    /// The option that sets it.
    pub option: &'static str,
    /// Where it stands among the numbers, and the least and the most of it in any
    /// profile.
    amount: Amount,
    /// What happens at one more.
    pub answer: &'static str,
    /// The metric that shows its use.
    pub used: &'static str,
}

enum Amount {
    Count(fn(&Limits) -> usize, usize, usize),
    Bytes(fn(&Limits) -> usize, usize, usize),
    Time(fn(&Limits) -> Duration, Duration, Duration),
    /// The most is in a second.
    Rate(fn(&Limits) -> Rate, u32),
}

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
/// More connections than a machine can have.
const CROWD: usize = 1_000_000;

const CONN_MEMORY: &str = "limits.conn_memory_max";
/// What is left in it for subscriptions and commands, bytes.
const SUBSCRIPTIONS: usize = 192 << 10;

const RATE: &str = "sealcast_rate_limited_total";
const DISCONNECTS: &str = "sealcast_disconnects_total";
const ERRORS: &str = "sealcast_command_errors_total";
const QUEUES: &str = "sealcast_outbound_queue_bytes";
const MEMORY: &str = "process_resident_memory_bytes";

macro_rules! limits {
    ($($name:literal, $option:literal, $kind:ident $field:ident ($($bound:expr),+), $used:expr, $answer:literal;)*) => {
        /// Every limit, in the order of the documentation.
        pub const LIMITS: &[Limit] = &[$(Limit {
            name: $name,
            option: $option,
            amount: Amount::$kind(|limits| limits.$field, $($bound),+),
            answer: $answer,
            used: $used,
        }),*];
    };
}

limits! {
    "conn_commands", "limits.conn_commands", Rate conn_commands (10_000), RATE,
        "Error 111; after 100 refusals in 10 s the connection ends with 3013.";
    "conn_bytes", "limits.conn_bytes", Rate conn_bytes (1 << 24), RATE,
        "Error 111 for every command of the frame; after 100 refusals in 10 s the connection ends with 3013.";
    "subscribe", "limits.subscribe", Rate subscribes (10_000), RATE,
        "Error 111; after 100 refusals in 10 s the connection ends with 3013.";
    "user_messages", "limits.user_messages", Rate user_messages (10_000), RATE,
        "Error 111; after 100 refusals in 10 s the connection ends with 3013.";
    "tenant_messages", "limits.tenant_messages", Rate tenant_messages (10_000), RATE,
        "Error 111; after 100 refusals in 10 s the connection ends with 3013.";
    "ephemeral", "limits.ephemeral", Rate ephemeral (1_000), RATE,
        "Error 111; after 100 refusals in 10 s the connection ends with 3013. Of what is merged only at ten times as much.";
    "node_commands", "limits.node_commands", Rate node_commands (1_000_000), RATE,
        "Error 111, whoever asks.";
    "ip_connects", "limits.ip_connects", Rate ip_connects (10_000), RATE,
        "HTTP 429 with `Retry-After`.";
    "node_connects", "limits.node_connects", Rate node_connects (100_000), RATE,
        "HTTP 503 with `Retry-After`.";
    "ip_connections", "limits.ip_connections", Count ip_connections (1, CROWD), "sealcast_connections",
        "HTTP 503 with `Retry-After`.";
    "user_tickets", "limits.user_tickets", Rate user_tickets (1_000), RATE,
        "HTTP 429 with `Retry-After`.";
    "ip_guesses", "limits.ip_guesses", Rate ip_guesses (10_000), RATE,
        "HTTP 429 with `Retry-After`, for those that are there too.";
    "user_connections", "client.user_connection_limit", Count user_connections (0, CROWD), RATE,
        "The newest is closed with 3013, or what `client.user_connection_limit_answer` says. 0 is no limit.";
    "tenant_connections", "limits.tenant_connections", Count tenant_connections (0, CROWD), RATE,
        "The newest is closed with 3013, or with 3504 if `client.user_connection_limit_answer` is `refuse`. 0 is no limit.";
    "connections", "client.connection_limit", Count websocket_connections (1, CROWD), "sealcast_connections",
        "HTTP 503 with `Retry-After`.";
    "streams", "limits.sse_connections", Count sse_connections (1, CROWD), "sealcast_connections",
        "HTTP 503 with `Retry-After`.";
    "waiting_connections", "limits.waiting_connections", Count waiting_connections (1, CROWD),
        "sealcast_connections_waiting", "HTTP 503 with `Retry-After`.";
    "http_sockets", "limits.http_sockets", Count http_sockets (1, CROWD), "sealcast_sockets",
        "HTTP 503 with `Retry-After`, before the request is read.";
    "channels", "client.channel_limit", Count channels_per_connection (1, 10_000), ERRORS,
        "Error 106; 3505 for those of a token.";
    "message_bytes", "limits.message_bytes", Bytes message_bytes (1, MIB), ERRORS,
        "Error 107.";
    "frame_bytes", "websocket.message_size_limit", Bytes frame_bytes (1, MIB), DISCONNECTS,
        "The connection ends with 1009; HTTP 413 at four times as much.";
    "frame_fragments", "limits.frame_fragments", Count frame_fragments (1, 1_024), DISCONNECTS,
        "The connection ends with 1008.";
    "message_deadline", "limits.message_deadline", Time message_deadline (MILLI, HOUR), DISCONNECTS,
        "The connection ends with 1008.";
    "header_timeout", "limits.header_timeout", Time header_timeout (MILLI, HOUR), "sealcast_sockets",
        "The socket is closed.";
    "body_timeout", "limits.body_timeout", Time body_timeout (MILLI, HOUR), "sealcast_sockets",
        "HTTP 408.";
    "write_timeout", "limits.write_timeout", Time write_timeout (MILLI, HOUR), DISCONNECTS,
        "The connection ends with 3009.";
    "connect_deadline", "client.stale_close_delay", Time connect_deadline (MILLI, HOUR), DISCONNECTS,
        "The connection ends with 3502.";
    "ping_interval", "client.ping_interval", Time ping_interval (SECOND, DAY), DISCONNECTS,
        "A ping is sent.";
    "pong_timeout", "client.pong_timeout", Time pong_timeout (MILLI, HOUR), DISCONNECTS,
        "The connection ends with 3012.";
    "expired_close_delay", "client.expired_close_delay", Time expired_close_delay (Duration::ZERO, DAY), DISCONNECTS,
        "The connection ends with 3005.";
    "expired_sub_close_delay", "client.expired_sub_close_delay",
        Time expired_sub_close_delay (Duration::ZERO, DAY), DISCONNECTS,
        "The subscription ends with 2501.";
    "token_max_lifetime", "client.token.max_lifetime", Time token_max_lifetime (SECOND, YEAR), "sealcast_auth_total",
        "The token is refused with 3500. Tokens of subscriptions have `client.subscription_token.max_lifetime`.";
    "connection_max_age", "limits.connection_max_age", Time connection_max_age (SECOND, YEAR), DISCONNECTS,
        "The connection ends with 3011 and comes again; the time varies by a tenth.";
    "queue_messages", "limits.queue_messages", Count queue_messages (1, 1_000_000), DISCONNECTS,
        "The connection ends with 3008.";
    "queue_bytes", "client.queue_max_size", Bytes queue_bytes (1, 64 * MIB), QUEUES,
        "The connection ends with 3008.";
    "conn_memory_max", "limits.conn_memory_max", Bytes conn_memory (1_024, 128 * MIB), DISCONNECTS,
        "The connection ends with 3008.";
    "node_queue_bytes", "limits.node_queue_bytes", Bytes node_queue_bytes (1, 64 * GIB), QUEUES,
        "Connections that hold more than an even share end with 3008; see [below](#when-a-node-is-full).";
    "node_memory_max", "limits.node_memory_max", Bytes node_memory (0, 1_024 * GIB), MEMORY,
        "HTTP 503 for newcomers from 85 %; see [below](#when-a-node-is-full).";
    "recovery_publications", "client.recovery_max_publication_limit",
        Count recovery_publications (0, 100_000), "sealcast_recover_total",
        "The subscription is not recovered.";
    "history_publications", "client.history_max_publication_limit",
        Count history_publications (0, 100_000), "sealcast_commands_total",
        "The page is shorter than asked for.";
    "history_bytes", "limits.history_bytes", Bytes history_bytes (1, GIB), MEMORY,
        "The channel's oldest publications are dropped.";
    "node_history_bytes", "limits.node_history_bytes", Bytes node_history_bytes (0, 64 * GIB), MEMORY,
        "The oldest publications are dropped.";
    "node_tail_bytes", "limits.node_tail_bytes", Bytes node_tail_bytes (0, 64 * GIB), MEMORY,
        "Recoveries ask the broker.";
}

impl Limit {
    /// Its number for the metrics: in a second, in bytes or in seconds.
    #[must_use]
    pub fn number(&self, limits: &Limits) -> f64 {
        match self.amount {
            Amount::Count(get, ..) | Amount::Bytes(get, ..) => get(limits) as f64,
            Amount::Time(get, ..) => get(limits).as_secs_f64(),
            Amount::Rate(get, _) => get(limits).per_second(),
        }
    }

    /// How much of it is taken at once, of a rate that limits something.
    #[must_use]
    pub fn burst(&self, limits: &Limits) -> Option<u32> {
        match self.amount {
            Amount::Rate(get, _) => {
                Some(get(limits)).filter(|rate| !rate.is_none()).map(|rate| rate.burst())
            }
            _ => None,
        }
    }

    /// It as an operator writes it.
    #[must_use]
    pub fn text(&self, limits: &Limits) -> String {
        match self.amount {
            Amount::Count(get, ..) | Amount::Bytes(get, ..) => get(limits).to_string(),
            Amount::Time(get, ..) => duration::format(get(limits)),
            Amount::Rate(get, _) => get(limits).to_string(),
        }
    }

    /// The most that it can be set to.
    #[must_use]
    pub fn most(&self) -> String {
        match self.amount {
            Amount::Count(_, _, most) | Amount::Bytes(_, _, most) => most.to_string(),
            Amount::Time(_, _, most) => duration::format(most),
            Amount::Rate(_, most) => format!("{most}/s"),
        }
    }

    /// What is wrong with it.
    fn problem(&self, limits: &Limits) -> Option<String> {
        let bounds = |fine: bool, least: String, unit: &str| {
            (!fine).then(|| format!("must be {least} to {}{unit}", self.most()))
        };
        match self.amount {
            Amount::Count(get, least, most) => {
                bounds((least..=most).contains(&get(limits)), least.to_string(), "")
            }
            Amount::Bytes(get, least, most) => {
                bounds((least..=most).contains(&get(limits)), least.to_string(), " bytes")
            }
            Amount::Time(get, least, most) => {
                bounds((least..=most).contains(&get(limits)), duration::format(least), "")
            }
            Amount::Rate(get, most) => {
                let rate = get(limits);
                let fine = rate.is_none() || rate.per_second() <= f64::from(most);
                (!fine).then(|| format!("must be {} at most, or \"none\"", self.most()))
            }
        }
    }
}

/// The numbers of a configuration, with what is wrong with them. `settings` tell
/// what was given: numbers of a profile never contradict what was.
pub(super) fn limits(
    file: &File,
    profile: Profile,
    settings: &[Setting],
    faults: &mut Vec<Fault>,
) -> Limits {
    if file.limits.profile.parse::<Profile>().is_err() {
        fault(faults, "limits.profile", "none of strict, standard and none");
    }
    let mut limits = profile.limits();
    file.set_limits(&mut limits);
    if !is_given(settings, CONN_MEMORY) {
        limits.conn_memory = limits.conn_memory.max(needed_memory(&limits));
    }
    for limit in LIMITS {
        if let Some(problem) = limit.problem(&limits) {
            fault(faults, limit.option, problem);
        }
    }
    if limits.ping_interval.subsec_nanos() != 0 {
        fault(faults, "client.ping_interval", "must be whole seconds, because clients are told so");
    }
    contradictions(&limits, settings, faults);
    limits
}

/// Says where numbers come from that were not given and are not the profile's alone.
pub(super) fn name_sources(
    file: &File,
    (profile, limits): (Profile, &Limits),
    settings: &mut [Setting],
) {
    let conn_memory = needed_memory(limits);
    if !is_given(settings, CONN_MEMORY)
        && conn_memory > profile.limits().conn_memory
        && let Some(setting) = settings.iter_mut().find(|setting| setting.place == CONN_MEMORY)
    {
        setting.value = conn_memory.into();
        setting.source = Source::Option("client.queue_max_size");
    }
    if file.compat.centrifugo {
        return;
    }
    for place in ["client.token.max_lifetime", "client.subscription_token.max_lifetime"] {
        let unset = |setting: &&mut Setting| setting.place == place && setting.value.is_null();
        if let Some(setting) = settings.iter_mut().find(unset) {
            setting.value = duration::format(profile.limits().token_max_lifetime).into();
            setting.source = Source::Profile(profile);
        }
    }
}

/// What a connection needs that is at its other bounds: a full queue, a frame, and
/// its subscriptions.
fn needed_memory(limits: &Limits) -> usize {
    limits.queue_bytes.saturating_add(limits.frame_bytes).saturating_add(SUBSCRIPTIONS)
}

/// Whether someone set the option.
fn is_given(settings: &[Setting], place: &str) -> bool {
    let by_whom = settings.iter().find(|setting| setting.place == place);
    by_whom.is_some_and(|it| !matches!(it.source, Source::Default | Source::Profile(_)))
}

/// Every limit with its numbers, as Markdown.
#[must_use]
pub fn limits_markdown() -> String {
    let (standard, strict) = (Profile::Standard.limits(), Profile::Strict.limits());
    let mut text = "| limit | option | standard | strict | hard cap | one more | its use |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for limit in LIMITS {
        let Limit { name, option, answer, used, .. } = limit;
        let _ = writeln!(
            text,
            "| {name} | `{option}` | {} | {} | {} | {answer} | `{used}` |",
            limit.text(&standard),
            limit.text(&strict),
            limit.most(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::settings::options;
    use super::*;

    const OPEN: &str = r#""client":{"allow_anonymous_connect_without_token":true"#;

    /// What is wrong with a file that has these members in `client` and `limits`.
    fn faults(client: &str, limits: &str) -> Vec<String> {
        let client = if client.is_empty() { String::new() } else { format!(",{client}") };
        let text = format!("{{{OPEN}{client}}},\"limits\":{{{limits}}}}}");
        parse(&text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_profiles_are_within_the_bounds_and_every_limit_has_its_option() {
        let options = options();
        for limit in LIMITS {
            for profile in Profile::ALL {
                assert_eq!(limit.problem(&profile.limits()), None, "{} {profile}", limit.name);
            }
            assert!(options.iter().any(|option| option.place == limit.option), "{}", limit.option);
            assert!(limit.answer.ends_with('.'), "{}", limit.name);
        }
        let by_profile =
            |description: &&super::super::settings::Description| description.by_profile;
        for option in options.iter().filter(by_profile) {
            assert!(LIMITS.iter().any(|limit| limit.option == option.place), "{}", option.place);
        }
    }

    #[test]
    fn none_lifts_the_rates_alone() {
        let (standard, none) = (Profile::Standard.limits(), Profile::None.limits());
        for limit in LIMITS {
            match limit.amount {
                Amount::Rate(get, _) => assert!(get(&none).is_none(), "{}", limit.name),
                _ => assert_eq!(limit.text(&none), limit.text(&standard), "{}", limit.name),
            }
        }
    }

    #[test]
    fn every_limit_is_taken_at_its_hard_cap_and_refused_beyond() {
        for limit in LIMITS {
            let value = |over: bool| match limit.amount {
                Amount::Count(_, _, most) | Amount::Bytes(_, _, most) => {
                    (most + usize::from(over)).to_string()
                }
                Amount::Time(_, _, most) => {
                    format!("{:?}", duration::format(most + SECOND * u32::from(over)))
                }
                Amount::Rate(_, most) => match over {
                    true => format!("\"{most}/999ms\""),
                    false => format!("\"{most}/s\""),
                },
            };
            let read = |value: &str| {
                let mut options = serde_json::json!({
                    "client": { "allow_anonymous_connect_without_token": true },
                });
                let place = limit.option.split('.').fold(&mut options, |at, name| &mut at[name]);
                *place = serde_json::from_str(value).expect("JSON");
                parse(&options.to_string()).map(drop)
            };
            assert_eq!(read(&value(false)), Ok(()), "{}", limit.option);
            let faults = read(&value(true)).expect_err(limit.option);
            let told = faults
                .iter()
                .any(|fault| fault.place == limit.option && fault.problem.contains(&limit.most()));
            assert!(told, "{faults:?}");
        }
    }

    #[test]
    fn zero_negative_and_absurd_limits_are_refused_with_the_reason() {
        for (client, limits, told) in [
            ("", r#""message_bytes":0"#, "limits.message_bytes: must be 1 to 1048576 bytes"),
            (
                "",
                r#""message_bytes":-1"#,
                "limits.message_bytes: must be a whole number that is not negative, not a number",
            ),
            ("", r#""ip_connections":0"#, "limits.ip_connections: must be 1 to 1000000"),
            (r#""pong_timeout":"0s""#, "", "client.pong_timeout: must be 1ms to 1h"),
            (
                "",
                r#""conn_commands":"0/s""#,
                "limits.conn_commands: 0 would refuse everything; write \"none\" for no limit",
            ),
            (
                "",
                r#""conn_commands":"-10/s""#,
                "limits.conn_commands: not a rate, such as \"10/s\", \"60/10s\", \"100/m burst 20\" or \"none\"",
            ),
            (
                "",
                r#""conn_commands":10"#,
                "limits.conn_commands: must be a rate, such as \"10/s\" or \"100/m burst 20\", not a number",
            ),
            (
                "",
                r#""user_messages":"100/m burst 0""#,
                "limits.user_messages: a burst is 1 to 16777216",
            ),
            (
                "",
                r#""node_commands":"1000000/1ms""#,
                "limits.node_commands: must be 1000000/s at most, or \"none\"",
            ),
        ] {
            assert_eq!(faults(client, limits), [told]);
        }
    }

    #[test]
    fn contradictory_limits_are_refused_if_both_were_given() {
        for (client, limits, place) in [
            (
                r#""connection_limit":9"#,
                r#""waiting_connections":10"#,
                "limits.waiting_connections",
            ),
            (r#""queue_max_size":9"#, r#""message_bytes":10"#, "limits.message_bytes"),
            (r#""queue_max_size":10"#, r#""node_queue_bytes":9"#, "client.queue_max_size"),
            (r#""queue_max_size":100001"#, r#""conn_memory_max":100000"#, "client.queue_max_size"),
            (
                "",
                r#""conn_memory_max":100000},"websocket":{"message_size_limit":100001"#,
                "websocket.message_size_limit",
            ),
            (r#""ping_interval":"2s","pong_timeout":"2s""#, "", "client.pong_timeout"),
            ("", r#""conn_commands":"10/s","node_commands":"9/s""#, "limits.conn_commands"),
            ("", r#""ip_connects":"10/s","node_connects":"9/s""#, "limits.ip_connects"),
            ("", r#""user_messages":"10/s","tenant_messages":"9/s""#, "limits.user_messages"),
            (
                r#""user_connection_limit":10"#,
                r#""tenant_connections":9"#,
                "client.user_connection_limit",
            ),
            (
                "",
                r#""conn_bytes":"9/s"},"websocket":{"message_size_limit":10"#,
                "limits.conn_bytes",
            ),
        ] {
            let told = faults(client, limits);
            assert!(matches!(&told[..], [one] if one.starts_with(place)), "{told:?}");
        }
        for (client, limits) in [
            (r#""connection_limit":9"#, ""),
            (r#""queue_max_size":9"#, ""),
            (r#""ping_interval":"2s""#, ""),
            ("", r#""conn_commands":"none","node_commands":"9/s""#),
            (r#""user_connection_limit":10"#, r#""tenant_connections":0"#),
        ] {
            assert_eq!(faults(client, limits), [""; 0], "{client} {limits}");
        }
    }
}
