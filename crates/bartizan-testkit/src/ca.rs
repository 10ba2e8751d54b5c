//! A certificate authority for development and tests.

mod builder;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::certificate::{IssuedCertificate, write};
use crate::der;
use crate::error::TestkitError;
use crate::leaf::{LeafBuilder, date_time};
use crate::private_key::PrivateKey;

pub use self::builder::CaBuilder;

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
const ONE_DAY: Duration = Duration::from_secs(86_400);

/// A certificate authority for one trust domain, made anew for each test run.
///
/// Its certificate is that of a SPIFFE signing authority: URI SAN `spiffe://{trust domain}`,
/// critical `keyCertSign` and `cRLSign`, critical `cA`. Its key never leaves memory. Cloning shares
/// the authority.
///
/// ```
/// use bartizan_testkit::DevelopmentCa;
///
/// let ca = DevelopmentCa::new("example.org")?;
/// let orders = ca.workload("/ns/shop/sa/orders")?;
/// assert!(orders.chain_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// let expired = ca.leaf().add_uri("spiffe://example.org/old").with_not_after(ca.reference_time());
/// # let _ = expired.issue()?;
/// # Ok::<(), bartizan_testkit::TestkitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DevelopmentCa(Arc<Authority>);

#[derive(Debug)]
struct Authority {
    trust_domain: String,
    parameters: CertificateParams,
    key: PrivateKey,
    // This authority's own certificate first, the root last.
    chain: Vec<CertificateDer<'static>>,
    reference_time: WallTime,
}

impl DevelopmentCa {
    /// A root with a P-256 key, valid from yesterday for ten years.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if no key could be made.
    pub fn new(trust_domain: &str) -> Result<Self, TestkitError> {
        Self::builder(trust_domain).build_root()
    }

    /// Describes an authority: another kind of key, another time, constraints.
    pub fn builder(trust_domain: &str) -> CaBuilder {
        CaBuilder::new(trust_domain)
    }

    /// An intermediate authority of the same trust domain, whose certificates carry its own in
    /// their chain.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if no key could be made.
    pub fn intermediate(&self) -> Result<Self, TestkitError> {
        Self::builder(&self.0.trust_domain)
            .with_reference_time(self.0.reference_time)
            .build_under(self)
    }

    /// Describes a leaf certificate.
    pub fn leaf(&self) -> LeafBuilder<'_> {
        LeafBuilder::new(self, self.0.reference_time)
    }

    /// A good X509-SVID for the workload with this SPIFFE path (`/ns/shop/sa/orders`), which also
    /// names `localhost` and the loopback addresses, so that ordinary clients can reach it.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if no key could be made.
    pub fn workload(&self, path: &str) -> Result<IssuedCertificate, TestkitError> {
        self.leaf()
            .add_uri(format!("spiffe://{}{path}", self.0.trust_domain))
            .add_loopback()
            .issue()
    }

    /// A certificate without a SPIFFE ID for a server on loopback.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if no key could be made.
    pub fn loopback_server(&self) -> Result<IssuedCertificate, TestkitError> {
        self.leaf().add_loopback().issue()
    }

    /// A CRL of this authority as DER that revokes these certificates and has this number.
    ///
    /// It is issued at the reference time and due again one day later.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if signing failed.
    pub fn revoke<'s>(
        &self,
        serials: impl IntoIterator<Item = &'s [u8]>,
        crl_number: u64,
    ) -> Result<CertificateRevocationListDer<'static>, TestkitError> {
        self.revoke_at(serials, crl_number, self.0.reference_time, ONE_DAY)
    }

    /// As [`revoke`](Self::revoke), issued at `this_update` and due again after `lifetime`.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if signing failed or `lifetime` is zero,
    /// [`TestkitError::Time`] past the year 9999.
    pub fn revoke_at<'s>(
        &self,
        serials: impl IntoIterator<Item = &'s [u8]>,
        crl_number: u64,
        this_update: WallTime,
        lifetime: Duration,
    ) -> Result<CertificateRevocationListDer<'static>, TestkitError> {
        let revocation_time = date_time(this_update)?;
        let list = CertificateRevocationListParams {
            this_update: revocation_time,
            next_update: date_time(this_update + lifetime)?,
            crl_number: SerialNumber::from_slice(&crl_number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: serials
                .into_iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer())?.into())
    }

    /// The trust domain, without scheme.
    pub fn trust_domain(&self) -> &str {
        &self.0.trust_domain
    }

    /// The time around which certificates are valid by default: when the authority was made, or
    /// what its builder said.
    pub fn reference_time(&self) -> WallTime {
        self.0.reference_time
    }

    /// This authority's own certificate as DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        // Built with its own certificate in front, so there always is one.
        self.0
            .chain
            .first()
            .unwrap_or(const { &CertificateDer::from_slice(&[]) })
    }

    /// This authority's own certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        der::pem("CERTIFICATE", self.certificate_der())
    }

    /// The certificate of the root above this authority (or its own) as DER.
    pub fn root_der(&self) -> &CertificateDer<'static> {
        self.0.chain.last().unwrap_or(self.certificate_der())
    }

    /// The private key, for tests that sign what this crate cannot describe.
    pub fn key(&self) -> &PrivateKey {
        &self.0.key
    }

    /// A root store that trusts the root of this authority alone.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Tls`] if rustls does not accept the root.
    pub fn root_store(&self) -> Result<RootCertStore, TestkitError> {
        let mut store = RootCertStore::empty();
        store.add(self.root_der().clone())?;
        Ok(store)
    }

    /// Writes the root certificate as `{name}.pem` into `folder`.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] names the file.
    pub fn write_pem(&self, folder: &Path, name: &str) -> Result<(), TestkitError> {
        let text = der::pem("CERTIFICATE", self.root_der());
        write(&folder.join(format!("{name}.pem")), &text)
    }

    /// Writes a CRL as `{name}.pem` into `folder`.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] names the file.
    pub fn write_crl_pem(
        &self,
        folder: &Path,
        name: &str,
        list: &CertificateRevocationListDer<'_>,
    ) -> Result<(), TestkitError> {
        write(
            &folder.join(format!("{name}.pem")),
            &der::pem("X509 CRL", list),
        )
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.0.parameters, self.0.key.pair())
    }

    /// The certificates that a leaf's chain continues with: this authority and those above it, but
    /// not the root.
    pub(crate) fn chain_below_root(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        let without_root = self.0.chain.len().saturating_sub(1);
        self.0.chain.iter().take(without_root).cloned()
    }
}
