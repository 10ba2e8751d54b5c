//! The only room that knows rustls' configuration and verifier traits.
//!
//! Version 0.24 of rustls renames and reshapes them; that change ends here.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bartizan_core::{Clock, PeerIdentity, WallTime};
use bartizan_source::Published;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::allowed::AllowedPeers;
use crate::material::Material;
use crate::roots::unix_time;
use crate::rules::{MAX_CHAIN_CERTIFICATES, Role};
use crate::svid_error::SvidError;
use crate::trust::Trust;

/// A rustls configuration and what it was built from.
#[derive(Debug)]
pub(crate) struct Built<C> {
    generation: u64,
    pub(crate) config: Arc<C>,
    pub(crate) trust: Trust,
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
    pub(crate) fn server(material: Published<Material>, clock: Arc<dyn Clock>) -> Self {
        Self::new(material, move |material| server_config(material, &clock))
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

/// The far end proved to be somebody, and not one of those that were asked for.
#[derive(Debug, thiserror::Error)]
#[error("peer is {peer}, which is not among those allowed")]
pub(crate) struct PeerNotAllowed {
    peer: Box<str>,
}

fn server_config(material: &Material, clock: &Arc<dyn Clock>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(&provider, material, None));
    let resolver = SingleCertAndKey::from(Arc::clone(material.identity().certified_key()));
    let mut config = ServerConfig::builder_with_details(provider, RustlsClock::of(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(resolver));
    // A resumed session would hand us the certificate of its first handshake without asking the
    // verifier again: no expiry, no withdrawn trust, no rotated identity.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = owned(&[b"h2", b"http/1.1"]);
    Ok(config)
}

fn client_config(
    material: &Material,
    clock: &Arc<dyn Clock>,
    allowed: &AllowedPeers,
    protocols: &[&[u8]],
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(&provider, material, Some(allowed.clone())));
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

/// Lets `Trust` decide, at either end.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    // A server takes every peer that it believes; its layer decides who may do what.
    allowed: Option<AllowedPeers>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(provider: &CryptoProvider, material: &Material, allowed: Option<AllowedPeers>) -> Self {
        Self {
            trust: material.trust().clone(),
            allowed,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), Error> {
        // One certificate more than is allowed is enough to be refused for.
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .take(MAX_CHAIN_CERTIFICATES + 1)
            .map(|certificate| CertificateDer::from(certificate.as_ref()))
            .collect();
        let now = WallTime::from_unix_seconds(now.as_secs());
        let certificate = self.trust.verify(&chain, role, now).map_err(rustls_error)?;
        match &self.allowed {
            Some(allowed) if !allowed.admits(&certificate.identity) => {
                let peer = display_name(&certificate.identity);
                Err(CertificateError::Other(OtherError(Arc::new(PeerNotAllowed { peer }))).into())
            }
            _ => Ok(()),
        }
    }
}

fn display_name(identity: &PeerIdentity) -> Box<str> {
    match identity {
        PeerIdentity::Spiffe(id) => id.as_str().into(),
        PeerIdentity::Dns(names) => names.first().cloned().unwrap_or_default(),
        _ => "unknown".into(),
    }
}

/// Chooses the alert that the far end sees; ours keeps its reason as the source.
fn rustls_error(error: SvidError) -> Error {
    let certificate_error = match error {
        SvidError::Expired { .. } => CertificateError::Expired,
        SvidError::NotYetValid { .. } => CertificateError::NotValidYet,
        SvidError::UnknownIssuer => CertificateError::UnknownIssuer,
        SvidError::ExtendedKeyUsage => CertificateError::InvalidPurpose,
        SvidError::Malformed => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    certificate_error.into()
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: a client has one identity and needs no help to choose, and the list would
        // tell strangers whom we trust.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // The identity is what the connector was told to expect, not the name that was dialled.
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn no_tls12() -> Error {
    Error::General("tls 1.2 is not offered".to_owned())
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
