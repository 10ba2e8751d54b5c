//! Material from PEM files that are replaced while the service runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock, TrustDomain};
use bartizan_source::{FileSet, FileSource, FileSourceBuilder, SourceError};

use crate::crypto::Crypto;
use crate::identity::IdentityError;
use crate::material::Material;
use crate::revocation::{RevocationError, RevocationLists};
use crate::roots::{Roots, RootsError};
use crate::svid_error::SvidError;
use crate::trust::{Trust, TrustBundles};

/// Ten seconds: a tenth of a minute late is early enough for certificates that live an hour.
const INTERVAL: Duration = Duration::from_secs(10);

/// Material in PEM files, as cert-manager, `spiffe-helper` or a Kubernetes secret provide it.
///
/// All files are read together, again and again, through symbolic links. A new set is published
/// only if it is sound as a whole: the key belongs to the leaf, the leaf meets the rules and is
/// inside its validity period, each bundle consists of certificate authorities, and that of our
/// own trust domain vouches for our own chain. Otherwise the last
/// good version stays, and the failure is told to the observer and shown by
/// [`FileSource::status`].
///
/// ```no_run
/// use bartizan_mtls::{MaterialFiles, MtlsListener};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let material = MaterialFiles::new("/run/svid/tls.crt", "/run/svid/tls.key")
///     .with_bundle("example.org".parse()?, "/run/svid/ca.crt")
///     .with_bundle("partner.example".parse()?, "/etc/federation/partner.pem")
///     .load()?;
/// let listener = MtlsListener::builder(material.published()).bind("0.0.0.0:8443").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "files are read by `load` or `start`"]
pub struct MaterialFiles {
    chain: PathBuf,
    key: PathBuf,
    trust: TrustFiles,
    #[cfg(feature = "spiffe-bundle")]
    documents: std::collections::BTreeSet<TrustDomain>,
    revocation: BTreeMap<Option<TrustDomain>, PathBuf>,
    allow_unknown_status: bool,
    crypto: Crypto,
    interval: Duration,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

#[derive(Clone, Debug)]
enum TrustFiles {
    Dns(PathBuf),
    Spiffe(BTreeMap<TrustDomain, PathBuf>),
}

impl MaterialFiles {
    /// An X509-SVID: the chain, leaf first, and its key. One file may hold both. Without
    /// [`with_bundle`](Self::with_bundle) nobody is trusted.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::of(
            chain.into(),
            key.into(),
            TrustFiles::Spiffe(BTreeMap::new()),
        )
    }

    /// A certificate with DNS names as identity, its key, and the roots that peers' DNS names rest
    /// on: for a PKI without SPIFFE. See [`Trust::dns`].
    pub fn dns(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        roots: impl Into<PathBuf>,
    ) -> Self {
        Self::of(chain.into(), key.into(), TrustFiles::Dns(roots.into()))
    }

    /// Sets the file with the roots of one trust domain. On a DNS identity it has no effect:
    /// the roots given there are the only ones.
    pub fn with_bundle(mut self, domain: TrustDomain, roots: impl Into<PathBuf>) -> Self {
        #[cfg(feature = "spiffe-bundle")]
        self.documents.remove(&domain);
        if let TrustFiles::Spiffe(bundles) = &mut self.trust {
            bundles.insert(domain, roots.into());
        }
        self
    }

    /// Sets the file with the bundle of one trust domain as a SPIFFE bundle document, such as
    /// `spire-server bundle show -format spiffe` prints: see
    /// [`SpiffeBundle`](crate::SpiffeBundle). On a DNS identity it has no effect.
    #[cfg(feature = "spiffe-bundle")]
    pub fn with_spiffe_bundle(mut self, domain: TrustDomain, document: impl Into<PathBuf>) -> Self {
        self = self.with_bundle(domain.clone(), document);
        self.documents.insert(domain);
        self
    }

    /// Sets the file with the revocation lists of one trust domain, in PEM form. Without it,
    /// nobody's revocation is noticed; it has no effect on a domain without a bundle. See
    /// [`RevocationLists`].
    pub fn with_revocation_lists(mut self, domain: TrustDomain, lists: impl Into<PathBuf>) -> Self {
        self.revocation.insert(Some(domain), lists.into());
        self
    }

    /// Sets the file with the revocation lists for a DNS identity's roots. On an X509-SVID it has
    /// no effect.
    pub fn with_dns_revocation_lists(mut self, lists: impl Into<PathBuf>) -> Self {
        self.revocation.insert(None, lists.into());
        self
    }

    /// Lets certificates pass whose revocation the lists do not tell, and goes on using lists that
    /// are overdue: see [`RevocationLists::allow_unknown_status`].
    pub fn allow_unknown_revocation_status(mut self) -> Self {
        self.allow_unknown_status = true;
        self
    }

    /// Sets the crypto library of the identity, and so of all that uses it. ring unless said.
    pub fn with_crypto(mut self, crypto: Crypto) -> Self {
        self.crypto = crypto;
        self
    }

    /// Sets how long to wait between two readings. Ten seconds unless said.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the clock that validity periods are compared with. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told of new versions and of failures.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Reads the files now, and keeps the material up to date from then on: for a service that
    /// must not start without an identity.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or its content is refused ([`MaterialError`] is the source), or
    /// outside a tokio runtime.
    pub fn load(self) -> Result<FileSource<Material>, SourceError> {
        let source = self.source();
        source.load(move |set: &FileSet| self.parse(set))
    }

    /// Begins without material, for a certificate that is still being issued. Until it is there,
    /// every handshake fails with the code `mtls.no_identity`.
    ///
    /// # Errors
    ///
    /// If a setting cannot work, or outside a tokio runtime.
    pub fn start(self) -> Result<FileSource<Material>, SourceError> {
        let source = self.source();
        source.start(move |set: &FileSet| self.parse(set))
    }

    fn of(chain: PathBuf, key: PathBuf, trust: TrustFiles) -> Self {
        let clock = Arc::new(SystemClock);
        Self {
            chain,
            key,
            trust,
            #[cfg(feature = "spiffe-bundle")]
            documents: std::collections::BTreeSet::new(),
            revocation: BTreeMap::new(),
            allow_unknown_status: false,
            crypto: Crypto::ring(),
            interval: INTERVAL,
            clock,
            observer: None,
        }
    }

    fn source(&self) -> FileSourceBuilder {
        let mut source = FileSourceBuilder::new("mtls.material")
            .add_file(&self.chain)
            .add_file(&self.key)
            .with_interval(self.interval)
            .with_clock(Arc::clone(&self.clock));
        match &self.trust {
            TrustFiles::Dns(roots) => source = source.add_file(roots),
            TrustFiles::Spiffe(bundles) => {
                for roots in bundles.values() {
                    source = source.add_file(roots);
                }
            }
        }
        for lists in self.revocation.values() {
            source = source.add_file(lists);
        }
        match &self.observer {
            Some(observer) => source.with_observer(Arc::clone(observer)),
            None => source,
        }
    }

    fn parse(&self, set: &FileSet) -> Result<Material, MaterialError> {
        let content = |path: &Path| set.get(path).unwrap_or_default();
        let (chain, key) = (content(&self.chain), content(&self.key));
        let roots = |domain: Option<&TrustDomain>, path: &Path| {
            let roots = self.roots(domain, path, content(path))?;
            match self.revocation.get(&domain.cloned()) {
                Some(path) => Ok(roots.with_revocation_lists(self.lists(path, content(path))?)),
                None => Ok(roots),
            }
        };
        let (identity, trust) = match &self.trust {
            TrustFiles::Dns(path) => (
                self.crypto.dns_identity_from_pem(chain, key),
                Trust::dns(roots(None, path)?),
            ),
            TrustFiles::Spiffe(paths) => {
                let mut bundles = TrustBundles::new();
                for (domain, path) in paths {
                    bundles = bundles.with_bundle(domain.clone(), roots(Some(domain), path)?);
                }
                (
                    self.crypto.identity_from_pem(chain, key),
                    Trust::spiffe(bundles),
                )
            }
        };
        let identity = identity.map_err(MaterialError::Identity)?;
        let now = self.clock.wall();
        identity
            .check_validity(now)
            .map_err(MaterialError::Validity)?;
        trust
            .check_own(&identity, now)
            .map_err(MaterialError::OwnBundle)?;
        Ok(Material::new(identity, trust))
    }

    fn roots(
        &self,
        domain: Option<&TrustDomain>,
        path: &Path,
        content: &[u8],
    ) -> Result<Roots, MaterialError> {
        #[cfg(feature = "spiffe-bundle")]
        if domain.is_some_and(|domain| self.documents.contains(domain)) {
            let bundle = crate::SpiffeBundle::from_json(content);
            return match bundle {
                Ok(bundle) => Ok(bundle.roots().clone()),
                Err(cause) => Err(MaterialError::SpiffeBundle {
                    path: path.to_owned(),
                    cause,
                }),
            };
        }
        let _ = domain;
        Roots::from_pem(content).map_err(|cause| MaterialError::Roots {
            path: path.to_owned(),
            cause,
        })
    }

    fn lists(&self, path: &Path, content: &[u8]) -> Result<RevocationLists, MaterialError> {
        let lists =
            RevocationLists::from_pem(content).map_err(|cause| MaterialError::RevocationLists {
                path: path.to_owned(),
                cause,
            })?;
        Ok(if self.allow_unknown_status {
            lists.allow_unknown_status()
        } else {
            lists
        })
    }
}

/// Why the content of files is no material. It is the source of the [`SourceError`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// Chain and key make no identity.
    #[error("chain and key make no identity")]
    Identity(#[source] IdentityError),
    /// The roots of our own trust domain do not vouch for our own chain, so that nobody of the
    /// domain would believe us.
    #[error("own certificate does not rest on the own bundle")]
    OwnBundle(#[source] SvidError),
    /// A file with revocation lists is unfit.
    #[error("revocation lists in {} are unfit", .path.display())]
    RevocationLists {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: RevocationError,
    },
    /// A file with roots is unfit.
    #[error("roots in {} are unfit", .path.display())]
    Roots {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: RootsError,
    },
    /// A file with a SPIFFE bundle document is unfit.
    #[cfg(feature = "spiffe-bundle")]
    #[error("spiffe bundle in {} is unfit", .path.display())]
    SpiffeBundle {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: crate::SpiffeBundleError,
    },
    /// The leaf certificate is outside its validity period.
    #[error("certificate cannot be used now")]
    Validity(#[source] SvidError),
}
