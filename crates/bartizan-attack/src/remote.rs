//! A service that is reached over the network.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use rustls::pki_types::CertificateDer;

use crate::authority::{Authority, Identity};
use crate::error::GivenError;
use crate::pem;

/// A service behind a URL, and how to reach it: over TLS under which certificate, and with which
/// authority to make others.
///
/// Only this machine is attacked, unless a host was named in so many words.
///
/// ```
/// use bartizan_attack::Remote;
///
/// assert!(Remote::new("http://127.0.0.1:8080").is_ok());
/// assert!(Remote::new("http://192.0.2.7:8080").is_err());
/// assert!(Remote::elsewhere("http://192.0.2.7:8080", "192.0.2.7").is_ok());
/// ```
#[derive(Clone)]
pub struct Remote {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) tls: bool,
    pub(crate) path: String,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) authority: Option<Authority>,
    pub(crate) spread: bool,
}

impl Remote {
    /// A service on this machine: `http://127.0.0.1:8080`, `https://localhost:8443`. A path in the
    /// URL is that of the control request where none is given otherwise.
    ///
    /// # Errors
    ///
    /// [`GivenError::Url`] or [`GivenError::Unknown`] for what is no URL of a host that is known,
    /// [`GivenError::Elsewhere`] for a host that is not this machine.
    pub fn new(url: &str) -> Result<Self, GivenError> {
        let (remote, addresses) = Self::parse(url)?;
        match addresses.into_iter().find(|it| !it.ip().is_loopback()) {
            Some(address) => Err(GivenError::Elsewhere {
                host: remote.bare_host().to_owned(),
                address,
            }),
            None => Ok(remote),
        }
    }

    /// A service on another machine, whose host is named once more: you say that you may attack it.
    ///
    /// Over TLS, [`with_roots`](Self::with_roots) is then needed: nothing is sent to somebody else.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`GivenError::AnotherHost`] if the URL is of another host.
    pub fn elsewhere(url: &str, host: &str) -> Result<Self, GivenError> {
        let (mut remote, addresses) = Self::parse(url)?;
        if !remote.bare_host().eq_ignore_ascii_case(host) {
            return Err(GivenError::AnotherHost {
                host: remote.bare_host().to_owned(),
                named: host.to_owned(),
            });
        }
        remote.spread &= addresses.iter().all(|it| it.ip().is_loopback());
        Ok(remote)
    }

    fn parse(url: &str) -> Result<(Self, Vec<SocketAddr>), GivenError> {
        let wrong = || GivenError::Url(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(port);
        let name = authority.host().trim_matches(['[', ']']);
        let found = (name, port).to_socket_addrs();
        let found: Vec<_> = found
            .map_err(|source| GivenError::Unknown {
                host: name.to_owned(),
                source,
            })?
            .collect();
        let address = *found.first().ok_or_else(wrong)?;
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        let remote = Self {
            address,
            host: authority.as_str().to_owned(),
            tls,
            path: path.to_owned(),
            roots: Vec::new(),
            identity: None,
            authority: None,
            spread: address.is_ipv4() && address.ip().is_loopback(),
        };
        Ok((remote, found))
    }

    /// The authorities that the service's certificate comes from, PEM. Its chain has to end there;
    /// its name is not looked at, since workloads have identities and no names.
    ///
    /// # Errors
    ///
    /// [`GivenError::Pem`] without a certificate in the text.
    pub fn with_roots(mut self, pem: &str) -> Result<Self, GivenError> {
        let roots = pem::blocks(pem, "CERTIFICATE").into_iter();
        self.roots = roots.map(CertificateDer::from).collect();
        match self.roots.is_empty() {
            true => Err(GivenError::Pem("certificate")),
            false => Ok(self),
        }
    }

    /// The client certificate that the service accepts, with its chain, and its key: PEM, and PEM of
    /// PKCS#8.
    ///
    /// # Errors
    ///
    /// [`GivenError::Pem`] without a certificate or a key in the text.
    pub fn with_certificate(mut self, chain: &str, key: &str) -> Result<Self, GivenError> {
        self.identity = Some(Identity::from_pem(chain, key)?);
        Ok(self)
    }

    /// The authority that client certificates come from, with its key, so that some can be made that
    /// are nearly right.
    #[must_use]
    pub fn with_authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Calls from one address. Otherwise a service on 127.0.0.0/8 is called from another address of
    /// this network each time, so that limits by address do not end the attack early.
    #[must_use]
    pub fn from_one_address(mut self) -> Self {
        self.spread = false;
        self
    }

    /// The host without the port.
    fn bare_host(&self) -> &str {
        let port = self.host.rfind(':');
        let bracket = self.host.rfind(']');
        let end = port.filter(|it| bracket.is_none_or(|bracket| *it > bracket));
        let name = self.host.get(..end.unwrap_or(self.host.len()));
        name.unwrap_or_default().trim_matches(['[', ']'])
    }

    pub(crate) fn is_here(&self) -> bool {
        matches!(self.address.ip(), ip if is_loopback(ip))
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("host", &self.host)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_attacked_unless_a_host_is_named() {
        for here in [
            "http://127.0.0.1:80",
            "http://127.9.9.9",
            "https://[::1]:8443/a?b",
            "http://localhost:1",
        ] {
            assert!(Remote::new(here).is_ok(), "{here}");
        }
        for there in ["http://192.0.2.1", "https://[2001:db8::1]:1"] {
            let error = Remote::new(there).unwrap_err();
            assert!(matches!(error, GivenError::Elsewhere { .. }), "{error}");
        }
        assert!(Remote::elsewhere("https://[2001:db8::1]:1", "2001:db8::1").is_ok());
        let error = Remote::elsewhere("http://192.0.2.1:80", "192.0.2.2").unwrap_err();
        assert!(matches!(error, GivenError::AnotherHost { .. }), "{error}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "127.0.0.1",
            "ftp://127.0.0.1",
            "http://127.0.0.1@192.0.2.1",
            "http:///a",
        ] {
            assert!(Remote::new(text).is_err(), "{text}");
        }
    }
}
