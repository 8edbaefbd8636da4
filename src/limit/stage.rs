//! How full a node is, and what it gives up for that.

/// What a node does because it is full. Each stage does what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Nothing.
    #[default]
    Calm,
    /// Newcomers are refused.
    Refusing,
    /// What passes and is worth nothing a moment later is not queued for who is slow.
    Dropping,
    /// Those who hold most are closed.
    Closing,
}

/// How full a node is, in parts of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fill {
    /// Of its memory, or of the budget for its clients, whichever is fuller.
    pub memory: f64,
    /// Of its file descriptors.
    pub descriptors: f64,
}

/// From where on newcomers are refused.
const REFUSING: f64 = 0.85;
/// From where on what passes is dropped.
const DROPPING: f64 = 0.90;
/// From where on the largest are closed.
const CLOSING: f64 = 0.95;
/// How far below its beginning a stage ends, so that it does not come and go.
const SLACK: f64 = 0.05;

impl Stage {
    /// Every stage.
    pub const ALL: [Stage; 4] = [Stage::Calm, Stage::Refusing, Stage::Dropping, Stage::Closing];

    /// The stage that follows this one at such a fill. Closing somebody frees no
    /// descriptor of those who stay, so descriptors only refuse newcomers.
    #[must_use]
    pub fn next(self, fill: Fill) -> Stage {
        let reached = |stage: Stage| {
            let begins = stage.begins();
            let begins = if self >= stage { begins - SLACK } else { begins };
            fill.memory >= begins || stage == Stage::Refusing && fill.descriptors >= begins
        };
        let reached = Stage::ALL.into_iter().rev().find(|stage| reached(*stage));
        reached.unwrap_or_default()
    }

    /// Its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Calm => "calm",
            Stage::Refusing => "refusing",
            Stage::Dropping => "dropping",
            Stage::Closing => "closing",
        }
    }

    /// The stage of this number; the last one for what is beyond.
    #[must_use]
    pub fn of(number: u8) -> Stage {
        Stage::ALL.get(usize::from(number)).copied().unwrap_or(Stage::Closing)
    }

    const fn begins(self) -> f64 {
        match self {
            Stage::Calm => 0.0,
            Stage::Refusing => REFUSING,
            Stage::Dropping => DROPPING,
            Stage::Closing => CLOSING,
        }
    }
}

/// How many of `used` bytes must be given back so that [`Stage::Closing`] ends.
#[must_use]
pub fn excess(used: usize, most: usize) -> usize {
    used.saturating_sub((most as f64 * DROPPING) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(memory: f64) -> Fill {
        Fill { memory, descriptors: 0.0 }
    }

    #[test]
    fn each_stage_begins_where_it_is_said_and_ends_a_little_below() {
        let begins = [(0.849, Stage::Calm), (0.85, Stage::Refusing), (0.899, Stage::Refusing)];
        let more = [(0.90, Stage::Dropping), (0.949, Stage::Dropping), (0.95, Stage::Closing)];
        for (fill, stage) in begins.into_iter().chain(more) {
            assert_eq!(Stage::Calm.next(memory(fill)), stage, "{fill}");
        }
        assert_eq!(Stage::Calm.next(memory(7.0)), Stage::Closing);
        let ends = [(0.91, Stage::Closing), (0.89, Stage::Dropping), (0.84, Stage::Refusing)];
        for (fill, stage) in ends.into_iter().chain([(0.79, Stage::Calm)]) {
            assert_eq!(Stage::Closing.next(memory(fill)), stage, "{fill}");
        }
        assert_eq!(Stage::Refusing.next(memory(0.89)), Stage::Refusing, "it did not begin");
    }

    #[test]
    fn descriptors_refuse_newcomers_and_nothing_else() {
        let full = |memory| Fill { memory, descriptors: 1.0 };
        assert_eq!(Stage::Calm.next(full(0.0)), Stage::Refusing);
        assert_eq!(Stage::Closing.next(full(0.0)), Stage::Refusing);
        assert_eq!(Stage::Calm.next(full(0.96)), Stage::Closing);
        let nearly = Fill { memory: 0.0, descriptors: 0.84 };
        assert_eq!(Stage::Calm.next(nearly), Stage::Calm);
        assert_eq!(Stage::Refusing.next(nearly), Stage::Refusing);
    }

    #[test]
    fn what_is_over_is_what_ends_the_last_stage() {
        assert_eq!(excess(1_000, 1_000), 100);
        assert_eq!(excess(900, 1_000), 0);
        let after = memory((1_000 - excess(1_000, 1_000)) as f64 / 1_000.0 - 0.001);
        assert!(Stage::Closing.next(after) < Stage::Closing);
    }

    #[test]
    fn numbers_name_stages() {
        for stage in Stage::ALL {
            assert_eq!(Stage::of(stage as u8), stage);
        }
        assert_eq!(Stage::of(9), Stage::Closing);
    }
}
