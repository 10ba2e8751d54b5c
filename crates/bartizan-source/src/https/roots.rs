//! Which certificate authorities a fetch believes.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::ConfigError;

/// The certificate authorities that a fetch believes, and no others.
#[derive(Clone)]
pub struct Roots(pub(super) RootCertStore);

impl Roots {
    /// The public web's authorities, as Mozilla judges them, compiled in: the same on every
    /// platform, and as old as the build.
    pub fn public_web() -> Self {
        Self(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
    }

    /// A private authority's certificates, in PEM; other PEM sections are ignored.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one cannot be used as a root.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ConfigError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::Certificate(error.to_string()))?;
        Self::collect(certificates)
    }

    /// A private authority's certificates, in DER.
    ///
    /// # Errors
    ///
    /// If there are none, or one cannot be used as a root.
    pub fn from_der<I>(certificates: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: Into<Vec<u8>>,
    {
        Self::collect(
            certificates
                .into_iter()
                .map(|der| CertificateDer::from(der.into())),
        )
    }

    fn collect(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, ConfigError> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in certificates.into_iter().enumerate() {
            store.add(certificate).map_err(|error| {
                ConfigError::Certificate(format!("root number {}: {error}", index + 1))
            })?;
        }
        if store.is_empty() {
            Err(ConfigError::NoRoots)
        } else {
            Ok(Self(store))
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}
