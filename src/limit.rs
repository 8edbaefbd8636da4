//! What one client, and all of them together, may use: pure counting, no I/O,
//! and time is an argument.

mod cap;
mod counts;
pub mod duration;
mod gcra;
mod keyed;
mod network;
mod overrides;
mod profile;
mod rate;
mod rate_text;
mod stage;
mod usage;

pub use cap::{Budget, Cap, Permit};
pub use counts::{Counts, Share};
pub use gcra::{Bucket, Nanos, SharedBucket, Wait, nanos};
pub use keyed::Keyed;
pub use network::{Network, ParseNetworkError};
pub use overrides::{
    BadOverride, LONGEST_OVERRIDE, MOST_OVERRIDES, Override, Overrides, QueueCap, Subject, Terms,
    Whose,
};
pub use profile::{Limits, ParseProfileError, Profile};
pub use rate::{BadRate, Rate};
pub use stage::{Fill, Stage, excess};
pub use usage::{Scope, TooMany, Usage};
