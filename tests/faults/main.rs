//! The fault bench: node processes on real Redis servers, backends that publish and
//! clients that listen, faults by signals, by Redis' own commands and by a proxy in
//! between, and a checker of what everybody saw. Each test proves that its fault has
//! bitten before it says that nothing is wrong.
//!
//! `FAULT_SEEDS=3,4` says with which seeds, one after the other; 1 unless given. A
//! seed fixes what is tried and when, not how it falls together. `FAULT_CLIENTS` says
//! how many clients there are. What takes long is ignored unless asked for;
//! `scripts/long faults` runs everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod balancer;
mod bench;
mod bytes;
mod checker;
mod cluster;
mod crowd;
mod failover;
mod full;
mod killed;
mod link;
mod partition;
mod rewritten;
mod stopped;
// Shared with the target `it`, which uses what this one does not.
#[allow(dead_code)]
#[path = "../it/support/mod.rs"]
mod support;
