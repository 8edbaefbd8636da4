//! The options of one namespace.

use std::time::Duration;

use serde_json::Value;

use super::Fault;
use super::build::fault;
use super::file::{File, Options};
use super::settings::{Setting, Source};
use super::shaping::shaping;
use crate::auth::{ChannelRegex, DataFormat, History, Namespace, Readers, RecoveryMode};
use crate::limit::Profile;

/// The longest time that history may be kept (S4-22).
const MAX_HISTORY_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What holds for all namespaces.
#[derive(Clone, Copy)]
pub(super) struct Common {
    pub(super) meta_ttl: Duration,
    /// The largest payload anywhere.
    pub(super) most_bytes: usize,
    pub(super) compat: bool,
}

pub(super) fn namespace(
    place: &str,
    options: &Options,
    Common { meta_ttl, most_bytes, compat }: Common,
    faults: &mut Vec<Fault>,
) -> Namespace {
    let history = history(place, options, meta_ttl, faults);
    let needs_history = options.force_positioning
        || options.allow_positioning
        || options.force_recovery
        || options.allow_recovery;
    if history.is_none() && needs_history {
        let problem = "positioning and recovery need history_size and history_ttl";
        fault(faults, place, problem);
    }
    let data_format = data_format(place, options, compat, faults);
    let shaping = shaping(place, options, data_format, faults);
    Namespace {
        subscribe_for_client: options.allow_subscribe_for_client,
        subscribe_for_anonymous: options.allow_subscribe_for_anonymous,
        publish_for_client: options.allow_publish_for_client,
        publish_for_subscriber: options.allow_publish_for_subscriber,
        publish_for_anonymous: options.allow_publish_for_anonymous,
        user_limited_channels: options.allow_user_limited_channels,
        channel_regex: channel_regex(place, options, faults),
        data_format,
        message_bytes: message_bytes(place, options, most_bytes, faults),
        history,
        force_positioning: options.force_positioning,
        allow_positioning: options.allow_positioning,
        force_recovery: options.force_recovery,
        allow_recovery: options.allow_recovery,
        recovery_mode: recovery_mode(place, options, faults),
        auto_cache_recover: options.auto_cache_recover,
        allow_delta: allow_delta(place, options, faults) && shaping.is_none(),
        delta_publish: options.delta_publish,
        allow_tags_filter: options.allow_tags_filter,
        presence: options.presence,
        join_leave: options.join_leave,
        force_push_join_leave: options.force_push_join_leave,
        read_presence: Readers {
            client: options.allow_presence_for_client,
            subscriber: options.allow_presence_for_subscriber,
            anonymous: options.allow_presence_for_anonymous,
        },
        read_history: Readers {
            client: options.allow_history_for_client,
            subscriber: options.allow_history_for_subscriber,
            anonymous: options.allow_history_for_anonymous,
        },
        shaping,
    }
}

/// What a namespace is given itself, or else what its profile says.
fn message_bytes(
    place: &str,
    options: &Options,
    most: usize,
    faults: &mut Vec<Fault>,
) -> Option<usize> {
    let by_profile = profile(options).map(|profile| profile.limits().message_bytes.min(most));
    if options.limit_profile.is_some() && by_profile.is_none() {
        fault(faults, format!("{place}.limit_profile"), "neither strict nor standard");
    }
    let given = options.message_bytes;
    if given.is_some_and(|bytes| bytes == 0 || bytes > most) {
        let problem = format!("must be 1 to {most} bytes, as much as limits.message_bytes");
        fault(faults, format!("{place}.message_bytes"), problem);
    }
    given.or(by_profile)
}

/// The profile of a namespace, if it has one of its own. There is none without
/// rates, because it has none.
pub(super) fn profile(options: &Options) -> Option<Profile> {
    let named: Option<Profile> = options.limit_profile.as_deref()?.parse().ok();
    named.filter(|profile| *profile != Profile::None)
}

/// Says where a namespace's numbers come from that it was not given itself.
pub(super) fn name_sources(file: &File, settings: &mut [Setting]) {
    let of = |settings: &[Setting], place: &str| {
        settings.iter().position(|setting| setting.place == place)
    };
    let Some(all) = of(settings, "limits.message_bytes").and_then(|at| settings.get(at)).cloned()
    else {
        return;
    };
    let named = file.channel.namespaces.iter().enumerate();
    let named = named.map(|(at, one)| (format!("channel.namespaces[{at}]"), &one.options));
    let without = file.channel.without_namespace.as_ref();
    let without = without.map(|options| ("channel.without_namespace".to_owned(), options));
    for (place, options) in named.chain(without) {
        let at = of(settings, &format!("{place}.message_bytes"));
        let Some(setting) = at.and_then(|at| settings.get_mut(at)) else { continue };
        if options.message_bytes.is_some() {
            continue;
        }
        let own = profile(options).map(|profile| (profile.limits().message_bytes, profile));
        match own.filter(|(bytes, _)| Value::from(*bytes).as_u64() < all.value.as_u64()) {
            Some((bytes, profile)) => {
                setting.value = bytes.into();
                setting.source = Source::Profile(profile);
            }
            None => {
                setting.value = all.value.clone();
                setting.source = Source::Option("limits.message_bytes");
            }
        }
    }
}

/// Both bounds or none: history without a bound is refused.
fn history(
    place: &str,
    options: &Options,
    meta_ttl: Duration,
    faults: &mut Vec<Fault>,
) -> Option<History> {
    let ttl = options.history_ttl.unwrap_or_default();
    match (options.history_size, ttl.is_zero()) {
        (0, true) => return None,
        (0, false) => {
            fault(faults, format!("{place}.history_size"), "needed beside history_ttl");
            return None;
        }
        (_, true) => {
            fault(faults, format!("{place}.history_ttl"), "needed beside history_size");
            return None;
        }
        (_, false) => {}
    }
    if ttl > MAX_HISTORY_TTL {
        fault(faults, format!("{place}.history_ttl"), "longer than 30 days (720h)");
    }
    let meta_ttl = options.history_meta_ttl.unwrap_or(meta_ttl);
    if meta_ttl < ttl {
        fault(faults, format!("{place}.history_meta_ttl"), "shorter than history_ttl");
    }
    Some(History { size: options.history_size, ttl, meta_ttl })
}

fn channel_regex(place: &str, options: &Options, faults: &mut Vec<Fault>) -> Option<ChannelRegex> {
    let pattern = options.channel_regex.as_str();
    if pattern.is_empty() {
        return None;
    }
    ChannelRegex::parse(pattern)
        .map_err(|bad| fault(faults, format!("{place}.channel_regex"), bad.to_string()))
        .ok()
}

fn data_format(
    place: &str,
    options: &Options,
    compat: bool,
    faults: &mut Vec<Fault>,
) -> DataFormat {
    match options.publication_data_format.as_str() {
        "" if compat => DataFormat::Any { empty: false },
        "binary" if compat => DataFormat::Any { empty: true },
        "" | "json" => DataFormat::Json,
        "json_object" => DataFormat::JsonObject,
        "binary" => DataFormat::Binary,
        other => {
            let problem = format!("{other:?} is none of json, json_object, binary");
            fault(faults, format!("{place}.publication_data_format"), problem);
            DataFormat::Json
        }
    }
}

fn recovery_mode(place: &str, options: &Options, faults: &mut Vec<Fault>) -> RecoveryMode {
    match options.force_recovery_mode.as_str() {
        "" | "stream" => RecoveryMode::Stream,
        "cache" => RecoveryMode::Cache,
        other => {
            let problem = format!("{other:?} is neither stream nor cache");
            fault(faults, format!("{place}.force_recovery_mode"), problem);
            RecoveryMode::Stream
        }
    }
}

fn allow_delta(place: &str, options: &Options, faults: &mut Vec<Fault>) -> bool {
    let kinds = &options.allowed_delta_types;
    if let Some(other) = kinds.iter().find(|kind| *kind != "fossil") {
        let problem = format!("{other:?} is not known; known is fossil");
        fault(faults, format!("{place}.allowed_delta_types"), problem);
    }
    kinds.iter().any(|kind| kind == "fossil")
}
