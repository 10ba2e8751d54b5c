//! Descriptions of authorities.

use std::sync::Arc;

use bartizan_core::{Clock as _, SystemClock, WallTime};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, SerialNumber};

use super::{Authority, DevelopmentCa, ONE_DAY, TEN_YEARS};
use crate::error::TestkitError;
use crate::extension::{self, AlternativeName, KeyUsage};
use crate::leaf::{date_time, random_serial};
use crate::private_key::{KeyKind, PrivateKey};

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
    pub(super) fn new(trust_domain: &str) -> Self {
        Self {
            trust_domain: trust_domain.to_owned(),
            key_kind: KeyKind::default(),
            reference_time: SystemClock.wall(),
            not_after: None,
            path_length: None,
            permitted_uri_hosts: Vec::new(),
        }
    }

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
