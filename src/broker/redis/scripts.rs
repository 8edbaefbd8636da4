//! The scripts, constants of the program. A command connection loads them when
//! it is made, and they are called by their digests.

use std::sync::LazyLock;

use redis::Cmd;

/// A script and the digest that calls it.
pub(super) struct Script {
    text: &'static str,
    digest: String,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: [$($part:literal),*],)*) => {
        $($(#[$doc])*
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n"),*))
        });)*

        /// Every script.
        fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts! {
    /// See its text, as with the others.
    PUBLISH: ["answer", "stream", "publish"],
    HISTORY: ["answer", "stream", "history"],
    BEHIND: ["answer", "stream", "behind"],
    BEAT: ["beat"],
    ENTER: ["answer", "present", "enter"],
    EXIT: ["answer", "present", "exit"],
    PRESENCE: ["answer", "present", "presence"],
    STATS: ["answer", "present", "stats"],
}

impl Script {
    fn new(text: &'static str) -> Script {
        Script { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }

    /// A call, to which the arguments are to be added.
    pub(super) fn call(&self, keys: &[String]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.digest).arg(keys.len()).arg(keys);
        command
    }
}

/// What loads every script.
pub(super) fn load() -> redis::Pipeline {
    let mut pipeline = redis::Pipeline::new();
    for script in all() {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.text).ignore();
    }
    pipeline
}
