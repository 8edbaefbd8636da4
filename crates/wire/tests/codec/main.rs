//! The two codecs against the protocol: exact text and bytes, what is refused,
//! and that everything written can be read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod filters;
mod json_commands;
mod json_replies;
mod malformed;
mod protobuf_bytes;
mod round_trips;
mod strategy;
