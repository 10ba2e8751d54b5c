//! Tokens that are good in themselves, and are no longer to be accepted.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bartizan_core::WallTime;

use crate::rules::MAX_LEEWAY;
use crate::sync::{AtomicUsize, Ordering, PoisonError, RwLock};
use crate::token::VerifiedClaims;

/// Says whether a token was revoked.
///
/// Asked for each request, also for tokens that are remembered, and every five seconds while a
/// response goes on; it must answer at once. What must be fetched is fetched beforehand, as with
/// [`RevocationList`].
pub trait Revocations: fmt::Debug + Send + Sync + 'static {
    /// Whether this token is no longer to be accepted.
    fn is_revoked(&self, claims: &VerifiedClaims) -> bool;
}

impl<R: Revocations + ?Sized> Revocations for Arc<R> {
    fn is_revoked(&self, claims: &VerifiedClaims) -> bool {
        (**self).is_revoked(claims)
    }
}

/// A list of revoked tokens, sessions and subjects in memory. Clones share it.
///
/// It is of bounded size and never drops an entry before its time: when it is full, revoking
/// fails, and says so. What is revoked twice is revoked for as long, and for as many tokens, as
/// either time said.
///
/// ```
/// use bartizan_core::WallTime;
/// use bartizan_jwt::RevocationList;
///
/// let revoked = RevocationList::new(1);
/// let end = WallTime::from_unix_seconds(1_800_000_000);
/// revoked.revoke_token("https://issuer.example", "t-1", end)?;
/// assert!(revoked.revoke_token("https://issuer.example", "t-2", end).is_err());
/// # Ok::<(), bartizan_jwt::RevocationListFull>(())
/// ```
#[derive(Clone)]
pub struct RevocationList(Arc<List>);

struct List {
    capacity: usize,
    count: AtomicUsize,
    issuers: RwLock<HashMap<Box<str>, OfIssuer>>,
}

/// Each with the time until which it has to be kept.
#[derive(Default)]
struct OfIssuer {
    tokens: HashMap<Box<str>, WallTime>,
    sessions: HashMap<Box<str>, WallTime>,
    subjects: HashMap<Box<str>, Until>,
}

/// The time before which the tokens of a subject were issued, and until when that has to be kept.
type Until = (WallTime, WallTime);

/// A [`RevocationList`] has no room for another entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the list of revoked tokens is full: {capacity} entries")]
pub struct RevocationListFull {
    capacity: usize,
}

impl RevocationList {
    /// A list for at most `capacity` entries, at about 150 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(List {
            capacity,
            count: AtomicUsize::new(0),
            issuers: RwLock::default(),
        }))
    }

    /// Revokes one token, by its `jti`. It has to be kept until the token expires, at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_token(
        &self,
        issuer: &str,
        token_id: &str,
        until: WallTime,
    ) -> Result<(), RevocationListFull> {
        self.add(issuer, |of| &mut of.tokens, token_id, until, Ord::max)
    }

    /// Revokes the tokens of a session, by its `sid`. It has to be kept until the last of them
    /// expires, at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_session(
        &self,
        issuer: &str,
        session_id: &str,
        until: WallTime,
    ) -> Result<(), RevocationListFull> {
        self.add(issuer, |of| &mut of.sessions, session_id, until, Ord::max)
    }

    /// Revokes the tokens of a subject that were issued before `issued_before`, and those that do
    /// not say when they were. It has to be kept until the last of them expires, at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_subject(
        &self,
        issuer: &str,
        subject: &str,
        issued_before: WallTime,
        until: WallTime,
    ) -> Result<(), RevocationListFull> {
        let entry = (issued_before, until);
        let later = |one: Until, other: Until| (Ord::max(one.0, other.0), Ord::max(one.1, other.1));
        self.add(issuer, |of| &mut of.subjects, subject, entry, later)
    }

    /// Drops the entries whose tokens are accepted no more by `now`, and gives how many are left.
    /// That is five minutes after they expired: the longest that any rules forgive a clock.
    pub fn forget_expired(&self, now: WallTime) -> usize {
        let mut issuers = self
            .0
            .issuers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        issuers.retain(|_, of| {
            of.tokens.retain(|_, until| *until + MAX_LEEWAY > now);
            of.sessions.retain(|_, until| *until + MAX_LEEWAY > now);
            of.subjects
                .retain(|_, (_, until)| *until + MAX_LEEWAY > now);
            of.len() > 0
        });
        let count = issuers.values().map(OfIssuer::len).sum();
        self.0.count.store(count, Ordering::Release);
        count
    }

    /// Adds an entry. One that is there already becomes as strict as both together, for which there
    /// is always room: what was revoked is not given back by revoking it again.
    fn add<E: Copy>(
        &self,
        issuer: &str,
        entries: impl Fn(&mut OfIssuer) -> &mut HashMap<Box<str>, E>,
        name: &str,
        entry: E,
        both: impl FnOnce(E, E) -> E,
    ) -> Result<(), RevocationListFull> {
        let list = &*self.0;
        let mut issuers = list.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let known = issuers.get_mut(issuer);
        if let Some(known) = known.and_then(|of| entries(of).get_mut(name)) {
            *known = both(*known, entry);
            return Ok(());
        }
        if list.count.load(Ordering::Acquire) >= list.capacity {
            let capacity = list.capacity;
            return Err(RevocationListFull { capacity });
        }
        let of = issuers.entry(issuer.into()).or_default();
        entries(of).insert(name.into(), entry);
        list.count.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl OfIssuer {
    fn len(&self) -> usize {
        self.tokens.len() + self.sessions.len() + self.subjects.len()
    }
}

impl Revocations for RevocationList {
    fn is_revoked(&self, claims: &VerifiedClaims) -> bool {
        // Most of the time nothing is revoked, and nobody need wait for a lock.
        if self.0.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let issuers = self
            .0
            .issuers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let principal = claims.principal();
        let Some(of) = issuers.get(principal.issuer()) else {
            return false;
        };
        let by_token = principal
            .token_id()
            .is_some_and(|id| of.tokens.contains_key(id));
        let by_session = claims
            .session_id()
            .is_some_and(|id| of.sessions.contains_key(id));
        let by_subject = of
            .subjects
            .get(principal.subject())
            .is_some_and(|(before, _)| claims.issued_at().is_none_or(|issued| issued < *before));
        by_token || by_session || by_subject
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("entries", &self.0.count.load(Ordering::Relaxed))
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, ISSUER, NOW, header, keys, now, rules, sign, with};
    use crate::verify::verify;

    fn is_revoked(list: &RevocationList, changes: Value) -> bool {
        let token = sign(&header(), &with(testing::claims(), changes));
        let rules = rules().allow_missing_issued_at().build().unwrap();
        let token = verify(&token, &keys(), &rules, now()).unwrap();
        list.is_revoked(token.claims())
    }

    fn end() -> WallTime {
        now() + Duration::from_secs(300)
    }

    #[test]
    fn a_token_is_revoked_by_its_identifier() {
        let list = RevocationList::new(10);
        assert!(!is_revoked(&list, json!({})));
        list.revoke_token(ISSUER, "t-1", end()).unwrap();
        assert!(is_revoked(&list, json!({})));
        assert!(!is_revoked(&list, json!({ "jti": "t-2" })));
        assert!(!is_revoked(
            &list,
            json!({ "jti": "t-2", "sid": "t-1", "sub": "t-1" })
        ));
    }

    #[test]
    fn a_token_is_revoked_by_its_session() {
        let list = RevocationList::new(10);
        list.revoke_session(ISSUER, "s-1", end()).unwrap();
        assert!(is_revoked(&list, json!({ "sid": "s-1" })));
        assert!(!is_revoked(&list, json!({ "sid": "s-2" })));
        assert!(!is_revoked(&list, json!({})));
    }

    #[test]
    fn a_subjects_tokens_are_revoked_up_to_a_time() {
        let list = RevocationList::new(10);
        list.revoke_subject(
            ISSUER,
            "alice",
            WallTime::from_unix_seconds(NOW - 10),
            end(),
        )
        .unwrap();
        assert!(!is_revoked(&list, json!({ "iat": NOW - 10 })));
        assert!(is_revoked(&list, json!({ "iat": NOW - 11 })));
        assert!(is_revoked(&list, json!({ "iat": null })));
        assert!(!is_revoked(&list, json!({ "iat": NOW - 11, "sub": "bob" })));
    }

    #[test]
    fn an_issuer_revokes_its_own_alone() {
        let list = RevocationList::new(10);
        list.revoke_token("https://other.example", "t-1", end())
            .unwrap();
        assert!(!is_revoked(&list, json!({})));
    }

    #[test]
    fn an_entry_of_any_kind_is_kept_until_its_time_has_come() {
        let list = RevocationList::new(10);
        let at = WallTime::from_unix_seconds;
        list.revoke_token(ISSUER, "t-1", at(10)).unwrap();
        list.revoke_session(ISSUER, "s-1", at(20)).unwrap();
        list.revoke_subject(ISSUER, "alice", at(0), at(30)).unwrap();
        let other = "https://other.example";
        list.revoke_session(other, "s-1", at(20)).unwrap();
        for (now, expected) in [(9, 4), (10, 3), (19, 3), (20, 1), (29, 1), (30, 0)] {
            let left = list.forget_expired(at(now) + MAX_LEEWAY);
            assert_eq!(left, expected, "{now}");
        }
    }

    #[test]
    fn a_full_list_forgets_nothing_before_its_time() {
        let list = RevocationList::new(2);
        list.revoke_token(ISSUER, "t-1", now()).unwrap();
        list.revoke_token(ISSUER, "t-9", end()).unwrap();
        let full = list.revoke_session(ISSUER, "s-1", end());
        assert_eq!(full, Err(RevocationListFull { capacity: 2 }));
        assert!(is_revoked(&list, json!({})));
        assert_eq!(list.forget_expired(now()), 2);
        assert_eq!(list.forget_expired(now() + MAX_LEEWAY), 1);
        assert!(!is_revoked(&list, json!({})));
        assert!(is_revoked(&list, json!({ "jti": "t-9" })));
        assert_eq!(list.revoke_session(ISSUER, "s-1", end()), Ok(()));
    }

    #[test]
    fn what_is_revoked_again_is_not_given_back() {
        let list = RevocationList::new(3);
        let issued = |seconds| json!({ "iat": NOW - 20 + seconds, "jti": "t-0" });
        let (early, late) = (WallTime::from_unix_seconds(NOW - 20), now());
        for (issued_before, until) in [(late, end()), (early, now())] {
            list.revoke_token(ISSUER, "t-1", until).unwrap();
            list.revoke_session(ISSUER, "s-1", until).unwrap();
            list.revoke_subject(ISSUER, "alice", issued_before, until)
                .unwrap();
            assert_eq!(list.forget_expired(now() + MAX_LEEWAY), 3);
            assert!(is_revoked(&list, json!({ "sub": "bob" })));
            let of_session = json!({ "jti": "t-0", "sid": "s-1", "sub": "bob" });
            assert!(is_revoked(&list, of_session));
            assert!(is_revoked(&list, issued(10)));
        }
        assert!(!is_revoked(&list, issued(20)));

        // It is kept for longer, and caught up with, where that is asked for; full as it is.
        let later = end() + Duration::from_secs(60);
        list.revoke_subject(ISSUER, "alice", end(), later).unwrap();
        assert!(is_revoked(&list, issued(20)));
        assert_eq!(list.forget_expired(end() + MAX_LEEWAY), 1);
        assert!(is_revoked(&list, issued(20)));
    }
}
