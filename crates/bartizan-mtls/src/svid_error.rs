//! Why a certificate proves no identity.

use std::fmt;

use bartizan_core::SpiffeIdError;
use bartizan_core::WallTime;

use crate::rules::{MAX_CERTIFICATE_BYTES, MAX_CHAIN_CERTIFICATES};

/// Why a certificate chain proves no identity.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// A certificate of the chain is larger than 16 KiB.
    #[error("certificate is too large: {bytes} bytes, at most {MAX_CERTIFICATE_BYTES}")]
    CertificateTooLarge {
        /// The size that was seen, in bytes.
        bytes: usize,
    },
    /// The chain has more than ten certificates.
    #[error("chain is too long: {certificates} certificates, at most {MAX_CHAIN_CERTIFICATES}")]
    ChainTooLong {
        /// The number that was seen.
        certificates: usize,
    },
    /// The chain has no certificate at all.
    #[error("no certificate")]
    Empty,
    /// The certificate, or one that it rests on, is no longer valid.
    #[error("certificate expired: not after {}, now {}", .not_after.unix_seconds(), .now.unix_seconds())]
    Expired {
        /// The last moment at which it was valid.
        not_after: WallTime,
        /// The moment of the check.
        now: WallTime,
    },
    /// The certificate lists extended key usages and not both of server and client authentication
    /// (X509-SVID §4.4), or, for a DNS identity, not the one in question.
    #[error("extended key usage does not allow this use in TLS")]
    ExtendedKeyUsage,
    /// The certificate is a certificate authority's, which may identify nobody.
    #[error("certificate is a certificate authority's")]
    IsAuthority,
    /// The public key is of a kind that is not supported, such as P-521 or secp256k1.
    #[error("public key algorithm is not supported")]
    KeyAlgorithm,
    /// The key usage extension is absent, not critical, lacks `digitalSignature`, or has
    /// `keyCertSign` or `cRLSign` (X509-SVID §4.3).
    #[error("key usage is not that of a leaf certificate: {0}")]
    KeyUsage(KeyUsageFault),
    /// The bytes are no strict DER form of a version 3 certificate.
    #[error("certificate is malformed")]
    Malformed,
    /// A subject alternative name that is not marked critical although the subject is empty
    /// (X509-SVID §3.1, RFC 5280 §4.1.2.6).
    #[error("subject is empty and the subject alternative name is not critical")]
    NamesNotCritical,
    /// The certificate has no DNS name, or wildcards alone, and a DNS identity was asked for.
    #[error("certificate has no literal dns name")]
    NoDnsName,
    /// The SPIFFE ID names a trust domain and no workload (X509-SVID §5.2).
    #[error("spiffe id has no path")]
    NoPath,
    /// The certificate does not have exactly one URI name (X509-SVID §2).
    #[error("certificate has {found} uri names, must have exactly 1")]
    NotOneUri {
        /// How many it has.
        found: usize,
    },
    /// The certificate, or one that it rests on, is not valid yet.
    #[error("certificate is not valid yet: not before {}, now {}", .not_before.unix_seconds(), .now.unix_seconds())]
    NotYetValid {
        /// The first moment at which it will be valid.
        not_before: WallTime,
        /// The moment of the check.
        now: WallTime,
    },
    /// No path from the certificate to a root is valid, for another reason than those above.
    #[error("no valid path to a root")]
    Path(#[source] PathFault),
    /// The revocation lists do not tell whether the certificate, or one that it rests on, is
    /// revoked: its issuer has none, it is overdue, or another than the issuer signed it.
    #[error("revocation status is unknown")]
    RevocationUnknown(#[source] PathFault),
    /// The certificate, or one that it rests on, is revoked by its issuer.
    #[error("certificate is revoked")]
    Revoked,
    /// The URI name is no SPIFFE ID.
    #[error("uri name is no spiffe id")]
    SpiffeId(#[source] SpiffeIdError),
    /// No root of the certificate's trust domain issued it, or the domain has no roots here.
    #[error("issuer is not trusted for this identity")]
    UnknownIssuer,
}

/// The rule of key usage that a leaf certificate breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyUsageFault {
    /// The extension is absent.
    Absent,
    /// `keyCertSign` or `cRLSign` is set.
    MaySign,
    /// `digitalSignature` is not set.
    NoDigitalSignature,
    /// The extension is not marked critical.
    NotCritical,
}

impl fmt::Display for KeyUsageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "extension is absent",
            Self::MaySign => "keyCertSign or cRLSign is set",
            Self::NoDigitalSignature => "digitalSignature is not set",
            Self::NotCritical => "extension is not critical",
        })
    }
}

/// What path validation found wrong, for logs. Its text is not stable.
#[derive(Clone, Debug)]
pub struct PathFault(pub(crate) webpki::Error);

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for PathFault {}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn check(error: SvidError, message: &str, source: Option<&str>) {
        assert_eq!(error.to_string(), message);
        let cause = error.source().map(ToString::to_string);
        assert_eq!(cause.as_deref(), source);
    }

    #[test]
    fn an_error_names_the_rule_that_is_broken_and_both_sides() {
        let of_a_leaf = "key usage is not that of a leaf certificate: ";
        for (fault, message) in [
            (KeyUsageFault::Absent, "extension is absent"),
            (KeyUsageFault::MaySign, "keyCertSign or cRLSign is set"),
            (
                KeyUsageFault::NoDigitalSignature,
                "digitalSignature is not set",
            ),
            (KeyUsageFault::NotCritical, "extension is not critical"),
        ] {
            let message = format!("{of_a_leaf}{message}");
            check(SvidError::KeyUsage(fault), &message, None);
        }
        let [first, second] = [7, 8].map(WallTime::from_unix_seconds);
        check(
            SvidError::Expired {
                not_after: first,
                now: second,
            },
            "certificate expired: not after 7, now 8",
            None,
        );
        check(
            SvidError::NotYetValid {
                not_before: second,
                now: first,
            },
            "certificate is not valid yet: not before 8, now 7",
            None,
        );
        check(
            SvidError::ChainTooLong { certificates: 11 },
            "chain is too long: 11 certificates, at most 10",
            None,
        );
        check(
            SvidError::Path(PathFault(webpki::Error::NameConstraintViolation)),
            "no valid path to a root",
            Some("NameConstraintViolation"),
        );
        check(
            SvidError::RevocationUnknown(PathFault(webpki::Error::UnknownRevocationStatus)),
            "revocation status is unknown",
            Some("UnknownRevocationStatus"),
        );
    }
}
