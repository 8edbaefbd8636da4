//! Where a subscriber stands in a channel's stream.

use std::sync::Arc;

/// A stream's name for itself, new whenever its offsets begin anew. Two streams
/// never share one.
pub type Epoch = Arc<str>;

/// A place in a stream: behind the publication with this offset. Offset 0 is
/// before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset of the last publication before this place.
    pub offset: u64,
    /// The stream that the offset counts in.
    pub epoch: Epoch,
}
