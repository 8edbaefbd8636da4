//! Fossil deltas: what turns one payload into the next, smaller than the next.
//!
//! A patch is `<length>\n`, then segments, then `<checksum>;`. A segment is
//! `<count>@<offset>,`, a copy out of the base, or `<count>:` and that many
//! bytes. Numbers are in base 64, the checksum is that of the result. Centrifuge
//! client protocol, delta. Every decoder checks length and checksum and gives
//! the subscription up if they do not hold.

mod decode;
mod encode;
mod index;
mod number;
#[cfg(test)]
mod tests;

use std::fmt;

pub use decode::decode;
pub use encode::{encode, encode_text};

/// Why bytes are not a patch for a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPatch {
    /// Not the syntax of a patch, or cut off.
    Syntax,
    /// The result would be longer than the caller takes.
    TooLong,
    /// A copy reaches past the end of the base.
    OutOfBase,
    /// The result has another length than the patch says.
    Length,
    /// The result has another checksum than the patch says: the patch was made
    /// for another base.
    Checksum,
}

impl fmt::Display for BadPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPatch::Syntax => "not a patch",
            BadPatch::TooLong => "the result is too long",
            BadPatch::OutOfBase => "copies what the base does not have",
            BadPatch::Length => "the result has another length",
            BadPatch::Checksum => "the result has another checksum",
        })
    }
}

impl std::error::Error for BadPatch {}
