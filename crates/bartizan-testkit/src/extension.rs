//! X.509 extensions written by hand, because tests need contents that a CA would not write.

use std::net::IpAddr;

use rcgen::CustomExtension;

use crate::der;

const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];

/// One bit of the KeyUsage extension (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyUsage {
    /// Signing other data than certificates and CRLs: what TLS 1.3 needs, and X509-SVID requires.
    DigitalSignature = 0,
    /// Non-repudiation.
    ContentCommitment = 1,
    /// Encryption of keys, as RSA key exchange did.
    KeyEncipherment = 2,
    /// Direct encryption of data.
    DataEncipherment = 3,
    /// Diffie-Hellman.
    KeyAgreement = 4,
    /// Signing certificates, which a leaf must not.
    CertificateSign = 5,
    /// Signing CRLs, which a leaf must not.
    CrlSign = 6,
}

/// A name in the subject alternative name extension; any bytes, valid or not.
#[derive(Clone, Debug)]
pub(crate) enum AlternativeName {
    Dns(Vec<u8>),
    Email(Vec<u8>),
    Ip(IpAddr),
    Uri(Vec<u8>),
}

impl AlternativeName {
    // GeneralName of RFC 5280 §4.2.1.6, with implicit tags.
    fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Email(text) => der::value(0x81, text),
            Self::Dns(text) => der::value(0x82, text),
            Self::Uri(text) => der::value(0x86, text),
            Self::Ip(IpAddr::V4(address)) => der::value(0x87, &address.octets()),
            Self::Ip(IpAddr::V6(address)) => der::value(0x87, &address.octets()),
        }
    }
}

pub(crate) fn alternative_names(names: &[AlternativeName], critical: bool) -> CustomExtension {
    let members: Vec<Vec<u8>> = names.iter().map(AlternativeName::to_der).collect();
    extension(SUBJECT_ALTERNATIVE_NAME, der::sequence(&members), critical)
}

pub(crate) fn key_usage(usages: &[KeyUsage], critical: bool) -> CustomExtension {
    let bits = usages
        .iter()
        .fold(0_u8, |bits, usage| bits | (0x80 >> (*usage as u8)));
    // X.690 §11.2.2: trailing zero bits of a named bit list are left out.
    let content = match bits {
        0 => vec![0],
        _ => vec![
            u8::try_from(bits.trailing_zeros()).unwrap_or_default(),
            bits,
        ],
    };
    extension(KEY_USAGE, der::value(der::BIT_STRING, &content), critical)
}

/// Name constraints which permit URIs with the given hosts alone (RFC 5280 §4.2.1.10).
pub(crate) fn permitted_uri_hosts(hosts: &[String]) -> CustomExtension {
    let subtrees: Vec<Vec<u8>> = hosts
        .iter()
        .map(|host| der::sequence(&[der::value(0x86, host.as_bytes())]))
        .collect();
    let permitted = der::value(0xa0, &subtrees.concat());
    extension(NAME_CONSTRAINTS, der::sequence(&[permitted]), true)
}

fn extension(oid: &[u64], content: Vec<u8>, critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content);
    extension.set_criticality(critical);
    extension
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(usages: &[KeyUsage], expected: &[u8]) {
        assert_eq!(key_usage(usages, true).content(), expected, "{usages:?}");
    }

    #[test]
    fn key_usage_is_a_named_bit_list() {
        check(&[], &[3, 1, 0]);
        check(&[KeyUsage::DigitalSignature], &[3, 2, 7, 0x80]);
        check(
            &[KeyUsage::CrlSign, KeyUsage::CertificateSign],
            &[3, 2, 1, 0x06],
        );
    }

    #[test]
    fn names_keep_bytes_that_are_not_text() {
        let names = [
            AlternativeName::Uri(vec![0xff, 0x00]),
            AlternativeName::Dns(Vec::new()),
        ];
        assert_eq!(
            alternative_names(&names, false).content(),
            [0x30, 6, 0x86, 2, 0xff, 0, 0x82, 0]
        );
    }
}
