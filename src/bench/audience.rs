//! What is published, and who checks what comes of it.

use std::time::Instant;

use super::link::Line;
use super::member::Surprise;

/// What a bench does with what comes.
pub(super) trait Audience {
    /// A line came to the subscriber with this number, and was read at `at`.
    ///
    /// # Errors
    /// If it is not what a subscriber should get.
    fn hear(&mut self, subscriber: usize, line: Line<'_>, at: Instant) -> Result<(), Surprise>;

    /// How many deliveries came so far.
    fn heard(&self) -> u64;

    /// Whether everything came that is owed.
    fn is_complete(&self) -> bool;

    /// What is wrong with what came, for a person; `Ok` if nothing.
    fn verdict(&self) -> Result<(), String>;
}

/// Something to be published.
pub(super) enum Publication<'a> {
    /// To a node.
    Payload { channel: &'a str, payload: &'a str },
    /// To a floor: what everyone is to get.
    Push(&'a [u8]),
}

/// For when nothing should come.
pub(super) struct Nobody;

impl Audience for Nobody {
    fn hear(&mut self, _: usize, line: Line<'_>, _: Instant) -> Result<(), Surprise> {
        Err(Surprise::new(format!("though nothing was published, this came: {line}")))
    }

    fn heard(&self) -> u64 {
        0
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn verdict(&self) -> Result<(), String> {
        Ok(())
    }
}
