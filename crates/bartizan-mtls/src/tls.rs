//! The only room that knows rustls' configurations and verifier traits.
//!
//! Version 0.24 of rustls renames and reshapes them; that change ends here.

mod live;
mod sessions;
mod verifier;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bartizan_core::Clock;
use bartizan_source::Published;
use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, ServerConfig};
use rustls_pki_types::UnixTime;

use crate::allowed::AllowedPeers;
use crate::crypto::Crypto;
use crate::material::Material;
use crate::roots::unix_time;
use crate::tls::sessions::Sessions;
use crate::tls::verifier::Verifier;
use crate::trust::Trust;

pub(crate) use self::live::live_client_config;
pub(crate) use self::sessions::Resuming;
pub(crate) use self::verifier::{PeerNotAllowed, rustls_error};

/// Whether a client must have a certificate. One that it has is verified either way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Certificates {
    Optional,
    Required,
}

/// A rustls configuration and what it was built from.
#[derive(Debug)]
pub(crate) struct Built<C> {
    generation: u64,
    pub(crate) config: Arc<C>,
    pub(crate) trust: Trust,
    pub(crate) crypto: Crypto,
}

/// Builds a configuration anew for each published version of the material.
///
/// A new one, never a changed clone of the old: clones share session storage and resolvers.
/// Nothing watches for changes. Each handshake compares generations, so that what was withdrawn is
/// out of use from the very next handshake on.
pub(crate) struct Configurations<C> {
    material: Published<Material>,
    newest: ArcSwapOption<Built<C>>,
    build: Build<C>,
}

type Build<C> = Box<dyn Fn(&Material) -> Result<C, Error> + Send + Sync>;

impl Configurations<ServerConfig> {
    pub(crate) fn server(
        material: Published<Material>,
        clock: Arc<dyn Clock>,
        certificates: Certificates,
        resuming: Option<Resuming>,
    ) -> Self {
        Self::new(material, move |material| {
            server_config(material, &clock, certificates, resuming)
        })
    }
}

impl Configurations<ClientConfig> {
    pub(crate) fn client(
        material: Published<Material>,
        clock: Arc<dyn Clock>,
        allowed: AllowedPeers,
        protocols: &'static [&'static [u8]],
    ) -> Self {
        Self::new(material, move |material| {
            client_config(material, &clock, &allowed, protocols)
        })
    }
}

impl<C> Configurations<C> {
    fn new(
        material: Published<Material>,
        build: impl Fn(&Material) -> Result<C, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            material,
            newest: ArcSwapOption::empty(),
            build: Box::new(build),
        }
    }

    /// What configurations are built from.
    pub(crate) fn material(&self) -> &Published<Material> {
        &self.material
    }

    /// The configuration of the newest material; `None` as long as none was published.
    pub(crate) fn newest(&self) -> Result<Option<Arc<Built<C>>>, Error> {
        let Some(version) = self.material.load() else {
            return Ok(None);
        };
        if let Some(built) = self.newest.load_full()
            && built.generation == version.generation()
        {
            return Ok(Some(built));
        }
        // Two handshakes may build the same version at once. Either result is right, and a result
        // that comes late is noticed by its generation.
        let built = Arc::new(Built {
            generation: version.generation(),
            config: Arc::new((self.build)(version.value())?),
            trust: version.value().trust().clone(),
            crypto: version.value().identity().crypto().clone(),
        });
        self.newest.store(Some(Arc::clone(&built)));
        Ok(Some(built))
    }
}

impl<C> fmt::Debug for Configurations<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configurations")
            .field("material", &self.material)
            .finish_non_exhaustive()
    }
}

fn server_config(
    material: &Material,
    clock: &Arc<dyn Clock>,
    certificates: Certificates,
    resuming: Option<Resuming>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::clone(material.identity().crypto().provider());
    let verifier = Arc::new(Verifier::of_clients(&provider, material, certificates));
    let resolver = SingleCertAndKey::from(Arc::clone(material.identity().certified_key()));
    let mut config = ServerConfig::builder_with_details(provider, RustlsClock::of(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(resolver));
    // A resumed session hands us the certificate of its first handshake without asking the
    // verifier again: no expiry, no withdrawn trust. Where it is allowed, the acceptor asks.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(resuming) = resuming {
        config.session_storage = Arc::new(Sessions::new(resuming, clock));
        // A session serves once, so that each connection needs one for the next.
        config.send_tls13_tickets = 1;
    }
    config.alpn_protocols = owned(&[b"h2", b"http/1.1"]);
    Ok(config)
}

fn client_config(
    material: &Material,
    clock: &Arc<dyn Clock>,
    allowed: &AllowedPeers,
    protocols: &[&[u8]],
) -> Result<ClientConfig, Error> {
    let provider = Arc::clone(material.identity().crypto().provider());
    let verifier = Arc::new(Verifier::of_servers(&provider, material, allowed.clone()));
    let resolver = SingleCertAndKey::from(Arc::clone(material.identity().certified_key()));
    let mut config = ClientConfig::builder_with_details(provider, RustlsClock::of(clock))
        .with_protocol_versions(&[&TLS13])?
        // "Dangerous" is rustls' name for any verifier but its own; ours is `Trust::verify`.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(resolver));
    config.resumption = Resumption::disabled();
    config.alpn_protocols = owned(protocols);
    Ok(config)
}

fn owned(protocols: &[&[u8]]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}

/// The family's clock as rustls asks for it.
#[derive(Debug)]
struct RustlsClock(Arc<dyn Clock>);

impl RustlsClock {
    fn of(clock: &Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(clock)))
    }
}

impl TimeProvider for RustlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.wall()))
    }
}
