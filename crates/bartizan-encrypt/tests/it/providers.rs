//! Providers of key-encryption keys that are away, refuse, hang, or wrap inside.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_encrypt::{
    EncryptErrorKind, Kek, KekAnswer, KekError, KeyBytes, KeyStage, KeyStore, Keyring, LocalKek,
};

use crate::support::{NUMBER, Setup, acme, kek, place, sealed};

/// A provider elsewhere: a local key behind a switch, which counts what it is asked.
#[derive(Clone, Debug)]
struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kek: LocalKek,
    name: &'static str,
    mood: Mutex<Mood>,
    unwraps: AtomicUsize,
    /// What it no longer unwraps.
    revoked: Mutex<HashSet<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Away,
    Hanging,
    Refusing,
    Willing,
}

impl Remote {
    fn new(name: &'static str) -> Self {
        Self(Arc::new(Inner {
            kek: kek(9),
            name,
            mood: Mutex::new(Mood::Willing),
            unwraps: AtomicUsize::new(0),
            revoked: Mutex::default(),
        }))
    }

    fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    fn unwraps(&self) -> usize {
        self.0.unwraps.load(Ordering::SeqCst)
    }

    async fn mood(&self) -> Result<(), KekError> {
        let mood = *self.0.mood.lock().unwrap();
        match mood {
            Mood::Away => Err(KekError::Unavailable("planned".to_owned())),
            Mood::Hanging => std::future::pending().await,
            Mood::Refusing => Err(KekError::Refused("planned".to_owned())),
            Mood::Willing => Ok(()),
        }
    }
}

impl Kek for Remote {
    fn id(&self) -> &str {
        self.0.name
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        Box::pin(async move {
            self.mood().await?;
            self.0.kek.wrap(key, context).await
        })
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        Box::pin(async move {
            self.0.unwraps.fetch_add(1, Ordering::SeqCst);
            self.mood().await?;
            if self.0.revoked.lock().unwrap().contains(wrapped) {
                return Err(KekError::Refused("revoked".to_owned()));
            }
            self.0.kek.unwrap(wrapped, context).await
        })
    }

    fn rewrap<'k>(
        &'k self,
        from: &'k str,
        wrapped: &'k [u8],
        context: &'k [u8],
    ) -> KekAnswer<'k, Option<Vec<u8>>> {
        Box::pin(async move {
            if from != "old" {
                return Ok(None);
            }
            let key = self.0.kek.unwrap(wrapped, context).await?;
            Ok(Some(self.0.kek.wrap(&key, context).await?))
        })
    }
}

fn keyring(setup: &Setup, remote: &Remote) -> Keyring {
    let clock = Arc::new(setup.clock.clone());
    // Chosen at run time, as a service does.
    let (store, kek): (Arc<dyn KeyStore>, Arc<dyn Kek>) =
        (Arc::new(setup.table.clone()), Arc::new(remote.clone()));
    let builder = Keyring::builder("clinic", store, kek);
    builder.with_clock(clock).build().unwrap()
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets the keys become due, and their fetch happen.
async fn refresh(setup: &Setup, keyring: &Keyring) {
    setup.clock.advance(Duration::from_secs(331));
    let _ = keyring.prepare(&[acme()]).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_provider_that_is_away_or_hangs_serve_until_the_hard_limit() {
    for mood in [Mood::Away, Mood::Hanging] {
        let (setup, remote) = (Setup::new(), Remote::new("remote"));
        let keyring = keyring(&setup, &remote);
        let value = sealed(&keyring.prepare(&[acme()]).await.unwrap(), &place());
        remote.set(mood);
        setup.clock.advance(Duration::from_secs(3599));
        let prepared = keyring.prepare(&[acme()]).await.unwrap();
        assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
        setup.clock.advance(Duration::from_secs(1));
        let waiting = tokio::time::Instant::now();
        let error = keyring.prepare(&[acme()]).await.unwrap_err();
        assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
        assert!(
            waiting.elapsed() <= Duration::from_secs(6),
            "{:?}",
            waiting.elapsed()
        );
        let asked = remote.unwraps();
        assert!(keyring.prepare(&[acme()]).await.is_err());
        assert_eq!(remote.unwraps(), asked, "for a second nobody asks");
        remote.set(Mood::Willing);
        setup.clock.advance(Duration::from_secs(1));
        let prepared = keyring.prepare(&[acme()]).await.unwrap();
        assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_not_noticed() {
    let (setup, remote) = (Setup::new(), Remote::new("remote"));
    remote.set(Mood::Away);
    let keyring = keyring(&setup, &remote);
    let preparing = tokio::spawn(async move { keyring.prepare(&[acme()]).await.map(drop) });
    settle().await;
    remote.set(Mood::Willing);
    preparing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_refuses_is_out_of_use_at_the_next_fetch() {
    let (setup, remote) = (Setup::new(), Remote::new("remote"));
    let keyring = keyring(&setup, &remote);
    sealed(&keyring.prepare(&[acme()]).await.unwrap(), &place());
    remote.set(Mood::Refusing);
    refresh(&setup, &keyring).await;
    let error = keyring.prepare(&[acme()]).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
    assert_eq!(remote.unwraps(), 2, "a refusal is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn one_refused_key_does_not_take_the_others_with_it() {
    let (setup, remote) = (Setup::new(), Remote::new("remote"));
    let keyring = keyring(&setup, &remote);
    let old = sealed(&keyring.prepare(&[acme()]).await.unwrap(), &place());
    keyring.rotate(&acme()).await.unwrap();
    let first = setup.table.records()[0].wrapped.clone();
    remote.0.revoked.lock().unwrap().insert(first);
    let prepared = keyring.prepare(&[acme()]).await.unwrap();
    let new = sealed(&prepared, &place());
    assert_eq!(prepared.open(&place(), &new).unwrap().expose(), NUMBER);
    let error = prepared.open(&place(), &old).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
}

#[tokio::test]
async fn keys_are_wrapped_anew_inside_the_provider_where_it_can() {
    let (setup, old) = (Setup::new(), Remote::new("old"));
    let value = sealed(
        &keyring(&setup, &old).prepare(&[acme()]).await.unwrap(),
        &place(),
    );
    let new = Remote::new("new");
    let moved = keyring(&setup, &new);
    assert!(
        moved.prepare(&[acme()]).await.is_err(),
        "the old one is not at hand"
    );
    let done = moved.rewrap().await.unwrap();
    assert_eq!((done.rewrapped, done.current, done.left), (1, 0, 0));
    assert_eq!(new.unwraps(), 0, "the key never came out");
    let record = setup.table.records().pop().unwrap();
    assert_eq!(
        (record.kek.as_str(), record.stage),
        ("new", KeyStage::Active)
    );
    setup.clock.advance(Duration::from_secs(1));
    let prepared = moved.prepare(&[acme()]).await.unwrap();
    assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    assert_eq!(moved.rewrap().await.unwrap().current, 1);
}

#[tokio::test]
async fn many_versions_are_unwrapped_some_at_a_time() {
    let (setup, remote) = (Setup::new(), Remote::new("remote"));
    let keyring = keyring(&setup, &remote);
    let mut values = Vec::new();
    for _ in 0..20 {
        values.push(sealed(&keyring.prepare(&[acme()]).await.unwrap(), &place()));
        keyring.rotate(&acme()).await.unwrap();
    }
    let prepared = keyring.prepare(&[acme()]).await.unwrap();
    for value in &values {
        assert_eq!(prepared.open(&place(), value).unwrap().expose(), NUMBER);
    }
}
