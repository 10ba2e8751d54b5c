//! Keys that a store lists: found, missed, revoked, and out of reach.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, KeyAnswer, KeyRead, KeyRecord, KeySource,
    KeySourceError, KeyUse, NewKey, Pepper, Peppers, Rotation,
};
use bartizan_core::Clock as _;
use bartizan_testkit::ManualClock;
use tokio::task::JoinSet;

use crate::support::{STORE, Town, count, new_key, observer, outcome, passed, refused};

/// A store in memory that can be down, slow, and asked how often it was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(pub(crate) Arc<Inner>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    records: Mutex<Vec<KeyRecord>>,
    revision: AtomicU64,
    counts_revisions: AtomicBool,
    is_down: AtomicBool,
    hangs: AtomicBool,
    refuses_uses: AtomicBool,
    reads: AtomicUsize,
    uses: Mutex<Vec<KeyUse>>,
}

impl Store {
    pub(crate) fn with(records: impl IntoIterator<Item = KeyRecord>) -> Self {
        let store = Self::default();
        store.set(records.into_iter().collect());
        store
    }

    pub(crate) fn config(&self, clock: &ManualClock) -> ApiKeyConfigBuilder {
        ApiKeyConfig::builder(STORE)
            .with_source(self.clone())
            .with_clock(Arc::new(clock.clone()))
            .with_patience(Duration::from_millis(200))
    }

    pub(crate) fn set(&self, records: Vec<KeyRecord>) {
        *self.0.records.lock().unwrap() = records;
        self.0.revision.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn add(&self, record: KeyRecord) {
        let mut records = self.0.records.lock().unwrap().clone();
        records.push(record);
        self.set(records);
    }

    /// Puts a record in the place of what was there of its key.
    fn replace(&self, record: KeyRecord) {
        let mut records = self.0.records.lock().unwrap().clone();
        records.retain(|held| held.id() != record.id());
        records.push(record);
        self.set(records);
    }

    pub(crate) fn refuse_uses(&self, refuses: bool) {
        self.0.refuses_uses.store(refuses, Ordering::SeqCst);
    }

    pub(crate) fn uses(&self) -> Vec<KeyUse> {
        self.0.uses.lock().unwrap().clone()
    }

    pub(crate) fn down(&self, down: bool) {
        self.0.is_down.store(down, Ordering::SeqCst);
    }

    fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }
}

impl KeySource for Store {
    fn read(&self, known: Option<u64>) -> KeyAnswer<'_, KeyRead> {
        Box::pin(async move {
            let it = &*self.0;
            it.reads.fetch_add(1, Ordering::SeqCst);
            if it.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if it.is_down.load(Ordering::SeqCst) {
                return Err(KeySourceError::new("the store is down"));
            }
            let counts = it.counts_revisions.load(Ordering::SeqCst);
            let revision = counts.then(|| it.revision.load(Ordering::SeqCst));
            if revision.is_some() && revision == known {
                return Ok(KeyRead::Unchanged);
            }
            let records = it.records.lock().unwrap().clone();
            Ok(KeyRead::Records { records, revision })
        })
    }

    fn record_uses<'s>(&'s self, uses: &'s [KeyUse]) -> KeyAnswer<'s, ()> {
        let refused = self.0.refuses_uses.load(Ordering::SeqCst);
        if !refused {
            self.0.uses.lock().unwrap().extend_from_slice(uses);
        }
        let answer = match refused {
            true => Err(KeySourceError::new("not now")),
            false => Ok(()),
        };
        Box::pin(std::future::ready(answer))
    }
}

async fn loaded(config: ApiKeyConfigBuilder) -> ApiKeyLayer {
    ApiKeyLayer::load(config.build().unwrap()).await.unwrap()
}

/// What became of these keys, sent all at once.
async fn outcomes(layer: &ApiKeyLayer, keys: Vec<NewKey>) -> Vec<(u16, Option<String>)> {
    let mut requests = JoinSet::new();
    for key in keys {
        let layer = layer.clone();
        requests.spawn(async move { outcome(&layer, &key).await });
    }
    requests.join_all().await
}

#[tokio::test]
async fn a_key_that_was_just_made_is_known_to_its_first_request() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let layer = loaded(store.config(&town.clock)).await;
    assert_eq!(outcome(&layer, &town.key).await, passed());
    assert_eq!(store.reads(), 1, "a known key asks for nothing");
    let new = new_key();
    store.add(town.record_of(&new).build().unwrap());
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn made_up_keys_cost_one_question_per_cool_down_and_keep_nothing() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let layer = loaded(store.config(&town.clock)).await;
    for round in 1..=3 {
        let keys = (0..500).map(|_| new_key()).collect();
        for answer in outcomes(&layer, keys).await {
            assert_eq!(answer, refused(401, "apikey.invalid"));
        }
        assert_eq!(store.reads(), 1 + round, "one for all of them");
        assert_eq!(outcome(&layer, &town.key).await, passed());
        assert_eq!(layer.guard().keys(), 1, "nothing is kept of them");
        town.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_key_that_is_made_during_a_flood_is_waited_for_and_not_refused() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let span = Duration::from_millis(100);
    let clock = Arc::new(bartizan_core::SystemClock);
    let config = store
        .config(&town.clock)
        .with_clock(clock)
        .with_cool_down(span);
    let layer = loaded(config.with_patience(Duration::from_secs(20))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let flood = {
        let (layer, stop) = (layer.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let keys = (0..20).map(|_| new_key()).collect();
                for answer in outcomes(&layer, keys).await {
                    assert_eq!(answer, refused(401, "apikey.invalid"));
                }
            }
        })
    };
    for _ in 0..10 {
        let new = new_key();
        store.add(town.record_of(&new).build().unwrap());
        assert_eq!(outcome(&layer, &new).await, passed());
    }
    stop.store(true, Ordering::SeqCst);
    flood.await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_is_asked_about_as_an_unknown_key_is() {
    let town = Town::new();
    // The same identifier, another secret: it cannot be told from an unknown one.
    let twin = town.record_of(&new_key()).build().unwrap();
    let record = KeyRecord::stored(town.key.id(), twin.hash().clone(), "a", town.clock.wall());
    let store = Store::with([record.build().unwrap()]);
    let layer = loaded(store.config(&town.clock)).await;
    for (reads, key) in [(2, &town.key), (3, &new_key()), (4, &town.key)] {
        assert_eq!(outcome(&layer, key).await, refused(401, "apikey.invalid"));
        assert_eq!(store.reads(), reads);
        town.clock.advance(Duration::from_secs(1));
    }
    store.down(true);
    for key in [&town.key, &new_key()] {
        let expected = refused(503, "apikey.keys_unavailable");
        assert_eq!(outcome(&layer, key).await, expected);
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_served_from_memory_and_then_503_and_never_401() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let limit = Duration::from_secs(60);
    let layer = loaded(store.config(&town.clock).with_stale_limit(limit)).await;
    store.down(true);
    assert_eq!(outcome(&layer, &town.key).await, passed());
    let made_meanwhile = new_key();
    let unavailable = refused(503, "apikey.keys_unavailable");
    assert_eq!(outcome(&layer, &made_meanwhile).await, unavailable);
    assert_eq!(
        outcome(&layer, &made_meanwhile).await,
        unavailable,
        "in the cool-down too"
    );
    town.clock.advance(limit - Duration::from_secs(1));
    assert_eq!(outcome(&layer, &town.key).await, passed());
    town.clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &town.key).await, unavailable);
    assert!(!layer.guard().is_ready());
    store.down(false);
    town.clock.advance(Duration::from_secs(1));
    assert_eq!(
        outcome(&layer, &town.key).await,
        passed(),
        "it is asked for the first request"
    );
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_no_known_key() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let layer = loaded(store.config(&town.clock)).await;
    store.0.hangs.store(true, Ordering::SeqCst);
    let stranger = new_key();
    let unknown = outcome(&layer, &stranger);
    let known = async {
        for _ in 0..100 {
            assert_eq!(outcome(&layer, &town.key).await, passed());
        }
    };
    let (unknown, ()) = tokio::join!(unknown, known);
    assert_eq!(unknown, refused(503, "apikey.keys_unavailable"));
    assert_eq!(store.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_is_refused_within_its_lifetime() {
    let town = Town::new();
    let record = town.record().build().unwrap();
    let store = Store::with([record.clone()]);
    let layer = loaded(store.config(&town.clock)).await;
    assert_eq!(outcome(&layer, &town.key).await, passed());
    store.set(vec![record.revoked_at(town.clock.wall())]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        outcome(&layer, &town.key).await,
        refused(401, "apikey.revoked")
    );
    store.set(Vec::new());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        outcome(&layer, &town.key).await,
        refused(401, "apikey.invalid")
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_counts_is_not_read_again_for_nothing() {
    for counts in [true, false] {
        let town = Town::new();
        let store = Store::with([town.record().build().unwrap()]);
        store.0.counts_revisions.store(counts, Ordering::SeqCst);
        let layer = loaded(store.config(&town.clock)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(store.reads() > 10);
        let generation = || layer.guard().key_status().unwrap().generation();
        assert_eq!(generation(), 1, "the same keys are no new version");
        store.add(town.record_of(&new_key()).build().unwrap());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((generation(), layer.guard().keys()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_keys_and_keys_that_are_there_twice_leave_the_last_good_ones() {
    let town = Town::new();
    let record = town.record().build().unwrap();
    let store = Store::with([record.clone()]);
    let layer = loaded(store.config(&town.clock).with_max_keys(2)).await;
    let other = || town.record_of(&new_key()).build().unwrap();
    for records in [
        vec![other(), other(), other()],
        vec![record.clone(), record],
    ] {
        let failures = || layer.guard().key_status().unwrap().total_failures();
        let before = failures();
        store.set(records);
        // After failures it is looked at less often.
        let told = async {
            while failures() == before {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(120), told).await;
        assert!(told.is_ok(), "it was not told");
        assert_eq!(outcome(&layer, &town.key).await, passed());
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_used_is_told_and_takes_no_other_away() {
    let town = Town::new();
    let odd = new_key();
    let peppers = Peppers::new(Pepper::new("elsewhere", &[1; 32]).unwrap());
    let now = town.clock.wall();
    let of_elsewhere = KeyRecord::builder(&odd, &peppers, "a", now)
        .build()
        .unwrap();
    let store = Store::with([town.record().build().unwrap(), of_elsewhere]);
    let (observer, observed) = observer();
    let layer = loaded(store.config(&town.clock).with_observer(observer)).await;
    assert_eq!(outcome(&layer, &town.key).await, passed());
    assert_eq!(outcome(&layer, &odd).await, refused(401, "apikey.invalid"));
    assert!(count(&observed, "apikey.key_ignored") > 0);
    assert!(count(&observed, odd.id().as_str()) > 0);
}

/// Clients that do not retry, and change over at their leisure, each in the middle of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_under_load_lose_no_request() {
    let town = Town::new();
    let record = town.record().build().unwrap();
    let store = Store::with([record.clone()]);
    let config = store
        .config(&town.clock)
        .with_key_lifetime(Duration::from_millis(100));
    // The cool-down is over whenever the clock moves on.
    let layer = loaded(config.with_patience(Duration::from_secs(10))).await;
    let mut held = (record, NewKey::generate(layer.guard().format()).unwrap());
    let present = Arc::new(Mutex::new(town.key.expose().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (layer, present, stop) = (layer.clone(), Arc::clone(&present), Arc::clone(&stop));
        clients.spawn(async move {
            let mut requests = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                let key = present.lock().unwrap().clone();
                let call = crate::support::with_key(&key);
                for _ in 0..3 {
                    let answer = crate::support::send(&layer, &call).await;
                    assert_eq!(crate::support::in_short(&answer), passed());
                    requests += 1;
                }
            }
            requests
        });
    }
    for _ in 0..20 {
        let (record, new) = &held;
        let now = town.clock.wall();
        let overlap = Duration::from_secs(60);
        let Rotation { old, new: next, .. } =
            record.rotated(new, &Peppers::none(), now, overlap).unwrap();
        store.replace(old);
        store.add(next.clone());
        town.clock.advance(Duration::from_secs(1));
        // Shown to its owner, who uses it at once.
        *present.lock().unwrap() = new.expose().to_owned();
        assert_eq!(outcome(&layer, new).await, passed());
        held = (next, new_key());
    }
    stop.store(true, Ordering::SeqCst);
    let requests: u32 = clients.join_all().await.into_iter().sum();
    assert!(requests > 100, "{requests}");
}
