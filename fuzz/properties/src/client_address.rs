//! Forwarding headers: what a client writes on the left does not change what a trusted proxy
//! wrote on the right.

use std::net::IpAddr;

use bartizan_core::{ForwardingHeader, IpNetwork, TrustedProxies};

/// Holds the bytes to what the head of this file says.
pub fn check(left: &[u8]) {
    let proxy: IpAddr = [10, 0, 0, 1].into();
    let client: IpAddr = [203, 0, 113, 9].into();
    for (header, right) in [
        (ForwardingHeader::Forwarded, &b", for=203.0.113.9"[..]),
        (ForwardingHeader::XForwardedFor, &b", 203.0.113.9"[..]),
    ] {
        // An escape makes a line of `Forwarded` worthless: the proxy itself is then the client.
        if header == ForwardingHeader::Forwarded && left.contains(&b'\\') {
            continue;
        }
        let networks = ["10.0.0.0/8".parse().expect("network")];
        let proxies = TrustedProxies::networks(header, networks);
        let line = [left, right].concat();
        assert_eq!(proxies.client(proxy, [&line[..]]), client);
        assert_eq!(proxies.client(proxy, [left, &right[2..]]), client);
        let _ = proxies.client(proxy, [left]);
    }
    if let Ok(text) = std::str::from_utf8(left)
        && let Ok(network) = text.parse::<IpNetwork>()
    {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert!(network.contains(network.base()));
    }
}
