//! Whether a Redis will keep what it takes: what a node finds out before it starts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError};

use super::super::Retention;
use super::follow::is_moved;
use super::hello::Mode;
use super::keys::{Kind, Name};
use super::life::Counter;
use super::place::{self, Place, Unfit};
use super::{asked, endpoint, millis, new_epoch, record, scripts};

/// The most that the clocks of Redis and of this node may differ (F-17).
const MOST_SKEW: Duration = Duration::from_secs(30);
/// How long what is tried out stays.
const TRIAL: Duration = Duration::from_secs(1);

/// What a Redis does that a node cannot live with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It throws away what it was to keep.
    #[error("maxmemory-policy is {0}, by which it drops streams and positions; set noeviction")]
    Evicts(String),
    /// Its clock differs too much from the node's.
    #[error("its clock and this node's are {0} s apart, and 30 s is the most; set them right")]
    Clock(u64),
    /// Somebody else uses its keys.
    #[error("a key under this node's prefix holds what no node has put there: {0}")]
    Foreign(String),
    /// The node's user lacks a permission.
    #[error("its user may not do what is needed, as in deploy/redis/users.acl: {0}")]
    Forbidden(String),
}

/// What it says of itself, as far as the user may ask.
#[derive(Debug, Default)]
struct Facts {
    policy: Option<String>,
    appends: Option<bool>,
    time: Duration,
}

impl Facts {
    fn judge(&self, now: Duration) -> Result<(), Fault> {
        if let Some(policy) = self.policy.as_ref().filter(|policy| *policy != "noeviction") {
            return Err(Fault::Evicts(policy.clone()));
        }
        let skew = self.time.abs_diff(now);
        if skew > MOST_SKEW { Err(Fault::Clock(skew.as_secs())) } else { Ok(()) }
    }

    /// What an operator should know although a node can live with it.
    fn warn(&self) {
        if self.policy.is_none() {
            tracing::info!(event = "redis_unchecked", "this user may not ask for maxmemory-policy");
        }
        if self.appends == Some(false) {
            tracing::warn!(
                event = "redis_not_durable",
                "appendonly is off: what was acknowledged is lost when Redis restarts"
            );
        }
    }
}

/// Looks at the primary at `place`, and tries under the node's own name, which
/// belongs to it, whether its user may do everything that will be needed.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn check(place: &Place, own: Name, counter: &Counter) -> Result<(), Unfit> {
    let address = place.to_string();
    let checking = async {
        let (mut on, _) = place.connect(&endpoint::settings()).await?;
        let facts = ask(&mut on).await?;
        facts.warn();
        if let Err(fault) = facts.judge(now()) {
            return Ok(Err(fault));
        }
        scripts::load().exec_async(&mut on).await?;
        counter.learn(counter.beat().query_async(&mut on).await?)?;
        for command in trial(own, place.mode()) {
            command.exec_async(&mut on).await?;
        }
        let mut subscribe = redis::cmd(place.mode().subscribe());
        subscribe.arg(own.key(Kind::Topic)).exec_async(&mut on).await?;
        Ok(Ok(()))
    };
    let fault = match checking.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(fault)) => fault,
        // A slot that is being moved just now proves nothing.
        Err(error) if is_moved(&error) => return Ok(()),
        Err(error) if is_forbidden(&error) => Fault::Forbidden(error.to_string()),
        Err(error) => return Err(place::unfit(place, &error)),
    };
    Err(Unfit::Fault { address, fault })
}

async fn ask(on: &mut MultiplexedConnection) -> Result<Facts, RedisError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(on).await?;
    let mut facts = Facts {
        time: Duration::from_secs(seconds) + Duration::from_micros(micros),
        ..Facts::default()
    };
    for section in ["memory", "persistence"] {
        let told: Result<String, _> = redis::cmd("INFO").arg(section).query_async(on).await;
        match told {
            Ok(text) => facts.read(&text),
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(facts)
}

impl Facts {
    fn read(&mut self, info: &str) {
        for line in info.lines() {
            match line.split_once(':') {
                Some(("maxmemory_policy", policy)) => self.policy = Some(policy.trim().to_owned()),
                Some(("aof_enabled", enabled)) => self.appends = Some(enabled.trim() == "1"),
                _ => {}
            }
        }
    }
}

/// Every script and every command that a node sends, on keys of its own.
fn trial(own: Name, mode: Mode) -> Vec<Cmd> {
    let stream = [own.key(Kind::Meta), own.key(Kind::Stream)];
    let present = [own.key(Kind::Present), own.key(Kind::Until), own.key(Kind::Users)];
    let keep = Retention { entries: 1, bytes: 1_000, ttl: TRIAL, meta_ttl: TRIAL };
    let mut publish = scripts::publish(mode).call(&stream);
    publish.arg(own.key(Kind::Topic)).arg(record::erased()).arg(1).arg(&asked(&keep, 0)[..]);
    publish.arg(new_epoch()).arg(&[0_u8; 8]);
    let mut history = scripts::HISTORY.call(&stream);
    history.arg(new_epoch()).arg(millis(TRIAL)).arg(0).arg("").arg(1).arg("+").arg("-").arg(1);
    let mut behind = scripts::BEHIND.call(&stream);
    behind
        .arg(new_epoch())
        .arg(millis(TRIAL))
        .arg(0)
        .arg("trial")
        .arg(0)
        .arg(1)
        .arg(1)
        .arg("")
        .arg("");
    let mut enter = scripts::ENTER.call(&present);
    enter.arg("trial").arg([0_u8; 16].as_slice()).arg(millis(TRIAL));
    let mut exit = scripts::EXIT.call(&present);
    exit.arg("trial");
    let (mut erase, mut remove) = (redis::cmd("XTRIM"), redis::cmd("DEL"));
    erase.arg(own.key(Kind::Stream)).arg("MAXLEN").arg(0);
    remove.arg(&stream);
    let mut tell = redis::cmd(mode.publish());
    tell.arg(own.key(Kind::Topic)).arg("");
    let (presence, stats) = (scripts::PRESENCE.call(&present), scripts::STATS.call(&present));
    // The first publication looks at more than the second.
    let next = publish.clone();
    vec![publish, next, history, behind, enter, presence, stats, exit, erase, remove, tell]
}

/// Whether the user lacks a permission; scripts say it in their own words.
fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || error.kind() == ErrorKind::Server(redis::ServerErrorKind::NoPerm)
        || error.to_string().contains("The user executing the script can't")
}

#[expect(clippy::disallowed_methods, reason = "the clock that is compared")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &str, seconds: u64) -> Facts {
        let mut facts = Facts { time: Duration::from_secs(seconds), ..Facts::default() };
        facts.read(info);
        facts
    }

    #[test]
    fn what_evicts_is_refused_and_what_was_not_told_is_not() {
        let now = Duration::from_secs(1_000);
        let told = facts("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", 1_000);
        assert_eq!(told.judge(now), Err(Fault::Evicts("allkeys-lru".into())));
        let told = facts("maxmemory_policy:noeviction\r\naof_enabled:0\r\n", 1_000);
        assert_eq!((told.judge(now), told.appends), (Ok(()), Some(false)));
        assert_eq!(facts("aof_enabled:1\r\n", 1_000).appends, Some(true));
        assert_eq!(facts("", 1_000).judge(now), Ok(()));
    }

    #[test]
    fn a_clock_may_differ_by_half_a_minute() {
        let judge = |seconds| facts("", seconds).judge(Duration::from_secs(1_000));
        assert_eq!((judge(970), judge(1_030)), (Ok(()), Ok(())));
        assert_eq!((judge(969), judge(1_031)), (Err(Fault::Clock(31)), Err(Fault::Clock(31))));
    }
}
