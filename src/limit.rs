//! What one client, and all of them together, may use: pure counting, no I/O,
//! and time is an argument.

mod cap;
mod counts;
mod gcra;
mod keyed;
mod profile;
mod rate;
mod stage;
mod usage;

pub use cap::{Budget, Cap, Permit};
pub use counts::{Counts, Share};
pub use gcra::{Bucket, Nanos, SharedBucket, Wait, nanos};
pub use keyed::Keyed;
pub use profile::{Limits, ParseProfileError, Profile};
pub use rate::{BadRate, Rate};
pub use stage::{Fill, Stage, excess};
pub use usage::{Scope, TooMany, Usage};
