//! Where the node listens, and for what.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::file::File;
use super::{Fault, fault};
use crate::config::Listeners;
use crate::net;

/// The port of the metrics listener.
const METRICS_PORT: u16 = 9_000;

/// Metrics have a listener of their own if one is asked for, or if there is no
/// internal one, which has them otherwise.
pub(super) fn listeners(file: &File, faults: &mut Vec<Fault>) -> Listeners {
    let (http, metrics) = (&file.http_server, &file.metrics);
    let public = SocketAddr::new(http.address, http.port);
    let internal = http.internal_port.map(|port| SocketAddr::new(http.internal_address, port.0));
    let asked_for = metrics.address.is_some() || metrics.port.is_some();
    let own = (asked_for || internal.is_none()).then(|| {
        let address = metrics.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        SocketAddr::new(address, metrics.port.unwrap_or(METRICS_PORT))
    });
    let all = [
        (Some(public), "http_server.port"),
        (internal, "http_server.internal_port"),
        (own, "metrics.port"),
    ];
    for (at, (one, place)) in all.iter().enumerate() {
        let before = all.iter().take(at);
        for (other, name) in before.filter(|(other, _)| meet(*one, *other)) {
            let port = other.map_or(0, |other| other.port());
            fault(faults, *place, format!("{port} is the port of {name}; choose another"));
        }
    }
    let behind_proxy = !http.trusted_proxies.is_empty();
    for (address, place) in [
        (Some(public), "http_server.address"),
        (internal, "http_server.internal_address"),
        (own, "metrics.address"),
    ] {
        if let Some(Err(untrusted)) = address.map(|at| net::check_exposure(at, behind_proxy)) {
            fault(faults, place, untrusted.to_string());
        }
    }
    Listeners {
        public,
        internal,
        metrics: own,
        public_api: internal.is_none() || file.http_api.external,
    }
}

/// Whether only one of the two can be listened on.
fn meet(one: Option<SocketAddr>, other: Option<SocketAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let everywhere = |address: IpAddr| address.is_unspecified();
    let same = one.ip() == other.ip() || everywhere(one.ip()) || everywhere(other.ip());
    one.port() != 0 && one.port() == other.port() && same
}
