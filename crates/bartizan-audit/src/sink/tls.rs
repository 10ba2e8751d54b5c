//! Whom a sink believes, and what it presents.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::sink::error::SinkConfigError;

/// Settings of TLS, as the builders of sinks collect them.
#[derive(Clone, Default)]
pub(super) struct TlsSettings {
    roots: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    config: Option<Arc<ClientConfig>>,
}

impl TlsSettings {
    pub(super) fn set_roots(&mut self, pem: &[u8]) {
        self.roots = Some(pem.to_vec());
    }

    pub(super) fn set_identity(&mut self, chain: &[u8], key: &[u8]) {
        self.identity = Some((chain.to_vec(), Zeroizing::new(key.to_vec())));
    }

    pub(super) fn set_config(&mut self, config: Arc<ClientConfig>) {
        self.config = Some(config);
    }

    /// A configuration on ring; `None` if nothing was set that says whom to believe.
    pub(super) fn build(&self) -> Result<Option<Arc<ClientConfig>>, SinkConfigError> {
        if let Some(config) = &self.config {
            return Ok(Some(Arc::clone(config)));
        }
        let Some(pem) = &self.roots else {
            return match self.identity {
                Some(_) => Err(SinkConfigError::Missing("root_pem")),
                None => Ok(None),
            };
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("root_pem", pem)? {
            let added = roots.add(certificate);
            added.map_err(|error| SinkConfigError::unusable("root_pem", error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SinkConfigError::unusable("root_pem", error))?
            .with_root_certificates(roots);
        let Some((chain, key)) = &self.identity else {
            return Ok(Some(Arc::new(builder.with_no_client_auth())));
        };
        let unusable = |error: &dyn fmt::Display| SinkConfigError::unusable("identity_pem", error);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
        let chain = certificates("identity_pem", chain)?;
        let config = builder.with_client_auth_cert(chain, key);
        config
            .map(|config| Some(Arc::new(config)))
            .map_err(|error| unusable(&error))
    }
}

fn certificates(
    setting: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, SinkConfigError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| SinkConfigError::unusable(setting, error))?;
    if certificates.is_empty() {
        return Err(SinkConfigError::unusable(setting, "no certificate in it"));
    }
    Ok(certificates)
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("roots", &self.roots.is_some())
            .field("identity", &self.identity.is_some())
            .field("config", &self.config.is_some())
            .finish()
    }
}
