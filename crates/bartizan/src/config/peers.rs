//! `[peers]`: which workloads may call.

use bartizan_core::{SpiffeId, SpiffePattern, TrustDomain, WallTime};
use bartizan_mtls::{AllowedPeers, Migration, MtlsLayer, ProxyGrant};

use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::section::section;
use crate::config::setting::{Mode, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// Which workloads may call at all. Nobody is allowed who is not named here.
    Peers {
        /// SPIFFE IDs or patterns of workloads that may call.
        allow: Vec<SpiffePattern>,
        /// Trust domains of which every workload may call.
        trust_domains: Vec<TrustDomain>,
        /// DNS names that may call, with `identity = "dns"`.
        dns_names: Vec<String>,
        /// Lets clients in that have no certificate, under TLS. They have no peer: rules must ask
        /// for one where they need it.
        allow_no_certificate: bool = "false",
        /// Takes plaintext beside TLS, on some routes and until a certain day.
        insecure_plaintext: Option<Plaintext>,
        /// Proxies that are believed about the client behind them.
        proxy: Vec<Proxy>,
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// Plaintext, for moving clients over one after the other.
    Plaintext {
        /// When it ends, in UTC.
        until: WallTime,
        /// The route templates that plaintext may call.
        routes: Vec<String>,
        /// Lets requests pass that carry a credential, which anybody on the way can read: an
        /// `Authorization` header, or the one of `[api_keys]`, `tokens.allow_cookie` or
        /// `tokens.allow_websocket_protocol`.
        insecure_allow_tokens: bool = "false",
    }
}

section! {
    /// Proxies, and the header in which they are believed.
    Proxy {
        /// The header that they write. The other is removed.
        header: ProxyHeader,
        /// SPIFFE IDs or patterns of the proxies. They must be allowed as peers besides.
        peers: Vec<SpiffePattern>,
        /// Trust domains of which every workload is such a proxy.
        trust_domains: Vec<TrustDomain>,
        /// Names that are also accepted in `By`.
        by: Vec<SpiffeId>,
        /// Lets a client behind the proxy use tokens that are bound to its certificate.
        allow_certificate_binding: bool = "false",
        /// Leaves the header in place for services further in.
        allow_header_inward: bool = "false",
    }
}

choice! {
    /// A header in which proxies say who their client is.
    ProxyHeader {
        /// `Client-Cert` (RFC 9440).
        ClientCert = "client-cert",
        /// `X-Forwarded-Client-Cert`.
        Xfcc = "x-forwarded-client-cert",
    }
}

impl Peers {
    /// The plaintext that is taken, if it is: one value for listener and layer.
    pub(crate) fn migration(&self) -> Result<Option<Migration>, Problem> {
        let Some(plaintext) = &self.insecure_plaintext else {
            return Ok(None);
        };
        let migration = Migration::until(plaintext.until).add_routes(&plaintext.routes);
        let path = "peers.insecure_plaintext.routes";
        let migration = migration.map_err(|error| plaintext.refuse(path, &error))?;
        Ok(Some(if plaintext.insecure_allow_tokens {
            migration.insecure_allow_tokens()
        } else {
            migration
        }))
    }

    pub(crate) fn build(
        &self,
        migration: Option<&Migration>,
        with: &Surroundings,
    ) -> Result<MtlsLayer, Problem> {
        let mut layer = MtlsLayer::builder().with_clock(with.clock.clone());
        for pattern in &self.allow {
            layer = layer.allow_peer(pattern.clone());
        }
        for domain in &self.trust_domains {
            layer = layer.allow_trust_domain(domain.clone());
        }
        for name in &self.dns_names {
            layer = layer.allow_dns_name(name);
        }
        if self.allow_no_certificate {
            layer = layer.allow_no_certificate();
        }
        if let Some(migration) = migration {
            layer = layer.allow_plaintext(migration);
        }
        for proxy in &self.proxy {
            layer = layer.trust_proxy(proxy.build()?);
        }
        attended!(layer, self.mode, with)
            .build()
            .map_err(|error| self.refuse("peers", &error))
    }
}

impl Proxy {
    fn build(&self) -> Result<ProxyGrant, Problem> {
        let mut proxies: Option<AllowedPeers> = None;
        let mut add = |more: AllowedPeers| {
            proxies = Some(match proxies.take() {
                Some(proxies) => proxies.or(&more),
                None => more,
            });
        };
        for pattern in &self.peers {
            add(AllowedPeers::pattern(pattern.clone()));
        }
        for domain in &self.trust_domains {
            add(AllowedPeers::trust_domain(domain.clone()));
        }
        let Some(proxies) = proxies else {
            let message = "names no proxy: set `peers` or `trust_domains`";
            return Err(Problem::new(self.stands.0, "peers.proxy", message));
        };
        let mut grant = match self.header {
            ProxyHeader::ClientCert => ProxyGrant::client_cert(proxies),
            ProxyHeader::Xfcc => ProxyGrant::xfcc(proxies),
        };
        for id in &self.by {
            grant = grant.add_by(id.clone());
        }
        if self.allow_certificate_binding {
            grant = grant.allow_certificate_binding();
        }
        if self.allow_header_inward {
            grant = grant.allow_header_inward();
        }
        Ok(grant)
    }
}
