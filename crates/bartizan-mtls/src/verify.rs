//! From a certificate chain to a verified identity.

use bartizan_core::{PeerIdentity, VerifiedCertificate, WallTime};
use ring::digest;
use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage, RevocationOptions, VerifiedPath};

use crate::certificate::Certificate;
use crate::crypto::{Algorithms, RING_ALGORITHMS};
use crate::roots::{Roots, unix_time};
use crate::rules::{self, MAX_CERTIFICATE_BYTES, MAX_CHAIN_CERTIFICATES, Role};
use crate::svid_error::{PathFault, SvidError};
use crate::trust::TrustBundles;

/// Verifies an X509-SVID and its chain, leaf first, at the moment `now`.
///
/// The listener and the connector decide by this very function. In order:
///
/// 1. The chain has 1 to 10 certificates of at most 16 KiB each.
/// 2. The leaf meets [X509-SVID §5.2] and the leaf rules of §2 to §4: exactly one URI name, which
///    is a SPIFFE ID with a path; no CA; key usage present, critical, with `digitalSignature` and
///    without `keyCertSign` and `cRLSign`; extended key usage absent or with both TLS purposes.
/// 3. The public key is of a kind that can sign a TLS 1.3 handshake here.
/// 4. The trust domain of that ID has roots in `bundles`.
/// 5. A path of [RFC 5280 §6] leads from the leaf to one of these roots, through intermediates
///    that are certificate authorities with `keyCertSign`, all inside their validity periods, the
///    root included.
/// 6. If the roots come with revocation lists, none of the path's certificates is revoked
///    ([`RevocationLists`](crate::RevocationLists)).
///
/// It proves nothing about who holds the private key: that is the handshake's part.
///
/// # Errors
///
/// [`SvidError`] names the first rule that the chain breaks.
///
/// [X509-SVID §5.2]: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#52-leaf-validation
/// [RFC 5280 §6]: https://www.rfc-editor.org/rfc/rfc5280#section-6
pub fn verify_svid(
    chain: &[CertificateDer<'_>],
    bundles: &TrustBundles,
    role: Role,
    now: WallTime,
) -> Result<VerifiedCertificate, SvidError> {
    verify_svid_with(RING_ALGORITHMS, chain, bundles, role, now)
}

/// As [`verify_svid`], with signatures of these algorithms.
pub(crate) fn verify_svid_with(
    algorithms: Algorithms,
    chain: &[CertificateDer<'_>],
    bundles: &TrustBundles,
    role: Role,
    now: WallTime,
) -> Result<VerifiedCertificate, SvidError> {
    let (der, leaf) = leaf_of(chain)?;
    let id = rules::spiffe_id(&leaf)?;
    check_key_algorithm(algorithms, &leaf)?;
    let roots = bundles
        .roots_of(id.trust_domain())
        .ok_or(SvidError::UnknownIssuer)?;
    check_path(algorithms, chain, roots, role, now)?;
    Ok(verified(PeerIdentity::Spiffe(id), der, &leaf))
}

/// Verifies a certificate whose DNS names identify its holder, at the moment `now`.
///
/// As [`verify_svid`], with these rules for the leaf: no CA; key usage, if present, with
/// `digitalSignature` and without `keyCertSign` and `cRLSign`; extended key usage, if present,
/// with the purpose of `role`; at least one DNS name without a wildcard.
///
/// # Errors
///
/// [`SvidError`] names the first rule that the chain breaks.
pub fn verify_dns(
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    role: Role,
    now: WallTime,
) -> Result<VerifiedCertificate, SvidError> {
    verify_dns_with(RING_ALGORITHMS, chain, roots, role, now)
}

/// As [`verify_dns`], with signatures of these algorithms.
pub(crate) fn verify_dns_with(
    algorithms: Algorithms,
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    role: Role,
    now: WallTime,
) -> Result<VerifiedCertificate, SvidError> {
    let (der, leaf) = leaf_of(chain)?;
    let names = rules::dns_names(&leaf)?;
    check_key_algorithm(algorithms, &leaf)?;
    check_path(algorithms, chain, roots, role, now)?;
    Ok(verified(PeerIdentity::Dns(names), der, &leaf))
}

/// What a leaf says of itself, by the rules alone and without a path: for a chain that the
/// handshake has verified, and for our own.
pub(crate) fn describe(
    algorithms: Algorithms,
    chain: &[CertificateDer<'_>],
    spiffe: bool,
) -> Result<VerifiedCertificate, SvidError> {
    let (der, leaf) = leaf_of(chain)?;
    let identity = if spiffe {
        PeerIdentity::Spiffe(rules::spiffe_id(&leaf)?)
    } else {
        PeerIdentity::Dns(rules::dns_names(&leaf)?)
    };
    check_key_algorithm(algorithms, &leaf)?;
    Ok(verified(identity, der, &leaf))
}

/// Whether a leaf is inside its validity period. Both ends belong to it (RFC 5280 §4.1.2.5), the
/// last second as a whole.
pub(crate) fn check_validity(chain: &[CertificateDer<'_>], now: WallTime) -> Result<(), SvidError> {
    let Certificate {
        not_before,
        not_after,
        ..
    } = leaf_of(chain)?.1;
    if now < not_before {
        return Err(SvidError::NotYetValid { not_before, now });
    }
    if now.unix_seconds() > not_after.unix_seconds() {
        return Err(SvidError::Expired { not_after, now });
    }
    Ok(())
}

fn leaf_of<'a>(chain: &'a [CertificateDer<'_>]) -> Result<(&'a [u8], Certificate<'a>), SvidError> {
    if chain.len() > MAX_CHAIN_CERTIFICATES {
        return Err(SvidError::ChainTooLong {
            certificates: chain.len(),
        });
    }
    let der = chain.first().ok_or(SvidError::Empty)?.as_ref();
    Ok((der, rules::read(der)?))
}

/// Path validation does not look at the leaf's own key; only the handshake would.
fn check_key_algorithm(algorithms: Algorithms, leaf: &Certificate<'_>) -> Result<(), SvidError> {
    let supported = algorithms
        .iter()
        .any(|known| known.public_key_alg_id().as_ref() == leaf.key_algorithm);
    if supported {
        Ok(())
    } else {
        Err(SvidError::KeyAlgorithm)
    }
}

fn check_path(
    algorithms: Algorithms,
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    role: Role,
    now: WallTime,
) -> Result<(), SvidError> {
    let (end_entity, intermediates) = chain.split_first().ok_or(SvidError::Empty)?;
    // Only those on the path must be readable: a surplus certificate does no harm.
    if let Some(large) = intermediates
        .iter()
        .find(|der| der.len() > MAX_CERTIFICATE_BYTES)
    {
        return Err(SvidError::CertificateTooLarge { bytes: large.len() });
    }
    let end_entity = EndEntityCert::try_from(end_entity).map_err(|e| refuse(e, now))?;
    let accept_path = |path: &VerifiedPath<'_>| {
        for intermediate in path.intermediate_certificates() {
            let may_issue = Certificate::parse(&intermediate.der())
                .is_ok_and(|certificate| rules::may_issue(&certificate));
            if !may_issue {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        roots.check_validity(path.anchor(), now)
    };
    let verify = |revocation: Option<RevocationOptions<'_>>| {
        end_entity
            .verify_for_usage(
                algorithms,
                roots.anchors(),
                intermediates,
                unix_time(now),
                usage(role),
                revocation,
                Some(&accept_path),
            )
            .map(drop)
    };
    match roots.revocation_lists() {
        Some(lists) => lists.check(&issuers_of(chain), |options| verify(Some(options))),
        None => verify(None),
    }
    .map_err(|error| refuse(error, now))
}

/// The names of those who issued a chain, the leaf's first. What cannot be read is on no path.
fn issuers_of<'a>(chain: &'a [CertificateDer<'_>]) -> Vec<&'a [u8]> {
    let read = chain.iter().map(|der| Certificate::parse(der));
    read.flatten().map(|it| it.issuer).collect()
}

fn usage(role: Role) -> KeyUsage {
    match role {
        Role::Client => KeyUsage::client_auth(),
        Role::Server => KeyUsage::server_auth(),
    }
}

fn refuse(error: webpki::Error, now: WallTime) -> SvidError {
    use webpki::Error;

    let wall = |time: rustls_pki_types::UnixTime| WallTime::from_unix_seconds(time.as_secs());
    match error {
        Error::CertExpired { not_after, .. } => SvidError::Expired {
            not_after: wall(not_after),
            now,
        },
        Error::CertNotValidYet { not_before, .. } => SvidError::NotYetValid {
            not_before: wall(not_before),
            now,
        },
        Error::RequiredEkuNotFoundContext(_) => SvidError::ExtendedKeyUsage,
        Error::CertRevoked => SvidError::Revoked,
        Error::CrlExpired { .. }
        | Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::UnknownRevocationStatus
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            SvidError::RevocationUnknown(PathFault(error))
        }
        // A signature that does not verify means that the root of that name did not issue it.
        Error::InvalidSignatureForPublicKey | Error::UnknownIssuer => SvidError::UnknownIssuer,
        other => SvidError::Path(PathFault(other)),
    }
}

fn verified(identity: PeerIdentity, der: &[u8], leaf: &Certificate<'_>) -> VerifiedCertificate {
    let mut certificate_sha256 = [0; 32];
    certificate_sha256
        .iter_mut()
        .zip(digest::digest(&digest::SHA256, der).as_ref())
        .for_each(|(to, from)| *to = *from);
    VerifiedCertificate {
        identity,
        certificate_sha256,
        serial: leaf.serial.into(),
        not_after: leaf.not_after,
    }
}
