//! One run: pages side by side, and a cursor behind those that are done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::KeyScope;
use crate::keyring::Keyring;
use crate::prepared::Prepared;
use crate::reseal::{Replacement, Reseal, ResealError, ResealProgress, SealedValues, StoredValue};

/// A page that is done.
struct Done {
    last: String,
    counts: ResealProgress,
}

/// The scopes whose keys were fetched in this run: what is at hand may be older than a rotation
/// elsewhere, and would take every value for current.
#[derive(Default)]
struct Fetched(Mutex<HashSet<KeyScope>>);

/// People's scopes come once or twice and not again; they are not all remembered.
const MOST_FETCHED: usize = 4096;

impl Fetched {
    async fn ensure(&self, keyring: &Keyring, scopes: &[KeyScope]) -> Result<(), EncryptError> {
        for scope in scopes {
            let known = |set: &mut HashSet<KeyScope>| set.contains(scope);
            if !self.with(known) {
                keyring.fetch_again(scope).await?;
                self.with(|set| {
                    if set.len() >= MOST_FETCHED {
                        set.clear();
                    }
                    set.insert(scope.clone());
                });
            }
        }
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashSet<KeyScope>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of a value.
enum Fate {
    Current,
    Resealed(Replacement),
    Shredded,
    Unreadable,
}

impl Reseal {
    /// Looks at everything from the cursor on, and tells how far it has come after every page.
    /// Dropping the future ends the run, as a crash does.
    ///
    /// # Errors
    ///
    /// [`ResealError`], when keys or store fail. The pages in flight are given up.
    ///
    /// # Panics
    ///
    /// If polled outside a tokio runtime.
    pub async fn run(
        &self,
        mut tell: impl FnMut(&ResealProgress),
    ) -> Result<ResealProgress, ResealError> {
        let mut read_to = self.values.cursor().await?;
        let mut progress = ResealProgress {
            left: self.values.count(read_to.as_deref()).await?,
            resumed: read_to.is_some(),
            ..ResealProgress::default()
        };
        let fetched = Arc::new(Fetched::default());
        let mut working = JoinSet::new();
        // Pages that are done, but for one before them.
        let mut waiting = BTreeMap::new();
        let (mut read, mut kept) = (0_u64, 0_u64);
        let mut more = true;
        loop {
            while more && working.len() < self.parallel.get() {
                let page = self
                    .values
                    .read(read_to.as_deref(), self.page.get())
                    .await?;
                let Some(last) = page.last().map(|value| value.position.clone()) else {
                    more = false;
                    break;
                };
                read_to = Some(last.clone());
                let (keyring, values) = (self.keyring.clone(), Arc::clone(&self.values));
                let fetched = Arc::clone(&fetched);
                let number = read;
                read += 1;
                working.spawn(async move {
                    let counts = page_done(&keyring, &fetched, &*values, page).await?;
                    Ok::<_, ResealError>((number, Done { last, counts }))
                });
            }
            let Some(done) = working.join_next().await else {
                break;
            };
            // A page that panicked is one that is not done.
            let (number, done) = done.map_err(|_| ResealError::Keys)??;
            waiting.insert(number, done);
            while let Some(done) = waiting.remove(&kept) {
                self.values.set_cursor(Some(&done.last)).await?;
                kept += 1;
                progress.add(&done.counts);
                tell(&progress);
            }
        }
        self.values.set_cursor(None).await?;
        // What was deleted meanwhile is not left.
        progress.left = 0;
        Ok(progress)
    }
}

async fn page_done(
    keyring: &Keyring,
    fetched: &Fetched,
    values: &dyn SealedValues,
    page: Vec<StoredValue>,
) -> Result<ResealProgress, ResealError> {
    let scopes: BTreeSet<KeyScope> = page.iter().map(scope).collect();
    let scopes: Vec<KeyScope> = scopes.into_iter().collect();
    let anew = fetched.ensure(keyring, &scopes).await;
    anew.map_err(|_| ResealError::Keys)?;
    // Makes no keys: whoever has a value has one.
    let keys = keyring.prepare_open(&scopes).await;
    let keys = keys.map_err(|_| ResealError::Keys)?;
    let mut counts = ResealProgress::default();
    let mut replacements = Vec::new();
    for value in page {
        match fate(&keys, value)? {
            Fate::Current => counts.current += 1,
            Fate::Resealed(replacement) => replacements.push(replacement),
            Fate::Shredded => counts.shredded += 1,
            Fate::Unreadable => counts.unreadable += 1,
        }
    }
    if !replacements.is_empty() {
        let all = replacements.len() as u64;
        counts.resealed = values.replace(&replacements).await?.min(all);
        counts.missed = all - counts.resealed;
    }
    Ok(counts)
}

fn fate(keys: &Prepared, value: StoredValue) -> Result<Fate, ResealError> {
    let resealed = keys.resealed(&value);
    match resealed.map_err(EncryptError::kind) {
        Ok(None) => Ok(Fate::Current),
        Ok(Some(after)) => Ok(Fate::Resealed(Replacement {
            position: value.position,
            before: value.value,
            after,
        })),
        Err(EncryptErrorKind::Shredded) => Ok(Fate::Shredded),
        // Not the value's fault: to go on would leave it behind.
        Err(EncryptErrorKind::KeysUnavailable | EncryptErrorKind::NoRandomness) => {
            Err(ResealError::Keys)
        }
        Err(_) => Ok(Fate::Unreadable),
    }
}

fn scope(value: &StoredValue) -> KeyScope {
    match value.place.subject() {
        Some(subject) => KeyScope::subject(value.place.tenant(), subject),
        None => KeyScope::tenant(value.place.tenant()),
    }
}
