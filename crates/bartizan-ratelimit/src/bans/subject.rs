//! Whom a ban is about.

use std::fmt;
use std::net::IpAddr;

use bartizan_core::{IpNetwork, Peer, Principal};

/// Whom a ban is about: somebody proven, or the address of a client.
///
/// Names stay here as they are, in memory of a fixed number of entries, so that an operator can
/// tell who is banned. They come from verified facts alone.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct BanSubject(Subject);

#[derive(Clone, Eq, Hash, PartialEq)]
enum Subject {
    Network(IpNetwork),
    Peer(Box<str>),
    Principal(Box<str>, Box<str>),
}

impl BanSubject {
    /// The client at this address: IPv4 by address, IPv6 by /64, IPv4 in IPv6 as IPv4. Take it
    /// from the context ([`SecurityContext::address`]), which believes trusted proxies alone.
    ///
    /// [`SecurityContext::address`]: bartizan_core::SecurityContext::address
    pub fn address(address: IpAddr) -> Self {
        Self(Subject::Network(IpNetwork::of_client(address, 32, 64)))
    }

    /// The workload that a connection proved.
    pub fn peer(peer: &Peer) -> Self {
        Self(Subject::Peer(peer.to_string().into()))
    }

    /// The principal that a credential proved: issuer and subject.
    pub fn principal(principal: &Principal) -> Self {
        Self(Subject::Principal(
            principal.issuer().into(),
            principal.subject().into(),
        ))
    }

    pub(super) fn network(&self) -> Option<IpNetwork> {
        match &self.0 {
            Subject::Network(network) => Some(*network),
            _ => None,
        }
    }
}

impl fmt::Debug for BanSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Subject::Network(network) => write!(f, "BanSubject({network})"),
            Subject::Peer(peer) => write!(f, "BanSubject({peer})"),
            Subject::Principal(issuer, subject) => {
                write!(f, "BanSubject({subject} of {issuer})")
            }
        }
    }
}
