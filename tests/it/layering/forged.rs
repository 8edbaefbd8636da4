//! The check checked: forged rooms that break the table in every way that came to
//! mind, each of which must be caught, and some that must not.

use super::{check, impurities};

/// A small crate in which everything is in order.
const GOOD: &[(&str, &str)] = &[
    (
        "lib.rs",
        "pub mod metrics; pub mod hub; pub mod relay; pub mod broker; pub mod http; pub mod config; pub mod server;",
    ),
    ("main.rs", "fn main() { sealcast::cli::main() }"),
    ("metrics.rs", "pub struct Metrics;"),
    ("broker.rs", "pub struct Broker;"),
    (
        "hub.rs",
        "mod shard; mod conn; pub use shard::Slot; use crate::metrics::Metrics; use sealcast_wire::Channel;",
    ),
    ("hub/shard.rs", "use super::conn::Connection; pub struct Slot;"),
    (
        "hub/conn.rs",
        "pub struct Connection(super::Slot); // crate::http::App\nconst A: &str = \"crate::http\";",
    ),
    ("relay.rs", "use crate::{broker::{self, Broker}, hub}; fn f() { hub::begin(); broker::x() }"),
    ("http.rs", "use axum::Router; pub struct App;"),
    ("config.rs", "pub use crate::http::App as Routes;"),
];

/// The good crate with some files replaced or added.
fn with(forged: &[(&'static str, &'static str)]) -> Vec<String> {
    let kept = GOOD.iter().filter(|(file, _)| forged.iter().all(|(name, _)| name != file));
    check(kept.chain(forged).copied())
}

#[track_caller]
fn caught(forged: &[(&'static str, &'static str)], expected: &str) {
    let faults = with(forged);
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected:?} in {faults:#?}");
}

#[track_caller]
fn passes(forged: &[(&'static str, &'static str)]) {
    assert_eq!(with(forged), Vec::<String>::new());
}

#[test]
fn what_is_in_order_passes() {
    passes(&[]);
    passes(&[(
        "hub/shard.rs",
        "fn f<'a>(x: &'a str) -> char { 'c' } pub(in crate::hub) fn g() {}",
    )]);
    // The crate `metrics` is not the room.
    passes(&[("metrics.rs", "use metrics::Counter; fn f() { metrics::counter!() }")]);
}

#[test]
fn plain_imports_upward_are_caught() {
    caught(&[("hub.rs", "use crate::http::App;")], "hub may not reach http");
    caught(&[("hub/shard.rs", "fn f() { crate::http::public() }")], "hub may not reach http");
    caught(&[("metrics.rs", "use sealcast_wire::Channel;")], "metrics may not reach wire");
    caught(&[("relay.rs", "fn f(app: Box<axum::Router>) {}")], "relay may not reach axum");
    caught(&[("broker.rs", "use crate::hub::Hub;")], "broker may not reach hub");
}

#[test]
fn super_paths_are_followed() {
    caught(&[("hub.rs", "use super::http::App;")], "hub may not reach http");
    caught(&[("hub/shard.rs", "use super::super::http::App;")], "hub may not reach http");
    caught(&[("hub/shard.rs", "fn f() { super::super::broker::call() }")], "may not reach broker");
    caught(&[("hub/shard.rs", "mod inner { use super::super::super::http::App; }")], "reach http");
    caught(&[("hub/shard.rs", "use self::super::super::http::App;")], "hub may not reach http");
}

#[test]
fn groups_are_taken_apart() {
    caught(&[("hub.rs", "use crate::{metrics::Metrics, http::App};")], "hub may not reach http");
    caught(&[("hub.rs", "use {crate::{metrics, broker::{self}}};")], "hub may not reach broker");
    caught(&[("hub/shard.rs", "use super::{conn, super::{http::App}};")], "hub may not reach http");
}

#[test]
fn re_exports_are_doors() {
    // Relay may import hub; hub hands out broker.
    let door = ("hub.rs", "pub use crate::broker::Broker;");
    caught(&[door], "hub.rs:1: crate::broker::Broker: hub may not reach broker");
    // Net may import session, but not relay, which session may.
    let session = ("session.rs", "pub use crate::relay::Relay;");
    caught(
        &[session, ("net.rs", "use crate::session::Relay;")],
        "net.rs:1: crate::session::Relay: net may not reach relay",
    );
    let renamed = ("session.rs", "pub use crate::relay::Relay as Carrier;");
    caught(&[renamed, ("net.rs", "use crate::session::Carrier;")], "net may not reach relay");
    let module = ("session.rs", "pub use crate::relay;");
    caught(&[module, ("net.rs", "fn f() { crate::session::relay::f() }")], "may not reach relay");
    let glob = ("session.rs", "pub use crate::relay::*;");
    let deep = ("relay.rs", "pub use inner::Deep; mod inner;");
    caught(
        &[
            glob,
            deep,
            ("relay/inner.rs", "pub struct Deep;"),
            ("net.rs", "use crate::session::Deep;"),
        ],
        "net may not reach relay",
    );
    // Two doors in a row.
    caught(
        &[
            ("relay.rs", "pub use crate::broker::Broker;"),
            ("session.rs", "pub use crate::relay::Broker as Inner;"),
            ("net.rs", "use crate::session::Inner;"),
        ],
        "net.rs:1: crate::session::Inner: net may not reach broker",
    );
    // Config is a door to http for whoever may import config alone: nobody yet.
    caught(&[("hub.rs", "use crate::config::Routes;")], "hub may not reach http");
}

#[test]
fn aliases_are_seen_through() {
    caught(&[("hub.rs", "use crate as c; fn f() { c::http::public() }")], "may not reach http");
    caught(&[("hub.rs", "use crate as c;")], "makes the whole crate reachable");
    caught(&[("hub.rs", "use super as up; use up::http::App;")], "hub may not reach http");
    caught(&[("hub.rs", "use super::*; fn f() { http::public() }")], "may not reach http");
    caught(&[("hub.rs", "use crate::*;")], "makes the whole crate reachable");
    caught(
        &[
            ("hub.rs", "mod shard; use crate as c;"),
            ("hub/shard.rs", "use super::*; fn f() { c::http::f() }"),
        ],
        "hub/shard.rs:1: c::http::f: hub may not reach http",
    );
    caught(&[("hub.rs", "use crate::r#http::App;")], "hub may not reach http");
}

#[test]
fn ways_around_the_tree_are_refused() {
    caught(&[("hub.rs", "#[path = \"http.rs\"] mod inner;")], "#[path]");
    caught(&[("hub.rs", "include!(\"http.rs\");")], "include!");
    caught(&[("hub.rs", "extern crate self as own;")], "extern crate");
    caught(&[("attic.rs", "use crate::hub::Hub;")], "the room attic is not in the table");
}

#[test]
fn tests_may_build_what_their_room_stands_on() {
    let unit = "#[cfg(test)] mod tests { use crate::broker::Broker; use crate::hub::Hub; }";
    passes(&[("net.rs", unit)]);
    passes(&[
        ("net.rs", "#[cfg(test)] mod tests;"),
        ("net/tests.rs", "use crate::broker::Broker;"),
    ]);
    caught(&[("net.rs", "mod tests { use crate::broker::Broker; }")], "may not reach broker");
    caught(&[("net.rs", "#[cfg(test)] mod tests {} use crate::broker::Broker;")], "reach broker");
    caught(&[("net.rs", "#[cfg(test)] mod tests { use crate::http::App; }")], "reach http");
}

#[test]
fn an_impure_wire_crate_is_caught() {
    let all = |source| impurities([("lib.rs", source)]);
    assert!(all("use std::{fmt, sync::Arc}; use bytes::Bytes;").is_empty());
    for impure in [
        "use std::net::SocketAddr;",
        "use std::{fmt, fs};",
        "fn f() { ::std::fs::read(\"x\") }",
        "use std as s; fn f() { s::net::x() }",
        "use tokio::sync::Mutex;",
        "fn f() { tokio::spawn(g()) }",
    ] {
        assert!(!all(impure).is_empty(), "{impure}");
    }
}
