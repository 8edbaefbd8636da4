//! What only whole nodes show: protocol, handshake, frames, caps, drain, order
//! under churn; and the layers of the source. One file a subject; `support` starts
//! nodes and talks to them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod api;
mod bench_quick;
mod book;
mod broker_contract;
mod caps;
mod churn;
mod cli;
mod client;
mod codes;
mod config;
mod fairness;
mod fidelity;
mod frames;
mod handshake;
mod http2;
mod layering;
mod limits;
mod malformed;
mod membership;
mod once;
mod operation;
mod protocol;
mod recovery;
mod redis;
mod shaping;
mod slow;
mod stream;
mod support;
mod writes;
