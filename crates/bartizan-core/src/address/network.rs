//! Networks in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{embedded_v4, fold};

/// A network such as `10.0.0.0/8`, or a single address.
///
/// Host bits are cleared. An IPv4-mapped or NAT64 network of at least 96 bits becomes the IPv4
/// network inside, as addresses do before they are compared.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct IpNetwork {
    base: IpAddr,
    length: u8,
}

impl IpNetwork {
    /// The network of `length` leading bits that contains `address`.
    ///
    /// # Errors
    ///
    /// If the address family has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, IpNetworkError> {
        let (address, length) = match address {
            IpAddr::V6(v6) if (96..=128).contains(&length) => match embedded_v4(v6) {
                Some(v4) => (IpAddr::V4(v4), length - 96),
                None => (address, length),
            },
            _ => (address, length),
        };
        let base = match address {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
            }
            IpAddr::V6(v6) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
            }
            _ => return Err(IpNetworkError::Length),
        };
        Ok(Self { base, length })
    }

    /// The network that stands for a client: its IPv4 address cut to `v4` bits or its IPv6
    /// address cut to `v6` bits. Lengths beyond the family's are taken as the whole address.
    ///
    /// A subscriber with IPv6 usually has a whole /64, so that /64 is the unit to count by.
    #[must_use]
    pub fn of_client(address: IpAddr, v4: u8, v6: u8) -> Self {
        let address = fold(address);
        let length = if address.is_ipv4() {
            v4.min(32)
        } else {
            v6.min(128)
        };
        Self::new(address, length).unwrap_or(Self {
            base: address,
            length,
        })
    }

    /// Whether `address`, folded, is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, fold(address)) {
            (IpAddr::V4(base), IpAddr::V4(v4)) => {
                let differing = u32::from(base) ^ u32::from(v4);
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(base), IpAddr::V6(v6)) => {
                let differing = u128::from(base) ^ u128::from(v6);
                differing.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }

    /// The first address.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// How many leading bits are fixed.
    pub fn prefix_length(&self) -> u8 {
        self.length
    }
}

impl FromStr for IpNetwork {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| IpNetworkError::Address)?;
        let length = match length {
            // Digits alone: `u8::from_str` also takes a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| IpNetworkError::Length)?
            }
            Some(_) => return Err(IpNetworkError::Length),
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, length)
    }
}

impl fmt::Debug for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IpNetwork({self})")
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IpNetworkError {
    /// The part before the slash is not an IP address.
    Address,
    /// The part after the slash is not a prefix length of the address family.
    Length,
}

impl fmt::Display for IpNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address",
            Self::Length => "not a prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6",
        })
    }
}

impl std::error::Error for IpNetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_clears_host_bits() {
        for (text, expected) in [
            ("1.1.1.1", Ok("1.1.1.1/32")),
            ("1.1.1.1/16", Ok("1.1.0.0/16")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("2607:f8b0:4004:83f::200e/48", Ok("2607:f8b0:4004::/48")),
            ("::/0", Ok("::/0")),
            ("::ffff:4.4.4.4/124", Ok("4.4.4.0/28")),
            ("64:ff9b::188.0.2.128/112", Ok("188.0.0.0/16")),
            ("1.1.1.1/33", Err(IpNetworkError::Length)),
            ("1.1.1.1/+8", Err(IpNetworkError::Length)),
            ("1.1.1.1/", Err(IpNetworkError::Length)),
            ("::1/129", Err(IpNetworkError::Length)),
            ("nope/8", Err(IpNetworkError::Address)),
        ] {
            let parsed = text.parse::<IpNetwork>().map(|network| network.to_string());
            assert_eq!(parsed.as_deref().map_err(|e| *e), expected, "{text}");
        }
    }

    #[test]
    fn contains_its_addresses_alone() {
        let network: IpNetwork = "10.1.0.0/16".parse().unwrap();
        for (address, expected) in [
            ("10.1.255.255", true),
            ("::ffff:10.1.0.1", true),
            ("10.2.0.0", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(
            "0.0.0.0/0"
                .parse::<IpNetwork>()
                .unwrap()
                .contains([1, 2, 3, 4].into())
        );
    }

    #[test]
    fn one_subscriber_is_one_network() {
        let of = |text: &str| IpNetwork::of_client(text.parse().unwrap(), 32, 64).to_string();
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(of("::ffff:1.2.3.4"), "1.2.3.4/32");
        assert_eq!(of("1.2.3.4"), "1.2.3.4/32");
    }
}
