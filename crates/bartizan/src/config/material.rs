//! The identity and the trust that `[listener]` names, and the listener itself.

use std::time::Duration;

use bartizan_mtls::{EndConnection, Material, MaterialFiles, MtlsListener, MtlsListenerBuilder};
use bartizan_source::Published;

use crate::config::listener::{BundleFormat, Ends, IdentityKind, Listener};
use crate::config::problem::Problem;
use crate::config::surroundings::Surroundings;

/// Whoever fails at once is not asked without end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

impl From<Ends> for EndConnection {
    fn from(ends: Ends) -> Self {
        match ends {
            Ends::AtOnce => Self::AtOnce,
            Ends::Gracefully => Self::Gracefully,
            Ends::Never => Self::Never,
        }
    }
}

impl Listener {
    /// What of the options goes together, as far as it is known without a file.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let from_files = self.identity != IdentityKind::WorkloadApi;
        if from_files && (self.chain.is_none() || self.key.is_none()) {
            return Err(self.wrong("takes `chain` and `key`"));
        }
        if !from_files && (self.chain.is_some() || self.key.is_some() || !self.trust.is_empty()) {
            return Err(self.wrong("the Workload API gives chain, key and trust: name none here"));
        }
        match self.identity {
            IdentityKind::Dns if self.dns_roots.is_none() => {
                Err(self.wrong("with `identity = \"dns\"` takes `dns_roots`"))
            }
            IdentityKind::Dns if !self.trust.is_empty() => {
                Err(self.wrong("with `identity = \"dns\"` trusts `dns_roots`, and no `trust`"))
            }
            IdentityKind::Spiffe if self.trust.is_empty() => {
                Err(self.wrong("trusts nobody: add [[listener.trust]]"))
            }
            IdentityKind::WorkloadApi if !cfg!(feature = "workload-api") => {
                Err(self.lacking("workload-api"))
            }
            IdentityKind::WorkloadApi if self.workload_api_first_pause < SHORTEST_PAUSE => {
                Err(self.wrong("`workload_api_first_pause` is less than 10ms"))
            }
            _ if self.dns_roots.is_some() && self.identity != IdentityKind::Dns => {
                Err(self.wrong("`dns_roots` are for `identity = \"dns\"`"))
            }
            _ => self.check_bundles(),
        }
    }

    fn check_bundles(&self) -> Result<(), Problem> {
        for (at, entry) in self.trust.iter().enumerate() {
            let mut before = self.trust.iter().take(at);
            if before.any(|other| other.domain == entry.domain) {
                let message = format!("trust domain {} is named twice", entry.domain);
                return Err(Problem::new(entry.stands.0, "listener.trust", message));
            }
            if entry.format == BundleFormat::Spiffe && !cfg!(feature = "spiffe-bundle") {
                let (at, feature) = (entry.stands.0, "spiffe-bundle");
                return Err(Problem::lacking(at, "listener.trust", feature));
            }
        }
        Ok(())
    }

    /// The files of identity and trust; `None` if they come from the Workload API.
    pub(crate) fn files(&self, with: &Surroundings) -> Option<MaterialFiles> {
        let (chain, key) = (self.chain.as_ref()?, self.key.as_ref()?);
        let mut files = match &self.dns_roots {
            Some(roots) => MaterialFiles::dns(chain, key, roots),
            None => MaterialFiles::new(chain, key),
        };
        for entry in &self.trust {
            files = match entry.format {
                BundleFormat::Pem => files.with_bundle(entry.domain.clone(), &entry.bundle),
                #[cfg(feature = "spiffe-bundle")]
                BundleFormat::Spiffe => {
                    files.with_spiffe_bundle(entry.domain.clone(), &entry.bundle)
                }
                #[cfg(not(feature = "spiffe-bundle"))]
                BundleFormat::Spiffe => files,
            };
            if let Some(lists) = &entry.revocation_lists {
                files = files.with_revocation_lists(entry.domain.clone(), lists);
            }
        }
        if let Some(lists) = &self.dns_revocation_lists {
            files = files.with_dns_revocation_lists(lists);
        }
        if self.allow_unknown_revocation_status {
            files = files.allow_unknown_revocation_status();
        }
        files = files
            .with_interval(self.reload_interval)
            .with_clock(with.clock.clone());
        Some(match with.observer() {
            Some(observer) => files.with_observer(observer),
            None => files,
        })
    }

    /// Identity and trust, which follow their source from now on.
    pub(crate) fn material(&self, with: &Surroundings) -> Result<Published<Material>, Problem> {
        self.check()?;
        let Some(files) = self.files(with) else {
            return self.workload_material(with);
        };
        let source = if self.allow_late_identity {
            files.start()
        } else {
            files.load()
        };
        let source = source.map_err(|error| self.refuse("listener", &error))?;
        Ok(source.published())
    }

    /// Reads the files once.
    pub(crate) fn check_files(&self, with: &Surroundings) -> Result<(), Problem> {
        if self.identity == IdentityKind::WorkloadApi {
            return self.check();
        }
        let at_once = Self {
            allow_late_identity: false,
            ..self.clone()
        };
        at_once.material(with).map(drop)
    }

    #[cfg(feature = "workload-api")]
    fn workload_material(&self, with: &Surroundings) -> Result<Published<Material>, Problem> {
        let started = self.workload(with)?.start();
        started.map_err(|error| self.refuse("listener.workload_api", &error))
    }

    /// The Workload API, not started yet.
    #[cfg(feature = "workload-api")]
    pub(crate) fn workload(
        &self,
        with: &Surroundings,
    ) -> Result<bartizan_mtls::WorkloadApi, Problem> {
        use bartizan_mtls::WorkloadApi;
        use bartizan_source::Backoff;
        let api = match &self.workload_api {
            Some(endpoint) => WorkloadApi::new(endpoint),
            None => WorkloadApi::from_environment(),
        };
        let refused = |error| self.refuse("listener.workload_api", &error);
        let (first, longest) = (
            self.workload_api_first_pause,
            self.workload_api_longest_pause,
        );
        let mut api = api
            .map_err(refused)?
            .with_backoff(Backoff::new(first, longest))
            .with_clock(with.clock.clone());
        if let Some(hint) = &self.workload_api_hint {
            api = api.with_hint(hint.as_str());
        }
        if self.require_revocation_status {
            api = api.require_revocation_status();
        }
        if let Some(observer) = with.observer() {
            api = api.with_observer(observer);
        }
        Ok(api)
    }

    #[cfg(not(feature = "workload-api"))]
    fn workload_material(&self, _: &Surroundings) -> Result<Published<Material>, Problem> {
        Err(self.lacking("workload-api"))
    }

    /// The listener as the file has it, but for who is let in.
    pub(crate) fn builder(
        &self,
        material: Published<Material>,
        with: &Surroundings,
    ) -> MtlsListenerBuilder {
        let mut builder = MtlsListener::builder(material)
            .with_handshake_timeout(self.handshake_timeout)
            .with_max_handshakes(self.max_handshakes)
            .with_max_sessions(self.max_sessions)
            .on_expiry(self.on_expiry.into())
            .on_revocation(self.on_revocation.into())
            .with_drain_timeout(self.drain_timeout)
            .with_clock(with.clock.clone());
        if !self.proxy_protocol.is_empty() {
            builder = builder.allow_proxy_protocol(self.proxy_protocol.iter().copied());
        }
        if let Some(limit) = self.max_handshakes_per_address {
            builder = builder.with_max_handshakes_per_address(limit);
        }
        if let Some(age) = self.max_connection_age {
            builder = builder.with_max_connection_age(age);
        }
        if let Some(lifetime) = self.allow_resumption {
            builder = builder.allow_resumption(lifetime);
        }
        match with.observer() {
            Some(observer) => builder.with_observer(observer),
            None => builder,
        }
    }

    fn lacking(&self, feature: &'static str) -> Problem {
        Problem::lacking(self.stands.0, "listener", feature)
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "listener", message)
    }
}
