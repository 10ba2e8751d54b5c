//! Roots: the certificate authorities that one trust domain is believed through.

use std::fmt;
use std::sync::Arc;

use bartizan_core::WallTime;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use crate::revocation::RevocationLists;
use crate::rules;
use crate::svid_error::SvidError;

/// The most certificate authorities that one set may hold.
///
/// Rotation needs two or three at a time. Path validation tries each, so the number bounds what a
/// handshake may cost.
const MAX_ROOTS: usize = 64;

/// A set of certificate authorities, checked when it is made.
///
/// Each must be a version 3 CA certificate that may sign certificates. A root outside its own
/// validity period verifies nothing; path validation as such would not look at it.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Roots {
    set: Arc<Set>,
    revocation: Option<RevocationLists>,
}

#[derive(Default)]
struct Set {
    anchors: Box<[TrustAnchor<'static>]>,
    // At the same index as the anchor.
    validity: Box<[(WallTime, WallTime)]>,
}

impl Roots {
    /// The set of these certificates, in DER form.
    ///
    /// An empty set is allowed and verifies nothing: that is how a trust domain says that all of
    /// its keys are withdrawn.
    ///
    /// # Errors
    ///
    /// [`RootsError`] names the first certificate that is unfit, and why.
    pub fn from_der<'a>(
        certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Self, RootsError> {
        let (mut anchors, mut validity) = (Vec::new(), Vec::new());
        for (position, der) in certificates.into_iter().enumerate() {
            if position == MAX_ROOTS {
                return Err(RootsError::TooMany { limit: MAX_ROOTS });
            }
            let certificate =
                rules::read(der).map_err(|cause| RootsError::Unreadable { position, cause })?;
            if !rules::may_issue(&certificate) {
                return Err(RootsError::NotAnAuthority { position });
            }
            let anchor =
                webpki::anchor_from_trusted_cert(der).map_err(|_| RootsError::Unreadable {
                    position,
                    cause: SvidError::Malformed,
                })?;
            anchors.push(anchor.to_owned());
            validity.push((certificate.not_before, certificate.not_after));
        }
        let set = Arc::new(Set {
            anchors: anchors.into(),
            validity: validity.into(),
        });
        Ok(Self {
            set,
            revocation: None,
        })
    }

    /// The set of the certificates in PEM text; sections of another kind are passed over.
    ///
    /// # Errors
    ///
    /// As [`from_der`](Self::from_der), and [`RootsError::Pem`] if the text is broken or holds no
    /// certificate, which a file that was cut short looks like.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootsError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| RootsError::Pem)?;
        if certificates.is_empty() {
            return Err(RootsError::Pem);
        }
        Self::from_der(&certificates)
    }

    /// Looks up certificates in these lists. Without lists, nobody's revocation is noticed.
    ///
    /// The lists may be of any issuers: each counts for what its issuer has issued.
    #[must_use]
    pub fn with_revocation_lists(mut self, lists: RevocationLists) -> Self {
        self.revocation = Some(lists);
        self
    }

    /// Leaves revocation aside.
    pub(crate) fn without_revocation_lists(mut self) -> Self {
        self.revocation = None;
        self
    }

    /// The lists that certificates are looked up in.
    pub fn revocation_lists(&self) -> Option<&RevocationLists> {
        self.revocation.as_ref()
    }

    /// How many certificate authorities there are.
    pub fn len(&self) -> usize {
        self.set.anchors.len()
    }

    /// Whether there are none, so that nothing verifies.
    pub fn is_empty(&self) -> bool {
        self.set.anchors.is_empty()
    }

    /// Whether these are the same authorities, in the same order, with the same lists.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.set, &other.set);
        let same_authorities = Arc::ptr_eq(mine, theirs)
            || (mine.anchors == theirs.anchors && mine.validity == theirs.validity);
        let same_lists = match (&self.revocation, &other.revocation) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => mine.is_same(theirs),
            _ => false,
        };
        same_authorities && same_lists
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.set.anchors
    }

    /// Whether one of these anchors lent by [`anchors`](Self::anchors) is inside its validity
    /// period. Authorities are renewed under the same name and key, so that several may answer.
    pub(crate) fn check_validity(
        &self,
        anchor: &TrustAnchor<'_>,
        now: WallTime,
    ) -> Result<(), webpki::Error> {
        let mut outcome = Err(webpki::Error::UnknownIssuer);
        for (known, (not_before, not_after)) in self.set.anchors.iter().zip(&self.set.validity) {
            // Name constraints included: a root that has expired must not stand in for its
            // renewal, which may permit less.
            if known != anchor {
                continue;
            }
            let time = unix_time(now);
            outcome = if now < *not_before {
                Err(webpki::Error::CertNotValidYet {
                    time,
                    not_before: unix_time(*not_before),
                })
            } else if now.unix_seconds() > not_after.unix_seconds() {
                Err(webpki::Error::CertExpired {
                    time,
                    not_after: unix_time(*not_after),
                })
            } else {
                return Ok(());
            };
        }
        outcome
    }
}

pub(crate) fn unix_time(time: WallTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.since_unix_epoch())
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revocation {
            Some(lists) => write!(f, "Roots({}, {lists:?})", self.len()),
            None => write!(f, "Roots({})", self.len()),
        }
    }
}

/// Why certificates make no set of roots. `position` counts from zero.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// A certificate is not a CA's, or its key usage lacks `keyCertSign`.
    #[error("root {position} is no certificate authority")]
    NotAnAuthority {
        /// Which certificate.
        position: usize,
    },
    /// The PEM text is broken or holds no certificate.
    #[error("no certificate in pem text, or the text is broken")]
    Pem,
    /// There are more certificates than a handshake should have to try.
    #[error("too many roots: at most {limit}")]
    TooMany {
        /// The most that are allowed.
        limit: usize,
    },
    /// A certificate cannot be read.
    #[error("root {position} cannot be read")]
    Unreadable {
        /// Which certificate.
        position: usize,
        /// Why.
        #[source]
        cause: SvidError,
    },
}
