//! What one client, and all of them together, may use: pure counting, no I/O,
//! and time is an argument.

mod cap;
mod profile;

pub use cap::{Budget, Cap, Permit};
pub use profile::{Limits, ParseProfileError, Profile};
