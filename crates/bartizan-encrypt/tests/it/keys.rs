//! The life of keys, and what becomes of values meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{
    Event, KeyRequest, KeyState, LifecycleKind, Subject, SubjectKeyring, observe_fn,
};
use bartizan_encrypt::{
    ConfigError, EncryptErrorKind, KeyChangeError, KeyFile, KeyScope, KeyStage, Keyring,
    KeyringBuilder, Rewrapped,
};

use crate::support::{NUMBER, Setup, acme, kek, place, sealed};

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn concurrent_callers_share_one_fetch_and_make_one_key() {
    let setup = Setup::new();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let keyring = setup.keyring.clone();
            tokio::spawn(async move { keyring.prepare(&[acme()]).await.map(drop) })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(setup.table.records().len(), 1);
    assert_eq!(
        setup.table.reads(),
        2,
        "one before the key was made, one after"
    );
    assert!(setup.keyring.prepared(&[acme()]).is_some());
    assert!(
        setup
            .keyring
            .prepared(&[KeyScope::tenant("other")])
            .is_none()
    );
}

#[tokio::test]
async fn opening_makes_no_keys() {
    let setup = Setup::new();
    let prepared = setup.keyring.prepare_open(&[acme()]).await.unwrap();
    assert!(setup.table.records().is_empty());
    let error = prepared
        .seal::<_, crate::support::Ssn>(&place(), &1)
        .unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::NoActiveKey);
    sealed(&setup.acme().await, &place());
}

#[tokio::test]
async fn keys_are_fetched_again_behind_the_scenes_and_serve_an_outage_until_the_hard_limit() {
    let setup = Setup::new();
    let value = sealed(&setup.acme().await, &place());
    let reads = setup.table.reads();
    setup.clock.advance(Duration::from_secs(269));
    setup.acme().await;
    settle().await;
    assert_eq!(setup.table.reads(), reads, "fresh");

    setup.clock.advance(Duration::from_secs(62));
    assert!(setup.keyring.prepared(&[acme()]).is_some(), "nobody waits");
    settle().await;
    assert_eq!(setup.table.reads(), reads + 1, "due");

    setup.table.set_down(true);
    setup.clock.advance(Duration::from_secs(3599));
    let prepared = setup.acme().await;
    settle().await;
    assert_eq!(setup.table.reads(), reads + 2, "tried");
    assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    setup.acme().await;
    settle().await;
    assert_eq!(setup.table.reads(), reads + 2, "not at every call");

    setup.clock.advance(Duration::from_secs(1));
    let error = setup.keyring.prepare(&[acme()]).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
    let reads = setup.table.reads();
    setup.table.set_down(false);
    assert!(
        setup.keyring.prepare(&[acme()]).await.is_err(),
        "a moment ago it failed"
    );
    assert_eq!(setup.table.reads(), reads, "so that nobody asks");
    setup.clock.advance(Duration::from_secs(1));
    assert_eq!(
        setup.acme().await.open(&place(), &value).unwrap().expose(),
        NUMBER
    );
}

#[tokio::test]
async fn keys_that_were_used_often_are_fetched_again() {
    let setup = Setup::with(|builder| builder.with_max_uses(3));
    let prepared = setup.acme().await;
    let reads = setup.table.reads();
    for _ in 0..3 {
        sealed(&prepared, &place());
    }
    setup.acme().await;
    settle().await;
    assert_eq!(setup.table.reads(), reads + 1);
}

#[tokio::test]
async fn the_cache_keeps_what_was_used_last() {
    let setup = Setup::with(|builder| builder.with_max_scopes(2));
    let scope = |name: &str| [KeyScope::tenant(name)];
    for name in ["a", "b", "a", "c"] {
        setup.keyring.prepare(&scope(name)).await.unwrap();
    }
    assert!(setup.keyring.prepared(&scope("a")).is_some());
    assert!(setup.keyring.prepared(&scope("b")).is_none());
    assert!(setup.keyring.prepared(&scope("c")).is_some());
}

#[tokio::test]
async fn rotating_keeps_old_values_readable_and_seals_under_the_new_key() {
    let setup = Setup::new();
    let old = sealed(&setup.acme().await, &place());
    let id = setup.keyring.rotate(&acme()).await.unwrap();
    let prepared = setup.acme().await;
    assert_eq!(prepared.open(&place(), &old).unwrap().expose(), NUMBER);
    let new = sealed(&prepared, &place());
    assert_eq!(new.ciphertext().key_id(), id);
    assert_ne!(old.ciphertext().key_id(), id);
    let moved = prepared.reseal(&place(), &old).unwrap().unwrap();
    assert_eq!(moved.ciphertext().key_id(), id);
    assert_eq!(prepared.open(&place(), &moved).unwrap().expose(), NUMBER);
    assert!(prepared.reseal(&place(), &moved).unwrap().is_none());

    setup
        .keyring
        .require_minimum_version(&acme(), 2)
        .await
        .unwrap();
    let prepared = setup.acme().await;
    let error = prepared.open(&place(), &old).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeyDisabled);
    assert_eq!(prepared.open(&place(), &moved).unwrap().expose(), NUMBER);
    let too_far = setup.keyring.require_minimum_version(&acme(), 3).await;
    assert!(matches!(too_far, Err(KeyChangeError::NotPossible { .. })));

    setup
        .keyring
        .enable(&acme(), old.ciphertext().key_id())
        .await
        .unwrap();
    assert_eq!(
        setup.acme().await.open(&place(), &old).unwrap().expose(),
        NUMBER
    );
}

#[tokio::test]
async fn an_introduced_key_opens_before_it_seals() {
    let setup = Setup::new();
    sealed(&setup.acme().await, &place());
    let id = setup.keyring.introduce(&acme()).await.unwrap();
    assert_ne!(
        sealed(&setup.acme().await, &place()).ciphertext().key_id(),
        id
    );
    let other = setup.another(kek(1)).build().unwrap();
    let slow = other.prepare(&[acme()]).await.unwrap();
    setup.keyring.activate(&acme(), id).await.unwrap();
    let value = sealed(&setup.acme().await, &place());
    assert_eq!(value.ciphertext().key_id(), id);
    assert_eq!(slow.open(&place(), &value).unwrap().expose(), NUMBER);
    let stages: Vec<_> = setup
        .table
        .records()
        .iter()
        .map(|record| record.stage)
        .collect();
    assert_eq!(stages, [KeyStage::DecryptOnly, KeyStage::Active]);
}

#[tokio::test]
async fn a_destroyed_key_says_so_and_stays_destroyed() {
    let setup = Setup::new();
    let value = sealed(&setup.acme().await, &place());
    let id = value.ciphertext().key_id();
    let refused = setup.keyring.destroy(&acme(), id).await;
    assert!(
        matches!(refused, Err(KeyChangeError::NotPossible { .. })),
        "it seals"
    );
    setup.keyring.rotate(&acme()).await.unwrap();
    setup.keyring.destroy(&acme(), id).await.unwrap();
    let error = setup.acme().await.open(&place(), &value).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::Shredded);
    assert!(
        setup.table.records()[0].wrapped.is_empty(),
        "the wrapped key is gone"
    );
    for again in [
        setup.keyring.enable(&acme(), id).await,
        setup.keyring.activate(&acme(), id).await,
        setup.keyring.disable(&acme(), id).await,
    ] {
        assert!(matches!(again, Err(KeyChangeError::NotPossible { .. })));
    }
}

#[tokio::test]
async fn a_new_kek_wraps_every_key_and_touches_no_value() {
    let setup = Setup::new();
    let value = sealed(&setup.acme().await, &place());
    let old_only = setup.another(kek(1)).build().unwrap();
    let both = setup
        .another(kek(2))
        .add_previous_kek(kek(1))
        .build()
        .unwrap();
    let before = both.prepare(&[acme()]).await.unwrap();
    assert_eq!(before.open(&place(), &value).unwrap().expose(), NUMBER);
    let done = both.rewrap().await.unwrap();
    assert_eq!((done.rewrapped, done.current, done.left), (1, 0, 0));
    let again = both.rewrap().await.unwrap();
    assert_eq!((again.rewrapped, again.current, again.left), (0, 1, 0));
    assert_ne!(again, Rewrapped::default());
    let new_only = setup.another(kek(2)).build().unwrap();
    let prepared = new_only.prepare(&[acme()]).await.unwrap();
    assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    let error = old_only.prepare(&[acme()]).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
}

#[tokio::test]
async fn a_changed_or_moved_wrapped_key_is_refused() {
    let setup = Setup::new();
    setup.acme().await;
    let good = setup.table.records();
    let refused = async |records| {
        setup.table.replace(records);
        let other = setup.another(kek(1)).build().unwrap();
        other.prepare(&[acme()]).await.is_err()
    };
    assert!(!refused(good.clone()).await, "the control");
    for bit in 0..good[0].wrapped.len() * 8 {
        let mut records = good.clone();
        records[0].wrapped[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(records).await, "{bit}");
    }
    let mut records = good.clone();
    records[0].version = 2;
    assert!(refused(records).await, "another version");
    let mut records = good.clone();
    records[0].created += 1;
    assert!(refused(records).await, "another time");
}

#[tokio::test]
async fn whoever_is_erased_cannot_be_read_or_written_about() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            sink.lock()
                .unwrap()
                .push((event.kind(), format!("{event:?}")));
        }
    });
    let setup = Setup::with(|builder| builder.with_observer(Arc::new(observer)));
    let alice = Subject::new("acme", "alice");
    let scopes = [
        KeyScope::subject("acme", "alice"),
        KeyScope::subject("acme", "bob"),
    ];
    let prepared = setup.keyring.prepare(&scopes).await.unwrap();
    let of = |name| place().with_subject(name).unwrap();
    let (hers, his) = (
        sealed(&prepared, &of("alice")),
        sealed(&prepared, &of("bob")),
    );
    setup.keyring.rotate(&scopes[0]).await.unwrap();

    let key = |state: KeyState| match state {
        KeyState::Present(key) => Some(*key.expose()),
        _ => None,
    };
    let opened = setup
        .keyring
        .request(&alice, KeyRequest::Open)
        .await
        .unwrap();
    let shared = key(opened).unwrap();
    let sealing = setup
        .keyring
        .request(&alice, KeyRequest::Seal)
        .await
        .unwrap();
    assert_eq!(key(sealing), Some(shared), "rotation does not change it");

    let erased = setup
        .keyring
        .request(&alice, KeyRequest::Forget)
        .await
        .unwrap();
    let KeyState::Shredded { at } = erased else {
        panic!("{erased:?}");
    };
    setup.clock.advance(Duration::from_secs(60));
    for request in [KeyRequest::Forget, KeyRequest::Open, KeyRequest::Seal] {
        let state = setup.keyring.request(&alice, request).await.unwrap();
        assert!(
            matches!(state, KeyState::Shredded { at: when } if when.unix_seconds() == at.unix_seconds())
        );
    }
    let prepared = setup.keyring.prepare(&scopes).await.unwrap();
    let error = prepared.open(&of("alice"), &hers).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::Shredded);
    let again = prepared
        .seal::<_, crate::support::Ssn>(&of("alice"), &1)
        .unwrap_err();
    assert_eq!(again.kind(), EncryptErrorKind::Shredded);
    assert_eq!(prepared.open(&of("bob"), &his).unwrap().expose(), NUMBER);
    assert!(matches!(
        setup.keyring.rotate(&scopes[0]).await,
        Err(KeyChangeError::NotPossible { .. })
    ));

    let never = Subject::new("acme", "carol");
    let state = setup
        .keyring
        .request(&never, KeyRequest::Open)
        .await
        .unwrap();
    assert!(matches!(state, KeyState::Absent));
    setup.keyring.erase(&never).await.unwrap();
    let state = setup
        .keyring
        .request(&never, KeyRequest::Seal)
        .await
        .unwrap();
    assert!(
        matches!(state, KeyState::Shredded { .. }),
        "a tombstone without a key"
    );

    let events = events.lock().unwrap();
    let forgotten = events
        .iter()
        .filter(|(kind, _)| *kind == LifecycleKind::SubjectForgotten);
    assert_eq!(forgotten.count(), 2);
    assert!(
        events.iter().all(|(_, text)| !text.contains("alice")),
        "{events:?}"
    );
}

#[tokio::test]
async fn an_erasure_that_cannot_be_stored_is_not_told() {
    let setup = Setup::new();
    let alice = Subject::new("acme", "alice");
    setup
        .keyring
        .request(&alice, KeyRequest::Seal)
        .await
        .unwrap();
    setup.table.set_down(true);
    assert!(
        setup
            .keyring
            .request(&alice, KeyRequest::Forget)
            .await
            .is_err()
    );
    setup.table.set_down(false);
    let state = setup
        .keyring
        .request(&alice, KeyRequest::Open)
        .await
        .unwrap();
    assert!(matches!(state, KeyState::Present(_)));
}

#[tokio::test]
async fn a_key_file_serves_as_store() {
    let folder = std::env::temp_dir().join(format!("bartizan-it-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keys.json");
    let file = KeyFile::create(&path, kek(1)).unwrap();
    let keyring = Keyring::builder("clinic", file, kek(1)).build().unwrap();
    let value = sealed(&keyring.prepare(&[acme()]).await.unwrap(), &place());
    keyring.rotate(&acme()).await.unwrap();
    drop(keyring);
    let file = KeyFile::open(&path, &[kek(2), kek(1)]).unwrap();
    let both = Keyring::builder("clinic", file, kek(2)).add_previous_kek(kek(1));
    assert_eq!(both.build().unwrap().rewrap().await.unwrap().rewrapped, 2);
    let file = KeyFile::open(&path, &[kek(2)]).unwrap();
    let keyring = Keyring::builder("clinic", file, kek(2)).build().unwrap();
    let prepared = keyring.prepare(&[acme()]).await.unwrap();
    assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |change: fn(KeyringBuilder) -> KeyringBuilder| {
        let builder = Keyring::builder("clinic", crate::support::Table::default(), kek(1));
        change(builder).build().unwrap_err()
    };
    assert!(matches!(
        refused(|b| b.with_ttl(Duration::ZERO)),
        ConfigError::Lifetimes { .. }
    ));
    let short = refused(|b| b.with_hard_limit(Duration::from_secs(1)));
    assert!(matches!(short, ConfigError::Lifetimes { .. }));
    assert!(matches!(
        refused(|b| b.with_max_uses(0)),
        ConfigError::Zero("uses")
    ));
    assert!(matches!(
        refused(|b| b.with_max_scopes(0)),
        ConfigError::Zero("scopes")
    ));
    let unnamed = Keyring::builder("", crate::support::Table::default(), kek(1)).build();
    assert!(matches!(unnamed, Err(ConfigError::Application(0))));
}
