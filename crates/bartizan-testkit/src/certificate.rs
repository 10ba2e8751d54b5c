//! Certificates with their keys.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ring::digest;
use rustls::crypto::ring as provider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use crate::der;
use crate::error::TestkitError;
use crate::private_key::PrivateKey;

/// A certificate with its chain and its private key. Cloning shares all three.
#[derive(Clone)]
pub struct IssuedCertificate {
    chain: Arc<[CertificateDer<'static>]>,
    key: PrivateKey,
    serial: Arc<[u8]>,
}

impl IssuedCertificate {
    /// The leaf is the first certificate of `chain`.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKey,
        serial: Vec<u8>,
    ) -> Self {
        Self {
            chain: Arc::from(chain),
            key,
            serial: Arc::from(serial),
        }
    }

    /// The certificate itself as DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        // Built with the leaf in front, so there always is one.
        self.chain
            .first()
            .unwrap_or(const { &CertificateDer::from_slice(&[]) })
    }

    /// The certificate and its intermediates as DER, leaf first, without the root.
    pub fn chain_der(&self) -> Vec<CertificateDer<'static>> {
        self.chain.to_vec()
    }

    /// The certificate and its intermediates as PEM, leaf first, without the root.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| der::pem("CERTIFICATE", der))
            .collect()
    }

    /// The SHA-256 of the certificate, which tokens are bound to (RFC 8705 §3.1).
    pub fn sha256(&self) -> [u8; 32] {
        let hash = digest::digest(&digest::SHA256, self.certificate_der());
        hash.as_ref().try_into().unwrap_or_default()
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The private key as PEM of PKCS#8.
    pub fn key_pem(&self) -> String {
        self.key.pem()
    }

    /// The serial number, big-endian, without leading zeros unless it was chosen with some.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The same certificate presented with another chain: the given certificates follow the leaf.
    #[must_use]
    pub fn with_intermediates<'c>(
        &self,
        intermediates: impl IntoIterator<Item = &'c CertificateDer<'static>>,
    ) -> Self {
        let mut chain = vec![self.certificate_der().clone()];
        chain.extend(intermediates.into_iter().cloned());
        Self {
            chain: Arc::from(chain),
            ..self.clone()
        }
    }

    /// The same certificate presented with another private key, as a thief of the certificate
    /// alone would.
    #[must_use]
    pub fn with_foreign_key(&self, key: &PrivateKey) -> Self {
        Self {
            key: key.clone(),
            ..self.clone()
        }
    }

    /// Chain and key as rustls takes them. That they belong together is not checked.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Tls`] if ring cannot use the key.
    pub fn certified_key(&self) -> Result<CertifiedKey, TestkitError> {
        let key = provider::sign::any_supported_type(&self.key.to_rustls())?;
        Ok(CertifiedKey::new(self.chain_der(), key))
    }

    /// Writes `{name}.pem` (the chain) and `{name}-key.pem` into `folder`. On unix the key is for
    /// its owner alone (mode 0600).
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] names the file.
    pub fn write_pem(&self, folder: &Path, name: &str) -> Result<(), TestkitError> {
        write(&folder.join(format!("{name}.pem")), &self.chain_pem())?;
        write_private(&folder.join(format!("{name}-key.pem")), &self.key_pem())
    }
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("chain_length", &self.chain.len())
            .field("serial", &self.serial)
            .field("key", &self.key)
            .finish()
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), TestkitError> {
    fs::write(path, text).map_err(TestkitError::io(format!("write {}", path.display())))
}

fn write_private(path: &Path, text: &str) -> Result<(), TestkitError> {
    use std::io::Write as _;

    // An existing file would keep the mode that it has.
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(TestkitError::io(format!("write {}", path.display())))
}
