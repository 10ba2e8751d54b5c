//! TLS configurations for peers that are not Bartizan.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};

use crate::ca::DevelopmentCa;
use crate::certificate::IssuedCertificate;
use crate::error::TestkitError;

const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A server that presents `identity` and asks for no client certificate. Offers h2 and http/1.1.
///
/// # Errors
///
/// [`TestkitError::Tls`] if rustls cannot use the key.
pub fn server_config(identity: &IssuedCertificate) -> Result<ServerConfig, TestkitError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain_der(), identity.key().to_rustls())?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// As [`server_config`], but it asks clients for a certificate below `ca`, which they need not
/// have.
///
/// # Errors
///
/// [`TestkitError::Tls`] if rustls cannot use the key or the root.
pub fn server_config_asking(
    identity: &IssuedCertificate,
    ca: &DevelopmentCa,
) -> Result<ServerConfig, TestkitError> {
    let provider = Arc::new(provider::default_provider());
    let roots = Arc::new(ca.root_store()?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain_der(), identity.key().to_rustls())?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// An ordinary HTTPS client that trusts `ca`, checks host names and presents nothing.
///
/// # Errors
///
/// [`TestkitError::Tls`] if rustls does not accept the root.
pub fn client_config(ca: &DevelopmentCa) -> Result<ClientConfig, TestkitError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(ca.root_store()?)
        .with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// A client that believes any server below `ca`, whatever its name, and presents `identity`
/// (or no certificate) without a look at it.
///
/// It shares no code with `bartizan-mtls`, so that a listener is tested against an independent
/// client. The server's chain is verified; whose chain it is, is **not**. ALPN is empty: set
/// `alpn_protocols` as the test needs.
///
/// # Errors
///
/// [`TestkitError::Tls`] if rustls cannot use the root or the key.
pub fn dangerous_client_config(
    ca: &DevelopmentCa,
    identity: Option<&IssuedCertificate>,
) -> Result<ClientConfig, TestkitError> {
    let provider = Arc::new(provider::default_provider());
    let roots = Arc::new(ca.root_store()?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DangerousAnyNameVerifier(verifier)));
    Ok(match identity {
        Some(identity) => {
            let key = Arc::new(identity.certified_key()?);
            config.with_client_cert_resolver(Arc::new(AlwaysPresent(key)))
        }
        None => config.with_no_client_auth(),
    })
}

/// Verifies the chain and then ignores the name.
#[derive(Debug)]
struct DangerousAnyNameVerifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for DangerousAnyNameVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // rustls verifies the chain first, and looks at the name only if the chain is good.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Presents one certificate, whatever the server says it would accept.
#[derive(Debug)]
struct AlwaysPresent(Arc<CertifiedKey>);

impl ResolvesClientCert for AlwaysPresent {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
