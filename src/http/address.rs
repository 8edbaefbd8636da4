//! The client's address: the socket's peer, unless that is a trusted
//! proxy; then the right-most address of `X-Forwarded-For` that is none.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Elements of `X-Forwarded-For` that are looked at, from the right.
const MOST_ELEMENTS: usize = 10;

/// The networks whose word about client addresses counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Proxies {
        Proxies(networks)
    }

    /// Whether any is declared.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether one is at this address.
    #[must_use]
    pub fn are_at(&self, address: IpAddr) -> bool {
        self.trust(address.to_canonical())
    }

    /// The client's address; `peer` is the socket's, or for whom it speaks.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let mut nearest = peer;
        let elements = headers
            .get_all("x-forwarded-for")
            .iter()
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for element in elements.take(MOST_ELEMENTS) {
            // What a trusted hop did not write as an address is nobody's word.
            let Ok(address) = element.trim().parse::<IpAddr>() else { return nearest };
            nearest = address.to_canonical();
            if !self.trust(nearest) {
                return nearest;
            }
        }
        nearest
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The address as it may be logged: its /24 or /48.
#[must_use]
pub(super) fn prefix(address: IpAddr) -> String {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| "unknown".into(), |net| net.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = Proxies::new(vec![
            "10.0.0.0/8".parse().expect("a network"),
            "fd00::/8".parse().expect("a network"),
        ]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).expect("a value"));
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.7"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_a_client_wrote_itself_does_not_count() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.2.3.4", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.2.3.4, garbage"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[&"10.0.0.3,".repeat(2_000)]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["1.2.3.4:80"]), "10.0.0.1");
        let many = vec!["10.0.0.3"; 20].join(",");
        assert_eq!(client("10.0.0.1", &[&format!("1.2.3.4,{many}")]), "10.0.0.3");
    }

    #[test]
    fn logs_get_a_prefix_only() {
        assert_eq!(prefix("198.51.100.7".parse().expect("an address")), "198.51.100.0/24");
        assert_eq!(prefix("2001:db8:1:2::7".parse().expect("an address")), "2001:db8:1::/48");
    }
}
