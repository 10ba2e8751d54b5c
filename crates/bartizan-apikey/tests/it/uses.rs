//! When keys were last used.

use std::sync::Arc;
use std::time::Duration;

use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, KeyFile, KeyUse, UsesFile};
use bartizan_core::{Clock as _, WallTime};
use bartizan_testkit::ManualClock;

use crate::files::Folder;
use crate::sources::Store;
use crate::support::{STORE, Town, count, new_key, observer, outcome, passed, refused};

/// The minute that a moment is in.
fn minute(clock: &ManualClock) -> WallTime {
    let seconds = clock.wall().unix_seconds();
    WallTime::from_unix_seconds(seconds - seconds % 60)
}

#[tokio::test]
async fn a_use_is_seen_and_a_refusal_is_none() {
    let town = Town::new();
    let layer = town.layer();
    let guard = layer.guard();
    assert_eq!(guard.last_used(town.key.id()), None);
    let other = new_key();
    assert_eq!(
        outcome(&layer, &other).await,
        refused(401, "apikey.invalid")
    );
    assert_eq!(guard.last_used(town.key.id()), None);
    town.clock.advance(Duration::from_secs(90));
    assert_eq!(outcome(&layer, &town.key).await, passed());
    assert_eq!(guard.last_used(town.key.id()), Some(minute(&town.clock)));
    assert_eq!(guard.last_used(other.id()), None);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_told_once_in_a_while_and_behind_the_requests() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let layer = ApiKeyLayer::load(store.config(&town.clock).build().unwrap())
        .await
        .unwrap();
    for _ in 0..100 {
        assert_eq!(outcome(&layer, &town.key).await, passed());
    }
    assert!(store.uses().is_empty(), "no request tells it");
    let used = KeyUse {
        id: town.key.id(),
        at: minute(&town.clock),
    };
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(store.uses(), [used]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(store.uses(), [used], "nothing new is nothing told");
    drop(layer);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(Arc::strong_count(&store.0), 1, "nobody is at work any more");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_is_told_later() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let (observer, observed) = observer();
    let config = store.config(&town.clock).with_observer(observer);
    let layer = ApiKeyLayer::load(config.build().unwrap()).await.unwrap();
    assert_eq!(outcome(&layer, &town.key).await, passed());
    store.refuse_uses(true);
    tokio::time::sleep(Duration::from_secs(130)).await;
    assert!(store.uses().is_empty());
    assert_eq!(count(&observed, "apikey.use_not_stored"), 2);
    assert_eq!(
        outcome(&layer, &town.key).await,
        passed(),
        "it is nobody's trouble"
    );
    store.refuse_uses(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.uses().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_refused_forgets_no_use() {
    let town = Town::new();
    let record = town.record().build().unwrap();
    let store = Store::with([record.clone()]);
    let layer = ApiKeyLayer::load(store.config(&town.clock).build().unwrap())
        .await
        .unwrap();
    let other = || town.record_of(&new_key()).build().unwrap();
    let twice = other();
    store.set(vec![twice.clone(), twice]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(outcome(&layer, &town.key).await, passed());
    store.set(vec![record, other()]);
    // After failures it is looked at less often.
    let read = async {
        while layer.guard().keys() != 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(120), read).await;
    assert!(read.is_ok(), "it was not read");
    assert!(layer.guard().last_used(town.key.id()).is_some());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(store.uses().len(), 1);
}

#[tokio::test]
async fn uses_of_keys_of_a_file_are_written_beside_it() {
    let (town, folder) = (Town::new(), Folder::new("uses"));
    let file = KeyFile::new(folder.path("keys.json"));
    file.create().unwrap();
    file.add(town.record().build().unwrap()).unwrap();
    let uses = UsesFile::new(folder.path("uses.json"));
    assert_eq!(uses.read().unwrap().count(), 0);
    std::fs::write(uses.path(), r#"{"goneForLong1":7,"nonsense":"x"}"#).unwrap();
    let config = ApiKeyConfig::builder(STORE)
        .with_key_file(file.path())
        .with_uses_file(uses.path())
        .with_uses_interval(Duration::from_secs(1))
        .with_clock(Arc::new(town.clock.clone()));
    let layer = ApiKeyLayer::load(config.build().unwrap()).await.unwrap();
    assert_eq!(outcome(&layer, &town.key).await, passed());
    let expected = KeyUse {
        id: town.key.id(),
        at: minute(&town.clock),
    };
    let mut waited = 0;
    while !uses.read().unwrap().any(|used| used == expected) {
        waited += 1;
        assert!(waited < 1200, "a minute passed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(uses.read().unwrap().count(), 1, "and of no others");
}
