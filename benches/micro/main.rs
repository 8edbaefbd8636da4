//! What single steps of a message's way cost. `scripts/long micro` runs them all and
//! keeps the medians in docs/results/micro.txt.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod commands;
mod delta;
mod dispatch;
mod frames;
mod limits;
mod tokens;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Enough for a median that stays, and short enough to run them all.
fn measured() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

criterion_group! {
    name = micro;
    config = measured();
    targets = limits::bench, frames::bench, commands::bench, tokens::bench, delta::bench,
        dispatch::bench
}
criterion_main!(micro);
