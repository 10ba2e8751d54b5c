//! A certificate authority for development and tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock as _, SystemClock, WallTime};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::certificate::{IssuedCertificate, LeafBuilder, date_time, random_serial, write};
use crate::der;
use crate::error::TestkitError;
use crate::extension;
use crate::extension::{AlternativeName, KeyUsage};
use crate::private_key::{KeyKind, PrivateKey};

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
        CaBuilder {
            trust_domain: trust_domain.to_owned(),
            key_kind: KeyKind::default(),
            reference_time: SystemClock.wall(),
            not_after: None,
            path_length: None,
            permitted_uri_hosts: Vec::new(),
        }
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

/// Describes an authority; made by [`DevelopmentCa::builder`].
#[derive(Clone, Debug)]
#[must_use = "an authority is made by `build_root` or `build_under`"]
pub struct CaBuilder {
    trust_domain: String,
    key_kind: KeyKind,
    reference_time: WallTime,
    not_after: Option<WallTime>,
    path_length: Option<u8>,
    permitted_uri_hosts: Vec<String>,
}

impl CaBuilder {
    /// The kind of the authority's key. P-256 unless said.
    pub fn with_key_kind(mut self, kind: KeyKind) -> Self {
        self.key_kind = kind;
        self
    }

    /// The time around which certificates are valid by default; the system's time unless said.
    pub fn with_reference_time(mut self, now: WallTime) -> Self {
        self.reference_time = now;
        self
    }

    /// The last second of the authority's own validity. Ten years after the reference time unless
    /// said.
    pub fn with_not_after(mut self, not_after: WallTime) -> Self {
        self.not_after = Some(not_after);
        self
    }

    /// How many intermediates may follow (RFC 5280 §4.2.1.9). Any number unless said.
    pub fn with_path_length(mut self, length: u8) -> Self {
        self.path_length = Some(length);
        self
    }

    /// Permits URIs with this host alone (RFC 5280 §4.2.1.10), as a critical constraint. A SPIFFE
    /// ID's host is its trust domain.
    pub fn add_permitted_uri_host(mut self, host: impl Into<String>) -> Self {
        self.permitted_uri_hosts.push(host.into());
        self
    }

    /// Makes a self-signed root.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Certificate`] if no key could be made, [`TestkitError::Time`] past the year
    /// 9999.
    pub fn build_root(self) -> Result<DevelopmentCa, TestkitError> {
        self.build(None)
    }

    /// Makes an authority whose certificate `parent` signs.
    ///
    /// # Errors
    ///
    /// As [`build_root`](Self::build_root).
    pub fn build_under(self, parent: &DevelopmentCa) -> Result<DevelopmentCa, TestkitError> {
        self.build(Some(parent))
    }

    fn build(self, parent: Option<&DevelopmentCa>) -> Result<DevelopmentCa, TestkitError> {
        let key = PrivateKey::generate(self.key_kind)?;
        let serial = random_serial()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        // Two authorities of one trust domain need different names: path building goes by name.
        let tag: String = serial
            .iter()
            .skip(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = format!("Bartizan development CA {} {tag}", self.trust_domain);
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.not_before = date_time(self.reference_time.saturating_sub(ONE_DAY))?;
        parameters.not_after =
            date_time(self.not_after.unwrap_or(self.reference_time + TEN_YEARS))?;
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        parameters.use_authority_key_identifier_extension = parent.is_some();
        parameters.is_ca = IsCa::Ca(match self.path_length {
            Some(length) => BasicConstraints::Constrained(length),
            None => BasicConstraints::Unconstrained,
        });
        let uri = AlternativeName::Uri(format!("spiffe://{}", self.trust_domain).into_bytes());
        parameters
            .custom_extensions
            .push(extension::alternative_names(&[uri], false));
        parameters.custom_extensions.push(extension::key_usage(
            &[KeyUsage::CertificateSign, KeyUsage::CrlSign],
            true,
        ));
        if !self.permitted_uri_hosts.is_empty() {
            parameters
                .custom_extensions
                .push(extension::permitted_uri_hosts(&self.permitted_uri_hosts));
        }
        let mut chain = Vec::new();
        match parent {
            Some(parent) => {
                let certificate = parameters.signed_by(key.pair(), &parent.issuer())?;
                chain.push(certificate.der().clone());
                chain.extend(parent.0.chain.iter().cloned());
            }
            None => chain.push(parameters.self_signed(key.pair())?.der().clone()),
        }
        Ok(DevelopmentCa(Arc::new(Authority {
            trust_domain: self.trust_domain,
            parameters,
            key,
            chain,
            reference_time: self.reference_time,
        })))
    }
}
