use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::ciphertext::Ciphertext;
use crate::context::Place;
use crate::kek::LocalKek;
use crate::key::{KeyBytes, KeyRecord, KeyScope};
use crate::prepared::Prepared;
use crate::store::{KeyChange, KeyStore, StoreAnswer, changed};
use crate::value::{Encrypted, Field};

struct Ssn;

impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

#[derive(Debug, Default)]
struct Keys(Mutex<Vec<KeyRecord>>);

impl KeyStore for Keys {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let mut records = self.0.lock().expect("no panic").clone();
        records.retain(|record| scope.is_none_or(|scope| record.scope == *scope));
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let mut held = self.0.lock().expect("no panic");
        let changed = changed(&held, changes);
        let done = changed.is_some();
        if let Some(changed) = changed {
            *held = changed;
        }
        Box::pin(std::future::ready(Ok(done)))
    }
}

/// What a disk holds.
#[derive(Clone, Default)]
struct Content {
    rows: BTreeMap<String, Ciphertext>,
    cursor: Option<String>,
}

/// A table on a disk that loses on a power cut what was not synced.
#[derive(Default)]
struct Disk {
    running: Mutex<Content>,
    synced: Mutex<Content>,
    /// How many steps are left; each operation takes some.
    power: AtomicUsize,
    forgets_to_sync_rows: AtomicBool,
    replaced: AtomicUsize,
}

#[derive(Clone)]
struct Table(Arc<Disk>);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl Table {
    fn new(rows: BTreeMap<String, Ciphertext>) -> Self {
        let content = Content { rows, cursor: None };
        Self(Arc::new(Disk {
            running: Mutex::new(content.clone()),
            synced: Mutex::new(content),
            power: AtomicUsize::new(usize::MAX),
            ..Disk::default()
        }))
    }

    async fn step(&self) -> Result<(), StoreError> {
        // Others come to their turn between any two steps.
        tokio::task::yield_now().await;
        let spend = |power: usize| power.checked_sub(1);
        let spent = self
            .0
            .power
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
        spent.map(drop).map_err(|_| StoreError::new("no power"))
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.running.lock().expect("no panic")
    }

    /// The power is back: what is there is what was synced.
    fn restart(&self) {
        *self.running() = self.0.synced.lock().expect("no panic").clone();
        self.0.power.store(usize::MAX, Ordering::SeqCst);
        self.0.forgets_to_sync_rows.store(false, Ordering::SeqCst);
    }
}

impl SealedValues for Table {
    fn read<'s>(
        &'s self,
        after: Option<&'s str>,
        limit: usize,
    ) -> StoreAnswer<'s, Vec<StoredValue>> {
        Box::pin(async move {
            self.step().await?;
            let running = self.running();
            let behind = running
                .rows
                .iter()
                .filter(|(position, _)| after.is_none_or(|after| position.as_str() > after));
            let stored = |(position, value): (&String, &Ciphertext)| {
                let value: Encrypted<String, Ssn> = Encrypted::from_ciphertext(value.clone());
                StoredValue::new(position, place(position), &value)
            };
            Ok(behind.take(limit).map(stored).collect())
        })
    }

    fn replace<'s>(&'s self, replacements: &'s [Replacement]) -> StoreAnswer<'s, u64> {
        Box::pin(async move {
            let mut replaced = 0;
            for replacement in replacements {
                self.step().await?;
                let mut running = self.running();
                let held = running.rows.get_mut(&replacement.position);
                if let Some(held) = held.filter(|held| **held == replacement.before) {
                    *held = replacement.after.clone();
                    replaced += 1;
                }
            }
            self.step().await?;
            if !self.0.forgets_to_sync_rows.load(Ordering::SeqCst) {
                let rows = self.running().rows.clone();
                self.0.synced.lock().expect("no panic").rows = rows;
            }
            self.0
                .replaced
                .fetch_add(replacements.len(), Ordering::SeqCst);
            self.step().await?;
            Ok(replaced)
        })
    }

    fn count<'s>(&'s self, after: Option<&'s str>) -> StoreAnswer<'s, u64> {
        let behind = |position: &&String| after.is_none_or(|after| position.as_str() > after);
        let count = self.running().rows.keys().filter(behind).count() as u64;
        Box::pin(std::future::ready(Ok(count)))
    }

    fn cursor(&self) -> StoreAnswer<'_, Option<String>> {
        let cursor = self.running().cursor.clone();
        Box::pin(std::future::ready(Ok(cursor)))
    }

    fn set_cursor<'s>(&'s self, cursor: Option<&'s str>) -> StoreAnswer<'s, ()> {
        Box::pin(async move {
            self.step().await?;
            let cursor = cursor.map(str::to_owned);
            self.running().cursor.clone_from(&cursor);
            self.0.synced.lock().expect("no panic").cursor = cursor;
            self.step().await
        })
    }
}

const ROWS: usize = 90;

fn place(position: &str) -> Place {
    let place = Place::new("acme").and_then(|place| place.with_record(position));
    place.expect("parts")
}

fn keyring() -> Keyring {
    let kek = LocalKek::new(&KeyBytes::from_slice(&[7; 32]).expect("32 bytes"));
    let builder = Keyring::builder("clinic", Arc::<Keys>::default(), kek);
    builder.build().expect("sound settings")
}

async fn prepared(keyring: &Keyring) -> Prepared {
    let prepared = keyring.prepare(&[KeyScope::tenant("acme")]).await;
    prepared.expect("keys")
}

fn sealed(keys: &Prepared, position: &str) -> Ciphertext {
    let value: Encrypted<String, Ssn> = keys
        .seal(&place(position), &format!("number {position}"))
        .expect("sealable");
    value.ciphertext().clone()
}

/// A table of values under a key that was rotated since.
async fn rotated() -> (Keyring, BTreeMap<String, Ciphertext>) {
    let keyring = keyring();
    let keys = prepared(&keyring).await;
    let rows = (0..ROWS)
        .map(|row| format!("{row:04}"))
        .map(|position| (position.clone(), sealed(&keys, &position)))
        .collect();
    keyring
        .rotate(&KeyScope::tenant("acme"))
        .await
        .expect("a store");
    (keyring, rows)
}

fn reseal(keyring: &Keyring, table: &Table) -> Reseal {
    Reseal::new(keyring.clone(), table.clone())
        .with_page(NonZeroUsize::new(8).expect("not zero"))
        .with_parallelism(NonZeroUsize::new(3).expect("not zero"))
}

/// Whether every value opens to what it was, and is under the key that seals.
fn whole(keys: &Prepared, table: &Table) -> (bool, bool) {
    let running = table.running();
    let (mut opens, mut current) = (running.rows.len() == ROWS, true);
    for (position, value) in &running.rows {
        current &= keys.is_current(&place(position), value) == Ok(true);
        let value: Encrypted<String, Ssn> = Encrypted::from_ciphertext(value.clone());
        let opened = keys.open(&place(position), &value);
        opens &= opened.is_ok_and(|opened| *opened.expose() == format!("number {position}"));
    }
    (opens, current)
}

#[tokio::test]
async fn everything_is_resealed_once_and_progress_is_told() {
    let (keyring, rows) = rotated().await;
    let table = Table::new(rows);
    let mut told = Vec::new();
    let done = reseal(&keyring, &table)
        .run(|progress| told.push(*progress))
        .await;
    let done = done.expect("a store");
    assert_eq!(
        (done.resealed, done.current, done.left),
        (ROWS as u64, 0, 0)
    );
    assert!(done.is_complete());
    assert_eq!(told.len(), ROWS.div_ceil(8));
    for page in told.windows(2) {
        assert!(page[0].left > page[1].left && page[0].resealed < page[1].resealed);
        assert_eq!(page[0].left + page[0].examined(), ROWS as u64);
    }
    assert_eq!(whole(&prepared(&keyring).await, &table), (true, true));
    assert_eq!(table.running().cursor, None);
    let again = reseal(&keyring, &table).run(|_| {}).await.expect("a store");
    assert_eq!((again.resealed, again.current), (0, ROWS as u64));
}

#[tokio::test]
async fn a_rotation_by_another_instance_is_not_missed() {
    let store = Arc::new(Keys::default());
    let instance = || {
        let kek = LocalKek::new(&KeyBytes::from_slice(&[7; 32]).expect("32 bytes"));
        let builder = Keyring::builder("clinic", Arc::clone(&store), kek);
        builder.build().expect("sound settings")
    };
    let (here, there) = (instance(), instance());
    let rows = [("0001".to_owned(), sealed(&prepared(&here).await, "0001"))];
    there
        .rotate(&KeyScope::tenant("acme"))
        .await
        .expect("a store");
    let table = Table::new(rows.into());
    let done = reseal(&here, &table).run(|_| {}).await.expect("a store");
    assert_eq!((done.resealed, done.current), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_resealed_is_counted_and_the_rest_is_done() {
    let (keyring, mut rows) = rotated().await;
    let keys = prepared(&keyring).await;
    let moved = rows["0001"].clone();
    rows.insert("0002".to_owned(), moved);
    rows.insert("0003".to_owned(), sealed(&keys, "0003"));
    let table = Table::new(rows);
    let done = reseal(&keyring, &table).run(|_| {}).await.expect("a store");
    assert_eq!((done.unreadable, done.current), (1, 1));
    assert_eq!(done.resealed, ROWS as u64 - 2);
    assert!(!done.is_complete());
}

/// Runs until the power goes after so many steps; then resumes. Says whether everything opened
/// after the cut, whether everything was resealed in the end, and how many values were replaced.
async fn survives(
    keyring: &Keyring,
    rows: &BTreeMap<String, Ciphertext>,
    steps: usize,
    forgets: bool,
) -> (bool, bool, usize) {
    let table = Table::new(rows.clone());
    table.0.power.store(steps, Ordering::SeqCst);
    table
        .0
        .forgets_to_sync_rows
        .store(forgets, Ordering::SeqCst);
    let cut = reseal(keyring, &table).run(|_| {}).await;
    assert!(cut.is_err(), "the power lasted for {steps} steps");
    table.restart();
    let keys = prepared(keyring).await;
    let (after_cut, _) = whole(&keys, &table);
    let done = reseal(keyring, &table).run(|_| {}).await.expect("power");
    let (opens, current) = whole(&keys, &table);
    assert!(done.missed == 0 && done.unreadable == 0);
    let replaced = table.0.replaced.load(Ordering::SeqCst);
    (after_cut && opens, current, replaced)
}

/// Each row takes a step, each page four for itself, and reads take one.
const STEPS: usize = ROWS + ROWS.div_ceil(8) * 5;

#[tokio::test]
async fn a_run_that_is_cut_short_resumes_without_loss() {
    let (keyring, rows) = rotated().await;
    // Each moment of a run, twice: the order of pages differs.
    for steps in (0..STEPS).chain(0..STEPS) {
        let (opens, current, replaced) = survives(&keyring, &rows, steps, false).await;
        assert!(opens && current, "{steps}");
        assert!(
            replaced <= ROWS + 3 * 8,
            "{steps}: at most the pages in flight are done twice"
        );
    }
    const { assert!(2 * STEPS >= 200) };
}

#[tokio::test]
async fn a_missing_sync_would_be_noticed() {
    let (keyring, rows) = rotated().await;
    let mut noticed = 0;
    for steps in 0..STEPS {
        let (_, current, _) = survives(&keyring, &rows, steps, true).await;
        noticed += usize::from(!current);
    }
    assert!(noticed > STEPS / 2, "{noticed}");
}

#[tokio::test]
async fn a_run_that_resumed_vouches_for_nothing_in_front_of_it() {
    let (keyring, rows) = rotated().await;
    let table = Table::new(rows);
    table.0.power.store(STEPS / 2, Ordering::SeqCst);
    let cut = reseal(&keyring, &table).run(|_| {}).await;
    assert!(cut.is_err(), "the power lasted");
    table.restart();
    assert!(table.running().cursor.is_some());
    // What was resealed so far is under a key that is an old one by now.
    let rotated = keyring.rotate(&KeyScope::tenant("acme")).await;
    rotated.expect("a store");
    let keys = prepared(&keyring).await;
    let resumed = reseal(&keyring, &table).run(|_| {}).await.expect("power");
    assert_eq!(whole(&keys, &table), (true, false));
    assert!(!resumed.is_complete(), "{resumed:?}");
    let next = reseal(&keyring, &table).run(|_| {}).await.expect("power");
    assert_eq!(whole(&keys, &table), (true, true));
    assert!(next.is_complete(), "{next:?}");
}
