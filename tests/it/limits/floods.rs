//! Every attack beside honest clients: what those notice of it, and what stays of it
//! (S4-43, T-20 to T-34). `scripts/long floods` gives each attack a minute, and then
//! holds the promises on time and memory too: FLOOD_SECONDS.

mod attacks;
mod honest;
mod idle;

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::node_options;
use crate::support::node::number;
use crate::support::process::Process;
use crate::support::{PATIENCE, descriptors, http};
use attacks::{ATTACKS, Target};
use honest::{Honest, Times};
use idle::Idle;

/// From how many seconds for each attack on times and memory are held too.
const LONG: u64 = 30;
/// What no scheduler promises on a machine that runs both sides.
const NOISE: Duration = Duration::from_millis(2);
/// What an allocator keeps at hand, KiB, and how long it keeps more than that.
const KEPT: u64 = 4 << 10;
const GIVES_BACK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_served_beside_every_attack_and_nothing_stays_of_it() {
    descriptors::raise();
    let seconds = std::env::var("FLOOD_SECONDS").map_or(1, |text| text.parse().unwrap());
    let length = Duration::from_secs(seconds);
    // All honest clients are at one address here.
    let process = Process::serve(node_options("standard", json!({ "ip_connections": 500 })));
    let target = Target::of(&process, seconds);
    let honest = Honest::begin(&process).await;
    let attackers = Idle::begin();
    // Once each, so that what is made once is made.
    for (_, attack) in ATTACKS {
        attackers.run(attack(target.clone(), Instant::now() + length / 10)).await;
    }
    settled(&process, honest.count()).await;
    for (name, attack) in ATTACKS {
        let resident = process.resident();
        honest.listen_for(length).await;
        let before = honest.times();
        let attacking = attack(target.clone(), Instant::now() + length);
        tokio::join!(attackers.run(attacking), honest.listen_for(length));
        let beside = honest.times();
        settled(&process, honest.count()).await;
        let most = resident + resident / 10;
        let after = given_back(&process, most).await;
        println!(
            "flood {name:<12} honest p50 {} -> {} p99 {} -> {} ms, of {} -> {}; resident {} -> {} MiB",
            Times::shown(before.p50),
            Times::shown(beside.p50),
            Times::shown(before.p99),
            Times::shown(beside.p99),
            before.count,
            beside.count,
            resident >> 10,
            after >> 10,
        );
        if seconds >= LONG {
            assert!(beside.p99 <= (2 * before.p99).max(NOISE), "{name}: {beside:?} {before:?}");
            assert!(after <= most + KEPT, "{name}: {resident} KiB before, {after} KiB after");
        }
    }
    honest.end().await;
    settled(&process, 0).await;
}

/// Resident memory, KiB, once it is no more than `most`, or the allocator has had its time.
async fn given_back(process: &Process, most: u64) -> u64 {
    let end = Instant::now() + GIVES_BACK;
    loop {
        let resident = process.resident();
        if resident <= most || Instant::now() >= end {
            return resident;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until only so many connections are left, and nothing is held for others.
async fn settled(process: &Process, connections: usize) {
    let mut rendered = String::new();
    // Half a minute: timeouts of attackers' sockets are a part of it.
    for _ in 0..300 {
        let request = "GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
        rendered = http::ask(process.metrics, request).await.text().to_owned();
        let is = |name: &str, most: f64| number(&rendered, name) <= most;
        if number(&rendered, "sealcast_connections") == connections as f64
            && is("sealcast_connections_waiting", 0.0)
            && is("sealcast_outbound_queue_bytes", 0.0)
            && is("sealcast_sockets", 2.0)
            && is("process_open_fds", 64.0 + connections as f64)
        {
            return;
        }
        tokio::time::sleep(PATIENCE / 100).await;
    }
    panic!("something stays: {rendered}");
}
