//! Whether a Redis will keep what it takes: what a node finds out before it starts.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError};

use super::super::{MOST_SKEW, Retention};
use super::durability::Durability;
use super::follow::is_moved;
use super::hello::Mode;
use super::keys::{Kind, Name};
use super::life::Counter;
use super::place::{self, Place, Unfit};
use super::publish::asked;
use super::skew::{self, Clock};
use super::{endpoint, epoch, millis, record, scripts};

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
    /// It is not as durable as the configuration demands.
    #[error("engine.redis.durability is {0}")]
    Forgets(&'static str),
    /// Somebody else uses its keys.
    #[error("a key under this node's prefix holds what no node has put there: {0}")]
    Foreign(String),
    /// Another version of the nodes has put something there.
    #[error("{0}; run the version that wrote it, or give these nodes another prefix")]
    Format(String),
    /// The node's user lacks a permission.
    #[error("its user may not do what is needed, as in deploy/redis/users.acl: {0}")]
    Forbidden(String),
}

/// What it says of itself, as far as the user may ask.
#[derive(Debug, Default)]
struct Facts {
    policy: Option<String>,
    appends: Option<bool>,
    replicas: Option<usize>,
    /// Seconds that the node's clock is ahead of its.
    ahead: f64,
}

impl Facts {
    fn judge(&self) -> Result<(), Fault> {
        if let Some(policy) = self.policy.as_ref().filter(|policy| *policy != "noeviction") {
            return Err(Fault::Evicts(policy.clone()));
        }
        let skew = self.ahead.abs();
        if skew > MOST_SKEW.as_secs_f64() { Err(Fault::Clock(skew as u64)) } else { Ok(()) }
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
pub(super) async fn check(
    place: &Place,
    own: Name,
    (counter, clock, durability): (&Counter, Clock, Durability),
) -> Result<(), Unfit> {
    let address = place.to_string();
    let checking = async {
        let (mut on, _) = place.connect(&endpoint::settings()).await?;
        let facts = ask(&mut on, clock).await?;
        facts.warn();
        let judged = facts.judge().and(demand(&mut on, &facts, durability).await?);
        if let Err(fault) = judged {
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

async fn ask(on: &mut MultiplexedConnection, clock: Clock) -> Result<Facts, RedisError> {
    let sent = clock();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(on).await?;
    let told = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let mut facts = Facts { ahead: skew::ahead((sent, clock()), told), ..Facts::default() };
    for section in ["memory", "persistence", "replication"] {
        let told: Result<String, _> = redis::cmd("INFO").arg(section).query_async(on).await;
        match told {
            Ok(text) => facts.read(&text),
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(facts)
}

/// Whether it is as durable as the configuration demands.
async fn demand(
    on: &mut MultiplexedConnection,
    facts: &Facts,
    durability: Durability,
) -> Result<Result<(), Fault>, RedisError> {
    let forgets = |why| Ok(Err(Fault::Forgets(why)));
    match durability {
        Durability::Everysec => Ok(Ok(())),
        Durability::Always if facts.appends != Some(true) => forgets(
            "always, but it keeps no append-only file; set appendonly yes and appendfsync always",
        ),
        Durability::Always => {
            let mut ask = redis::cmd("CONFIG");
            let policy: Result<HashMap<String, String>, _> =
                ask.arg("GET").arg("appendfsync").query_async(on).await;
            match policy {
                Ok(policy) if policy.values().any(|policy| policy == "always") => Ok(Ok(())),
                Ok(_) => forgets("always, but its appendfsync is not; set appendfsync always"),
                Err(error) if is_forbidden(&error) => forgets(
                    "always, but its user may not ask whether that is so; grant it +config|get",
                ),
                Err(error) => Err(error),
            }
        }
        Durability::Replica if facts.replicas.unwrap_or_default() == 0 => forgets(
            "wait:1, but no replica is connected to it; connect one, or set everysec or always",
        ),
        Durability::Replica => {
            // Nothing is waited for; but the user must be allowed to.
            redis::cmd("WAIT").arg(0).arg(1).exec_async(on).await?;
            Ok(Ok(()))
        }
    }
}

impl Facts {
    fn read(&mut self, info: &str) {
        for line in info.lines() {
            match line.split_once(':') {
                Some(("maxmemory_policy", policy)) => self.policy = Some(policy.trim().to_owned()),
                Some(("connected_slaves", count)) => self.replicas = count.trim().parse().ok(),
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
    publish.arg(epoch::new()).arg(&[0_u8; 8]);
    let mut history = scripts::HISTORY.call(&stream);
    history.arg(epoch::new()).arg(millis(TRIAL)).arg(0).arg("").arg(1).arg("+").arg("-").arg(1);
    let mut behind = scripts::BEHIND.call(&stream);
    behind
        .arg(epoch::new())
        .arg(millis(TRIAL))
        .arg(0)
        .arg("trial")
        .arg(0)
        .arg(1)
        .arg(1)
        .arg("")
        .arg("");
    let mut enter = scripts::ENTER.call(&present);
    enter.arg("trial").arg([record::VERSION; 17].as_slice()).arg(millis(TRIAL));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &str) -> Facts {
        let mut facts = Facts::default();
        facts.read(info);
        facts
    }

    #[test]
    fn what_evicts_is_refused_and_what_was_not_told_is_not() {
        let told = facts("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n");
        assert_eq!(told.judge(), Err(Fault::Evicts("allkeys-lru".into())));
        let told = facts("maxmemory_policy:noeviction\r\naof_enabled:0\r\n");
        assert_eq!((told.judge(), told.appends), (Ok(()), Some(false)));
        assert_eq!(facts("aof_enabled:1\r\n").appends, Some(true));
        assert_eq!(facts("").judge(), Ok(()));
    }

    #[test]
    fn a_clock_may_differ_by_half_a_minute() {
        let judge = |ahead| Facts { ahead, ..Facts::default() }.judge();
        assert_eq!((judge(-30.0), judge(30.0)), (Ok(()), Ok(())));
        assert_eq!((judge(-31.0), judge(31.0)), (Err(Fault::Clock(31)), Err(Fault::Clock(31))));
    }
}
