//! `shaping` of a namespace, and what cannot be meant beside it.

use std::time::Duration;

use sealcast_wire::Joining;

use super::Fault;
use super::build::fault;
use super::file::{Options, Shaping as Written};
use crate::auth::{DataFormat, Shaping};

/// The most publications of one client that go out in a second, and how many do
/// unless said.
const MOST_RATE: usize = 60;
/// How long things are joined unless said.
const INTERVAL: Duration = Duration::from_millis(50);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

pub(super) fn shaping(
    place: &str,
    options: &Options,
    data_format: DataFormat,
    faults: &mut Vec<Fault>,
) -> Option<Shaping> {
    let written = options.shaping.as_ref()?;
    contradictions(place, options, faults);
    let place = format!("{place}.shaping");
    match written.mode.as_str() {
        "latest" => Some(latest(&place, written, faults)),
        "batch" => batch(&place, written, data_format, faults),
        other => {
            fault(
                faults,
                format!("{place}.mode"),
                format!("{other:?} is neither latest nor batch"),
            );
            None
        }
    }
}

fn latest(place: &str, written: &Written, faults: &mut Vec<Fault>) -> Shaping {
    if written.interval.is_some() {
        let problem = "only with the mode batch; latest has a rate";
        fault(faults, format!("{place}.interval"), problem);
    }
    let rate = written.rate.unwrap_or(MOST_RATE);
    if rate == 0 || rate > MOST_RATE {
        let problem = format!("must be 1 to {MOST_RATE} publications a second");
        fault(faults, format!("{place}.rate"), problem);
    }
    let rate = u32::try_from(rate.clamp(1, MOST_RATE)).unwrap_or(1);
    Shaping::Latest { every: Duration::from_secs(1) / rate }
}

fn batch(
    place: &str,
    written: &Written,
    data_format: DataFormat,
    faults: &mut Vec<Fault>,
) -> Option<Shaping> {
    if written.rate.is_some() {
        let problem = "only with the mode latest; batch has an interval";
        fault(faults, format!("{place}.rate"), problem);
    }
    let every = written.interval.unwrap_or(INTERVAL);
    if !(SHORTEST..=LONGEST).contains(&every) {
        fault(faults, format!("{place}.interval"), "must be 10ms to 1s");
    }
    let joining = match data_format {
        DataFormat::Json | DataFormat::JsonObject => Joining::Json,
        DataFormat::Binary => Joining::Binary,
        DataFormat::Any { .. } => {
            let problem = "batch needs publication_data_format json or json_object with \
                           compat.centrifugo: what may be anything cannot be joined";
            fault(faults, format!("{place}.mode"), problem);
            return None;
        }
    };
    Some(Shaping::Batch { every, joining })
}

/// What is shaped is not kept, so nothing that builds on keeping it is there.
fn contradictions(place: &str, options: &Options, faults: &mut Vec<Fault>) {
    let kept = "contradicts shaping: what is shaped is not kept";
    let whole = "contradicts shaping: what is thinned out or joined makes no patches";
    for (given, name, problem) in [
        (options.history_size > 0, "history_size", kept),
        (options.history_ttl.is_some_and(|ttl| !ttl.is_zero()), "history_ttl", kept),
        (options.force_positioning, "force_positioning", kept),
        (options.allow_positioning, "allow_positioning", kept),
        (options.force_recovery, "force_recovery", kept),
        (options.allow_recovery, "allow_recovery", kept),
        (options.auto_cache_recover, "auto_cache_recover", kept),
        (options.delta_publish, "delta_publish", whole),
    ] {
        if given {
            fault(faults, format!("{place}.{name}"), problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Channel;

    use super::super::parse;
    use super::*;

    fn file(namespace: &str, rest: &str) -> String {
        format!(
            r#"{{"client":{{"allow_anonymous_connect_without_token":true}},
                "channel":{{"namespaces":[{{"name":"cursors",{namespace}}}]}}{rest}}}"#
        )
    }

    fn read(namespace: &str) -> Option<Shaping> {
        let config = parse(&file(namespace, "")).unwrap_or_else(|faults| panic!("{faults:?}"));
        let channel = Channel::parse("cursors:a").expect("valid");
        config.namespaces.of(&channel).expect("known").shaping
    }

    fn faults(namespace: &str, rest: &str) -> Vec<String> {
        let faults = parse(&file(namespace, rest)).map(drop).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_mode_has_its_number_and_a_default() {
        let latest = |millis| Some(Shaping::Latest { every: Duration::from_millis(millis) });
        assert_eq!(read(r#""shaping":{"mode":"latest","rate":20}"#), latest(50));
        let every = read(r#""shaping":{"mode":"latest"}"#).map(Shaping::every);
        assert_eq!(every, Some(Duration::from_secs(1) / 60));
        let batch = |millis, joining| {
            Some(Shaping::Batch { every: Duration::from_millis(millis), joining })
        };
        assert_eq!(read(r#""shaping":{"mode":"batch"}"#), batch(50, Joining::Json));
        assert_eq!(
            read(
                r#""shaping":{"mode":"batch","interval":"20ms"},"publication_data_format":"binary""#
            ),
            batch(20, Joining::Binary)
        );
        assert_eq!(read(r#""presence":true"#), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_reason() {
        let place = "channel.namespaces[0]";
        for (written, told) in [
            (r#"{}"#, r#"mode: "" is neither latest nor batch"#),
            (r#"{"mode":"newest"}"#, r#"mode: "newest" is neither latest nor batch"#),
            (r#"{"mode":"latest","rate":0}"#, "rate: must be 1 to 60 publications a second"),
            (r#"{"mode":"latest","rate":61}"#, "rate: must be 1 to 60 publications a second"),
            (
                r#"{"mode":"latest","interval":"50ms"}"#,
                "interval: only with the mode batch; latest has a rate",
            ),
            (
                r#"{"mode":"batch","rate":20}"#,
                "rate: only with the mode latest; batch has an interval",
            ),
            (r#"{"mode":"batch","interval":"9ms"}"#, "interval: must be 10ms to 1s"),
            (r#"{"mode":"batch","interval":"1001ms"}"#, "interval: must be 10ms to 1s"),
        ] {
            let found = faults(&format!(r#""shaping":{written}"#), "");
            assert_eq!(found, [format!("{place}.shaping.{told}")]);
        }
        for (other, name) in [
            (r#""history_size":1,"history_ttl":"1s""#, "history_size"),
            (
                r#""history_size":1,"history_ttl":"1s","force_positioning":true"#,
                "force_positioning",
            ),
            (
                r#""history_size":1,"history_ttl":"1s","allow_positioning":true"#,
                "allow_positioning",
            ),
            (r#""history_size":1,"history_ttl":"1s","force_recovery":true"#, "force_recovery"),
            (r#""history_size":1,"history_ttl":"1s","allow_recovery":true"#, "allow_recovery"),
            (r#""auto_cache_recover":true"#, "auto_cache_recover"),
            (r#""delta_publish":true"#, "delta_publish"),
        ] {
            for mode in ["latest", "batch"] {
                let found = faults(&format!(r#""shaping":{{"mode":"{mode}"}},{other}"#), "");
                let told = format!("{place}.{name}: contradicts shaping: what is ");
                assert!(found.iter().any(|fault| fault.starts_with(&told)), "{name} {found:?}");
            }
        }
        let anything = r#","compat":{"centrifugo":true}"#;
        let found = faults(r#""shaping":{"mode":"batch"}"#, anything);
        assert!(matches!(&found[..], [one] if one.contains("cannot be joined")), "{found:?}");
        let json = r#""shaping":{"mode":"batch"},"publication_data_format":"json""#;
        assert_eq!(faults(json, anything), [""; 0]);
    }
}
