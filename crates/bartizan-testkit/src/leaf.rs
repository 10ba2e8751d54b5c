//! Descriptions of leaf certificates, right and wrong.

use std::net::IpAddr;
use std::time::Duration;

use bartizan_core::{SpiffeId, WallTime};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, SerialNumber,
};
use time::OffsetDateTime;

use crate::ca::DevelopmentCa;
use crate::certificate::IssuedCertificate;
use crate::error::TestkitError;
use crate::extension::{self, AlternativeName, KeyUsage};
use crate::private_key::{KeyKind, PrivateKey};

/// A purpose of the ExtendedKeyUsage extension (RFC 5280 §4.2.1.12).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExtendedKeyUsage {
    /// Any purpose.
    Any,
    /// TLS client authentication.
    ClientAuth,
    /// Signing of code.
    CodeSigning,
    /// Any other purpose, by the numbers of its object identifier.
    Other(Vec<u64>),
    /// TLS server authentication.
    ServerAuth,
}

impl ExtendedKeyUsage {
    fn to_rcgen(&self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Any => ExtendedKeyUsagePurpose::Any,
            Self::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Self::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
            Self::Other(oid) => ExtendedKeyUsagePurpose::Other(oid.clone()),
            Self::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

/// Describes a leaf certificate, right or wrong; made by [`DevelopmentCa::leaf`].
///
/// What is not said has the value of a good X509-SVID: a fresh P-256 key, critical KeyUsage
/// `digitalSignature`, ExtendedKeyUsage `serverAuth` and `clientAuth`, `cA` false, no subject, valid
/// from one hour before to one day after the CA's own reference time, a random serial. Names have
/// no default. Nothing is checked, so that every wrong certificate can be made.
#[derive(Clone, Debug)]
#[must_use = "a certificate is made by `issue`"]
pub struct LeafBuilder<'a> {
    ca: &'a DevelopmentCa,
    names: Vec<AlternativeName>,
    common_name: Option<String>,
    key: Option<PrivateKey>,
    key_kind: KeyKind,
    key_usage: Option<(Vec<KeyUsage>, bool)>,
    extended_key_usages: Vec<ExtendedKeyUsage>,
    is_ca: Option<bool>,
    not_before: WallTime,
    not_after: WallTime,
    serial: Option<Vec<u8>>,
    extensions: Vec<CustomExtension>,
}

impl<'a> LeafBuilder<'a> {
    pub(crate) fn new(ca: &'a DevelopmentCa, now: WallTime) -> Self {
        Self {
            ca,
            names: Vec::new(),
            common_name: None,
            key: None,
            key_kind: KeyKind::default(),
            key_usage: Some((vec![KeyUsage::DigitalSignature], true)),
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth],
            is_ca: Some(false),
            not_before: now.saturating_sub(Duration::from_secs(3_600)),
            not_after: now + Duration::from_secs(86_400),
            serial: None,
            extensions: Vec::new(),
        }
    }

    /// Adds the URI of a SPIFFE ID to the names.
    pub fn add_spiffe_id(self, id: &SpiffeId) -> Self {
        self.add_uri(id.as_str())
    }

    /// Adds a URI to the names; any bytes.
    pub fn add_uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.names.push(AlternativeName::Uri(uri.as_ref().to_vec()));
        self
    }

    /// Adds a DNS name; any bytes.
    pub fn add_dns(mut self, name: impl AsRef<[u8]>) -> Self {
        self.names
            .push(AlternativeName::Dns(name.as_ref().to_vec()));
        self
    }

    /// Adds an e-mail address; any bytes.
    pub fn add_email(mut self, address: impl AsRef<[u8]>) -> Self {
        self.names
            .push(AlternativeName::Email(address.as_ref().to_vec()));
        self
    }

    /// Adds an IP address to the names.
    pub fn add_ip(mut self, address: impl Into<IpAddr>) -> Self {
        self.names.push(AlternativeName::Ip(address.into()));
        self
    }

    /// Adds `localhost`, `127.0.0.1` and `::1`, for servers on loopback.
    pub fn add_loopback(self) -> Self {
        self.add_dns("localhost")
            .add_ip([127, 0, 0, 1])
            .add_ip([0, 0, 0, 0, 0, 0, 0, 1_u16])
    }

    /// Gives the subject a common name. The subject is empty otherwise.
    pub fn with_common_name(mut self, name: impl Into<String>) -> Self {
        self.common_name = Some(name.into());
        self
    }

    /// Makes a new key of this kind.
    pub fn with_key_kind(mut self, kind: KeyKind) -> Self {
        self.key_kind = kind;
        self
    }

    /// Uses this key instead of a new one.
    pub fn with_key(mut self, key: &PrivateKey) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Replaces the bits of KeyUsage; the extension stays critical.
    pub fn with_key_usage(mut self, usages: impl IntoIterator<Item = KeyUsage>) -> Self {
        self.key_usage = Some((usages.into_iter().collect(), true));
        self
    }

    /// Marks KeyUsage as not critical.
    pub fn with_uncritical_key_usage(mut self) -> Self {
        self.key_usage = self.key_usage.map(|(usages, _)| (usages, false));
        self
    }

    /// Leaves KeyUsage out.
    pub fn without_key_usage(mut self) -> Self {
        self.key_usage = None;
        self
    }

    /// Replaces the purposes of ExtendedKeyUsage; an empty list leaves the extension out.
    pub fn with_extended_key_usage(
        mut self,
        usages: impl IntoIterator<Item = ExtendedKeyUsage>,
    ) -> Self {
        self.extended_key_usages = usages.into_iter().collect();
        self
    }

    /// Sets the `cA` flag of BasicConstraints.
    pub fn with_ca_flag(mut self, is_ca: bool) -> Self {
        self.is_ca = Some(is_ca);
        self
    }

    /// Leaves BasicConstraints out.
    pub fn without_basic_constraints(mut self) -> Self {
        self.is_ca = None;
        self
    }

    /// Sets the first and the last second of validity. Certificates count whole seconds.
    pub fn with_validity(mut self, not_before: WallTime, not_after: WallTime) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    /// Sets the last second of validity.
    pub fn with_not_after(mut self, not_after: WallTime) -> Self {
        self.not_after = not_after;
        self
    }

    /// Sets the serial number, big-endian.
    pub fn with_serial(mut self, serial: impl AsRef<[u8]>) -> Self {
        self.serial = Some(serial.as_ref().to_vec());
        self
    }

    /// Adds an extension by the numbers of its object identifier and the DER of its content.
    pub fn add_extension(mut self, oid: &[u64], content: Vec<u8>, critical: bool) -> Self {
        let mut extension = CustomExtension::from_oid_content(oid, content);
        extension.set_criticality(critical);
        self.extensions.push(extension);
        self
    }

    /// Makes the certificate, signed by the CA.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Time`] for a validity past the year 9999, [`TestkitError::Certificate`] if
    /// no key could be made.
    pub fn issue(self) -> Result<IssuedCertificate, TestkitError> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => PrivateKey::generate(self.key_kind)?,
        };
        let serial = match &self.serial {
            Some(serial) => serial.clone(),
            None => random_serial()?,
        };
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            parameters.distinguished_name.push(DnType::CommonName, name);
        }
        parameters.not_before = date_time(self.not_before)?;
        parameters.not_after = date_time(self.not_after)?;
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        parameters.use_authority_key_identifier_extension = true;
        parameters.is_ca = match self.is_ca {
            Some(true) => IsCa::Ca(BasicConstraints::Unconstrained),
            Some(false) => IsCa::ExplicitNoCa,
            None => IsCa::NoCa,
        };
        parameters.extended_key_usages = self
            .extended_key_usages
            .iter()
            .map(ExtendedKeyUsage::to_rcgen)
            .collect();
        if !self.names.is_empty() {
            // RFC 5280 §4.1.2.6: critical where the subject is empty.
            let critical = self.common_name.is_none();
            parameters
                .custom_extensions
                .push(extension::alternative_names(&self.names, critical));
        }
        if let Some((usages, critical)) = &self.key_usage {
            parameters
                .custom_extensions
                .push(extension::key_usage(usages, *critical));
        }
        parameters
            .custom_extensions
            .extend(self.extensions.iter().cloned());
        let certificate = parameters.signed_by(key.pair(), &self.ca.issuer())?;
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.ca.chain_below_root());
        Ok(IssuedCertificate::new(chain, key, serial))
    }
}

pub(crate) fn date_time(time: WallTime) -> Result<OffsetDateTime, TestkitError> {
    let unix_seconds = time.unix_seconds();
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(TestkitError::Time { unix_seconds })
}

/// 16 random bytes, positive and without a leading zero byte (RFC 5280 §4.1.2.2).
pub(crate) fn random_serial() -> Result<Vec<u8>, TestkitError> {
    use ring::rand::SecureRandom as _;

    let mut serial = vec![0; 16];
    ring::rand::SystemRandom::new().fill(&mut serial)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}
