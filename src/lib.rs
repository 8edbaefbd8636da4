//! Sealcast: a realtime relay for the open internet.
//!
//! The rooms, lowest first; each imports only rooms above it in this list, and
//! `tests/it/layering.rs` holds the exact table. `docs/ARCHITECTURE.md` says how
//! a message travels through them.

pub mod metrics;

pub mod limit;

pub mod auth;

pub mod broker;

pub mod hub;

pub mod relay;

pub mod session;

pub mod cluster;

pub mod net;

pub mod http;

pub mod config;

pub mod server;

pub mod bench;

pub mod cli;
