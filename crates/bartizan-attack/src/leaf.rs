//! Certificates of clients: right ones, and others.

use bartizan_core::{Clock as _, SystemClock};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::authority::{Authority, Identity};
use crate::der;
use crate::error::GivenError;

/// Extended key usages (RFC 5280 §4.2.1.12), by the last byte of their identifier.
pub(crate) const SERVER: u8 = 1;
pub(crate) const CLIENT: u8 = 2;
pub(crate) const CODE_SIGNING: u8 = 3;
pub(crate) const OCSP_SIGNING: u8 = 9;

/// Bits of key usage (RFC 5280 §4.2.1.3), from the left.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_AGREEMENT: u8 = 0x08;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
pub(crate) const CRL_SIGN: u8 = 0x02;

/// Describes the certificate of a client. Untouched, it is one that the service accepts.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// The names, encoded as they stand in the extension.
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) common_name: Option<String>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) is_ca: Option<bool>,
    pub(crate) key_usage: Option<u8>,
    pub(crate) extended: Vec<u8>,
    /// Further extensions: identifier, content, critical.
    pub(crate) more: Vec<(Vec<u8>, Vec<u8>, bool)>,
    pub(crate) names_twice: bool,
    pub(crate) breaks_signature: bool,
    pub(crate) foreign_key: bool,
}

impl Leaf {
    pub(crate) fn new(names: Vec<Vec<u8>>) -> Self {
        let now = SystemClock.wall().unix_seconds();
        Self {
            names,
            common_name: None,
            not_before: now.saturating_sub(3600),
            not_after: now + 3600,
            is_ca: Some(false),
            key_usage: Some(DIGITAL_SIGNATURE),
            extended: vec![CLIENT, SERVER],
            more: Vec::new(),
            names_twice: false,
            breaks_signature: false,
            foreign_key: false,
        }
    }

    /// Sets the names to one URI.
    pub(crate) fn uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.names = vec![uri_name(uri.as_ref())];
        self
    }

    /// Adds a URI.
    pub(crate) fn and_uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.names.push(uri_name(uri.as_ref()));
        self
    }

    /// Sets the validity, from and to so many seconds from now.
    pub(crate) fn valid(mut self, from: i64, to: i64) -> Self {
        let now = SystemClock.wall().unix_seconds();
        self.not_before = now.saturating_add_signed(from);
        self.not_after = now.saturating_add_signed(to);
        self
    }

    /// The URIs that it names, where they are text.
    pub(crate) fn uris(&self) -> Vec<String> {
        let uris = self.names.iter().filter_map(|it| der::inside(it, 0x86));
        uris.map(|it| String::from_utf8_lossy(it).into_owned())
            .collect()
    }

    /// Makes certificate and key, signed by the authority.
    pub(crate) fn issue(&self, authority: &Authority) -> Result<Identity, GivenError> {
        let random = SystemRandom::new();
        let (pkcs8, point) = new_key(&random)?;
        let mut serial = [0; 16];
        random.fill(&mut serial).map_err(GivenError::random)?;
        serial[0] = serial[0] & 0x7f | 0x40;
        let subject = match &self.common_name {
            Some(name) => common_name(name),
            None => der::sequence(&[]),
        };
        let validity = der::sequence(&[der::time(self.not_before), der::time(self.not_after)]);
        let content = der::sequence(&[
            der::value(0xa0, &der::value(2, &[2])),
            der::integer(&serial),
            authority.algorithm.clone(),
            authority.name.clone(),
            validity,
            subject,
            public_key_info(&point),
            der::value(0xa3, &der::sequence(&self.extensions())),
        ]);
        let mut signature = authority.sign(&content);
        if self.breaks_signature {
            // The last byte of an encoded number, so that it is still one.
            if let Some(last) = signature.last_mut() {
                *last ^= 1;
            }
        }
        let algorithm = authority.algorithm.clone();
        let certificate = der::sequence(&[content, algorithm, der::bit_string(&signature)]);
        let pkcs8 = match self.foreign_key {
            true => new_key(&random)?.0,
            false => pkcs8,
        };
        let mut chain = vec![CertificateDer::from(certificate)];
        chain.extend(authority.intermediates.iter().cloned());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        Ok(Identity::new(chain, key))
    }

    fn extensions(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        // All stand below id-ce, 2.5.29.
        if let Some(is_ca) = self.is_ca {
            let flag = if is_ca {
                vec![der::value(1, &[0xff])]
            } else {
                Vec::new()
            };
            all.push(extension(&[0x55, 0x1d, 19], &der::sequence(&flag), true));
        }
        if let Some(bits) = self.key_usage {
            let bits = der::value(3, &[0, bits]);
            all.push(extension(&[0x55, 0x1d, 15], &bits, true));
        }
        if !self.extended.is_empty() {
            let usages: Vec<_> = self.extended.iter().map(|it| usage(*it)).collect();
            let usages = der::sequence(&usages);
            all.push(extension(&[0x55, 0x1d, 37], &usages, false));
        }
        if !self.names.is_empty() {
            // RFC 5280 §4.1.2.6: critical where the subject is empty.
            let names = der::sequence(&self.names);
            let names = extension(&[0x55, 0x1d, 17], &names, self.common_name.is_none());
            all.push(names.clone());
            if self.names_twice {
                all.push(names);
            }
        }
        for (oid, content, critical) in &self.more {
            all.push(extension(oid, content, *critical));
        }
        all
    }
}

/// A URI as an alternative name.
pub(crate) fn uri_name(uri: &[u8]) -> Vec<u8> {
    der::value(0x86, uri)
}

/// A DNS name as an alternative name.
pub(crate) fn dns_name(name: &str) -> Vec<u8> {
    der::value(0x82, name.as_bytes())
}

/// A mail address as an alternative name.
pub(crate) fn mail_name(name: &str) -> Vec<u8> {
    der::value(0x81, name.as_bytes())
}

fn extension(oid: &[u8], content: &[u8], critical: bool) -> Vec<u8> {
    let mut members = vec![der::oid(oid)];
    if critical {
        members.push(der::value(1, &[0xff]));
    }
    members.push(der::value(4, content));
    der::sequence(&members)
}

fn usage(last: u8) -> Vec<u8> {
    der::oid(&[0x2b, 6, 1, 5, 5, 7, 3, last])
}

/// A distinguished name of a common name alone.
pub(crate) fn common_name(name: &str) -> Vec<u8> {
    let attribute = [der::oid(&[0x55, 4, 3]), der::value(0x0c, name.as_bytes())];
    der::sequence(&[der::value(0x31, &der::sequence(&attribute))])
}

/// A new key for P-256: as PKCS#8, and the public point.
pub(crate) fn new_key(random: &SystemRandom) -> Result<(Vec<u8>, Vec<u8>), GivenError> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(GivenError::random)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), random);
    let pair = pair.map_err(|_| GivenError::Random)?;
    Ok((pkcs8.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
}

/// A public key for P-256, as certificates hold it.
pub(crate) fn public_key_info(point: &[u8]) -> Vec<u8> {
    let algorithm = der::sequence(&[
        der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        der::oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ]);
    der::sequence(&[algorithm, der::bit_string(point)])
}
