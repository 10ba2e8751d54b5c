//! Lets `Trust` decide, at either end of a handshake.

use std::sync::Arc;

use bartizan_core::{PeerIdentity, WallTime};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::allowed::AllowedPeers;
use crate::crypto::Algorithms;
use crate::material::Material;
use crate::rules::{MAX_CHAIN_CERTIFICATES, Role};
use crate::svid_error::SvidError;
use crate::tls::Certificates;
use crate::trust::Trust;

/// The far end proved to be somebody, and not one of those that were asked for.
#[derive(Debug, thiserror::Error)]
#[error("peer is {peer}, which is not among those allowed")]
pub(crate) struct PeerNotAllowed {
    peer: Box<str>,
}

/// Verifies the far end, whichever it is.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    // A server takes every peer that it believes; its layer decides who may do what.
    allowed: Option<AllowedPeers>,
    certificates: Certificates,
    algorithms: WebPkiSupportedAlgorithms,
    path_algorithms: Algorithms,
}

impl Verifier {
    pub(super) fn of_clients(
        provider: &CryptoProvider,
        material: &Material,
        certificates: Certificates,
    ) -> Self {
        Self {
            trust: material.trust().clone(),
            allowed: None,
            certificates,
            algorithms: provider.signature_verification_algorithms,
            path_algorithms: material.identity().crypto().algorithms(),
        }
    }

    pub(super) fn of_servers(
        provider: &CryptoProvider,
        material: &Material,
        allowed: AllowedPeers,
    ) -> Self {
        Self {
            trust: material.trust().clone(),
            allowed: Some(allowed),
            certificates: Certificates::Required,
            algorithms: provider.signature_verification_algorithms,
            path_algorithms: material.identity().crypto().algorithms(),
        }
    }

    pub(super) fn verify(
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
        let certificate = self
            .trust
            .verify_with(self.path_algorithms, &chain, role, now);
        let certificate = certificate.map_err(rustls_error)?;
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
pub(crate) fn rustls_error(error: SvidError) -> Error {
    let certificate_error = match error {
        SvidError::Expired { .. } => CertificateError::Expired,
        SvidError::NotYetValid { .. } => CertificateError::NotValidYet,
        SvidError::UnknownIssuer => CertificateError::UnknownIssuer,
        SvidError::ExtendedKeyUsage => CertificateError::InvalidPurpose,
        SvidError::Revoked => CertificateError::Revoked,
        SvidError::RevocationUnknown(_) => CertificateError::UnknownRevocationStatus,
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

    fn client_auth_mandatory(&self) -> bool {
        self.certificates == Certificates::Required
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

pub(super) fn no_tls12() -> Error {
    Error::General("tls 1.2 is not offered".to_owned())
}
