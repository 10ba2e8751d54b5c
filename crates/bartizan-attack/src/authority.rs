//! Who a client is over TLS, and who says so.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Clock as _, SystemClock};
use ring::rand::SystemRandom;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::der;
use crate::error::GivenError;
use crate::keys::PrivateKey;
use crate::leaf::{common_name, new_key, public_key_info};
use crate::pem;

/// A client certificate with its chain and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self {
            chain,
            key: Arc::new(key),
        }
    }

    /// From PEM texts.
    pub(crate) fn from_pem(chain: &str, key: &str) -> Result<Self, GivenError> {
        let chain = pem::blocks(chain, "CERTIFICATE");
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        if chain.is_empty() {
            return Err(GivenError::Pem("certificate"));
        }
        let keys = pem::blocks(key, "PRIVATE KEY");
        let key = keys.into_iter().next();
        let key = PrivatePkcs8KeyDer::from(key.ok_or(GivenError::Pem("private key"))?);
        Ok(Self::new(chain, PrivateKeyDer::Pkcs8(key)))
    }

    /// The certificate itself.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |it| it.as_ref())
    }

    /// Its SHA-256, which tokens are bound to (RFC 8705 §3.1).
    pub(crate) fn sha256(&self) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA256, self.leaf())
            .as_ref()
            .to_vec()
    }

    /// The alternative names of the certificate, each encoded.
    pub(crate) fn names(&self) -> Vec<Vec<u8>> {
        names(self.leaf()).unwrap_or_default()
    }
}

/// The authority that the service believes about clients, with its private key: what makes client
/// certificates that are nearly right. An authority of a test, never one in use.
#[derive(Clone)]
pub struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    /// Its name, and the algorithm that it signs by, encoded.
    pub(crate) name: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    /// Certificates between the authority and the root that the service knows.
    pub(crate) intermediates: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKey>,
}

impl Authority {
    /// From the certificate of the authority and its private key, PEM and PEM of PKCS#8. The
    /// certificate may be followed by the chain to the root that the service knows.
    ///
    /// # Errors
    ///
    /// [`GivenError::Pem`] without a certificate or a key in the text, [`GivenError::Certificate`] or
    /// [`GivenError::Key`] for one that cannot be used.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, GivenError> {
        let mut chain = pem::blocks(certificate, "CERTIFICATE").into_iter();
        let certificate = chain.next().ok_or(GivenError::Pem("certificate"))?;
        let keys = pem::blocks(key, "PRIVATE KEY");
        let key = keys.first().ok_or(GivenError::Pem("private key"))?;
        let intermediates: Vec<_> = chain.map(CertificateDer::from).collect();
        let intermediates = match intermediates.is_empty() {
            true => Vec::new(),
            false => [
                vec![CertificateDer::from(certificate.clone())],
                intermediates,
            ]
            .concat(),
        };
        Self::new(certificate, key, intermediates)
    }

    fn new(
        certificate: Vec<u8>,
        pkcs8: &[u8],
        intermediates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, GivenError> {
        let (key, algorithm) = PrivateKey::for_certificates(pkcs8)?;
        let name = subject(&certificate).ok_or(GivenError::Certificate)?;
        Ok(Self {
            name,
            certificate: CertificateDer::from(certificate),
            algorithm,
            intermediates,
            key: Arc::new(key),
        })
    }

    /// An authority that nobody trusts, under the name of this one.
    pub(crate) fn impostor(&self) -> Result<Self, GivenError> {
        let random = SystemRandom::new();
        let (pkcs8, point) = new_key(&random)?;
        let (key, algorithm) = PrivateKey::for_certificates(&pkcs8)?;
        let now = SystemClock.wall().unix_seconds();
        let validity = [der::time(now.saturating_sub(3600)), der::time(now + 3600)];
        let is_ca = der::sequence(&[der::value(1, &[0xff])]);
        let constraints = [
            der::oid(&[0x55, 0x1d, 19]),
            der::value(1, &[0xff]),
            der::value(4, &is_ca),
        ];
        let content = der::sequence(&[
            der::value(0xa0, &der::value(2, &[2])),
            der::integer(&[1]),
            algorithm.clone(),
            self.name.clone(),
            der::sequence(&validity),
            self.name.clone(),
            public_key_info(&point),
            der::value(0xa3, &der::sequence(&[der::sequence(&constraints)])),
        ]);
        let signature = der::bit_string(&key.sign(&content));
        let certificate = der::sequence(&[content, algorithm, signature]);
        Self::new(certificate, &pkcs8, Vec::new())
    }

    /// An authority of another name below nobody.
    pub(crate) fn stranger(&self) -> Result<Self, GivenError> {
        let mut stranger = self.clone();
        stranger.name = common_name("bartizan-attack stranger");
        stranger.impostor()
    }

    /// This authority's key under a certificate that it gave to a client, which is no authority.
    pub(crate) fn below(leaf: &Identity) -> Result<Self, GivenError> {
        let PrivateKeyDer::Pkcs8(pkcs8) = leaf.key.as_ref() else {
            return Err(GivenError::Key("certificates".to_owned()));
        };
        let certificate = leaf.leaf().to_vec();
        Self::new(certificate, pkcs8.secret_pkcs8_der(), leaf.chain.clone())
    }

    pub(crate) fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.key.sign(content)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The fields of a certificate behind its version.
fn fields(certificate: &[u8]) -> Option<Vec<der::Member<'_>>> {
    let content = der::inside(der::inside(certificate, 0x30)?, 0x30)?;
    let mut fields = der::members(content);
    fields.retain(|field| field.0 != 0xa0);
    Some(fields)
}

/// The subject, encoded.
fn subject(certificate: &[u8]) -> Option<Vec<u8>> {
    // Serial number, algorithm, issuer, validity, subject.
    fields(certificate)?.get(4).map(|field| field.2.to_vec())
}

/// The alternative names, each encoded.
fn names(certificate: &[u8]) -> Option<Vec<Vec<u8>>> {
    let fields = fields(certificate)?;
    let extensions = fields.iter().find(|field| field.0 == 0xa3)?.1;
    let extensions = der::members(der::inside(extensions, 0x30)?);
    for (_, extension, _) in extensions {
        let members = der::members(extension);
        let is_it = members.first().is_some_and(|it| it.1 == [0x55, 0x1d, 17]);
        if is_it {
            let names = der::inside(members.last()?.1, 0x30)?;
            let names = der::members(names);
            return Some(names.into_iter().map(|name| name.2.to_vec()).collect());
        }
    }
    None
}
