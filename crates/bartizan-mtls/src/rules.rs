//! The rules that make a leaf certificate an identity, and a certificate an authority.

use std::sync::Arc;

use bartizan_core::SpiffeId;

use crate::certificate::{Certificate, KeyUsage};
use crate::svid_error::{KeyUsageFault, SvidError};

/// The largest certificate that is looked at, in bytes.
///
/// An X509-SVID with an ID of 2048 bytes has about 3 KiB, one with post-quantum signatures 8 KiB.
pub(crate) const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// The longest chain that is looked at, leaf included.
///
/// Path validation follows at most six intermediates; a few surplus certificates do no harm.
pub(crate) const MAX_CHAIN_CERTIFICATES: usize = 10;

/// What the holder of a certificate is in the handshake.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a TLS handshake has two ends")]
pub enum Role {
    /// It opened the connection.
    Client,
    /// It accepted the connection.
    Server,
}

/// Reads a certificate within the size limit.
pub(crate) fn read(der: &[u8]) -> Result<Certificate<'_>, SvidError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(SvidError::CertificateTooLarge { bytes: der.len() });
    }
    Certificate::parse(der).map_err(|_| SvidError::Malformed)
}

/// The SPIFFE ID that a leaf certificate claims, if the certificate may claim one at all.
pub(crate) fn spiffe_id(leaf: &Certificate<'_>) -> Result<SpiffeId, SvidError> {
    //= X509-SVID §5.2: the validator MUST ensure that the cA field is set to false.
    if leaf.is_authority {
        return Err(SvidError::IsAuthority);
    }
    //= X509-SVID §4.3: the key usage extension MUST be set on all SVIDs, and MUST be marked critical.
    let usage = leaf
        .key_usage
        .ok_or(SvidError::KeyUsage(KeyUsageFault::Absent))?;
    if !usage.critical {
        return Err(SvidError::KeyUsage(KeyUsageFault::NotCritical));
    }
    check_leaf_usage(usage)?;
    //= X509-SVID §4.4: when included, id-kp-serverAuth and id-kp-clientAuth MUST be set.
    if leaf
        .extended_key_usage
        .is_some_and(|usage| !usage.server_auth || !usage.client_auth)
    {
        return Err(SvidError::ExtendedKeyUsage);
    }
    //= X509-SVID §2: SVIDs containing more than one URI SAN MUST be rejected.
    let names = leaf.names.ok_or(SvidError::NotOneUri { found: 0 })?;
    let mut uris = names.uris();
    let uri = match (uris.next(), uris.count()) {
        (Some(uri), 0) => uri,
        (first, more) => {
            return Err(SvidError::NotOneUri {
                found: usize::from(first.is_some()) + more,
            });
        }
    };
    //= X509-SVID §3.1: the URI SAN extension MUST be marked as critical if Subject is omitted.
    if leaf.subject_is_empty && !names.critical {
        return Err(SvidError::NamesNotCritical);
    }
    let uri = std::str::from_utf8(uri).map_err(|_| SvidError::Malformed)?;
    let id = SpiffeId::parse(uri).map_err(SvidError::SpiffeId)?;
    //= X509-SVID §5.2: the SPIFFE ID MUST have a non-root path component.
    if id.path().is_empty() {
        return Err(SvidError::NoPath);
    }
    Ok(id)
}

/// The literal DNS names that a leaf certificate claims, in lower case.
///
/// The rules are those of the public web's certificates: key usage may be absent, and extended
/// key usage is checked for the role by path validation. Wildcards name no single workload and
/// are passed over.
pub(crate) fn dns_names(leaf: &Certificate<'_>) -> Result<Arc<[Box<str>]>, SvidError> {
    if leaf.is_authority {
        return Err(SvidError::IsAuthority);
    }
    leaf.key_usage.map_or(Ok(()), check_leaf_usage)?;
    let names = leaf.names.ok_or(SvidError::NoDnsName)?;
    if leaf.subject_is_empty && !names.critical {
        return Err(SvidError::NamesNotCritical);
    }
    let names: Arc<[Box<str>]> = names
        .dns_names()
        .filter_map(literal_dns_name)
        .map(String::into_boxed_str)
        .collect();
    if names.is_empty() {
        Err(SvidError::NoDnsName)
    } else {
        Ok(names)
    }
}

fn check_leaf_usage(usage: KeyUsage) -> Result<(), SvidError> {
    //= X509-SVID §4.3: leaf SVIDs MUST set digitalSignature.
    if !usage.digital_signature() {
        return Err(SvidError::KeyUsage(KeyUsageFault::NoDigitalSignature));
    }
    //= X509-SVID §4.3: leaf SVIDs MUST NOT set keyCertSign or cRLSign.
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(SvidError::KeyUsage(KeyUsageFault::MaySign));
    }
    Ok(())
}

/// A DNS name of letters, digits, hyphens and underscores, in lower case; `None` for a wildcard
/// or anything else.
pub(crate) fn literal_dns_name(name: &[u8]) -> Option<String> {
    let labels_fit = name.split(|&byte| byte == b'.').all(|label| {
        matches!(label.len(), 1..=63)
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
    });
    let name = std::str::from_utf8(name).ok()?;
    (labels_fit && name.len() <= 253).then(|| name.to_ascii_lowercase())
}

/// Whether a certificate may issue others: a CA whose key usage, if it states one, says so.
///
/// Path validation looks at `cA` alone; X509-SVID §4.3 and RFC 5280 §6.1.4 (n) ask for
/// `keyCertSign` as well.
pub(crate) fn may_issue(authority: &Certificate<'_>) -> bool {
    authority.is_authority
        && authority
            .key_usage
            .is_none_or(|usage| usage.key_cert_sign())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_a_certificate_of_the_largest_size_and_at_no_larger_one() {
        for (bytes, looked_at) in [
            (MAX_CERTIFICATE_BYTES, true),
            (MAX_CERTIFICATE_BYTES + 1, false),
        ] {
            match read(&vec![0; bytes]) {
                Err(SvidError::Malformed) => assert!(looked_at, "{bytes}"),
                Err(SvidError::CertificateTooLarge { bytes: told }) => {
                    assert!(!looked_at, "{bytes}");
                    assert_eq!(told, bytes);
                }
                other => panic!("{bytes} gave {other:?}"),
            }
        }
    }
}
