//! The keys in use: fetched once, kept for a while, asked for without waiting.

mod cache;
mod config;
mod erasure;
mod follow;
mod lifecycle;
mod load;
mod patience;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe};
use tokio::runtime::Handle;

use crate::error::{EncryptError, EncryptErrorKind};
use crate::kek::Kek;
use crate::key::{KeyPurpose, KeyScope};
use crate::keyring::cache::{Cache, Flight, Found};
use crate::keyring::follow::Follower;
use crate::keyring::patience::Patience;
use crate::prepared::Prepared;
use crate::scope_keys::ScopeKeys;
use crate::store::KeyStore;
use crate::suite::Suite;

pub use self::config::KeyringBuilder;
pub use self::lifecycle::{KeyChangeError, Rewrapped};

/// The data keys of an application: where they are kept, what wraps them, and those in use.
///
/// 1. [`prepare`](Self::prepare) fetches the keys of some scopes, and makes those that do not
///    exist yet. What follows, sealing and opening with [`Prepared`], waits for nobody.
/// 2. Fetched keys are kept for a while and fetched again in the background, before they are due;
///    whoever wants the same keys at the same time shares one fetch. A store that hears of what
///    others change ([`KeyStore::changes`]) has them fetched at once.
/// 3. If they cannot be fetched, the last ones serve until the hard limit. Then there is
///    [`KeysUnavailable`](crate::EncryptErrorKind::KeysUnavailable), and never plaintext.
/// 4. What a provider refuses to unwrap, rather than fails to, is out of use at the next fetch:
///    disabling a key there is seen within the ttl.
/// 5. Every call has a deadline. A provider that fails is asked again with growing waits; after
///    that, for one second, nobody asks it for the same keys.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Keyring(pub(crate) Arc<State>);

pub(crate) struct State {
    application: Arc<str>,
    store: Arc<dyn KeyStore>,
    /// The first wraps; the others unwrap what they wrapped before.
    keks: Vec<Arc<dyn Kek>>,
    suite: Suite,
    cache: Mutex<Cache>,
    patience: Patience,
    follower: OnceLock<Follower>,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

impl Keyring {
    /// Begins the description of a keyring; see [`KeyringBuilder`].
    pub fn builder(application: &str, store: impl KeyStore, kek: impl Kek) -> KeyringBuilder {
        KeyringBuilder::new(application, store, kek)
    }

    /// Has the keys of these scopes at hand, for sealing and opening. Makes what does not exist.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`](crate::EncryptErrorKind::KeysUnavailable) if they cannot be had. That
    /// a scope was erased is no error here, but one of sealing.
    pub async fn prepare(&self, scopes: &[KeyScope]) -> Result<Prepared, EncryptError> {
        self.gather(scopes, true).await
    }

    /// Has the keys of these scopes at hand, for opening alone. Makes none.
    ///
    /// # Errors
    ///
    /// See [`prepare`](Self::prepare).
    pub async fn prepare_open(&self, scopes: &[KeyScope]) -> Result<Prepared, EncryptError> {
        self.gather(scopes, false).await
    }

    /// Has the keys of these scopes at hand, for showing what is stored. Those that seal fields
    /// are not made: who asks about somebody of whom nothing is stored leaves no key behind. Those
    /// for pseudonyms are.
    pub(crate) async fn prepare_shown(
        &self,
        scopes: &[KeyScope],
    ) -> Result<Prepared, EncryptError> {
        let mut gathered = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let keys = match scope.purpose() {
                KeyPurpose::Fields => self.stored(scope).await?,
                _ => self.keys(scope, true).await?,
            };
            gathered.push((scope.clone(), keys));
        }
        Ok(self.assembled(gathered))
    }

    /// The keys of this scope, if there are any by now.
    async fn stored(&self, scope: &KeyScope) -> Result<Arc<ScopeKeys>, EncryptError> {
        match self.0.find(scope) {
            Found::Fresh(keys) if keys.is_settled() => Ok(keys),
            Found::Due(keys, flight) if keys.is_settled() => {
                self.fetch_behind(scope, flight);
                Ok(keys)
            }
            // That there was none may have changed.
            Found::Fresh(_) | Found::Due(..) | Found::Absent => {
                self.fetch(scope, false, |_| true).await
            }
        }
    }

    /// Fetches the keys of this scope though some are at hand, for work that must not miss a
    /// rotation elsewhere. Those at hand stay if that fails.
    pub(crate) async fn fetch_again(&self, scope: &KeyScope) -> Result<(), EncryptError> {
        self.fetch(scope, false, |_| true).await.map(drop)
    }

    /// The same without waiting: `None` if some keys have to be fetched first.
    pub fn prepared(&self, scopes: &[KeyScope]) -> Option<Prepared> {
        let mut gathered = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let keys = match self.0.find(scope) {
                Found::Absent => return None,
                Found::Due(keys, flight) => {
                    self.fetch_behind(scope, flight);
                    keys
                }
                Found::Fresh(keys) => keys,
            };
            if !keys.is_settled() {
                return None;
            }
            gathered.push((scope.clone(), keys));
        }
        Some(self.assembled(gathered))
    }

    async fn gather(&self, scopes: &[KeyScope], make: bool) -> Result<Prepared, EncryptError> {
        let mut gathered = Vec::with_capacity(scopes.len());
        for scope in scopes {
            gathered.push((scope.clone(), self.keys(scope, make).await?));
        }
        Ok(self.assembled(gathered))
    }

    fn assembled(&self, scopes: Vec<(KeyScope, Arc<ScopeKeys>)>) -> Prepared {
        Prepared::new(Arc::clone(&self.0.application), self.0.suite, scopes)
    }

    async fn keys(&self, scope: &KeyScope, make: bool) -> Result<Arc<ScopeKeys>, EncryptError> {
        let enough = |keys: &ScopeKeys| !make || keys.is_settled();
        match self.0.find(scope) {
            Found::Fresh(keys) if enough(&keys) => Ok(keys),
            Found::Due(keys, flight) if enough(&keys) => {
                self.fetch_behind(scope, flight);
                Ok(keys)
            }
            Found::Fresh(_) | Found::Due(..) | Found::Absent => {
                self.fetch(scope, make, enough).await
            }
        }
    }

    /// Fetches keys that serve meanwhile. Nobody waits for it; it reports by itself how it fares.
    fn fetch_behind(&self, scope: &KeyScope, flight: Flight) {
        let (state, scope) = (Arc::clone(&self.0), scope.clone());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _ = flight.run(|| load::load(state, scope, false)).await;
            });
        }
    }

    async fn fetch(
        &self,
        scope: &KeyScope,
        make: bool,
        enough: impl Fn(&ScopeKeys) -> bool,
    ) -> Result<Arc<ScopeKeys>, EncryptError> {
        let now = self.0.clock.monotonic();
        let flight = {
            let mut cache = self.0.cache();
            if cache.has_just_failed(scope, now) {
                return Err(EncryptErrorKind::KeysUnavailable.into());
            }
            cache.flight(scope)
        };
        let run = || {
            let (state, scope) = (Arc::clone(&self.0), scope.clone());
            flight.run(move || load::load(state, scope, make))
        };
        let lost = |_| EncryptErrorKind::KeysUnavailable;
        let keys = run().await.map_err(lost)??;
        if enough(&keys) {
            return Ok(keys);
        }
        // The run that was joined was one for opening alone.
        run().await.map_err(lost)?
    }
}

impl State {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, scope: &KeyScope) -> Found {
        self.cache().find(scope, self.clock.monotonic())
    }

    fn report(
        &self,
        kind: LifecycleKind,
        code: Code,
        subject: &str,
        detail: &(dyn fmt::Display + Sync),
    ) {
        if let Some(observer) = &self.observer {
            let event = LifecycleEvent::new("encrypt", kind, code)
                .with_subject(subject)
                .with_detail(detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("application", &self.0.application)
            .field("store", &self.0.store)
            .field("keks", &self.0.keks)
            .finish_non_exhaustive()
    }
}
