//! Which server is expected at which host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::allowed::{AllowedPeers, NotADnsName};
use crate::rules::literal_dns_name;

/// Which server a connector expects to find at which host.
///
/// One set for every host, which is what an [`AllowedPeers`] turns into, or a set for each host by
/// name. A host that is not listed is then not connected to.
///
/// ```
/// use bartizan_mtls::{AllowedPeers, ExpectedServers};
///
/// let servers = ExpectedServers::by_host()
///     .add_host("payments.shop.svc", AllowedPeers::id("spiffe://a.org/payments".parse()?))?
///     .add_host("partner.example", AllowedPeers::trust_domain("partner.example".parse()?))?;
/// # let _ = servers;
/// assert!(ExpectedServers::by_host().add_host("*.svc", AllowedPeers::dns_name("a")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExpectedServers {
    everywhere: Option<AllowedPeers>,
    hosts: HashMap<Box<str>, AllowedPeers>,
}

impl ExpectedServers {
    /// No host at all, to begin with.
    pub fn by_host() -> Self {
        Self {
            everywhere: None,
            hosts: HashMap::new(),
        }
    }

    /// Expects these servers at this host, a DNS name or an IP address, in place of any that were
    /// expected there before. The port does not matter.
    ///
    /// # Errors
    ///
    /// [`NotADnsName`] for a wildcard or anything else that is no literal host.
    pub fn add_host(mut self, host: &str, servers: AllowedPeers) -> Result<Self, NotADnsName> {
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => literal_dns_name(host.as_bytes()).ok_or_else(|| NotADnsName::new(host))?,
        };
        self.hosts.insert(host.into(), servers);
        Ok(self)
    }

    /// The same with something else in place of each set.
    pub(crate) fn map<T>(self, make: impl Fn(AllowedPeers) -> T) -> ByHost<T> {
        let hosts = self.hosts.into_iter();
        ByHost {
            everywhere: self.everywhere.map(&make),
            hosts: hosts.map(|(host, servers)| (host, make(servers))).collect(),
        }
    }
}

impl From<AllowedPeers> for ExpectedServers {
    fn from(servers: AllowedPeers) -> Self {
        Self {
            everywhere: Some(servers),
            hosts: HashMap::new(),
        }
    }
}

/// Something for each host, or one for all that are not listed.
#[derive(Debug)]
pub(crate) struct ByHost<T> {
    everywhere: Option<T>,
    hosts: HashMap<Box<str>, T>,
}

impl<T> ByHost<T> {
    /// What there is for a host as a URI has it, without brackets.
    pub(crate) fn of(&self, host: &str) -> Option<&T> {
        // One spelling for each address and name.
        let host = match host.parse::<IpAddr>() {
            Ok(address) => Cow::from(address.to_string()),
            Err(_) if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Cow::from(host.to_ascii_lowercase())
            }
            Err(_) => Cow::from(host),
        };
        self.hosts.get(&*host).or(self.everywhere.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> AllowedPeers {
        AllowedPeers::trust_domain(name.parse().unwrap())
    }

    fn check(servers: &ExpectedServers, host: &str, expected: Option<&str>) {
        let named = servers.clone().map(|servers| format!("{servers:?}"));
        let wanted = expected.map(|name| format!("{:?}", domain(name)));
        assert_eq!(named.of(host), wanted.as_ref(), "{host}");
    }

    #[test]
    fn finds_hosts_whatever_their_spelling() {
        let servers = ExpectedServers::by_host()
            .add_host("Payments.shop.SVC", domain("a"))
            .and_then(|servers| servers.add_host("127.0.0.1", domain("b")))
            .and_then(|servers| servers.add_host("0:0::1", domain("c")))
            .unwrap();
        check(&servers, "payments.shop.svc", Some("a"));
        check(&servers, "PAYMENTS.shop.svc", Some("a"));
        check(&servers, "127.0.0.1", Some("b"));
        check(&servers, "::1", Some("c"));
        check(&servers, "0:0:0:0:0:0:0:1", Some("c"));
        for other in [
            "",
            "payments.shop.svc.",
            "x.payments.shop.svc",
            "127.0.0.2",
            "shop.svc",
        ] {
            check(&servers, other, None);
        }
    }

    #[test]
    fn a_listed_host_comes_before_the_set_for_all() {
        let servers = ExpectedServers::from(domain("all"))
            .add_host("a.b", domain("first"))
            .and_then(|servers| servers.add_host("A.B", domain("a")))
            .unwrap();
        check(&servers, "a.b", Some("a"));
        check(&servers, "c.d", Some("all"));
    }

    #[test]
    fn refuses_what_is_no_literal_host() {
        for host in [
            "",
            "*",
            "*.example.org",
            "a b",
            "a.",
            "https://a",
            "a:443",
            "[::1]",
        ] {
            let verdict = ExpectedServers::by_host().add_host(host, domain("a"));
            assert!(verdict.is_err(), "{host}");
        }
    }
}
