//! Overrides of limits as Redis keeps them: all under one name, each until its time
//! by Redis' clock. A value begins with the version of its format.

use std::time::Duration;

use redis::Value;
use serde::{Deserialize, Serialize};

use super::super::{OverrideList, Unavailable};
use super::keys::{self, Kind, Name, Names};
use super::primary::Way;
use super::record::BadRecord;
use super::router::Router;
use super::{link, millis, scripts};
use crate::limit::{MOST_OVERRIDES, Override, QueueCap, Rate, Subject, Terms};
use crate::metrics::Metrics;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// An override behind its version, as JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: String,
    name: String,
    rate: Option<String>,
    messages: Option<usize>,
    bytes: Option<usize>,
    block: bool,
    reason: String,
    by: String,
}

/// See [`super::Broker::set_override`].
pub(super) async fn set(
    names: &Names,
    router: &Router,
    one: &Override,
    ttl: Duration,
) -> Result<bool, Unavailable> {
    let name = names.overrides();
    let value = value(one);
    let bytes = value.len();
    let mut command = scripts::OVERRIDE_SET.call(&keys_of(name));
    let field = keys::subject(one.subject.kind(), &one.subject.name());
    command.arg(&field).arg(value).arg(millis(ttl)).arg(MOST_OVERRIDES).arg(new_version());
    is_one(&router.call(Way::Write, name, command, bytes).await?)
}

/// See [`super::Broker::remove_override`].
pub(super) async fn remove(
    names: &Names,
    router: &Router,
    subject: &Subject,
) -> Result<bool, Unavailable> {
    let name = names.overrides();
    let mut command = scripts::OVERRIDE_REMOVE.call(&keys_of(name));
    command.arg(&keys::subject(subject.kind(), &subject.name())).arg(new_version());
    is_one(&router.call(Way::Write, name, command, 0).await?)
}

/// See [`super::Broker::overrides`].
pub(super) async fn list(
    names: &Names,
    router: &Router,
    metrics: &Metrics,
    known: &str,
) -> Result<Option<OverrideList>, Unavailable> {
    let name = names.overrides();
    let mut command = scripts::OVERRIDE_LIST.call(&keys_of(name));
    command.arg(known);
    let Value::Array(parts) = router.call(Way::Read, name, command, 0).await? else {
        return Err(Unavailable);
    };
    let mut parts = parts.into_iter();
    let version = parts.next().and_then(text).ok_or(Unavailable)?;
    let Some(Value::Array(values)) = parts.next() else { return Ok(None) };
    let mut all = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(rest), Some(Value::BulkString(value))) = (values.next(), values.next()) {
        let rest = text(rest).and_then(|rest| rest.parse().ok()).ok_or(Unavailable)?;
        match read(&value) {
            Ok(one) => all.push((one, Duration::from_millis(rest))),
            // Those that can be read hold all the same.
            Err(error) => link::bad_record(error, metrics),
        }
    }
    Ok(Some(OverrideList { version, all }))
}

fn keys_of(name: Name) -> [String; 3] {
    [name.key(Kind::Overrides), name.key(Kind::Until), name.key(Kind::Version)]
}

fn new_version() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn is_one(value: &Value) -> Result<bool, Unavailable> {
    match value {
        Value::Int(number) => Ok(*number == 1),
        _ => Err(Unavailable),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn value(one: &Override) -> Vec<u8> {
    let Override { subject, terms, reason, by } = one;
    let stored = Stored {
        kind: subject.kind().to_owned(),
        name: subject.name(),
        rate: terms.rate.map(|rate| rate.to_string()),
        messages: terms.queue.messages,
        bytes: terms.queue.bytes,
        block: terms.block,
        reason: reason.clone(),
        by: by.clone(),
    };
    let mut value = vec![VERSION];
    // Nothing in it can fail to be written: no maps, no floats.
    value.extend(serde_json::to_vec(&stored).unwrap_or_default());
    value
}

fn read(value: &[u8]) -> Result<Override, BadRecord> {
    let (version, json) = value.split_first().ok_or(BadRecord::Broken)?;
    if *version != VERSION {
        return Err(BadRecord::Version(*version));
    }
    let stored: Stored = serde_json::from_slice(json).map_err(|_| BadRecord::Broken)?;
    let rate = match &stored.rate {
        Some(rate) => Some(Rate::parse(rate).map_err(|_| BadRecord::Broken)?),
        None => None,
    };
    let subject = Subject::of(&stored.kind, &stored.name).ok_or(BadRecord::Broken)?;
    let queue = QueueCap { messages: stored.messages, bytes: stored.bytes };
    let terms = Terms { rate, queue, block: stored.block };
    let one = Override { subject, terms, reason: stored.reason, by: stored.by };
    one.check().map_err(|_| BadRecord::Broken)?;
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_and_what_makes_no_sense_is_not() {
        let queue = QueueCap { messages: Some(5), bytes: Some(7) };
        let rate = Some(Rate::each_second(3, 9));
        let terms = Terms { rate, queue, block: false };
        let one = |subject| Override { subject, terms, reason: "why".into(), by: "ops".into() };
        for subject in [
            Subject::User("ada".into()),
            Subject::Tenant("ada".into()),
            Subject::Client(uuid::Uuid::from_u128(7)),
            Subject::Address("2001:db8::/64".parse().expect("a network")),
        ] {
            assert_eq!(read(&value(&one(subject.clone()))), Ok(one(subject)));
        }
        let good = value(&one(Subject::User("ada".into())));
        let mut later = good.clone();
        later[0] = VERSION + 1;
        assert_eq!(read(&later), Err(BadRecord::Version(VERSION + 1)));
        for broken in [&b""[..], b"\x01", b"\x01{}", &good[..good.len() - 1]] {
            assert_eq!(read(broken), Err(BadRecord::Broken));
        }
        let nobody = value(&one(Subject::ApiKey("ops".into())));
        assert_eq!(read(&nobody), Err(BadRecord::Broken), "a key has no queue");
    }
}
