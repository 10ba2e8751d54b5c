//! The client's address, seen through proxies that are trusted to tell it.

mod forwarding;
mod network;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

pub use self::forwarding::ForwardingHeader;
pub use self::network::{IpNetwork, IpNetworkError};

/// Which proxies are believed about the client's address.
///
/// Without any (the default) the client is the far end of the connection and forwarding headers
/// are ignored: anybody can send them. With trusted networks the header is read from the right,
/// since each proxy appends what it saw:
///
/// 1. Far end of the connection not in a trusted network: it is the client.
/// 2. Otherwise the rightmost element that is not in a trusted network is the client.
/// 3. An element that is no address (`unknown`, an obfuscated name, garbage) ends the walk: the
///    last address that a trusted proxy vouched for is the client. An attacker who writes nonsense
///    is then counted as the proxy that let it through, never as nobody.
/// 4. All elements trusted: the leftmost is the client.
///
/// All addresses are folded first (see [`fold`]), so that two spellings give one client.
///
/// ```
/// use bartizan_core::{ForwardingHeader, TrustedProxies};
///
/// let proxies = TrustedProxies::networks(
///     ForwardingHeader::XForwardedFor,
///     ["10.0.0.0/8".parse()?],
/// );
/// let proxy = "10.0.0.1".parse()?;
/// // The left element is what the client made up.
/// let header = ["6.6.6.6, 203.0.113.7"];
/// assert_eq!(proxies.client(proxy, header.iter().map(|l| l.as_bytes())), "203.0.113.7".parse::<std::net::IpAddr>()?);
/// // The same header from somebody who is no proxy.
/// let stranger = "198.51.100.9".parse()?;
/// assert_eq!(proxies.client(stranger, header.iter().map(|l| l.as_bytes())), stranger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Trust);

#[derive(Clone, Debug, Default)]
enum Trust {
    #[default]
    Nobody,
    Networks {
        header: ForwardingHeader,
        networks: Box<[IpNetwork]>,
    },
    Hops {
        header: ForwardingHeader,
        count: NonZeroUsize,
    },
}

impl TrustedProxies {
    /// Trusts no proxy. The default.
    pub const fn none() -> Self {
        Self(Trust::Nobody)
    }

    /// Trusts proxies in these networks to append to `header` what they saw.
    ///
    /// Only one header is read: a proxy that maintains one of them passes the other through as
    /// the client wrote it.
    pub fn networks(
        header: ForwardingHeader,
        networks: impl IntoIterator<Item = IpNetwork>,
    ) -> Self {
        Self(Trust::Networks {
            header,
            networks: networks.into_iter().collect(),
        })
    }

    /// Trusts exactly `count` proxies in front of this service, whatever their addresses: the
    /// client is the element at that place from the right, 1 being the one that the nearest
    /// proxy appended.
    ///
    /// Only where nobody can reach the service but through them. Too few elements, or no address
    /// in that place, give the far end of the connection.
    pub const fn insecure_hops(header: ForwardingHeader, count: NonZeroUsize) -> Self {
        Self(Trust::Hops { header, count })
    }

    /// The header that is read, if any is.
    pub const fn header(&self) -> Option<ForwardingHeader> {
        match self.0 {
            Trust::Nobody => None,
            Trust::Networks { header, .. } | Trust::Hops { header, .. } => Some(header),
        }
    }

    /// The networks whose proxies are trusted; none where they are trusted by their number.
    pub fn trusted_networks(&self) -> &[IpNetwork] {
        match &self.0 {
            Trust::Networks { networks, .. } => networks,
            Trust::Nobody | Trust::Hops { .. } => &[],
        }
    }

    /// The address of the client, given the far end of the connection and the lines of the
    /// header in the order they were received.
    ///
    /// Takes time in proportion to the elements from the right that are trusted, and allocates
    /// nothing.
    pub fn client<'h, L>(&self, remote: IpAddr, lines: L) -> IpAddr
    where
        L: IntoIterator<Item = &'h [u8]>,
        L::IntoIter: DoubleEndedIterator,
    {
        let remote = fold(remote);
        match &self.0 {
            Trust::Nobody => remote,
            Trust::Hops { header, count } => header
                .rightmost_first(lines)
                .nth(count.get() - 1)
                .flatten()
                .map_or(remote, fold),
            Trust::Networks { header, networks } => {
                let trusted = |address| networks.iter().any(|network| network.contains(address));
                let mut client = remote;
                let mut elements = header.rightmost_first(lines);
                while trusted(client) {
                    match elements.next() {
                        Some(Some(address)) => client = fold(address),
                        Some(None) | None => break,
                    }
                }
                client
            }
        }
    }
}

/// Folds the spellings of one address into one: IPv4-mapped IPv6 ([RFC 4291 §2.5.5.2]) and the
/// well-known NAT64 prefix `64:ff9b::/96` ([RFC 6052 §2.1]) become the IPv4 address inside.
///
/// [RFC 4291 §2.5.5.2]: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
/// [RFC 6052 §2.1]: https://www.rfc-editor.org/rfc/rfc6052#section-2.1
pub fn fold(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(remote: &str, header: ForwardingHeader, lines: &[&str], expected: &str) {
        let proxies = TrustedProxies::networks(
            header,
            ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|n| n.parse().unwrap()),
        );
        let client = proxies.client(
            remote.parse().unwrap(),
            lines.iter().map(|line| line.as_bytes()),
        );
        assert_eq!(client.to_string(), expected, "{remote} {lines:?}");
    }

    #[test]
    fn tells_which_networks_are_trusted() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|n| n.parse().unwrap());
        let header = ForwardingHeader::Forwarded;
        let proxies = TrustedProxies::networks(header, networks);
        assert_eq!(proxies.trusted_networks(), networks);
        assert_eq!(TrustedProxies::none().trusted_networks(), []);
        let hops = TrustedProxies::insecure_hops(header, NonZeroUsize::MIN);
        assert_eq!(hops.trusted_networks(), []);
        let read = [&proxies, &TrustedProxies::none(), &hops].map(TrustedProxies::header);
        assert_eq!(read, [Some(header), None, Some(header)]);
    }

    #[test]
    fn reads_x_forwarded_for_from_the_right() {
        use ForwardingHeader::XForwardedFor as Xff;
        check("198.51.100.7", Xff, &["1.2.3.4"], "198.51.100.7");
        check("10.0.0.1", Xff, &["1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Xff, &["6.6.6.6, 1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Xff, &["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4");
        check("10.0.0.1", Xff, &["6.6.6.6", "1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Xff, &[], "10.0.0.1");
        check("10.0.0.1", Xff, &[""], "10.0.0.1");
        check("10.0.0.1", Xff, &["10.1.1.1, 10.2.2.2"], "10.1.1.1");
        check("10.0.0.1", Xff, &["1.2.3.4, garbage, 10.2.2.2"], "10.2.2.2");
        check("10.0.0.1", Xff, &["fe80::1%eth0"], "10.0.0.1");
        check("10.0.0.1", Xff, &["1.2.3.004"], "10.0.0.1");
        check("10.0.0.1", Xff, &["unknown"], "10.0.0.1");
        check("10.0.0.1", Xff, &["1.2.3.4:80"], "1.2.3.4");
        check("10.0.0.1", Xff, &["[2001:db8::1]:80"], "2001:db8::1");
        check("10.0.0.1", Xff, &["::ffff:1.2.3.4"], "1.2.3.4");
        check("::ffff:10.0.0.1", Xff, &["1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Xff, &["64:ff9b::1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Xff, &["1.2.3.4, 2001:db8:ffff::9"], "1.2.3.4");
    }

    #[test]
    fn reads_forwarded_from_the_right() {
        use ForwardingHeader::Forwarded as Fwd;
        check(
            "10.0.0.1",
            Fwd,
            &["for=6.6.6.6, for=1.2.3.4;proto=https"],
            "1.2.3.4",
        );
        check(
            "10.0.0.1",
            Fwd,
            &["For=\"[2001:db8::1]:4711\""],
            "2001:db8::1",
        );
        check("10.0.0.1", Fwd, &["by=9.9.9.9; for=1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Fwd, &["for=_hidden"], "10.0.0.1");
        check("10.0.0.1", Fwd, &["for=1.1.1.1;for=2.2.2.2"], "10.0.0.1");
        check("10.0.0.1", Fwd, &["proto=https"], "10.0.0.1");
        // A comma inside of quotes separates nothing.
        check(
            "10.0.0.1",
            Fwd,
            &["for=6.6.6.6, for=1.2.3.4;host=\"a, b\""],
            "1.2.3.4",
        );
        // A quote that the client left open cannot swallow what the proxy appended.
        check("10.0.0.1", Fwd, &["for=\"6.6.6.6, for=1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", Fwd, &["for=\"", "for=1.2.3.4"], "1.2.3.4");
        // Nor can an escaped quote, which a proxy may have copied, make up an element.
        let copied = r#"for=1.2.3.4;host="a\", for=6.6.6.6;by=\"""#;
        check("10.0.0.1", Fwd, &[copied], "10.0.0.1");
        check(
            "10.0.0.1",
            Fwd,
            &["for=6.6.6.6, for=\"1.2.3.4, x\""],
            "10.0.0.1",
        );
    }

    #[test]
    fn counts_hops_from_the_right() {
        let line = "6.6.6.6, 1.2.3.4, 10.2.2.2";
        for (count, expected) in [(2, "1.2.3.4"), (3, "6.6.6.6"), (4, "10.0.0.1")] {
            let proxies = TrustedProxies::insecure_hops(
                ForwardingHeader::XForwardedFor,
                NonZeroUsize::new(count).unwrap(),
            );
            let client = proxies.client("10.0.0.1".parse().unwrap(), [line.as_bytes()]);
            assert_eq!(client.to_string(), expected);
        }
    }

    #[test]
    fn quotes_join_what_is_between_them_in_forwarded_alone() {
        for (header, line, expected) in [
            (
                ForwardingHeader::Forwarded,
                r#"for=6.6.6.6, for=1.2.3.4, by="a, b", for=10.2.2.2"#,
                "1.2.3.4",
            ),
            (
                ForwardingHeader::XForwardedFor,
                r#"6.6.6.6, 1.2.3.4, "b", 10.2.2.2"#,
                "1.2.3.4",
            ),
            (
                ForwardingHeader::XForwardedFor,
                r#"6.6.6.6, 1.2.3.4", "10.2.2.2"#,
                "6.6.6.6",
            ),
        ] {
            let proxies = TrustedProxies::insecure_hops(header, NonZeroUsize::new(3).unwrap());
            let client = proxies.client("10.0.0.1".parse().unwrap(), [line.as_bytes()]);
            assert_eq!(client.to_string(), expected, "{line}");
        }
    }

    #[test]
    fn believes_nobody_by_default() {
        let client = TrustedProxies::none().client("10.0.0.1".parse().unwrap(), [&b"1.2.3.4"[..]]);
        assert_eq!(client.to_string(), "10.0.0.1");
    }
}
