//! Which crypto library does the work.

use std::fmt;
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SignatureVerificationAlgorithm};
use webpki::ring as ring_algorithms;

use crate::identity::{Identity, IdentityError};

/// Algorithms that signatures of certificates may have.
pub(crate) type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

type LoadKey = fn(&PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error>;

/// Those of ring that rustls uses for TLS 1.3, by name: a list by feature would change with what
/// other crates of the program turn on.
pub(crate) const RING_ALGORITHMS: Algorithms = &[
    ring_algorithms::ECDSA_P256_SHA256,
    ring_algorithms::ECDSA_P256_SHA384,
    ring_algorithms::ECDSA_P384_SHA256,
    ring_algorithms::ECDSA_P384_SHA384,
    ring_algorithms::ED25519,
    ring_algorithms::RSA_PKCS1_2048_8192_SHA256,
    ring_algorithms::RSA_PKCS1_2048_8192_SHA384,
    ring_algorithms::RSA_PKCS1_2048_8192_SHA512,
    ring_algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring_algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring_algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// The crypto library that TLS, keys and certificates are worked on with.
///
/// It belongs to an [`Identity`], whose key it holds, and goes where that goes: listeners and
/// connectors use the library of the identity that they are given. [`Identity::from_pem`] and its
/// like take [`ring`](Self::ring), which is the one library of the default build; the features
/// `aws-lc-rs` and `fips` add others, and change nothing for who does not ask for them.
///
/// ```
/// use bartizan_mtls::Crypto;
///
/// assert!(!Crypto::ring().is_fips());
/// assert!(Crypto::ring().identity_from_pem(b"", b"").is_err());
/// ```
///
/// Digests of certificates, which tell one from another and protect nothing, are always ring's.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Crypto {
    provider: Arc<CryptoProvider>,
    algorithms: Algorithms,
    load_key: LoadKey,
}

impl Crypto {
    /// `ring`: key exchange by X25519, P-256 or P-384.
    pub fn ring() -> Self {
        Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            algorithms: RING_ALGORITHMS,
            load_key: rustls::crypto::ring::sign::any_supported_type,
        }
    }

    /// `aws-lc-rs`: key exchange by X25519MLKEM768 where the far end can, which keeps recorded
    /// traffic from being read once there are quantum computers, or else as ring's.
    ///
    /// A connector offers it first; a listener takes it from clients that do, because rustls goes
    /// by the client's order.
    ///
    /// A handshake costs some tenth more with it, and the ClientHello grows by 1.2 KB.
    #[cfg(feature = "aws-lc-rs")]
    pub fn aws_lc_rs() -> Self {
        use rustls::crypto::aws_lc_rs::{default_provider, kx_group, sign};

        let mut provider = default_provider();
        // By name and in this order, whatever other crates of the program turn on.
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ];
        Self {
            algorithms: provider.signature_verification_algorithms.all,
            provider: Arc::new(provider),
            load_key: sign::any_supported_type,
        }
    }

    /// The FIPS 140-3 module of `aws-lc-rs`, with what is approved there and nothing else: key
    /// exchange by X25519MLKEM768, P-256 or P-384, AES-GCM.
    ///
    /// Building it takes CMake and Go. That a program uses a validated module does not make its
    /// deployment a validated one.
    ///
    /// # Errors
    ///
    /// [`NotFips`] if the module is not in FIPS mode.
    #[cfg(feature = "fips")]
    pub fn fips() -> Result<Self, NotFips> {
        use rustls::crypto::aws_lc_rs::{default_provider, kx_group, sign};

        let mut provider = default_provider();
        let preferred: &dyn rustls::crypto::SupportedKxGroup = kx_group::X25519MLKEM768;
        provider
            .kx_groups
            .retain(|group| group.name() != preferred.name());
        provider.kx_groups.insert(0, preferred);
        provider.kx_groups.retain(|group| group.fips());
        provider.cipher_suites.retain(|suite| suite.fips());
        if !provider.fips() {
            return Err(NotFips);
        }
        Ok(Self {
            algorithms: provider.signature_verification_algorithms.all,
            provider: Arc::new(provider),
            load_key: sign::any_supported_type,
        })
    }

    /// Whether this is a FIPS module in FIPS mode.
    pub fn is_fips(&self) -> bool {
        self.provider.fips()
    }

    /// As [`Identity::from_pem`], with this library.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn identity_from_pem(&self, chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        Identity::load_pem(chain, key, true, self)
    }

    /// As [`Identity::from_der`], with this library.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn identity_from_der(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        Identity::load(chain, key, true, self)
    }

    /// As [`Identity::dns_from_pem`], with this library.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn dns_identity_from_pem(
        &self,
        chain: &[u8],
        key: &[u8],
    ) -> Result<Identity, IdentityError> {
        Identity::load_pem(chain, key, false, self)
    }

    /// As [`Identity::dns_from_der`], with this library.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn dns_identity_from_der(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        Identity::load(chain, key, false, self)
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    pub(crate) fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    pub(crate) fn load_key(&self, key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error> {
        (self.load_key)(key)
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.provider.kx_groups.iter();
        let groups: Vec<_> = groups.map(|group| group.name()).collect();
        f.debug_struct("Crypto")
            .field("key_exchange", &groups)
            .field("fips", &self.is_fips())
            .finish_non_exhaustive()
    }
}

/// The crypto library is not in FIPS mode.
#[cfg(feature = "fips")]
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("crypto library is not in fips mode")]
pub struct NotFips;
