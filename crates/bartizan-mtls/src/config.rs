//! The configuration of the layer, validated when it is built.

use std::sync::Arc;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SpiffePattern, SystemClock, TrustDomain};

use crate::acceptor::LAYER;
use crate::allowed::AllowedPeers;
use crate::error::ConfigError;
use crate::forwarded::ProxyGrants;
use crate::guard::{Config, MtlsGuard};
use crate::layer::MtlsLayer;
use crate::migration::Migration;
use crate::proxy::ProxyGrant;

/// Describes an [`MtlsLayer`]; made by [`MtlsLayer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a layer is made by `build`"]
pub struct MtlsLayerBuilder {
    allowed: Result<Option<AllowedPeers>, ConfigError>,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
    proxies: ProxyGrants,
    anonymous: bool,
    migration: Option<Migration>,
}

impl MtlsLayerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            allowed: Ok(None),
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
            proxies: ProxyGrants::default(),
            anonymous: false,
            migration: None,
        }
    }

    /// Allows the workloads whose SPIFFE ID this pattern matches; an ID is a pattern too.
    pub fn allow_peer(self, pattern: SpiffePattern) -> Self {
        self.allow(&AllowedPeers::pattern(pattern))
    }

    /// Allows every workload of this trust domain.
    pub fn allow_trust_domain(self, domain: TrustDomain) -> Self {
        self.allow(&AllowedPeers::trust_domain(domain))
    }

    /// Allows the peer with this DNS name, on listeners that identify peers by DNS names.
    pub fn allow_dns_name(mut self, name: &str) -> Self {
        match AllowedPeers::dns_name(name) {
            Ok(allowed) => self.allow(&allowed),
            Err(error) => {
                self.allowed = self.allowed.and(Err(ConfigError::DnsName(error)));
                self
            }
        }
    }

    /// Allows all peers of this set.
    pub fn allow(mut self, more: &AllowedPeers) -> Self {
        self.allowed = self
            .allowed
            .map(|allowed| Some(allowed.map_or_else(|| more.clone(), |allowed| allowed.or(more))));
        self
    }

    /// Lets requests pass that come under TLS from a client without a certificate: without a
    /// peer, so that handlers and further layers have to ask for one where they need it. A client
    /// that does have a certificate must be on the list.
    ///
    /// The connection must have come through a listener that says it is TLS, as one with
    /// [`allow_no_certificate`](crate::MtlsListenerBuilder::allow_no_certificate) does.
    pub fn allow_no_certificate(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Lets plaintext requests pass as this migration says. The listener has to be given it too.
    pub fn allow_plaintext(mut self, migration: &Migration) -> Self {
        self.migration = Some(migration.clone());
        self
    }

    /// Believes certain proxies about the client behind them; of several grants that admit a
    /// proxy the first counts. The proxies must be allowed as peers besides: a grant lets nobody in.
    ///
    /// Without a grant nobody is believed. `X-Forwarded-Client-Cert`, `Client-Cert` and
    /// `Client-Cert-Chain` are removed from the requests of everybody else, except in shadow mode,
    /// which leaves requests as they are.
    pub fn trust_proxy(mut self, grant: ProxyGrant) -> Self {
        self.proxies.add(grant);
        self
    }

    /// Sets whether a refusal reaches the client. It does unless said.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of each decision.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets the clock that a peer's expiry is compared with. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NobodyAllowed`] without any allowed peer: a layer that refuses all of them is
    /// a mistake that should show when the service starts. [`ConfigError::DnsName`] for a text that
    /// is no literal DNS name.
    pub fn build(self) -> Result<MtlsLayer, ConfigError> {
        let allowed = self.allowed?.ok_or(ConfigError::NobodyAllowed)?;
        let mut duty = Duty::new(LAYER).with_enforcement(self.enforcement);
        if let Some(observer) = self.observer {
            duty = duty.with_observer(observer);
        }
        Ok(MtlsLayer::new(MtlsGuard::new(Config {
            duty,
            allowed,
            clock: self.clock,
            proxies: self.proxies,
            anonymous: self.anonymous,
            migration: self.migration,
        })))
    }
}
