//! Revocation: which certificates their issuers have taken back.

use std::fmt;
use std::sync::Arc;

use ring::digest::{self, Digest};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::svid_error::PathFault;

/// The most lists that go with one set of roots: one for each authority, and spare ones.
const MAX_LISTS: usize = 64;

/// In how many orders the lists are tried for one path.
const MAX_TURNS: usize = 256;

/// Certificate revocation lists (RFC 5280 §5), to go with [`Roots`](crate::Roots).
///
/// With them, each certificate of a path but the root is looked up in the list of its issuer; the
/// list counts only if that issuer has signed it. A certificate whose status the lists do not tell,
/// because its issuer has none or the list is overdue, is refused: "could not check" is no
/// pass. [`allow_unknown_status`](Self::allow_unknown_status) gives that up.
///
/// Complete lists of version 2 are taken, also those split by distribution point; delta lists,
/// indirect lists and those split by reason are not. Of two lists of one issuer, the later in
/// the order given counts.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct RevocationLists {
    lists: Arc<[List]>,
    digest: Digest,
    unknown: UnknownStatusPolicy,
}

struct List {
    list: CertRevocationList<'static>,
    /// Its place among the lists of one issuer's name, and how many those are.
    place: usize,
    namesakes: usize,
}

impl RevocationLists {
    /// These lists, in DER form.
    ///
    /// # Errors
    ///
    /// [`RevocationError`] names the first list that is unfit, and why.
    pub fn from_der<'a>(
        lists: impl IntoIterator<Item = &'a CertificateRevocationListDer<'a>>,
    ) -> Result<Self, RevocationError> {
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut read = Vec::<CertRevocationList<'static>>::new();
        for (position, der) in lists.into_iter().enumerate() {
            if position == MAX_LISTS {
                return Err(RevocationError::TooMany { limit: MAX_LISTS });
            }
            let list = OwnedCertRevocationList::from_der(der).map_err(|cause| {
                RevocationError::Unreadable {
                    position,
                    cause: PathFault(cause),
                }
            })?;
            digest.update(der);
            read.push(list.into());
        }
        if read.is_empty() {
            return Err(RevocationError::Empty);
        }
        // The first of an issuer is the one that is asked.
        read.reverse();
        let names: Vec<Box<[u8]>> = read.iter().map(|list| list.issuer().into()).collect();
        let lists = read.into_iter().zip(&names).enumerate();
        let lists = lists.map(|(position, (list, name))| List {
            list,
            place: names.iter().take(position).filter(|n| *n == name).count(),
            namesakes: names.iter().filter(|n| *n == name).count(),
        });
        Ok(Self {
            lists: lists.collect(),
            digest: digest.finish(),
            unknown: UnknownStatusPolicy::Deny,
        })
    }

    /// The lists in PEM text; sections of another kind are passed over.
    ///
    /// # Errors
    ///
    /// As [`from_der`](Self::from_der), and [`RevocationError::Pem`] if the text is broken.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RevocationError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| RevocationError::Pem)?;
        Self::from_der(&lists)
    }

    /// Lets certificates pass whose issuer has no list, and goes on using lists that are overdue.
    ///
    /// What a list says is obeyed as before. This is for authorities that issue no lists beside
    /// others that do, and for those who would rather miss a revocation than stand still because
    /// no new list came.
    #[must_use]
    pub fn allow_unknown_status(mut self) -> Self {
        self.unknown = UnknownStatusPolicy::Allow;
        self
    }

    /// How many lists there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether these say the same of everybody.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.digest.as_ref() == other.digest.as_ref() && self.unknown == other.unknown
    }

    /// Verifies a path with these lists; its certificates were issued by these names, the leaf's
    /// issuer first.
    ///
    /// webpki asks the first list that has the issuer's name. An authority that was renewed has
    /// the old name and a new key, and a list by each: the others get their turn, those of each
    /// name for itself, so that no other issuer's earlier list is asked instead of its later.
    /// There is one turn in the common case.
    pub(crate) fn check(
        &self,
        issuers: &[&[u8]],
        verify: impl Fn(RevocationOptions<'_>) -> Result<(), webpki::Error>,
    ) -> Result<(), webpki::Error> {
        let mut several = Vec::<(&[u8], usize)>::new();
        for issuer in issuers {
            let list = self.lists.iter().find(|it| it.list.issuer() == *issuer);
            let namesakes = list.map_or(1, |list| list.namesakes);
            if namesakes > 1 && several.iter().all(|(name, _)| name != issuer) {
                several.push((issuer, namesakes));
            }
        }
        let counts = several.iter().map(|(_, namesakes)| *namesakes);
        let turns = counts.fold(1, usize::saturating_mul).min(MAX_TURNS);
        let mut outcome = Err(webpki::Error::UnknownRevocationStatus);
        for turn in 0..turns {
            let mut order: Vec<_> = self.lists.iter().collect();
            order.sort_by_key(|list| list.place_in(turn_of(list.list.issuer(), &several, turn)));
            let order: Vec<_> = order.into_iter().map(|list| &list.list).collect();
            let seen = verify(self.options(&order)?);
            match seen {
                Ok(()) | Err(webpki::Error::CertRevoked) => return seen,
                // The first is the one that is told; each later one may be for want of a list.
                Err(_) if turn == 0 => outcome = seen,
                Err(_) => {}
            }
        }
        outcome
    }

    fn options<'a>(
        &self,
        lists: &'a [&'a CertRevocationList<'a>],
    ) -> Result<RevocationOptions<'a>, webpki::Error> {
        let expiration = match self.unknown {
            UnknownStatusPolicy::Allow => ExpirationPolicy::Ignore,
            UnknownStatusPolicy::Deny => ExpirationPolicy::Enforce,
        };
        // There is always one.
        let options = RevocationOptionsBuilder::new(lists)
            .map_err(|_| webpki::Error::UnknownRevocationStatus)?;
        Ok(options
            .with_status_policy(self.unknown)
            .with_expiration_policy(expiration)
            .build())
    }
}

/// Which turn it is for the lists of a name; each combination comes once.
fn turn_of(name: &[u8], several: &[(&[u8], usize)], turn: usize) -> usize {
    let mut rest = turn;
    for (issuer, namesakes) in several {
        if *issuer == name {
            return rest % namesakes;
        }
        rest /= namesakes;
    }
    0
}

impl List {
    /// Where it stands among those of its name when they take turns at being the first.
    fn place_in(&self, turn: usize) -> usize {
        (self.place + self.namesakes - turn % self.namesakes) % self.namesakes
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationLists({}, {:?})", self.len(), self.unknown)
    }
}

/// Why bytes are no revocation lists. `position` counts from zero.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// There is no list at all, which a file that was cut short looks like.
    #[error("no revocation list")]
    Empty,
    /// The PEM text is broken.
    #[error("pem text is broken")]
    Pem,
    /// There are more lists than one set of roots can need.
    #[error("too many revocation lists: at most {limit}")]
    TooMany {
        /// The most that are allowed.
        limit: usize,
    },
    /// A list cannot be read, or is of a kind that is not supported.
    #[error("revocation list {position} cannot be used")]
    Unreadable {
        /// Which list.
        position: usize,
        /// Why.
        #[source]
        cause: PathFault,
    },
}
