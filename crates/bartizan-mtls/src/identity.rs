//! Our own identity: a certificate chain with its private key.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{PeerIdentity, SpiffeId, VerifiedCertificate, WallTime};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

use crate::crypto::Crypto;
use crate::rules;
use crate::svid_error::SvidError;
use crate::verify;

/// Our own identity: a certificate chain with the private key of its leaf.
///
/// It is checked when it is made: the key belongs to the leaf, the leaf meets the same rules that
/// we ask of others ([`verify_svid`](crate::verify_svid)), and whatever follows the leaf may issue
/// certificates. Whether it is inside its validity period is checked where a clock is at hand, by
/// [`check_validity`](Self::check_validity).
///
/// The DER form of the key is wiped once it is loaded. PEM text belongs to the caller, the PEM
/// decoder does not wipe its scratch space, and the crypto library
/// does not wipe the form that it works with.
/// `Debug` shows the name and never the key.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    key: Arc<CertifiedKey>,
    certificate: VerifiedCertificate,
    crypto: Crypto,
}

impl Identity {
    /// An X509-SVID: the chain, leaf first, and the key, from PEM text.
    ///
    /// The key may be PKCS#8, SEC1 or PKCS#1. Both arguments may be the same text, as some issuers
    /// write one file; sections of another kind are passed over.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong with which of the two.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Self::load_pem(chain, key, true, &Crypto::ring())
    }

    /// As [`from_pem`](Self::from_pem), from DER.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong with which of the two.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        Self::load(chain, key, true, &Crypto::ring())
    }

    /// A certificate whose DNS names are the identity, for a PKI without SPIFFE; from PEM text.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong with chain or key.
    pub fn dns_from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Self::load_pem(chain, key, false, &Crypto::ring())
    }

    /// As [`dns_from_pem`](Self::dns_from_pem), from DER.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong with chain or key.
    pub fn dns_from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        Self::load(chain, key, false, &Crypto::ring())
    }

    /// The name that the leaf claims.
    pub fn name(&self) -> &PeerIdentity {
        &self.0.certificate.identity
    }

    /// The SPIFFE ID, if the name is one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        match self.name() {
            PeerIdentity::Spiffe(id) => Some(id),
            _ => None,
        }
    }

    /// The leaf's serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.0.certificate.serial
    }

    /// The last moment at which the leaf is valid.
    pub fn not_after(&self) -> WallTime {
        self.0.certificate.not_after
    }

    /// SHA-256 of the leaf's DER form.
    pub fn certificate_sha256(&self) -> &[u8; 32] {
        &self.0.certificate.certificate_sha256
    }

    /// The chain that is presented, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.key.cert
    }

    /// Whether the leaf is inside its validity period.
    ///
    /// # Errors
    ///
    /// [`SvidError::Expired`] or [`SvidError::NotYetValid`].
    pub fn check_validity(&self, now: WallTime) -> Result<(), SvidError> {
        verify::check_validity(self.chain(), now)
    }

    /// The crypto library that holds the key.
    pub fn crypto(&self) -> &Crypto {
        &self.0.crypto
    }

    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0.key
    }

    pub(crate) fn load_pem(
        chain: &[u8],
        key: &[u8],
        spiffe: bool,
        crypto: &Crypto,
    ) -> Result<Self, IdentityError> {
        Self::load(chain_from_pem(chain)?, key_from_pem(key)?, spiffe, crypto)
    }

    pub(crate) fn load(
        chain: Vec<CertificateDer<'static>>,
        mut key: PrivateKeyDer<'static>,
        spiffe: bool,
        crypto: &Crypto,
    ) -> Result<Self, IdentityError> {
        let loaded = crypto.load_key(&key);
        key.zeroize();
        let loaded = loaded.map_err(|_| IdentityError::UnusableKey)?;
        let certificate = verify::describe(crypto.algorithms(), &chain, spiffe);
        let certificate = certificate.map_err(IdentityError::Leaf)?;
        for (position, issuer) in chain.iter().enumerate().skip(1) {
            let may_issue = rules::read(issuer).is_ok_and(|issuer| rules::may_issue(&issuer));
            if !may_issue {
                return Err(IdentityError::NotAnAuthority { position });
            }
        }
        let key = CertifiedKey::new(chain, loaded);
        key.keys_match().map_err(|_| IdentityError::ForeignKey)?;
        Ok(Self(Arc::new(Inner {
            key: Arc::new(key),
            certificate,
            crypto: crypto.clone(),
        })))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", self.name())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

/// Why a chain and a key make no identity. No variant holds any part of the key.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The private key does not belong to the leaf certificate.
    #[error("private key does not belong to the certificate")]
    ForeignKey,
    /// The leaf certificate breaks a rule.
    #[error("certificate is no identity")]
    Leaf(#[source] SvidError),
    /// The PEM text of the chain is broken or holds no certificate.
    #[error("no certificate in pem text, or the text is broken")]
    NoCertificate,
    /// The PEM text of the key is broken or holds no private key.
    #[error("no private key in pem text, or the text is broken")]
    NoPrivateKey,
    /// A certificate after the leaf may not issue certificates.
    #[error("certificate {position} of the chain is no certificate authority")]
    NotAnAuthority {
        /// Which certificate, where the leaf is 0.
        position: usize,
    },
    /// The private key is broken, too small, or of a kind that is not supported.
    #[error("private key is broken or not supported")]
    UnusableKey,
}

fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| IdentityError::NoCertificate)?;
    if chain.is_empty() {
        Err(IdentityError::NoCertificate)
    } else {
        Ok(chain)
    }
}

fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, IdentityError> {
    // The reason is dropped: it may quote the text.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| IdentityError::NoPrivateKey)
}
