//! How a publication is treated.

use super::Shape;
use crate::broker::{Charge, IdempotencyKey, Retention};

/// How a publication is kept, and whether it is one at all.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Keep it in the stream.
    pub keep: Option<Retention>,
    /// Publish it once for this key.
    pub idempotency: Option<IdempotencyKey>,
    /// Publish it only if newer, and what the version counts in.
    pub version: Option<(u64, String)>,
    /// Whether subscribers who asked for deltas may get one.
    pub delta: bool,
    /// Thin it out or join it with others; for publications of clients that are not
    /// kept.
    pub shape: Option<Shape>,
    /// Limits over all nodes that it counts against.
    pub charges: Vec<Charge>,
}
