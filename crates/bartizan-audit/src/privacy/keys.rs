//! The keys of people, kept for a while: asking for one can take a round trip, and a record is
//! written where nobody can wait.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{
    KeyRequest, KeyState, KeyringUnavailable, MonotonicTime, Principal, Subject, SubjectKeyring,
};

use super::{PersonKey, person_handle};
use crate::ledger::Ledger;
use crate::record::{ErasedRecord, Record};

/// How many keys are kept.
const MOST_KEYS: usize = 4096;

/// How long a key is kept. An erasure elsewhere takes as long to be noticed here.
const KEEP: Duration = Duration::from_secs(60);

/// Seals what records hold about the principal under that person's key.
///
/// Sealed are the subject, the identifier of the credential and the whole address; the record
/// shows a handle instead, and of the address no more than the configured prefix. Issuer, client
/// and peer name services, and stay readable.
///
/// The first request of a person waits for their key before it is answered. If it cannot be had,
/// was destroyed, or the request ends before, the record holds nothing about the person: it is
/// never written in the clear.
#[derive(Clone)]
pub struct Privacy(Arc<Inner>);

struct Inner {
    keyring: Arc<dyn SubjectKeyring>,
    subject: Box<dyn Fn(&Principal) -> Subject + Send + Sync>,
    keys: Mutex<HashMap<Subject, (MonotonicTime, Arc<PersonKey>)>>,
}

/// What is known of a person's key.
#[derive(Clone, Debug)]
pub(crate) enum Keyed {
    /// The key.
    Key(Arc<PersonKey>),
    /// There is none that could be used.
    Nothing,
}

/// A key that is asked for.
pub(crate) type KeyAnswer = Pin<Box<dyn Future<Output = Keyed> + Send>>;

impl Privacy {
    /// Seals under the keys of this keyring. People are told apart by issuer and subject: the
    /// issuer is the tenant.
    #[must_use]
    pub fn new(keyring: Arc<dyn SubjectKeyring>) -> Self {
        Self::with_subjects(keyring, |principal| {
            Subject::new(principal.issuer(), principal.subject())
        })
    }

    /// As [`new`](Self::new), with another answer to which person a principal is.
    #[must_use]
    pub fn with_subjects(
        keyring: Arc<dyn SubjectKeyring>,
        subject: impl Fn(&Principal) -> Subject + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            keyring,
            subject: Box::new(subject),
            keys: Mutex::default(),
        }))
    }

    /// Destroys the key of a person, and records that: what the log holds about them can never be
    /// read again, also by nobody who kept a copy of it.
    ///
    /// # Errors
    ///
    /// If the keyring cannot be asked, nothing is erased; if the ledger did not take the record,
    /// everything is.
    pub async fn forget(&self, ledger: &Ledger, subject: &Subject) -> Result<(), PrivacyError> {
        let unavailable = PrivacyError::Keyring;
        let held = self.0.keyring.request(subject, KeyRequest::Open).await;
        let handle = match held.map_err(unavailable)? {
            KeyState::Present(key) => person_handle(&key),
            _ => [0; 16],
        };
        let forgotten = self.0.keyring.request(subject, KeyRequest::Forget).await;
        forgotten.map_err(unavailable)?;
        self.lock().remove(subject);
        let erased = ErasedRecord::new(ledger.now(), handle);
        ledger
            .record(&Record::Erased(erased))
            .map_err(|_| PrivacyError::NotRecorded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Subject, (MonotonicTime, Arc<PersonKey>)>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a principal, if it is kept.
    pub(crate) fn kept(&self, principal: &Principal, now: MonotonicTime) -> Option<Keyed> {
        let subject = (self.0.subject)(principal);
        let keys = self.lock();
        let (since, key) = keys.get(&subject)?;
        (now.saturating_since(*since) < KEEP).then(|| Keyed::Key(Arc::clone(key)))
    }

    /// Asks for the key of a principal.
    pub(crate) fn ask(&self, principal: &Principal, now: MonotonicTime) -> KeyAnswer {
        let (this, subject) = (self.clone(), (self.0.subject)(principal));
        Box::pin(async move {
            let state = this.0.keyring.request(&subject, KeyRequest::Seal).await;
            let Ok(KeyState::Present(key)) = state else {
                return Keyed::Nothing;
            };
            let Some(key) = PersonKey::new(&key).map(Arc::new) else {
                return Keyed::Nothing;
            };
            let mut keys = this.lock();
            if keys.len() >= MOST_KEYS {
                keys.retain(|_, (since, _)| now.saturating_since(*since) < KEEP);
            }
            if keys.len() >= MOST_KEYS {
                // Whichever: all of them are asked for again at the price of one wait.
                let any = keys.keys().next().cloned();
                any.and_then(|any| keys.remove(&any));
            }
            keys.insert(subject, (now, Arc::clone(&key)));
            Keyed::Key(key)
        })
    }
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy")
            .field("keyring", &self.0.keyring)
            .finish_non_exhaustive()
    }
}

/// Why a person was not forgotten, or why that was not recorded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// The keyring cannot be asked. Nothing is erased.
    #[error("the person's key was not destroyed")]
    Keyring(#[source] KeyringUnavailable),
    /// The key is destroyed, and the ledger did not take the record of it.
    #[error("the person's key is destroyed, and that was not recorded")]
    NotRecorded,
}
