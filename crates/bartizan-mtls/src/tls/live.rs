//! A client configuration that stays, over material that changes.
//!
//! For clients that take a configuration of rustls once and for all. Connectors build one anew for
//! each version instead, so that identity and trust are of one version in each handshake.

use std::sync::Arc;

use bartizan_core::Clock;
use bartizan_source::Published;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::allowed::AllowedPeers;
use crate::crypto::Crypto;
use crate::expected::ByHost;
use crate::material::Material;
use crate::rules::Role;
use crate::tls::verifier::{Verifier, no_tls12};
use crate::tls::{RustlsClock, owned};

/// A configuration that presents the newest identity and verifies by the newest trust.
pub(crate) fn live_client_config(
    material: Published<Material>,
    servers: ByHost<AllowedPeers>,
    clock: &Arc<dyn Clock>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, Error> {
    let crypto = material.load().map_or_else(Crypto::ring, |version| {
        version.value().identity().crypto().clone()
    });
    let provider = Arc::clone(crypto.provider());
    let live = Arc::new(Live {
        material,
        servers,
        provider: Arc::clone(&provider),
    });
    let verifier: Arc<Live> = Arc::clone(&live);
    let mut config = ClientConfig::builder_with_details(provider, RustlsClock::of(clock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(live);
    // A session would present the identity of its first handshake, and ask nobody about the server.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = owned(protocols);
    Ok(config)
}

#[derive(Debug)]
struct Live {
    material: Published<Material>,
    servers: ByHost<AllowedPeers>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Live {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let allowed = self.servers.of(&server_name.to_str());
        let allowed = allowed.ok_or(CertificateError::NotValidForName)?;
        let version = self.material.load();
        let version = version.ok_or_else(|| Error::General("no identity published yet".into()))?;
        let verifier = Verifier::of_servers(&self.provider, version.value(), allowed.clone());
        verifier.verify(end_entity, intermediates, Role::Server, now)?;
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
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Live {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let version = self.material.load()?;
        Some(Arc::clone(version.value().identity().certified_key()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
