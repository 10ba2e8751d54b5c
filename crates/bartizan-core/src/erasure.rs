//! The seam through which the family forgets a person.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::clock::WallTime;

/// A person or other data subject, whose data can be made unreadable.
///
/// It is not printed by `Debug`: the subject's name is the very thing that must not linger.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Subject {
    tenant: Arc<str>,
    id: Arc<str>,
}

impl Subject {
    /// The subject with this id within this tenant.
    pub fn new(tenant: &str, id: &str) -> Self {
        Self {
            tenant: Arc::from(tenant),
            id: Arc::from(id),
        }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The id within the tenant.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// The key under which everything about one subject is sealed: 256 bits, wiped when dropped.
pub struct SubjectKey(Box<[u8; 32]>);

impl SubjectKey {
    /// Takes a key over; the argument's own copy is wiped.
    pub fn new(key: &mut [u8; 32]) -> Self {
        let held = Self(Box::new(*key));
        key.zeroize();
        held
    }

    /// The key itself, for sealing and opening.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SubjectKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

/// What a keyring is asked about a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyRequest {
    /// Destroys the key, for good. Answered by [`KeyState::Shredded`], also when repeated and
    /// when there never was a key, so that none can be made later.
    Forget,
    /// The key for reading what is there; none is made.
    Open,
    /// The key for writing; made if there is none yet.
    Seal,
}

/// What a keyring answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeyState {
    /// There is no key, and none was destroyed.
    Absent,
    /// The key.
    Present(Arc<SubjectKey>),
    /// The key was destroyed: what it sealed can never be read again.
    Shredded {
        /// When that happened.
        at: WallTime,
    },
}

/// The keyring could not be asked: neither "absent" nor "shredded" is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringUnavailable {
    /// Why, for logs.
    pub reason: String,
}

impl fmt::Display for KeyringUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subject keyring is unavailable: {}", self.reason)
    }
}

impl std::error::Error for KeyringUnavailable {}

/// The answer of a [`SubjectKeyring`]. Boxed: callers cache keys, so that this is no hot path.
pub type KeyringAnswer<'k> =
    Pin<Box<dyn Future<Output = Result<KeyState, KeyringUnavailable>> + Send + 'k>>;

/// One key per subject, shared by encryption and audit, so that destroying it once makes
/// unreadable what either holds about that subject.
///
/// An answer must be durable before it is given: a key that was handed out for sealing survives a
/// crash, and a destroyed key does not come back after one.
pub trait SubjectKeyring: fmt::Debug + Send + Sync + 'static {
    /// Asks about the key of a subject.
    fn request<'k>(&'k self, subject: &'k Subject, request: KeyRequest) -> KeyringAnswer<'k>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_subject_nor_key_is_printed() {
        let mut bytes = [0x41; 32];
        let key = SubjectKey::new(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(key.expose(), &[0x41; 32]);
        assert_eq!(format!("{key:?}"), "SubjectKey(..)");
        assert_eq!(
            format!("{:?}", Subject::new("acme", "alice")),
            "Subject(..)"
        );
    }
}
