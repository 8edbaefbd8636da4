//! The scripts, constants of the program. A command connection loads them when
//! it is made, and they are called by their digests.

use std::borrow::Cow;
use std::sync::LazyLock;

use redis::{Arg, Cmd, RedisError};

use super::hello::Mode;

/// A script and the digest that calls it.
pub(super) struct Script {
    /// What the numbers call it: its last part.
    op: &'static str,
    text: Cow<'static, str>,
    digest: String,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: [$($part:literal),*],)*) => {
        $($(#[$doc])*
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            let parts = [$($part),*];
            Script::new(parts.last().copied().unwrap_or(OTHER), Cow::Borrowed(
                concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n"),*)
            ))
        });)*

        /// Every script.
        fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name,)* &*PUBLISH_SHARDED].into_iter()
        }
    };
}

scripts! {
    /// See its text, as with the others.
    PUBLISH: ["clock", "advance", "stream", "publish"],
    HISTORY: ["clock", "stream", "history"],
    BEHIND: ["clock", "stream", "behind"],
    BEAT: ["beat"],
    ENTER: ["clock", "present", "enter"],
    EXIT: ["clock", "present", "exit"],
    PRESENCE: ["clock", "present", "presence"],
    STATS: ["clock", "present", "stats"],
    PUBLISH_LIMITED: ["clock", "gcra", "limit", "advance", "stream", "publish"],
    PUBLISH_UNKEPT: ["clock", "gcra", "limit", "publish_unkept"],
    DRAW: ["clock", "gcra", "draw"],
    LEASE: ["clock", "lease"],
    OVERRIDE_SET: ["clock", "overrides", "override_set"],
    OVERRIDE_REMOVE: ["clock", "overrides", "override_remove"],
    OVERRIDE_LIST: ["clock", "overrides", "override_list"],
}

/// The same as [`PUBLISH`], to who listens at the slot's master.
static PUBLISH_SHARDED: LazyLock<Script> = LazyLock::new(|| {
    let of = |mode: Mode| format!("'{}'", mode.publish());
    Script::new(
        PUBLISH.op,
        Cow::Owned(PUBLISH.text.replace(&of(Mode::Standalone), &of(Mode::Cluster))),
    )
});

/// The same command within limits: `buckets` are behind its keys, and `numbers`, as
/// limit.lua wants them, behind its arguments. `command` publishes, with the script or
/// without.
pub(super) fn limited(command: &Cmd, buckets: &[String], numbers: &[String]) -> Cmd {
    let arguments: Vec<&[u8]> = command
        .args_iter()
        .map(|argument| match argument {
            Arg::Simple(bytes) => bytes,
            _ => &[],
        })
        .collect();
    let (script, keys, rest) = match &*arguments {
        [_, digest, count, rest @ ..] if *digest == PUBLISH.digest.as_bytes() => {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok());
            let (keys, rest) = rest.split_at_checked(count.unwrap_or(0)).unwrap_or_default();
            (&*PUBLISH_LIMITED, keys, rest)
        }
        [_, rest @ ..] => (&*PUBLISH_UNKEPT, &[][..], rest),
        [] => (&*PUBLISH_UNKEPT, &[][..], &[][..]),
    };
    let mut limited = redis::cmd("EVALSHA");
    limited.arg(&script.digest).arg(keys.len() + buckets.len());
    limited.arg(keys).arg(buckets).arg(rest).arg(numbers);
    limited
}

/// The script that publishes.
pub(super) fn publish(mode: Mode) -> &'static Script {
    match mode {
        Mode::Standalone => &PUBLISH,
        Mode::Cluster => &PUBLISH_SHARDED,
    }
}

/// What the numbers call a command that is none of the scripts.
const OTHER: &str = "other";

/// What the numbers call a command.
pub(super) fn op(command: &Cmd) -> &'static str {
    let Some(Arg::Simple(digest)) = command.args_iter().nth(1) else { return OTHER };
    all().find(|script| script.digest.as_bytes() == digest).map_or(OTHER, |script| script.op)
}

/// The topic to which a call of a script publishes in a cluster, if it does.
pub(super) fn topic(command: &Cmd) -> Option<Vec<u8>> {
    let arguments = || {
        command.args_iter().map(|argument| match argument {
            Arg::Simple(bytes) => bytes,
            _ => &[],
        })
    };
    if arguments().nth(1) != Some(PUBLISH_SHARDED.digest.as_bytes()) {
        return None;
    }
    let keys: usize = std::str::from_utf8(arguments().nth(2)?).ok()?.parse().ok()?;
    arguments().nth(keys.checked_add(3)?).map(<[u8]>::to_vec)
}

impl Script {
    fn new(op: &'static str, text: Cow<'static, str>) -> Script {
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Script { op, text, digest }
    }

    /// A call, to which the arguments are to be added.
    pub(super) fn call(&self, keys: &[String]) -> Cmd {
        self.call_with(keys, (0, 0))
    }

    /// The same with room for so many arguments, of which the long ones take so many bytes.
    pub(super) fn call_with(&self, keys: &[String], (count, bytes): (usize, usize)) -> Cmd {
        /// Bytes that a key and what is no record take at most, roughly.
        const SHORT: usize = 48;
        let short = SHORT * (3 + keys.len() + count);
        let mut command = Cmd::with_capacity(3 + keys.len() + count, short + bytes);
        command.arg("EVALSHA").arg(&self.digest).arg(keys.len()).arg(keys);
        command
    }
}

/// What a script says of something that another version has put there.
pub(super) fn unknown_format(error: &RedisError) -> Option<String> {
    (error.code() == Some("FORMAT")).then(|| error.detail().unwrap_or_default().to_owned())
}

/// What loads every script.
pub(super) fn load() -> redis::Pipeline {
    let mut pipeline = redis::Pipeline::new();
    for script in all() {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(&*script.text).ignore();
    }
    pipeline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::REDIS_OPS;

    #[test]
    fn every_script_is_counted_under_its_name() {
        for script in all() {
            assert_eq!(op(&script.call(&[])), script.op);
            assert!(REDIS_OPS.contains(&script.op) && script.op != OTHER, "{}", script.op);
        }
        assert_eq!(op(&redis::cmd("PING")), OTHER);
        assert!(REDIS_OPS.contains(&OTHER));
    }
}
