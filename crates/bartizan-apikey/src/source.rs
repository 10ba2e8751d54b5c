//! The seam to whatever keeps the keys.

use std::fmt;
use std::pin::Pin;

use bartizan_core::WallTime;

use crate::format::KeyId;
use crate::record::KeyRecord;

/// Whatever keeps the records of keys: a database, another service.
///
/// All of them are read into memory, so that no request waits for a store; [`read`](Self::read) is
/// called every few seconds, and once more, at most once per cool-down, when a key is presented
/// that is not among them. A store that can tell whether something changed makes that cheap, by a
/// [revision](KeyRead::Records).
///
/// ```
/// use bartizan_apikey::{KeyAnswer, KeyRead, KeyRecord, KeySource};
///
/// #[derive(Debug)]
/// struct Mine(Vec<KeyRecord>);
///
/// impl KeySource for Mine {
///     fn read(&self, _known: Option<u64>) -> KeyAnswer<'_, KeyRead> {
///         let records = self.0.clone();
///         Box::pin(async move { Ok(KeyRead::Records { records, revision: None }) })
///     }
/// }
/// ```
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// All records, or that nothing changed since the revision that is known.
    ///
    /// It must bound itself in time, and give no more than so many records: more than the layer
    /// takes are refused as a whole.
    fn read(&self, known: Option<u64>) -> KeyAnswer<'_, KeyRead>;

    /// Takes note of when keys were last used. Called behind the requests' backs, about once a
    /// minute, with the keys that were used since. Does nothing unless implemented.
    fn record_uses<'s>(&'s self, uses: &'s [KeyUse]) -> KeyAnswer<'s, ()> {
        let _ = uses;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What a source answers, later.
pub type KeyAnswer<'s, T> = Pin<Box<dyn Future<Output = Result<T, KeySourceError>> + Send + 's>>;

/// What a source has to say of its keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeyRead {
    /// All records.
    Records {
        /// Each key once.
        records: Vec<KeyRecord>,
        /// The number of this state of things, if the source counts them: given back at the next
        /// reading. Two states must not have the same.
        revision: Option<u64>,
    },
    /// All records but those that cannot be understood. One such row takes nothing away but
    /// itself, and holds no other back: observers are told of it (`apikey.key_ignored`).
    Partial {
        /// Each key once.
        records: Vec<KeyRecord>,
        /// What was left out.
        ignored: Vec<IgnoredKey>,
        /// As of [`Records`](Self::Records).
        revision: Option<u64>,
    },
    /// Nothing changed since the revision that was named.
    Unchanged,
}

/// What a source holds in the place of a record, and is none. Such a key is refused.
#[derive(Clone, Debug)]
pub struct IgnoredKey {
    /// Which key, if that much can be read.
    pub id: Option<KeyId>,
    /// What is wrong with it.
    pub reason: KeySourceError,
}

/// When a key was last used, to a minute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyUse {
    /// Which key.
    pub id: KeyId,
    /// When.
    pub at: WallTime,
}

/// Why a source could not answer. Its text is shown to operators, and must not quote secrets.
#[derive(Clone, Debug)]
pub struct KeySourceError(Box<str>);

impl KeySourceError {
    /// An error with this text.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string().into())
    }
}

impl fmt::Display for KeySourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeySourceError {}
