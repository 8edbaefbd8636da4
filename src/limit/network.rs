//! What counts as one address: with IPv6 a /64, of which one machine has all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 address, or a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u128);

/// What the /64s begin at: none of them is an IPv4 address.
const NETWORKS: u128 = 1 << 64;

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) + NETWORKS,
        })
    }
}

/// The text is no address, nor a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    /// An address, or a whole /64 as it is written here.
    fn from_str(text: &str) -> Result<Network, ParseNetworkError> {
        let (address, whole) = match text.strip_suffix("/64") {
            Some(address) => (address, true),
            None => (text, false),
        };
        let address: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        match address {
            IpAddr::V4(_) if whole => Err(ParseNetworkError),
            IpAddr::V6(network) if whole && network.to_bits() << 64 != 0 => Err(ParseNetworkError),
            address => Ok(address.into()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(bits) => Ipv4Addr::from_bits(bits).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from_bits((self.0 - NETWORKS) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8:1:2::/64", "::/64"] {
            assert_eq!(text.parse::<Network>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        let same = |one: &str, other: &str| assert_eq!(one.parse::<Network>(), other.parse());
        same("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        same("::ffff:192.0.2.1", "192.0.2.1");
        for bad in ["", "a", "192.0.2.0/24", "192.0.2.1/64", "2001:db8::1/64", "::/0", " ::1"] {
            assert_eq!(bad.parse::<Network>(), Err(ParseNetworkError), "{bad}");
        }
    }
}
